"""How much colour changes when nothing that matters does: another size, a poor JPEG.

    python benchmarks/stability.py PHOTOS [--model WEIGHTS] [--count N]

PHOTOS is a folder of photographs or of tar archives. Each is brought to 2, 1 and 0.5 megapixels by
Lanczos (small ones are enlarged: their colour cannot tell more, but goes the same way), coloured,
and its ab brought to 0.5 megapixels by area; and coloured from a JPEG of quality 30 at its own
size. Prints the mean Euclidean distance of ab in CIELAB units, as mean over photographs and 95th
percentile.
"""

import argparse
import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm

import deepcolor
from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import open_photos

MEGAPIXELS = (2.0, 1.0, 0.5)
QUALITY = 30


def ab_of(predictor: deepcolor.Predictor, grey: Image.Image) -> Tensor:
    """(1, 2, H, W) ab of the coloured picture as it would be saved, in 8 bits."""
    pixels = np.asarray(predictor(grey).convert("RGB")).copy()
    return split_lab(rgb_to_lab(unit_rgb(torch.from_numpy(pixels).permute(2, 0, 1))[None]))[1]


def distance(first: Tensor, second: Tensor) -> float:
    return float((first - second).norm(dim=1).mean())


def at(grey: Image.Image, megapixels: float) -> Image.Image:
    scale = math.sqrt(megapixels * 1e6 / (grey.width * grey.height))
    size = (round(grey.width * scale), round(grey.height * scale))
    return grey.resize(size, Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("--model", default="lite.photos", help="checkpoint or weights file")
    parser.add_argument("--count", type=int, default=10**9, help="photographs at most")
    asked = parser.parse_args()
    photos = open_photos(asked.photos)
    chosen = np.linspace(0, len(photos) - 1, min(asked.count, len(photos))).astype(int)
    predictor = deepcolor.Predictor(asked.model, device="cpu")
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for i in tqdm(chosen):
        grey = Image.fromarray(photos[int(i)].permute(1, 2, 0).numpy()).convert("L")
        coloured = [ab_of(predictor, at(grey, size)) for size in MEGAPIXELS]
        small = (coloured[-1].shape[-2], coloured[-1].shape[-1])
        coloured = [F.interpolate(ab, size=small, mode="area") for ab in coloured]
        for one in range(len(MEGAPIXELS)):
            for other in range(one):
                name = f"{MEGAPIXELS[other]:g} and {MEGAPIXELS[one]:g} megapixels"
                note(name, distance(coloured[other], coloured[one]))
        stored = io.BytesIO()
        grey.save(stored, "JPEG", quality=QUALITY)
        with Image.open(stored) as poor:
            note(
                f"JPEG of quality {QUALITY} and original",
                distance(ab_of(predictor, grey), ab_of(predictor, poor)),
            )
    print(f"{len(chosen)} photographs, {asked.model}\n")
    print("| | mean | 95th percentile |\n|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {np.mean(values):.2f} | {np.percentile(values, 95):.2f} |")


if __name__ == "__main__":
    main()
