"""A film's planes: luminance out of luma, and chroma for it out of a field of ab.

Luma is not lightness: a saturated blue of luma 0.07 is as light as a grey of 0.32. As luma is
passed through untouched, lightness gives way: for each sample of chroma the colour is sought that
has the hue and the chroma asked and the luma there is.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deepcolor.color import linear_to_rgb, rgb_to_lab
from deepcolor.gamut import inverse_f
from deepcolor.pixels import LEVELS, from_squares, square_for
from deepcolor.video.flow import cv2
from deepcolor.video.flow import shrunk as area_means

if TYPE_CHECKING:
    from deepcolor.upsample import ChromaField
    from deepcolor.video.layouts import Layout

__all__ = ["chroma", "levels", "luma_of_grey", "luminance", "shrunk"]

Plane = NDArray[Any]
Shares = tuple[float, float]
Corners = tuple[tuple[float, float], ...]

TILE = 1 << 16  # samples worked on at once: what a core's own cache holds
LIGHT, CURVE_STEPS = (-1.0, 3.0), 1 << 18  # of the table of sRGB's curve
WHITE = (0.95047, 1.0, 1.08883)  # D65, as kornia's CIELAB has it
REDUCTIONS = 10  # steps of the search for the chroma that R'G'B' can show
WIDEST = 0.8  # the farthest that f(Y) of a colour lies from that of the grey of its luma
BISECTIONS = 14
# The atlas of colours, which is interpolated in: luma has 4 steps of 8 bits between nodes.
GREYS, SIDE = 65, 49
FARTHEST = 120.0  # ab of its border; only blues lie farther out, none of them at any luma
STEP = 2 * FARTHEST / (SIDE - 1)  # between its nodes
SHADES = 512  # of luma, in which the colours are looked up: two and more a step of 8 bits


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
    return torch.from_numpy(_lights(layout, y))[None]


def _lights(layout: "Layout", y: Plane) -> NDArray[np.float32]:
    table = _light_table(layout)
    return np.asarray(cv2().LUT(y, table)) if layout.depth == 8 else table.take(y)


def shrunk(layout: "Layout", y: Plane, size: tuple[int, int]) -> Tensor:
    """As `Layout.shrunk`, in the very way that pictures are reduced."""
    height, width = y.shape
    square = square_for((height, width), size)
    light = _lights(layout, y)
    if square > 1:
        more = (-height % square, -width % square)
        if any(more):
            light = np.pad(light, [(0, more[0]), (0, more[1])], mode="edge")
        light = area_means(light, (light.shape[0] // square, light.shape[1] // square))
    return from_squares(torch.from_numpy(light)[None, None], (height, width), size)


def levels(layout: "Layout", y: Plane) -> NDArray[np.uint16]:
    """The sRGB level, of 65535, of the grey of each sample: (H, W)."""
    return _level_table(layout)[y]


def luma_of_grey(layout: "Layout", grey: NDArray[Any]) -> Plane:
    """Luma of R'G'B' greys in [0, 1], rounded: (H, W) of the layout's dtype."""
    black, span = layout.black_and_span
    return np.asarray(np.rint(grey * span + black).astype(layout.dtype))


def _averaged(layout: "Layout", y: Plane) -> tuple[NDArray[np.int32], int]:
    """Sums of luma around the chroma samples, and how many samples each sums."""
    most = 4 * layout.across * layout.down << layout.depth  # more than any sum
    total, weight = y.astype(np.uint16 if most <= 1 << 16 else np.uint32), 1
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


@lru_cache(maxsize=1)
def _curve() -> Tensor:
    """R'G'B' of linear light from LIGHT[0] to LIGHT[1], beyond what can be shown."""
    ramp = torch.linspace(*LIGHT, CURVE_STEPS + 1, dtype=torch.float64).expand(3, 1, -1)
    return linear_to_rgb(ramp)[0, 0].float()


@lru_cache(maxsize=16)
def _mixing(primaries: Corners) -> list[list[float]]:
    """Linear RGB from shares of the white's X, Y and Z; its rows sum to 1."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    to_xyz = columns * np.linalg.solve(columns, np.array(WHITE))
    shares: list[list[float]] = (np.linalg.inv(to_xyz) * np.array(WHITE)).tolist()
    return shares


class _Colours:
    """R'G'B' of given luma and ab, found by bisection; slow and exact.

    Args:
        luma_shares: of red and blue.
        corners: chromaticities of red, green and blue.
    """

    def __init__(self, luma_shares: Shares, corners: Corners) -> None:
        red, blue = luma_shares
        self.shares = (red, 1 - red - blue, blue)
        self.mixing = _mixing(corners)
        self.curve = _curve()

    def __call__(self, grey: Tensor, ab: Tensor) -> Tensor:
        """(N,) luma and (2, N) ab to (3, N) red, green and blue, each less luma."""
        parts = torch.stack([ab[0] / 500, torch.zeros_like(grey), ab[1] / -200])
        f_y = rgb_to_lab(grey.expand(3, 1, -1))[0, 0].add_(16).div_(116)
        step = WIDEST
        for _ in range(BISECTIONS):
            step /= 2
            f_y += torch.where(self._luma(self._rgb(f_y + parts)) < grey, step, -step)
        rgb = self._rgb(f_y + parts)
        return rgb - self._luma(rgb)

    def _rgb(self, f: Tensor) -> Tensor:
        xyz = inverse_f(f)
        linear = torch.tensor(self.mixing, dtype=f.dtype) @ xyz
        steps = CURVE_STEPS / (LIGHT[1] - LIGHT[0])
        index = linear.sub_(LIGHT[0]).mul_(steps).add_(0.5).clamp_(0, CURVE_STEPS).int()
        return torch.index_select(self.curve, 0, index.view(-1)).view(f.shape)

    def _luma(self, rgb: Tensor) -> Tensor:
        red, green, blue = self.shares
        return (rgb[0] * red).add_(rgb[1], alpha=green).add_(rgb[2], alpha=blue)


def _room(grey: Tensor, offsets: Tensor) -> Tensor:
    """How many times the offsets fit between grey and the limits of R'G'B': (N,), 0 and above."""
    most, least = offsets.amax(0), offsets.amin(0)
    up = (1 - grey) / most.clamp(min=1e-9)
    return torch.minimum(up, grey / (-least).clamp(min=1e-9))


