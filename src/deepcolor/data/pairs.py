"""The well-known pairs of NumPy files: lightness in one, chroma in others, OpenCV's 8-bit Lab."""

import io
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from deepcolor.color import lab_to_rgb, rgb_to_lab
from deepcolor.data.datasets import PhotoSet, Transform

__all__ = ["LIGHTNESS", "LabPairs", "chroma_files"]

LIGHTNESS = Path("l", "gray_scale.npy")
CHROMA = ("ab", "ab/ab")  # where chroma may lie: a folder of its own, and as it is published
NUMBERED = re.compile(r"ab(\d+)\.npy")
CHECKED = 32  # pictures of each file whose halves are compared
CHECKED_PIXELS = 4  # one in four along each side
# Halves fit if sRGB at 8 bits gives them back. Rounding alone moves no pixel so far; on 320
# photographs of TRAIN, 1.6 % of the pixels go astray with luma for lightness (0 to 3.7 % of a kind
# of photographs), 11.8 % with the chroma of another.
ASTRAY = (1.5, 3.0)  # L, and distance in ab
MOST_ASTRAY = 5e-4  # share of the pixels


def chroma_files(root: Path) -> list[Path]:
    """Files of chroma below the folder of pairs, in the order of their numbers."""
    for folder in CHROMA:
        found = [f for f in root.joinpath(folder).glob("ab*.npy") if NUMBERED.fullmatch(f.name)]
        if found:
            return sorted(found, key=number_of)
    return []


def number_of(file: Path) -> int:
    """3 of ab3.npy."""
    return int(file.stem[2:])


