"""Photographs that teach no colour: grey ones, nearly grey ones, evenly toned ones.

Grey photographs in the training set are why colorizers leave things grey. Each photograph is looked
at once, small; the figures are kept in the cache folder until the file changes.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from deepcolor.data.datasets import DamagedPhotoError, PhotoSet

__all__ = ["GREY_BELOW", "Colours", "cached_scan", "colour_figures", "scan"]

HOME = "DEEPCOLOR_HOME"  # environment variable, as for weights: the folder of caches
SIDE = 64  # pixels a photograph is looked at with
GREY_BELOW = 10.0
"""Least colourfulness (Hasler and Suesstrunk 2003: 0 not, 15 slightly colourful) by default."""
# Least chroma that lightness does not explain, on the same scale. A sepia print's colour follows
# from its lightness alone, at a colourfulness of 25; of 6,000 photographs of TRAIN, a thousandth
# lie below 3.9.
TONED_BELOW = 2.0
BAR_FROM = 2000  # photographs from which a progress bar is shown
FORMAT = 1  # of the figures; a new one makes old caches void


class Colours(NamedTuple):
    """Figures of photographs, (N,) float32 each; NaN where one cannot be decoded."""

    colourfulness: NDArray[np.float32]
    """Hasler and Suesstrunk's M3."""
    untoned: NDArray[np.float32]
    """Its spread of what is left of chroma when a quadratic in lightness is taken off."""

    @property
    def damaged(self) -> NDArray[np.bool_]:
        """(N,): which cannot be decoded."""
        return np.isnan(self.colourfulness)

    def grey(self, below: float) -> NDArray[np.bool_]:
        """(N,): which are grey, nearly grey or evenly toned."""
        return (self.colourfulness < below) | (self.untoned < TONED_BELOW)


def colour_figures(image: Image.Image) -> tuple[float, float]:
    """Colourfulness of an RGB image, and its part that lightness does not explain.

    The first is `deepcolor.metrics.colourfulness`, of the picture at 64 pixels: noise of grain and
    of JPEG is no colour.
    """
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    red, green, blue = np.asarray(small, dtype=np.float64).reshape(-1, 3).T
    chroma = np.stack([red - green, (red + green) / 2 - blue], axis=1)  # (pixels, 2)
    spread, offset = chroma.var(axis=0).sum(), np.square(chroma.mean(axis=0)).sum()
    light = (red + green + blue) / 765
    curve = np.stack([np.ones_like(light), light, light**2], axis=1)
    # Normal equations: ten times as fast as lstsq; a ridge, for pictures of one or two tones.
    gram = curve.T @ curve + 1e-6 * len(light) * np.eye(3)
    left = chroma - curve @ np.linalg.solve(gram, curve.T @ chroma)
    return float(spread**0.5 + 0.3 * offset**0.5), float(left.var(axis=0).sum() ** 0.5)


def scan(photos: PhotoSet, rows: NDArray[np.int64] | None = None) -> Colours:
    """Look at photographs, in threads.

    Args:
        photos: the source.
        rows: numbers of those to look at; all when None.
    """
    rows = np.arange(len(photos)) if rows is None else rows

    def look(row: int) -> tuple[float, float]:
        try:
            return colour_figures(photos.picture(int(row), SIDE))
        except DamagedPhotoError:
            return float("nan"), float("nan")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks: Iterator[tuple[float, float]] = pool.map(look, rows)
        bar = tqdm(
            looks, "looking for grey photographs", len(rows), disable=len(rows) < BAR_FROM,
            leave=False,
        )  # fmt: skip
        figures = np.array(list(bar), dtype=np.float32).reshape(-1, 2)
    return Colours(figures[:, 0], figures[:, 1])


def cached_scan(photos: PhotoSet) -> Colours:
    """As `scan`, but what was seen before, and has not changed since, comes from the cache.

    A photograph counts as unchanged while path, size and time of its file (or archive) are the
    same. A cache that cannot be read is made anew; one that cannot be written is a warning.
    """
    stamps = [photos.stamp(index) for index in range(len(photos))]
    prints = np.array([fingerprint(stamp) for stamp in stamps], dtype=np.uint64)
    file = home() / f"{fingerprint(f'{photos.names[0]}|{len(photos)}'):016x}.npz"
    known = read_cache(file)
    figures = np.full((len(photos), 2), np.nan, dtype=np.float32)
    fresh = []
    for row, (stamp, key) in enumerate(zip(stamps, prints.tolist(), strict=True)):
        if stamp is not None and key in known:
            figures[row] = known[key]
        else:
            fresh.append(row)
    if fresh:
        seen = scan(photos, np.array(fresh))
        figures[fresh] = np.stack(seen, axis=1)
        kept = [row for row, stamp in enumerate(stamps) if stamp is not None]
        if kept:
            write_cache(file, prints[kept], figures[kept])
    return Colours(figures[:, 0], figures[:, 1])


def home() -> Path:
    """Where figures are kept: in DEEPCOLOR_HOME, or the platform's cache folder."""
    chosen = os.environ.get(HOME)
    folder = Path(chosen).expanduser().absolute() if chosen else Path(pooch.os_cache("deepcolor"))
    return folder / "colours"


def fingerprint(stamp: str | None) -> int:
    """64 bits of a hash: two in a million photographs are alike with a chance of 3e-8."""
    return int.from_bytes(hashlib.sha256(f"{FORMAT}|{stamp}".encode()).digest()[:8], "big")


def read_cache(file: Path) -> dict[int, NDArray[np.float32]]:
    """Figures by fingerprint; none if there is no cache, or a damaged one."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(zip(arrays["prints"].tolist(), arrays["figures"], strict=True))
    except FileNotFoundError:
        return {}
    except Exception as error:  # zipfile's, zlib's and NumPy's errors have no common base
        warnings.warn(f"{file} is damaged ({error}); it is made anew", stacklevel=2)
        return {}


def write_cache(file: Path, prints: NDArray[np.uint64], figures: NDArray[np.float32]) -> None:
    """Write whole or not at all, so that runs at the same time do not disturb each other."""
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            np.savez(stream, prints=prints, figures=figures)
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        warnings.warn(f"cannot keep the figures of colours: {error}", stacklevel=2)
