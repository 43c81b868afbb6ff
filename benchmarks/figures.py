"""Figures of a checkpoint on photographs it never saw, beside the two baselines that bind.

    python benchmarks/figures.py VAL --train TRAIN [--model lite.photos] [--temperature T ...]

VAL and TRAIN are folders of photographs or of tar archives. Every photograph is coloured at its
own size by the public call, from its own luminance, and compared after rounding to 8 bits. Grey is
the photograph without chroma; tint gives all pixels the mean ab of the training photographs. The
prior of the rebalanced AuC is that of VAL. Prints a Markdown table; --json writes the numbers.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

import deepcolor
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import PhotoSet, open_photos
from deepcolor.gamut import clamp_to_gamut
from deepcolor.metrics import CIEDE2000, AbAuC, Colourfulness, psnr

GREY_CHROMA = 4.0  # below it a pixel counts as left grey
Colour = Callable[[Tensor], Tensor]  # (3, H, W) uint8 -> (3, H, W) uint8


def mean_ab(photos: PhotoSet, count: int) -> Tensor:
    """Mean chroma of `count` photographs, evenly taken: (2, 1, 1), in CIELAB units."""
    total = torch.zeros(2)
    chosen = torch.linspace(0, len(photos) - 1, min(count, len(photos))).long().tolist()
    for i in tqdm(chosen, desc="tint"):
        _, ab = split_lab(rgb_to_lab(unit_rgb(photos[i])))
        total += ab.mean(dim=(1, 2))
    return (total / len(chosen))[:, None, None]


def tinted(ab: Tensor) -> Colour:
    def colour(rgb: Tensor) -> Tensor:
        luminance, _ = split_lab(rgb_to_lab(unit_rgb(rgb)))
        lab = join_lab(luminance, ab.expand(-1, *luminance.shape[1:]))
        return (255 * lab_to_rgb(clamp_to_gamut(lab))).round().to(torch.uint8)

    return colour


def measure(name: str, colour: Colour, photos: PhotoSet, count: int) -> dict[str, float]:
    auc, difference = AbAuC(), CIEDE2000()
    colourful, true_colourful = Colourfulness(), Colourfulness()
    ratios, left_grey, truly_grey = [], [], []
    chosen = torch.linspace(0, len(photos) - 1, min(count, len(photos))).long().tolist()
    start = time.perf_counter()
    for i in tqdm(chosen, desc=name):
        truth = unit_rgb(photos[i])[None]
        rgb = unit_rgb(colour(photos[i]))[None]
        auc.update(rgb, truth)
        difference.update(rgb, truth)
        colourful.update(rgb)
        true_colourful.update(truth)
        ratios.append(float(psnr(rgb, truth)))
        for shares, image in ((left_grey, rgb), (truly_grey, truth)):
            chroma = rgb_to_lab(image)[:, 1:].norm(dim=1)
            shares.append(float((chroma < GREY_CHROMA).float().mean()))
    return {
        "psnr": sum(ratios) / len(ratios),
        **{key: float(value) for key, value in auc.compute().items()},
        "ciede2000": float(difference.compute()),
        "colourfulness_share": float(colourful.compute() / true_colourful.compute()),
        "grey_pixels_beyond_truth": (sum(left_grey) - sum(truly_grey)) / len(chosen),
        "seconds": time.perf_counter() - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("val", help="photographs to measure on")
    parser.add_argument("--train", required=True, help="photographs to fit the tint on")
    parser.add_argument("--model", default="lite.photos", help="checkpoint or weights file")
    parser.add_argument(
        "--temperature", type=float, nargs="*", help="the checkpoint's, if left out"
    )
    parser.add_argument(
        "--size", type=int, nargs="*", help="working size; the model's, if left out"
    )
    parser.add_argument("--count", type=int, default=10**9, help="photographs at most")
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()

    photos = open_photos(arguments.val)
    tint = mean_ab(open_photos(arguments.train), 2000)
    model = deepcolor.load_model(arguments.model)
    rows: dict[str, Colour] = {"grey": tinted(torch.zeros(2, 1, 1)), "tint": tinted(tint)}
    table = {name: measure(name, c, photos, arguments.count) for name, c in rows.items()}
    for size in arguments.size or [model.size]:
        for temperature in arguments.temperature or [model.temperature]:
            model.temperature = temperature
            predictor = deepcolor.Predictor(model, "cpu", size)
            name = f"{arguments.model} {size} px, T {temperature:g}"
            table[name] = measure(name, predictor, photos, arguments.count)

    print(f"{min(arguments.count, len(photos))} photographs; tint ab {tint.flatten().tolist()}")
    print("| | " + " | ".join(table["grey"]) + " |")
    print("|---" * (1 + len(table["grey"])) + "|")
    for name, figures in table.items():
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in figures.values()) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