class LabPairs(PhotoSet):
    """Photographs as lightness and chroma apart, memory-mapped: nothing is read before it is drawn.

    `l/gray_scale.npy` is (N, H, W) and `ab/ab/ab1.npy`, `ab2.npy`, ... (or `ab/ab1.npy`, ...) are
    (n, H, W, 2) with N rows together, all uint8 in OpenCV's scaling: L * 255 / 100, a + 128,
    b + 128. The published set has 25,000 pictures of 224 x 224, chroma in three files. With some of
    the files only their pictures are used, with a warning. A chroma file's name is the source of
    its pictures; lists call a picture by its row of lightness.

    Args:
        root: the folder that holds `l` and `ab`.
        transform: from the RGB PIL image; uint8 (3, H, W) when None.

    Raises:
        FileNotFoundError: if one half is missing.
        ValueError: for other shapes or types, more chroma than lightness, or halves that do not
            belong together: of different pictures, or luma in place of lightness.
    """

    def __init__(self, root: str | Path, transform: Transform | None = None) -> None:
        root = Path(root)
        files = chroma_files(root)
        if not files or not (root / LIGHTNESS).exists():
            have, lack = (files[0], LIGHTNESS) if files else (LIGHTNESS, "ab/ab/ab1.npy, ...")
            raise FileNotFoundError(f"{root}: {have} has no other half beside it; wanted: {lack}")
        self.root = root
        self.files = files
        self._map()
        rows = [len(part) for part in self.chroma]
        total = len(self.lightness)
        each = ", ".join(f"{f.name} {n}" for f, n in zip(files, rows, strict=True))
        if sum(rows) > total:
            raise ValueError(
                f"{root}: the halves do not match: {LIGHTNESS.name} has {total} pictures, the"
                f" chroma {sum(rows)} ({each}); is a file cut short?"
            )
        if sum(rows) == 0:
            raise ValueError(f"{root}: the NumPy files hold no pictures")
        self.starts = self._starts(rows)
        self.firsts = np.cumsum([0, *rows])
        if sum(rows) < total:
            warnings.warn(
                f"{root}: chroma of {sum(rows)} of {total} pictures ({each}): only those are used",
                stacklevel=3,
            )
        names = [
            str(row) for start, n in zip(self.starts, rows, strict=True)
            for row in range(start, start + n)
        ]  # fmt: skip
        super().__init__(
            [f"{root}:row {name}" for name in names],
            [f.stem for f, n in zip(files, rows, strict=True) for _ in range(n)],
            transform,
            names,
        )
        state = [f.stat() for f in (root / LIGHTNESS, *files)]
        self._stamp = f"{root.absolute()}|{[(s.st_size, s.st_mtime_ns) for s in state]}"

    def _map(self) -> None:
        self.lightness = mapped(self.root / LIGHTNESS, 3, "(N, H, W)")
        self.chroma = [mapped(file, 4, "(N, H, W, 2)") for file in self.files]
        for file, part in zip(self.files, self.chroma, strict=True):
            if part.shape[1:] != (*self.lightness.shape[1:], 2):
                raise ValueError(
                    f"{file} has pictures of shape {part.shape[1:]}, {LIGHTNESS.name} of"
                    f" {self.lightness.shape[1:]}: wanted {(*self.lightness.shape[1:], 2)}"
                )

    def _starts(self, rows: list[int]) -> list[int]:
        """The row of lightness at which each file begins.

        After the file before it. Where that one is missing, the files before may have as many rows
        each, or the last row may be the end of the lightness, as both are of the published set.
        """
        starts: list[int] = []
        end, before = 0, 0
        for part, (file, n) in enumerate(zip(self.files, rows, strict=True)):
            guesses = {end}
            if number_of(file) > before + 1:
                guesses = {(number_of(file) - 1) * n, len(self.lightness) - sum(rows[part:])}
            able = sorted(g for g in guesses if end <= g <= len(self.lightness) - n) or [end]
            astray = [self._astray(part, start) for start in able]
            least = min(astray)
            if least > MOST_ASTRAY:
                raise ValueError(
                    f"{file}: the halves do not match: {100 * least:.2g} % of the pixels checked do"
                    f" not come back from sRGB together with {LIGHTNESS.name}, as with another"
                    " picture's lightness, or with luma; wanted: the same order in both, OpenCV's"
                    " 8-bit Lab, a before b"
                )
            starts.append(able[astray.index(least)])
            end, before = starts[-1] + n, number_of(file)
        return starts

    def _astray(self, part: int, start: int) -> float:
        """Share of the pixels that sRGB does not give back, if a file begins at that row."""
        chroma = self.chroma[part]
        if not len(chroma):
            return 0.0
        rows = np.unique(np.linspace(0, len(chroma) - 1, CHECKED).round().astype(int))
        step = slice(None, None, CHECKED_PIXELS)
        lab = to_lab(
            np.stack([self.lightness[start + row, step, step] for row in rows]),
            np.stack([chroma[row, step, step] for row in rows]),
        )
        again = rgb_to_lab((255 * lab_to_rgb(lab, clip=False).clamp(0, 1)).round() / 255)
        off = again - lab
        astray = (off[:, 0].abs() > ASTRAY[0]) | (off[:, 1:].norm(dim=1) > ASTRAY[1])
        return float(astray.float().mean())

    def _halves(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        part = int(np.searchsorted(self.firsts, index, side="right")) - 1
        row = index - int(self.firsts[part])
        return self.lightness[self.starts[part] + row], self.chroma[part][row]

    def read(self, index: int) -> bytes:
        """The photograph as PNG, for what reads files."""
        encoded = io.BytesIO()
        self.picture(index).save(encoded, "PNG", compress_level=1)
        return encoded.getvalue()

    def checksum(self, index: int) -> int:
        """Of both halves as they are."""
        lightness, chroma = self._halves(index)
        return zlib.crc32(chroma.tobytes(), zlib.crc32(lightness.tobytes()))

    def picture(self, index: int, least: int | None = None) -> Image.Image:
        """The photograph in RGB, the nearest that sRGB can show; `least` as for a JPEG."""
        lightness, chroma = self._halves(index)
        factor = 1 if least is None else max(1, min(lightness.shape) // least)
        lab = to_lab(lightness[None], chroma[None])
        rgb = lab_to_rgb(F.avg_pool2d(lab, factor) if factor > 1 else lab, clip=False)[0]
        pixels = (255 * rgb.clamp(0, 1)).round().byte().movedim(0, -1).numpy()
        return Image.fromarray(pixels)

    def stamp(self, index: int) -> str:
        return f"{self._stamp}|{index}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "lightness": None, "chroma": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        self._map()  # a pickled map would be a copy of the file


def mapped(file: Path, axes: int, layout: str) -> NDArray[np.uint8]:
    """A memory-mapped uint8 array, refused in words if it is anything else."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{file}: no NumPy file, or a damaged one ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != axes or array.dtype != np.uint8:
        what = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else "an archive"
        raise ValueError(f"{file} must be {layout} uint8, got {what}")
    if axes == 4 and array.shape[-1] != 2:
        raise ValueError(f"{file} must be {layout} uint8, got {array.shape}")
    return array


def to_lab(lightness: NDArray[np.uint8], ab: NDArray[np.uint8]) -> torch.Tensor:
    """OpenCV's 8-bit Lab, (B, H, W) and (B, H, W, 2) -> (B, 3, H, W) CIELAB."""
    luminance = torch.from_numpy(np.array(lightness)).float()[:, None] * (100 / 255)
    chroma = torch.from_numpy(np.array(ab)).float().movedim(-1, 1) - 128
    return torch.cat([luminance, chroma], dim=1)
