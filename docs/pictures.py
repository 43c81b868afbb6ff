"""Draw the pictures of docs/images.md: bleeding, gamut, orientation.

python docs/pictures.py docs/assets

From scikit-image's photographs: coffee (CC0, Rachel Michetti), chelsea (CC0, Stefan van der Walt),
astronaut (public domain, NASA).
"""

import io
import sys
from pathlib import Path

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

import deepcolor
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.gamut import clamp_to_gamut
from deepcolor.upsample import upsample_chroma

GAP = 8


def lab_of(photo: np.ndarray) -> torch.Tensor:
    return rgb_to_lab(torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255)


def picture(rgb: torch.Tensor) -> Image.Image:
    return Image.fromarray((255 * rgb[0]).round().byte().permute(1, 2, 0).numpy())


def row(panels: list[tuple[str, Image.Image]], path: Path) -> None:
    height = max(panel.height for _, panel in panels) + 22
    width = sum(panel.width + GAP for _, panel in panels) - GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for label, panel in panels:
        draw.text((left + 2, 5), label, fill="black")
        sheet.paste(panel, (left, 22))
        left += panel.width + GAP
    sheet.save(path, optimize=True)


def bleeding(folder: Path) -> None:
    """True chroma through a grid of an eighth of the size, and back."""
    photo = skimage.data.astronaut()[8:264, 120:376]
    luminance, ab = split_lab(lab_of(photo))
    small = F.interpolate(ab, size=(32, 32), mode="area")
    ways = {
        "truth": ab,
        "nearest": F.interpolate(small, size=ab.shape[-2:], mode="nearest"),
        "bicubic": F.interpolate(small, size=ab.shape[-2:], mode="bicubic", align_corners=False),
        "deepcolor": upsample_chroma(small, luminance),
    }
    panels = []
    for label, chroma in ways.items():
        shown = picture(lab_to_rgb(clamp_to_gamut(join_lab(luminance, chroma))))
        crop = shown.crop((156, 173, 256, 256))
        panels.append((label, crop.resize((256, 212), Image.Resampling.LANCZOS)))
    row(panels, folder / "images_bleeding.png")


def gamut(folder: Path) -> None:
    """Twice the true chroma on the true luminance: clipped, or brought into the gamut."""
    photo = np.asarray(Image.fromarray(skimage.data.coffee()).resize((300, 200)))
    lab = lab_of(photo)
    strong = join_lab(lab[:, :1], 2 * lab[:, 1:])
    clipped, kept = lab_to_rgb(strong), lab_to_rgb(clamp_to_gamut(strong))

    def moved(rgb: torch.Tensor) -> Image.Image:
        off = (rgb_to_lab(rgb)[0, 0] - lab[0, 0]).abs()
        return Image.fromarray((off * 25).clamp(0, 255).byte().numpy()).convert("RGB")

    panels = [
        ("clipped", picture(clipped)),
        ("lightness moved; white: 10 L", moved(clipped)),
        ("clamp_to_gamut", picture(kept)),
        ("lightness moved; white: 10 L", moved(kept)),
    ]
    row(panels, folder / "images_gamut.png")


def orientation(folder: Path) -> None:
    """A photograph stored on its side."""
    photo = Image.fromarray(skimage.data.chelsea()).resize((240, 160)).convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    stored, file = photo.transpose(Image.Transpose.ROTATE_90), io.BytesIO()
    stored.save(file, "JPEG", exif=exif, quality=95)
    result = deepcolor.colorize(file.getvalue())
    assert result.size == (240, 160)
    panels = [("as stored, EXIF orientation 6", stored.convert("RGB")), ("coloured", result)]
    row(panels, folder / "images_orientation.png")


def main() -> None:
    folder = Path(sys.argv[1])
    bleeding(folder)
    gamut(folder)
    orientation(folder)


if __name__ == "__main__":
    main()
