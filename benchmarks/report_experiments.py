"""Tables, curves and picture grids of benchmarks/experiments.py."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from deepcolor.inference import Predictor

__all__ = ["report", "strip"]

TILE = (150, 112)  # width and height of each photograph in a grid
COLUMNS = {
    "psnr": "PSNR, dB", "auc": "AuC", "auc_rebalanced": "AuC rebalanced", "ciede2000": "CIEDE2000",
    "colourfulness_share": "colourfulness / truth's",
    "grey_pixels_beyond_truth": "grey pixels beyond truth's",
}  # fmt: skip
FLOORS = ("grey", "mean ab")  # rows of every table, not trained
OVER_T = ("psnr", "auc_rebalanced", "ciede2000", "colourfulness_share")
SHOWN = (1.0, 0.38, 0.0)  # temperatures in the grid
CURVES = ("auc", "auc_rebalanced", "colourfulness_share")


def truths() -> list[Image.Image]:
    """Photographs that may be published, from scikit-image."""
    pictures = (skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee())
    return [Image.fromarray(p).resize(TILE, Image.Resampling.LANCZOS) for p in pictures]


def strip(
    predictor: Predictor | None, size: int | None = 64, temperature: float | None = None
) -> Image.Image:
    """The photographs side by side, coloured; as they are when there is no predictor."""
    parts = truths()
    if predictor is not None:
        parts = [predictor(p.convert("L"), size=size, temperature=temperature) for p in parts]
    return Image.fromarray(np.concatenate([np.asarray(p) for p in parts], axis=1))


def report(out: Path, places: Mapping[str, str], assets: Path) -> None:
    runs = [json.loads(p.read_text()) for p in sorted(out.glob("*.[0-9]*.json"))]
    for letter in "abce":
        names = [name for name, inside in places.items() if letter in inside]
        rows = {name: [r for r in runs if r["name"] == name] for name in names}
        rows = {name: found for name, found in rows.items() if found}
        if not rows:
            continue
        print(f"\n### ({letter})\n")
        table({name: [r for r in runs if r["name"] == name] for name in FLOORS} | rows)
        curves(rows, assets / f"experiment_{letter}.png")
        grid(list(rows), out, assets / f"experiment_{letter}_grid.jpg")
    if (out / "temperature.json").is_file():
        print("\n### (d)\n")
        temperature(json.loads((out / "temperature.json").read_text()), assets)


def last(run: Mapping[str, Any]) -> dict[str, float]:
    """Figures at the end of a run."""
    figures: dict[str, float] = run["looks"][str(run["steps"])]
    return figures


def table(rows: Mapping[str, list[dict[str, Any]]]) -> None:
    print("| | trained | seeds | " + " | ".join(COLUMNS.values()) + " |")
    print("|" + "---|" * (3 + len(COLUMNS)))
    for name, runs in rows.items():
        cells = []
        for key in COLUMNS:
            values = [last(run)[key] for run in runs]
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.2f}{spread}")
        count = f"{runs[0]['parameters'] / 1e6:.2f} M"
        print(f"| {name} | {count} | {len(runs)} | " + " | ".join(cells) + " |")


def curves(rows: Mapping[str, list[dict[str, Any]]], file: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(CURVES), figsize=(4 * len(CURVES), 3))
    for axis, key in zip(axes, CURVES, strict=True):
        for name, runs in rows.items():
            steps = sorted(map(int, runs[0]["looks"]))
            values = np.array([[run["looks"][str(s)][key] for s in steps] for run in runs])
            axis.plot(steps, values.mean(0), marker="o", markersize=3, label=name)
            axis.fill_between(steps, values.min(0), values.max(0), alpha=0.2)
        axis.set(title=COLUMNS[key], xlabel="steps")
    axes[0].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def grid(names: list[str], out: Path, file: Path) -> None:
    """A column of three photographs for each system, the truth last; names are printed."""
    strips, shown = [], []
    for name in names:
        slug = "".join(c if c.isalnum() else "_" for c in name.lower())
        if (out / f"{slug}.png").is_file():
            strips.append(Image.open(out / f"{slug}.png"))
            shown.append(name)
    strips.append(strip(None))
    tall = Image.fromarray(np.concatenate([np.asarray(s.convert("RGB")) for s in strips], axis=0))
    tall.save(file, quality=90)
    print(f"\n![rows: {', '.join(shown)}, truth](assets/{file.name})")


def temperature(rows: list[dict[str, float]], assets: Path) -> None:
    keys = [key for key in rows[0] if key != "temperature"]
    print("| T | " + " | ".join(COLUMNS[key] for key in keys) + " |")
    print("|" + "---|" * (1 + len(keys)))
    for row in rows:
        print(f"| {row['temperature']:g} | " + " | ".join(f"{row[k]:.2f}" for k in keys) + " |")
    temperatures = [row["temperature"] for row in rows]
    pictures(temperatures, rows, assets / "experiment_d.png")
    predictor = Predictor("lite.photos", device="cpu")
    strips = [strip(predictor, None, t) for t in SHOWN] + [strip(None)]
    tall = np.concatenate([np.asarray(s.convert("RGB")) for s in strips], axis=0)
    Image.fromarray(tall).save(assets / "experiment_d_grid.jpg", quality=90)
    shown = ", ".join(f"T = {t:g}" for t in SHOWN)
    print("\n![curves over temperature](assets/experiment_d.png)")
    print(f"\n![rows: {shown}, truth](assets/experiment_d_grid.jpg)")


def pictures(temperatures: list[float], rows: list[dict[str, float]], file: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(OVER_T), figsize=(4 * len(OVER_T), 3))
    for axis, key in zip(axes, OVER_T, strict=True):
        axis.plot(temperatures, [row[key] for row in rows], marker="o", markersize=3)
        axis.set(title=COLUMNS[key], xlabel="T")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
