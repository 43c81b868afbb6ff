"""A film's planes: luminance out of luma, and chroma for it out of a field of ab.

Luma is not lightness: a saturated blue of luma 0.07 is as light as a grey of 0.32. As luma is
passed through untouched, lightness gives way: for each sample of chroma the colour is sought that
has the hue and the chroma asked and the luma there is.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcolor.color import linear_to_rgb, rgb_to_lab
from deepcolor.gamut import inverse_f
from deepcolor.pixels import LEVELS, shrink

if TYPE_CHECKING:
    from deepcolor.upsample import ChromaField
    from deepcolor.video.layouts import Layout

__all__ = ["chroma", "levels", "luma_of_grey", "luminance", "shrunk"]

Plane = NDArray[Any]

TILE = 1 << 15  # samples worked on at once: what a core's own cache holds
CURVE_STEPS = 1 << 16  # of the table of sRGB's curve
WHITE = (0.95047, 1.0, 1.08883)  # D65, as kornia's CIELAB has it
REDUCTIONS = 4  # steps of the search for the chroma that R'G'B' can show


@lru_cache(maxsize=16)
def _grey(layout: "Layout", weight: int = 1) -> NDArray[np.float64]:
    """R'G'B' of the grey of each sum of `weight` samples of luma, in [0, 1]."""
    black, span = layout.black_and_span
    codes = np.arange(((1 << layout.depth) - 1) * weight + 1) / weight
    return np.asarray(np.clip((codes - black) / span, 0, 1))


@lru_cache(maxsize=16)
def _lightness(layout: "Layout", weight: int = 1) -> Tensor:
    """L of the same greys: float64."""
    ramp = torch.from_numpy(_grey(layout, weight)).expand(3, 1, -1)
    return rgb_to_lab(ramp)[0, 0]


@lru_cache(maxsize=16)
def _light_table(layout: "Layout") -> NDArray[np.float32]:
    return _lightness(layout).float().numpy()


@lru_cache(maxsize=16)
def _level_table(layout: "Layout") -> NDArray[np.uint16]:
    top = LEVELS[torch.uint16]
    return np.asarray((_grey(layout) * top + 0.5).astype(np.uint16))


def luminance(layout: "Layout", y: Plane) -> Tensor:
    """As `Layout.luminance`."""
    return torch.from_numpy(_light_table(layout)[y])[None]


def shrunk(layout: "Layout", y: Plane, size: tuple[int, int]) -> Tensor:
    """As `Layout.shrunk`, in the very way that pictures are reduced."""
    grey = torch.from_numpy(levels(layout, y))
    return shrink(grey[None], size, grey.device)


def levels(layout: "Layout", y: Plane) -> NDArray[np.uint16]:
    """The sRGB level, of 65535, of the grey of each sample: (H, W)."""
    return _level_table(layout)[y]


def luma_of_grey(layout: "Layout", grey: NDArray[Any]) -> Plane:
    """Luma of R'G'B' greys in [0, 1], rounded: (H, W) of the layout's dtype."""
    black, span = layout.black_and_span
    return np.asarray(np.rint(grey * span + black).astype(layout.dtype))


def _averaged(layout: "Layout", y: Plane) -> tuple[NDArray[np.int32], int]:
    """Sums of luma around the chroma samples, and how many samples each sums."""
    total, weight = y.astype(np.uint32 if layout.depth > 12 else np.uint16), 1
    for axis, step, shift in (
        (0, layout.down, layout.shift[1]),
        (1, layout.across, layout.shift[0]),
    ):
        if step > 1:
            total, more = _along(total, axis, step, shift)
            weight *= more
    return total.astype(np.int32), weight


