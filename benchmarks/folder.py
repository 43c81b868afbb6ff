"""A folder of photographs: one by one, and with reading, network and writing overlapped.

python benchmarks/folder.py [N] [--runs 5] [--jobs 3] [--format png]
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from deepcolor import images
from deepcolor.cli.colorize import default_jobs
from deepcolor.inference import Predictor
from deepcolor.jobs.batch import Settings, colour_all
from deepcolor.jobs.naming import Naming
from deepcolor.jobs.plan import plan

WIDTH, HEIGHT = 1633, 1225  # 2 megapixels


def make(folder: Path, number: int) -> None:
    """Grey JPEGs, each another cut of one photograph, enlarged, with the grain of a film."""
    source = Image.fromarray(skimage.data.astronaut()).convert("L")
    noise = np.random.default_rng(0)
    for index in range(number):
        left, top = index * 7 % 90, index * 5 % 150
        cut = source.crop((left, top, left + 420, top + 315))
        enlarged = np.asarray(cut.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
        grain = noise.normal(0, 3, enlarged.shape)
        Image.fromarray((enlarged + grain).clip(0, 255).astype(np.uint8)).save(
            folder / f"{index:04}.jpg", quality=92
        )


def stages(predictor: Predictor, photo: Path, target: Path) -> list[float]:
    """Milliseconds of reading, colouring and writing one photograph, medians of five."""
    taken = []
    for _ in range(5):
        marks = [time.perf_counter()]
        picture = images.read(photo)
        marks.append(time.perf_counter())
        coloured = predictor.colour(picture)
        marks.append(time.perf_counter())
        images.save(coloured, target)
        marks.append(time.perf_counter())
        target.unlink()
        taken.append([1e3 * (b - a) for a, b in pairwise(marks)])
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def seconds(predictor: Predictor, folder: Path, kind: str, jobs: int) -> float:
    """Of colouring the folder, by the code of `deepcolor colorize --jobs`; results are removed."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        todo = plan([str(folder)], out, Naming(kind), False, False, images.writable)
        start = time.perf_counter()
        outcomes = list(colour_all(predictor, todo.tasks, Settings(), jobs, threading.Event()))
        taken = time.perf_counter() - start
    assert len(outcomes) == len(todo.tasks), "some photographs were lost"
    assert all(outcome.error is None for outcome in outcomes)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument("--format", default="png")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    predictor = Predictor(device=asked.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, asked.number)
        target = folder / f"one.color.{asked.format}"
        read, colour, write = stages(predictor, folder / "0000.jpg", target)
        seconds(predictor, folder, asked.format, asked.jobs)  # warm
        rows = []
        for _ in range(asked.runs):  # next to one another, so that a busy machine slows both
            single = seconds(predictor, folder, asked.format, 1)
            rows.append((single, seconds(predictor, folder, asked.format, asked.jobs)))
    print(
        f"{asked.number} photographs of {WIDTH} x {HEIGHT}, grey JPEG to {asked.format}, on"
        f" {predictor.device}; {os.cpu_count()} cores, {torch.get_num_threads()} torch threads."
    )
    print(f"One photograph: read {read:.0f} ms, colour {colour:.0f} ms, write {write:.0f} ms.\n")
    print(f"| run | one by one, s | --jobs {asked.jobs}, s | ratio |")
    print("|---|---|---|---|")
    for index, (single, overlapped) in enumerate(rows, start=1):
        print(f"| {index} | {single:.1f} | {overlapped:.1f} | {single / overlapped:.2f} |")
    ratios = [single / overlapped for single, overlapped in rows]
    one, many = (statistics.median(column) for column in zip(*rows, strict=True))
    print(
        f"| median | {one:.1f} | {many:.1f} | {statistics.median(ratios):.2f}"
        f" ({min(ratios):.2f} to {max(ratios):.2f}) |"
    )


if __name__ == "__main__":
    main()
