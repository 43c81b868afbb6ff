"""Luminance out of stored pixels, by tables where there are levels."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.color import rgb_to_lab, rgb_to_linear
from deepcolor.pixels.workers import TILE_PIXELS, TILE_WIDTH, bands_of, workers

__all__ = ["LEVELS", "f_luminance", "from_squares", "look_up", "shrink", "square_for", "unit"]

LEVELS = {torch.uint8: 255, torch.uint16: 65535}  # full scale of the integer depths
LUMINANCE = (0.212671, 0.715160, 0.072169)  # Y of linear red, green, blue (ITU-R BT.709), as kornia


@lru_cache(maxsize=8)
def _grey_table(top: int, device: torch.device) -> Tensor:
    """f(Y) of each grey level: (top + 1,)."""
    ramp = torch.linspace(0, 1, top + 1, dtype=torch.float64).expand(3, 1, -1)
    f_y = (rgb_to_lab(ramp)[0, 0] + 16) / 116
    return f_y.float().to(device)


@lru_cache(maxsize=8)
def _linear_table(top: int, device: torch.device) -> Tensor:
    """Linear light of each level of a channel: (top + 1,)."""
    ramp = torch.linspace(0, 1, top + 1, dtype=torch.float64).expand(3, 1, -1)
    return rgb_to_linear(ramp)[0, 0].float().to(device)


def unit(pixels: Tensor) -> Tensor:
    """Stored pixels as float32 in [0, 1]."""
    return pixels.float() / LEVELS.get(pixels.dtype, 1)


def look_up(
    table: Tensor, index: Tensor, scratch: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """Entries of a table at (...) integers, or whole floats.

    Args:
        table: (levels,).
        index: any shape and strides.
        scratch: int32 memory for as many indices.
        out: memory for as many entries.
    """
    # index_select with int32 is four times as fast on the CPU as table[index]
    if scratch is None:
        places = index.int().reshape(-1)
    else:
        places = scratch.view(-1)
        places.view(index.shape).copy_(index)
    if out is None:
        return table.index_select(0, places).view(index.shape)
    return torch.index_select(table, 0, places, out=out.view(-1)).view(index.shape)


def f_luminance(pixels: Tensor, scratch: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """CIELAB's f(Y) = (L + 16) / 116 of stored pixels.

    Args:
        pixels: (1 | 3, R, C) sRGB or grey: uint8, uint16, or float32 in [0, 1].
        scratch: int32 memory for as many indices.
        out: float32 memory for the result.

    Returns:
        (R, C) float32, in [16 / 116, 1].
    """
    if pixels.dtype in LEVELS and (len(pixels) == 1 or _is_grey(pixels)):
        return look_up(_grey_table(LEVELS[pixels.dtype], pixels.device), pixels[0], scratch, out)
    if pixels.dtype in LEVELS:
        table = _linear_table(LEVELS[pixels.dtype], pixels.device)
        red, green, blue = (
            look_up(table, plane) * share for plane, share in zip(pixels, LUMINANCE, strict=True)
        )
        y = red + green + blue
        f_y = torch.where(y > 0.008856, y.pow(1 / 3), 7.787 * y + 16 / 116)  # CIE 15, as kornia
    else:
        f_y = (rgb_to_lab(pixels.expand(3, -1, -1))[0] + 16) / 116
    return f_y if out is None else out.view(f_y.shape).copy_(f_y)


def _is_grey(pixels: Tensor) -> bool:
    red, green, blue = pixels.view(torch.int16) if pixels.dtype == torch.uint16 else pixels
    return torch.equal(red, green) and torch.equal(red, blue)


def shrink(pixels: Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
    """Luminance of a picture at the network's size.

    Large pictures are first averaged over squares, tile by tile, to at least twice the size.

    Args:
        pixels: (1 | 3, H, W), as `f_luminance` takes them.
        size: height and width of the result.
        device: where to work.

    Returns:
        (1, h, w) L in [0, 100].
    """
    height, width = pixels.shape[-2:]
    square = square_for((height, width), size)
    bands = bands_of(height, width, square, device)
    means: dict[int, Tensor] = {}

    def average(band: slice) -> None:
        rows = max(1, TILE_PIXELS // (square * width)) * square
        parts = [
            _means(pixels[:, top : min(top + rows, band.stop)], square, device)
            for top in range(band.start, band.stop, rows)
        ]
        means[band.start] = torch.cat(parts, dim=2)

    workers.run(average, bands)
    luminance = torch.cat([means[band.start] for band in bands], dim=2) * 116 - 16
    return from_squares(luminance, (height, width), size)


def square_for(full: tuple[int, int], size: tuple[int, int]) -> int:
    """The side of the squares that a picture of height and width `full` is averaged over first."""
    return max(1, min(full[0] // (2 * size[0]), full[1] // (2 * size[1])))


def from_squares(means: Tensor, full: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The second half of `shrink`.

    Args:
        means: (1, 1, r, c) L, over squares of `square_for`; the last ones filled up by the border.
        full: height and width of the picture.
        size: height and width of the result.

    Returns:
        (1, h, w) L in [0, 100].
    """
    square = square_for(full, size)
    # The scale says where the picture ends within its last, filled-up squares.
    scale = tuple(_scale(side, wanted, square) for side, wanted in zip(full, size, strict=True))
    small = F.interpolate(
        means, scale_factor=scale, mode="bicubic", align_corners=False, antialias=True,
        recompute_scale_factor=False,
    )  # fmt: skip
    return small[0, :, : size[0], : size[1]].clamp(0, 100)


def _scale(full: int, wanted: int, square: int) -> float:
    """What brings `full` pixels, in squares, to `wanted`: not one less by rounding."""
    scale = wanted * square / full
    while math.floor(-(-full // square) * scale) < wanted:
        scale = math.nextafter(scale, math.inf)
    return scale


def _means(pixels: Tensor, square: int, device: torch.device) -> Tensor:
    """f(Y) of some rows, averaged over squares: (1, 1, r, c), rounded up."""
    columns = square * TILE_WIDTH
    f_y = torch.cat(
        [
            f_luminance(pixels[..., left : left + columns].to(device))
            for left in range(0, pixels.shape[-1], columns)
        ],
        dim=1,
    )[None, None]
    if square == 1:
        return f_y
    f_y = F.pad(f_y, (0, -f_y.shape[3] % square, 0, -f_y.shape[2] % square), mode="replicate")
    return F.avg_pool2d(f_y, square)