def _along(total: NDArray[Any], axis: int, step: int, shift: float) -> tuple[NDArray[Any], int]:
    """Sums over blocks along an axis: those between two samples, or around one of them."""
    total = np.moveaxis(total, axis, 0)
    count = -(-len(total) // step)
    between = shift == (step - 1) / 2
    before = 0 if between else step // 2 - int(shift)
    length = step if between else step + 1
    padding = [(before, max(0, (count - 1) * step + length - before - len(total)))]
    total = np.pad(total, padding + [(0, 0)] * (total.ndim - 1), mode="edge")
    weights = [1] * step if between else [1] + [2] * (step - 1) + [1]
    out = np.zeros_like(total[: (count - 1) * step + 1 : step])
    for place, weight in enumerate(weights):
        part = total[place : place + (count - 1) * step + 1 : step]
        out += part if weight == 1 else part * part.dtype.type(weight)
    return np.moveaxis(out, 0, axis), sum(weights)


@lru_cache(maxsize=16)
def _tables(layout: "Layout", weight: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of the greys of sums of luma: R'G'B', f(Y), and the slope of f(Y) on R'G'B'."""
    grey = torch.from_numpy(_grey(layout, weight))
    f_y = (_lightness(layout, weight) + 16) / 116
    ramp = torch.linspace(0, 1, 4097, dtype=torch.float64)
    f_ramp = (rgb_to_lab(ramp.expand(3, 1, -1))[0, 0] + 16) / 116
    slopes = torch.gradient(f_ramp, spacing=1 / 4096)[0]
    slope = slopes[(grey * 4096).round().long()]
    return grey.float(), f_y.float(), slope.float()


@lru_cache(maxsize=1)
def _curve() -> Tensor:
    """R'G'B' of linear light in [0, 1]."""
    ramp = torch.linspace(0, 1, CURVE_STEPS + 1, dtype=torch.float64).expand(3, 1, -1)
    return linear_to_rgb(ramp)[0, 0].float()


@lru_cache(maxsize=16)
def _mixing(primaries: tuple[tuple[float, float], ...]) -> list[list[float]]:
    """Linear RGB from shares of the white's X, Y and Z; its rows sum to 1."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    to_xyz = columns * np.linalg.solve(columns, np.array(WHITE))
    shares: list[list[float]] = (np.linalg.inv(to_xyz) * np.array(WHITE)).tolist()
    return shares


class _Solver:
    """Finds colours of a given luma, hue and chroma."""

    def __init__(self, layout: "Layout") -> None:
        self.red, self.blue = layout.luma_shares
        self.green = 1 - self.red - self.blue
        self.mixing = _mixing(layout.corners)
        rows = zip((self.red, self.green, self.blue), self.mixing, strict=True)
        self.pull = np.sum([share * np.array(row) for share, row in rows], axis=0).tolist()
        self.curve = _curve()

    def __call__(self, grey: Tensor, f_y: Tensor, slope: Tensor, shares: Tensor) -> Tensor:
        """Colours near some greys.

        Args:
            grey: (N,) luma in [0, 1].
            f_y: (N,) CIELAB's f(Y) of that grey.
            slope: (N,) of f(Y) on luma.
            shares: (2, N) a / 500 and -b / 200 asked.

        Returns:
            (3, N): red, green and blue, each less luma.
        """
        # To first order luma stays the same if the shares' pulls cancel.
        f_y = f_y - self.pull[0] * shares[0] - self.pull[2] * shares[1]
        rgb = self._rgb(f_y, shares)
        f_y += (grey - self._luma(rgb)).mul_(slope)
        rgb = self._rgb(f_y, shares)
        return rgb.sub_(self._luma(rgb))

    def _rgb(self, f_y: Tensor, shares: Tensor) -> Tensor:
        f = torch.stack([f_y + shares[0], f_y, f_y + shares[1]])
        x, y, z = inverse_f(f)
        for row, out in zip(self.mixing, f, strict=True):
            torch.mul(x, row[0], out=out).add_(y, alpha=row[1]).add_(z, alpha=row[2])
        index = f.mul_(CURVE_STEPS).add_(0.5).clamp_(0, CURVE_STEPS).int()
        return torch.index_select(self.curve, 0, index.view(-1)).view(f.shape)

    def _luma(self, rgb: Tensor) -> Tensor:
        return (rgb[0] * self.red).add_(rgb[1], alpha=self.green).add_(rgb[2], alpha=self.blue)


def _room(grey: Tensor, offsets: Tensor) -> Tensor:
    """How many times the offsets fit between grey and the limits of R'G'B': (N,), 0 and above."""
    most, least = offsets.amax(0), offsets.amin(0)
    up = (1 - grey) / most.clamp(min=1e-9)
    return torch.minimum(up, grey / (-least).clamp(min=1e-9))


def chroma(layout: "Layout", y: Plane, field: "ChromaField") -> tuple[Plane, Plane]:
    """As `Layout.chroma`."""
    sums, weight = _averaged(layout, y)
    height, width = sums.shape
    left, top = layout.shift
    rows = torch.arange(height) * layout.down + (top + 0.5)
    columns = torch.arange(width) * layout.across + (left + 0.5)
    lines = field.in_f().read_at(rows, columns).reshape(4, -1).cpu()
    index = torch.from_numpy(sums.reshape(-1))
    solve = _Solver(layout)
    greys, lightness, slopes = _tables(layout, weight)
    scale = [layout.chroma_span / (2 * (1 - share)) for share in (solve.blue, solve.red)]
    out = np.empty((2, height * width), dtype=layout.dtype)
    for start in range(0, height * width, TILE):
        tile = slice(start, start + TILE)
        places = index[tile]
        grey, f_y, slope = (t.index_select(0, places) for t in (greys, lightness, slopes))
        shares = torch.addcmul(lines[2:, tile], lines[:2, tile], f_y)
        offsets = solve(grey, f_y, slope, shares)
        found = np.flatnonzero((_room(grey, offsets) < 1).numpy())
        if len(found):
            some = torch.from_numpy(found)
            parts = (t[..., some] for t in (grey, f_y, slope, shares))
            offsets[:, some] = _reduced(solve, *parts)
        for plane, offset, factor in zip(out, (offsets[2], offsets[0]), scale, strict=True):
            plane[tile] = offset.mul_(factor).add_(layout.neutral + 0.5).floor_().numpy()
    return out[0].reshape(height, width), out[1].reshape(height, width)


def _reduced(solve: _Solver, grey: Tensor, f_y: Tensor, slope: Tensor, shares: Tensor) -> Tensor:
    """Offsets of colours that R'G'B' cannot show: of the same hue, with less chroma."""
    kept = torch.ones_like(grey)
    for step in range(REDUCTIONS + 1):
        offsets = solve(grey, f_y, slope, shares * kept)
        room = _room(grey, offsets)
        if step < REDUCTIONS:
            kept = (kept * room).clamp_(max=1)
    return offsets.mul_(room.clamp_(max=1))