@lru_cache(maxsize=8)
def _atlas(luma_shares: Shares, corners: Corners) -> Tensor:
    """Red and blue, each less luma, at nodes of luma, a and b: (1, 2, GREYS, SIDE, SIDE).

    Colours that R'G'B' cannot show have less chroma there, and the same hue.
    """
    axis = torch.linspace(-FARTHEST, FARTHEST, SIDE)
    nodes = torch.meshgrid(torch.linspace(0, 1, GREYS), axis, axis, indexing="ij")
    grey, a, b = (node.reshape(-1) for node in nodes)
    ab = torch.stack([a, b])
    colours = _Colours(luma_shares, corners)
    offsets = colours(grey, ab)
    outside = torch.from_numpy(np.flatnonzero((_room(grey, offsets) < 1).numpy()))
    grey_there, ab_there = grey[outside], ab[:, outside]
    kept, step = torch.zeros_like(grey_there), 1.0
    for _ in range(REDUCTIONS):
        step /= 2
        fits = _room(grey_there, colours(grey_there, ab_there * (kept + step))) >= 1
        kept.add_(fits, alpha=step)
    there = colours(grey_there, ab_there * kept)
    offsets[:, outside] = there
    offsets *= _room(grey, offsets).clamp(max=1)
    return offsets[::2].reshape(1, 2, GREYS, SIDE, SIDE)


@lru_cache(maxsize=4)
def _sheets(layout: "Layout") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The atlas as Cb and Cr, one shade of luma below the other: (SHADES * SIDE, SIDE) each.

    Within a shade a goes down and b across. Colours at the nodes fit into R'G'B'; so do those
    between, as all that fits is convex where luma is one. A half is added, for rounding down.
    """
    red, blue = layout.luma_shares
    atlas = _atlas(layout.luma_shares, layout.corners)
    size = (SHADES, SIDE, SIDE)
    offsets = F.interpolate(atlas, size=size, mode="trilinear", align_corners=True)[0].flatten(1)
    grey = torch.linspace(0, 1, SHADES).repeat_interleave(SIDE * SIDE)
    middle = (offsets[0] * red + offsets[1] * blue) / (red + blue - 1)
    offsets *= _room(grey, torch.stack([offsets[0], middle, offsets[1]])).clamp_(max=1)
    cb, cr = (
        (offset * (layout.chroma_span / (2 * (1 - share))) + (layout.neutral + 0.5))
        .view(SHADES * SIDE, SIDE)
        .numpy()
        for offset, share in ((offsets[1], blue), (offsets[0], red))
    )
    return cb, cr


@lru_cache(maxsize=16)
def _guides(layout: "Layout", weight: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of sums of luma: L in steps of the atlas, and the row of the sheets where b is 0."""
    grey = _grey(layout, weight)
    shade = np.rint(grey * (SHADES - 1)).astype(np.float32)
    return (_lightness(layout, weight) / STEP).float().numpy(), shade * SIDE + SIDE // 2


def chroma(layout: "Layout", y: Plane, field: "ChromaField") -> tuple[Plane, Plane]:
    """As `Layout.chroma`."""
    sums, weight = _averaged(layout, y)
    height, width = sums.shape
    left, top = layout.shift
    rows = torch.arange(height) * layout.down + (top + 0.5)
    columns = torch.arange(width) * layout.across + (left + 0.5)
    lines = field.read_at(rows.to(field.device), columns.to(field.device)).cpu().numpy()
    lightness, shades = _guides(layout, weight)
    sheets = _sheets(layout)
    out = np.empty((2, height, width), dtype=layout.dtype)
    step = max(1, TILE // width)
    for start in range(0, height, step):
        tile = slice(start, min(height, start + step))
        index = sums[tile]
        guide = lightness.take(index)
        places = lines[:2, tile] * guide
        places += lines[2:, tile] * np.float32(1 / STEP)
        farthest = max(places.max(), -places.min())
        if farthest > SIDE // 2:  # that hue is followed to the border of the atlas
            places *= (SIDE // 2) / np.maximum(np.abs(places).max(0), np.float32(SIDE // 2))
        places[0] += shades.take(index)
        places[1] += np.float32(SIDE // 2)
        for plane, sheet in zip(out, sheets, strict=True):
            plane[tile] = cv2().remap(
                sheet, places[1], places[0], cv2().INTER_LINEAR, borderMode=cv2().BORDER_REPLICATE
            )
    return out[0], out[1]
