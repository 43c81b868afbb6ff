"""Frames of a film side by side: each coloured by itself, steadied, and as they were.

    python benchmarks/film_sheet.py FILM OUT [--first 30] [--every 3] [--count 6] [--width 320]

FILM is in colour; it is coloured anew from its luminance by `deepcolor.colorize_video`.
"""

import argparse
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

import deepcolor


def frames(film: Path, numbers: range, width: int) -> np.ndarray:
    """A row of frames, shrunk to that width: (H, W, 3) uint8."""
    found = []
    with av.open(str(film)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in numbers:
                picture = frame.to_image()
                height = round(width * picture.height / picture.width)
                found.append(np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS)))
            if len(found) == len(numbers):
                return np.hstack(found)
    raise SystemExit(f"{film} ends before frame {numbers[-1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("out", type=Path, help="the sheet, .jpg or .png")
    parser.add_argument("--model", default="lite.photos")
    parser.add_argument("--first", type=int, default=30, help="number of the first frame")
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--width", type=int, default=320)
    asked = parser.parse_args()
    numbers = range(asked.first, asked.first + asked.every * asked.count, asked.every)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for steady in (0.0, 0.5):
            coloured = Path(folder) / f"{steady}.mp4"
            deepcolor.colorize_video(asked.film, coloured, model=asked.model, steady=steady)
            rows.append(frames(coloured, numbers, asked.width))
    rows.append(frames(asked.film, numbers, asked.width))
    Image.fromarray(np.vstack(rows)).save(asked.out, quality=88)


if __name__ == "__main__":
    main()
