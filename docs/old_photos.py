"""Draw the picture of docs/data.md: what each degradation makes of a photograph.

python docs/old_photos.py docs/assets/data_degradations.png

From scikit-image's astronaut (public domain, NASA).
"""

import sys
from pathlib import Path

import skimage.data
import torch
from PIL import Image, ImageDraw

from deepcolor.data import Degradations
from deepcolor.data.augment import seeded
from deepcolor.data.degrade import blur, expose, fade, grain, halation, jpeg, linear_to_grey, tone

GAP, HEAD, COLUMNS, SIDE = 6, 18, 5, 160


def crop() -> torch.Tensor:
    photo = Image.fromarray(skimage.data.astronaut()).crop((60, 0, 396, 336))
    small = photo.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(
        SIDE, SIDE, 3
    ).movedim(-1, 0)  # fmt: skip


def shown(picture: torch.Tensor) -> Image.Image:
    """(1 or 3, H, W), bytes or in [0, 1]."""
    if picture.is_floating_point():
        picture = (255 * picture).round().byte()
    return Image.fromarray(picture.expand(3, -1, -1).movedim(0, -1).contiguous().numpy())


def panels(rgb: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """Each degradation alone, in the middle of its range; then whole chains, as drawn."""
    light = expose(rgb, "panchromatic")
    grey = linear_to_grey(light)
    with seeded(2):
        single = [
            ("the photograph", rgb),
            ("its luminance", grey),
            ("orthochromatic", linear_to_grey(expose(rgb, "orthochromatic"))),
            ("blue-sensitive", linear_to_grey(expose(rgb, "blue_sensitive"))),
            ("halation", linear_to_grey(halation(light, 0.4))),
            ("blur", linear_to_grey(blur(light, 0.0055))),
            ("grain", grain(grey, 0.035, 0.7)),
            ("fading", fade(grey, 0.18, 0.85, 0.15)),
            ("sepia", tone(grey)),
            ("JPEG", jpeg((255 * grey).byte().expand(3, -1, -1), 30)),
        ]
    chains = []
    for seed in (1, 2, 4, 6, 9):
        with seeded(seed):
            chains.append((f"drawn, seed {seed}", Degradations(share=1.0)(rgb)))
    return single + chains


def main() -> None:
    drawn = panels(crop())
    rows = -(-len(drawn) // COLUMNS)
    size = (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + HEAD + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, (label, picture) in enumerate(drawn):
        left, top = number % COLUMNS * (SIDE + GAP), number // COLUMNS * (SIDE + HEAD + GAP)
        pen.text((left + 2, top + 3), label, fill="black")
        sheet.paste(shown(picture), (left, top + HEAD))
    sheet.save(Path(sys.argv[1]), optimize=True)


if __name__ == "__main__":
    main()
