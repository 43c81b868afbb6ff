"""PSNR against the number of true hints: at random points, and where `suggest_hints` asks.

    python benchmarks/hints.py VAL --model WEIGHTS [--count N]

VAL is a folder of photographs or of tar archives. Every photograph is coloured at its own size by
the public call, from its own luminance, with hints as Zhang et al. 2017 reveal them: 6 x 6 pixels
that carry the mean of their true ab; random ones lie anywhere with equal chances, by a seed of the
photograph's number. PSNR is taken after rounding to 8 bits. Prints a Markdown table, with what
hints cost in milliseconds (medians; both kinds of points alike); --json writes the numbers.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

import deepcolor
from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import open_photos
from deepcolor.metrics import psnr

PATCH = 6  # pixels, Zhang et al. 2017
COUNTS = (0, 1, 2, 3, 5, 10, 20, 50, 100)
# Random patches on 1,000 photographs of ImageNet, from the paper's stored array.
SIGGRAPH17 = (24.43, 25.37, 26.20, 26.69, 27.39, 28.42, 29.34, 30.42, 31.13)

Points = Sequence[tuple[int, int]]


def random_points(size: tuple[int, int], count: int, seed: int) -> Points:
    generator = torch.Generator().manual_seed(seed)
    corners = (torch.randint(0, max(1, s - PATCH + 1), (count,), generator=generator) for s in size)
    rows, columns = ((corner + PATCH // 2).tolist() for corner in corners)
    return list(zip(rows, columns, strict=True))


def true_hints(ab: Tensor, points: Points) -> deepcolor.Hints | None:
    """Patches around points, of (1, 2, H, W) true ab; within the picture."""
    if not points:
        return None
    told, mask = torch.zeros_like(ab), torch.zeros_like(ab[:, :1])
    height, width = ab.shape[-2:]
    for row, column in points:
        top = min(max(row - PATCH // 2, 0), max(0, height - PATCH))
        left = min(max(column - PATCH // 2, 0), max(0, width - PATCH))
        patch = (..., slice(top, top + PATCH), slice(left, left + PATCH))
        told[patch] = ab[patch].mean(dim=(2, 3), keepdim=True)
        mask[patch] = 1
    return deepcolor.Hints(told, mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("val", help="photographs to measure on")
    parser.add_argument("--model", default="lite.photos", help="checkpoint or weights file")
    parser.add_argument("--count", type=int, default=10**9, help="photographs at most")
    parser.add_argument("--hints", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="file to write")
    asked = parser.parse_args()

    photos = open_photos(asked.val)
    chosen = torch.linspace(0, len(photos) - 1, min(asked.count, len(photos))).long().tolist()
    predictor = deepcolor.Predictor(asked.model, asked.device)
    ratios: dict[str, list[list[float]]] = {"random": [], "suggested": []}
    taken: list[list[float]] = [[] for _ in asked.hints]
    for i in tqdm(chosen):
        rgb = photos[i]
        _, ab = split_lab(rgb_to_lab(unit_rgb(rgb)[None]))
        size = (rgb.shape[-2], rgb.shape[-1])
        most = max(asked.hints)
        places = {"random": random_points(size, most, i)}
        if most:
            places["suggested"] = deepcolor.suggest_hints(rgb, most, predictor.model, asked.device)
        for name, points in places.items():
            row = []
            for number, count in enumerate(asked.hints):
                hints = true_hints(ab, points[:count])
                start = time.perf_counter()
                result = predictor(rgb, hints)
                taken[number].append(1e3 * (time.perf_counter() - start))
                row.append(float(psnr(unit_rgb(result)[None], unit_rgb(rgb)[None])))
            ratios[name].append(row)
    means = {
        name: [statistics.mean(column) for column in zip(*rows, strict=True)]
        for name, rows in ratios.items()
        if rows
    }
    published = dict(zip(COUNTS, SIGGRAPH17, strict=True))
    print(f"{len(chosen)} photographs, {asked.model}, PSNR in dB\n")
    print("| hints | " + " | ".join(str(count) for count in asked.hints) + " |")
    print("|---" * (1 + len(asked.hints)) + "|")
    for name, values in means.items():
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    cells = [f"{published[n]:.2f}" if n in published else "-" for n in asked.hints]
    print("| siggraph17 as published, random, other photographs | " + " | ".join(cells) + " |")
    milliseconds = [statistics.median(values) for values in taken]
    print("| milliseconds | " + " | ".join(f"{value:.0f}" for value in milliseconds) + " |")
    if asked.json:
        table = {"hints": asked.hints, "milliseconds": milliseconds, **means}
        asked.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
