"""The well-known pairs of NumPy files: lightness in one, chroma in others, OpenCV's 8-bit Lab."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from deepcolor.color import lab_to_rgb
from deepcolor.data.datasets import PhotoSet, Transform

__all__ = ["LIGHTNESS", "LabPairs"]

LIGHTNESS = Path("l", "gray_scale.npy")
CHROMA = "ab*.npy"  # in the folder ab, in the order of their numbers
CHECKED = 32  # pictures of each file whose halves are compared
CHECKED_PIXELS = 4  # one in four along each side
GAMUT_SLACK = 0.03  # of RGB in [0, 1]: what rounding Lab to bytes moves dark colours by
# Share of pixels outside sRGB, on 300 photographs of TRAIN: 0.02 % with their own chroma (at most
# 2.6 % of one photograph), 10.6 % with that of another (at least 7.7 % over 30 photographs).
MOST_OUTSIDE = 0.03


class LabPairs(PhotoSet):
    """Photographs as lightness and chroma apart, memory-mapped: nothing is read before it is drawn.

    `l/gray_scale.npy` is (N, H, W) and `ab/ab1.npy`, `ab/ab2.npy`, ... are (n, H, W, 2) with N
    rows together, all uint8 in OpenCV's scaling: L * 255 / 100, a + 128, b + 128. The published
    set has 25,000 pictures of 224 x 224, chroma in three files. A chroma file's name is the source
    of its pictures; lists call a picture by its row.

    Args:
        root: the folder that holds `l` and `ab`.
        transform: from the RGB PIL image; uint8 (3, H, W) when None.

    Raises:
        FileNotFoundError: if there is no chroma.
        ValueError: for other shapes or types, other numbers of pictures in the two halves, or
            halves that belong to different pictures: together they leave sRGB.
    """

    def __init__(self, root: str | Path, transform: Transform | None = None) -> None:
        root = Path(root)
        files = sorted((root / "ab").glob(CHROMA), key=lambda p: (len(p.stem), p.stem))
        if not files:
            raise FileNotFoundError(
                f"{root / LIGHTNESS} has no chroma beside it: looked for {root / 'ab' / CHROMA}"
            )
        self.root = root
        self.files = files
        self._map()
        rows = [len(part) for part in self.chroma]
        if sum(rows) != len(self.lightness):
            each = ", ".join(f"{f.name} {n}" for f, n in zip(files, rows, strict=True))
            raise ValueError(
                f"{root}: the halves do not match: {LIGHTNESS.name} has {len(self.lightness)}"
                f" pictures, the chroma {sum(rows)} ({each}); is a file missing or cut short?"
            )
        if not rows or sum(rows) == 0:
            raise ValueError(f"{root}: the NumPy files hold no pictures")
        self.starts = np.cumsum([0, *rows])
        names = [str(row) for row in range(sum(rows))]
        super().__init__(
            [f"{root}: row {name}" for name in names],
            [f.stem for f, n in zip(files, rows, strict=True) for _ in range(n)],
            transform,
            names,
        )
        state = [f.stat() for f in (root / LIGHTNESS, *files)]
        self._stamp = f"{root.absolute()}|{[(s.st_size, s.st_mtime_ns) for s in state]}"
        for part, file in enumerate(files):
            self._check_alignment(part, file)

    def _map(self) -> None:
        self.lightness = mapped(self.root / LIGHTNESS, 3, "(N, H, W)")
        self.chroma = [mapped(file, 4, "(N, H, W, 2)") for file in self.files]
        for file, part in zip(self.files, self.chroma, strict=True):
            if part.shape[1:] != (*self.lightness.shape[1:], 2):
                raise ValueError(
                    f"{file} has pictures of shape {part.shape[1:]}, {LIGHTNESS.name} of"
                    f" {self.lightness.shape[1:]}: wanted {(*self.lightness.shape[1:], 2)}"
                )

    def _check_alignment(self, part: int, file: Path) -> None:
        """Refuse chroma that belongs to other pictures than the lightness beside it."""
        first, end = int(self.starts[part]), int(self.starts[part + 1])
        if first == end:
            return
        rows = np.unique(np.linspace(first, end - 1, CHECKED).round().astype(int))
        step = slice(None, None, CHECKED_PIXELS)
        rgb = to_rgb(
            np.stack([self.lightness[row, step, step] for row in rows]),
            np.stack([self.chroma[part][row - first, step, step] for row in rows]),
        )
        outside = ((rgb < -GAMUT_SLACK) | (rgb > 1 + GAMUT_SLACK)).any(1).float().mean()
        if outside > MOST_OUTSIDE:
            raise ValueError(
                f"{file}: the halves do not match: {100 * outside:.0f} % of the pixels checked"
                f" leave sRGB together with {LIGHTNESS.name}, as they do with another picture's"
                " lightness; wanted: the same order in both, OpenCV's 8-bit Lab, a before b"
            )

    def read(self, index: int) -> bytes:
        """Not encoded: see `picture`."""
        raise TypeError("pairs of NumPy files hold pixels, not encoded photographs")

    def picture(self, index: int, least: int | None = None) -> Image.Image:
        """The photograph in RGB, the nearest that sRGB can show; `least` as for a JPEG."""
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        row = index - int(self.starts[part])
        factor = 1 if least is None else max(1, min(self.lightness.shape[1:]) // least)
        rgb = to_rgb(self.lightness[index][None], self.chroma[part][row][None], factor)[0]
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


def to_rgb(lightness: NDArray[np.uint8], ab: NDArray[np.uint8], factor: int = 1) -> torch.Tensor:
    """OpenCV's 8-bit Lab, (B, H, W) and (B, H, W, 2) -> (B, 3, H / factor, W / factor) RGB.

    Unclipped; a factor takes means over so many pixels each way.
    """
    luminance = torch.from_numpy(np.array(lightness)).float()[:, None] * (100 / 255)
    chroma = torch.from_numpy(np.array(ab)).float().movedim(-1, 1) - 128
    lab = torch.cat([luminance, chroma], dim=1)
    return lab_to_rgb(F.avg_pool2d(lab, factor) if factor > 1 else lab, clip=False)
