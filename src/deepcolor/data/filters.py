"""Photographs that teach no colour: grey and nearly grey ones.

Grey photographs in the training set are why colorizers leave things grey. Each photograph is looked
at once, small; the figures are kept in the cache folder until the file changes.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pooch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from deepcolor.data.datasets import DamagedPhotoError, PhotoSet
from deepcolor.files import write_beside

__all__ = ["GREY_BELOW", "cached_scan", "scan", "small_colourfulness"]

HOME = "DEEPCOLOR_HOME"  # environment variable, as for weights: the folder of caches
SIDE = 64  # pixels a photograph is looked at with
GREY_BELOW = 10.0
"""Least colourfulness (Hasler and Suesstrunk 2003: 0 not, 15 slightly colourful) by default."""
BAR_FROM = 2000  # photographs from which a progress bar is shown
FORMAT = 2  # of the figures; a new one makes old caches void


def small_colourfulness(image: Image.Image) -> float:
    """Colourfulness of an RGB image at 64 pixels (`deepcolor.metrics.colourfulness`).

    Small, because noise of grain and of JPEG is no colour.
    """
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    red, green, blue = np.asarray(small, dtype=np.float32).reshape(-1, 3).T
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = red_green.var() + yellow_blue.var()
    offset = red_green.mean() ** 2 + yellow_blue.mean() ** 2
    return float(spread**0.5 + 0.3 * offset**0.5)


def scan(photos: PhotoSet, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """Look at photographs, in threads.

    Args:
        photos: the source.
        rows: numbers of those to look at; all when None.

    Returns:
        Colourfulness of each; NaN where one cannot be decoded.
    """
    rows = np.arange(len(photos)) if rows is None else rows

    def look(row: int) -> float:
        try:
            return small_colourfulness(photos.picture(int(row), SIDE))
        except DamagedPhotoError:
            return float("nan")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks: Iterator[float] = pool.map(look, rows)
        hide = len(rows) < BAR_FROM
        bar = tqdm(looks, "looking for grey photographs", len(rows), disable=hide, leave=False)
        return np.array(list(bar), dtype=np.float32)


def cached_scan(photos: PhotoSet) -> NDArray[np.float32]:
    """As `scan`, but what was seen before, and has not changed since, comes from the cache.

    A photograph counts as unchanged while path, size and time of its file (or archive) are the
    same. A cache that cannot be read is made anew; one that cannot be written is a warning.
    """
    stamps = [photos.stamp(index) for index in range(len(photos))]
    prints = np.array([fingerprint(stamp) for stamp in stamps], dtype=np.uint64)
    file = home() / f"{fingerprint(f'{photos.names[0]}|{len(photos)}'):016x}.npz"
    known = read_cache(file)
    figures = np.full(len(photos), np.nan, dtype=np.float32)
    fresh = []
    for row, (stamp, key) in enumerate(zip(stamps, prints.tolist(), strict=True)):
        if stamp is not None and key in known:
            figures[row] = known[key]
        else:
            fresh.append(row)
    if fresh:
        figures[fresh] = scan(photos, np.array(fresh))
        kept = [row for row, stamp in enumerate(stamps) if stamp is not None]
        if kept:
            write_cache(file, prints[kept], figures[kept])
    return figures


def home() -> Path:
    """Where figures are kept: in DEEPCOLOR_HOME, or the platform's cache folder."""
    chosen = os.environ.get(HOME)
    folder = Path(chosen).expanduser().absolute() if chosen else Path(pooch.os_cache("deepcolor"))
    return folder / "colours"


def fingerprint(stamp: str | None) -> int:
    """64 bits of a hash: two in a million photographs are alike with a chance of 3e-8."""
    return int.from_bytes(hashlib.sha256(f"{FORMAT}|{stamp}".encode()).digest()[:8], "big")


def read_cache(file: Path) -> dict[int, float]:
    """Figures by fingerprint; none if there is no cache, or a damaged one."""
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            prints, figures = arrays["prints"], arrays["figures"]
        if prints.ndim != 1 or prints.shape != figures.shape:
            raise ValueError(f"{prints.shape} prints, {figures.shape} figures")
        return dict(zip(prints.tolist(), figures.tolist(), strict=True))
    except Exception as error:  # zipfile's, zlib's and NumPy's errors have no common base
        warnings.warn(f"{file} is damaged ({error}); it is made anew", stacklevel=2)
        return {}


def write_cache(file: Path, prints: NDArray[np.uint64], figures: NDArray[np.float32]) -> None:
    """Write whole or not at all, so that runs at the same time do not disturb each other."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_beside(file, lambda stream: np.savez(stream, prints=prints, figures=figures))
    except OSError as error:
        warnings.warn(f"cannot keep the figures of colours: {error}", stacklevel=2)
