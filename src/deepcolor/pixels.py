"""The full-size stage: luminance out of stored pixels, and luminance with chroma back into them.

Both work tile by tile, so that memory stays bounded and a tile stays in the processor's cache.
What is costly in CIELAB is a table here: the f(Y) of a grey level is looked up, and the way back
needs cubes and one table for sRGB's curve, no roots.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.color import linear_to_rgb, rgb_to_lab, rgb_to_linear
from deepcolor.gamut import REACH, excess, f_to_linear, gamut_scale
from deepcolor.upsample import ChromaField

__all__ = ["LEVELS", "PictureChroma", "compose", "f_luminance", "shrink", "tiles", "unit"]

LEVELS = {torch.uint8: 255, torch.uint16: 65535}  # full scale of the integer depths
TILE_PIXELS = 1 << 16  # a plane of float32 takes 256 KiB: a handful fits the second-level cache
TILE_WIDTH = 1 << 14
GPU_FACTOR = 64  # a GPU wants larger tiles
# At most 0.13 or 0.01 of a chroma of 130 given away: half an 8-bit step is about 0.3.
BISECTIONS = {torch.uint8: 10, torch.uint16: 14, torch.float32: 14}
CURVE_STEPS = 1 << 15  # of the table of sRGB's curve; an 8-bit level spans at least 9 of them
LUMINANCE = (0.212671, 0.715160, 0.072169)  # Y of linear red, green, blue (ITU-R BT.709), as kornia


def tiles(height: int, width: int, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Cut a picture into tiles, slices of rows and of columns; columns stay as long as they can."""
    pixels = TILE_PIXELS * (1 if device.type == "cpu" else GPU_FACTOR)
    columns = min(width, TILE_WIDTH * (1 if device.type == "cpu" else GPU_FACTOR))
    rows = max(1, pixels // max(1, columns))
    for left in range(0, width, columns):
        for top in range(0, height, rows):
            yield slice(top, min(top + rows, height)), slice(left, min(left + columns, width))


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


@lru_cache(maxsize=8)
def _curve_table(device: torch.device) -> Tensor:
    """8-bit sRGB of linear light in CURVE_STEPS steps: (CURVE_STEPS + 1,) uint8."""
    ramp = torch.linspace(0, 1, CURVE_STEPS + 1, dtype=torch.float64).expand(3, 1, -1)
    return (255 * linear_to_rgb(ramp)[0, 0]).round().to(device, torch.uint8)


def _look_up(table: Tensor, index: Tensor) -> Tensor:
    # index_select with int32 is four times as fast on the CPU as table[index]
    return table.index_select(0, index.int().reshape(-1)).view(index.shape)


def f_luminance(pixels: Tensor) -> Tensor:
    """CIELAB's f(Y) = (L + 16) / 116 of stored pixels.

    Args:
        pixels: (1 | 3, R, C) sRGB or grey: uint8, uint16, or float32 in [0, 1].

    Returns:
        (R, C) float32, in [16 / 116, 1].
    """
    if pixels.dtype not in LEVELS:
        rgb = pixels.expand(3, -1, -1)
        return (rgb_to_lab(rgb)[0] + 16) / 116
    top = LEVELS[pixels.dtype]
    if len(pixels) == 1 or _is_grey(pixels):
        return _look_up(_grey_table(top, pixels.device), pixels[0])
    table = _linear_table(top, pixels.device)
    planes = (
        _look_up(table, plane) * share for plane, share in zip(pixels, LUMINANCE, strict=True)
    )
    y = sum(planes, torch.zeros((), device=pixels.device))
    return torch.where(y > 0.008856, y.pow(1 / 3), 7.787 * y + 16 / 116)  # CIE 15, as kornia


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
    square = max(1, min(height // (2 * size[0]), width // (2 * size[1])))
    rows = max(1, TILE_PIXELS // (square * width)) * square
    bands = []
    for top in range(0, height, rows):
        f_y = torch.cat(
            [
                f_luminance(
                    pixels[:, top : top + rows, left : left + square * TILE_WIDTH].to(device)
                )
                for left in range(0, width, square * TILE_WIDTH)
            ],
            dim=1,
        )[None, None]
        if square > 1:
            f_y = F.pad(f_y, (0, -width % square, 0, -f_y.shape[2] % square), mode="replicate")
            f_y = F.avg_pool2d(f_y, square)
        bands.append(f_y)
    luminance = torch.cat(bands, dim=2) * 116 - 16
    # The scale says where the picture ends within its last, filled-up squares.
    scale = (size[0] * square / height, size[1] * square / width)
    small = F.interpolate(
        luminance, scale_factor=scale, mode="bicubic", align_corners=False, antialias=True,
        recompute_scale_factor=False,
    )  # fmt: skip
    return small[0, :, : size[0], : size[1]].clamp(0, 100)


def compose(pixels: Tensor, field: "ChromaField | PictureChroma", out: Tensor) -> None:
    """Join a picture's luminance with chroma, in sRGB's gamut, and store it.

    Colours that sRGB cannot show keep lightness and hue and lose chroma, as `clamp_to_gamut`.

    Args:
        pixels: (1 | 3, H, W), as `f_luminance` takes them.
        field: the chroma, of the same size; on the device that works.
        out: (3, H, W) of the dtype of the pixels; may be the pixels themselves.
    """
    device = field.device
    lost = _Lost(out)
    for rows, columns in tiles(pixels.shape[-2], pixels.shape[-1], device):
        f_y = f_luminance(pixels[:, rows, columns].to(device))
        slopes_a, slopes_b, a, b = field.read(rows, columns)
        luminance = f_y * 116 - 16
        a = a.addcmul_(slopes_a, luminance).mul_(1 / 500)
        b = b.addcmul_(slopes_b, luminance).mul_(-1 / 200)
        linear = f_to_linear(f_y, a, b)
        outside = _nonzero(excess(linear) > REACH)
        for channel, plane in zip(out[:, rows, columns], linear, strict=True):
            channel.copy_(_encode(plane, out.dtype))
        lost.add(outside, (f_y, a, b), rows, columns)
    lost.find()


class PictureChroma:
    """The chroma of a coloured picture, to be read as a `ChromaField` is.

    Args:
        colours: (1 | 3, h, w), as `f_luminance` takes them.
        size: height and width of the picture that is to have them.
        saturation: chroma is multiplied by it.
    """

    def __init__(self, colours: Tensor, size: tuple[int, int], saturation: float = 1.0) -> None:
        self.device = colours.device
        self.saturation = saturation
        self.colours = colours
        self.field: ChromaField | None = None
        if colours.shape[-2:] == size:
            return
        lab = rgb_to_lab(unit(colours).expand(3, -1, -1))
        smaller = (min(size[0], lab.shape[-2]), min(size[1], lab.shape[-1]))
        lab = F.interpolate(
            lab[None], size=smaller, mode="bicubic", align_corners=False, antialias=True
        )[0]
        # Reduced to the size there is nothing to sharpen and no edge to follow.
        self.field = ChromaField(lab[1:] * saturation, lab[:1], size, edges=smaller != size)

    def read(self, rows: slice, columns: slice) -> Tensor:
        """Slopes (0 where the picture has the size) and offsets: (4, R, C)."""
        if self.field is not None:
            return self.field.read(rows, columns)
        lab = rgb_to_lab(unit(self.colours[:, rows, columns]).expand(3, -1, -1))
        ab = lab[1:] * self.saturation
        return torch.cat([torch.zeros_like(ab), ab])


def unit(pixels: Tensor) -> Tensor:
    """Stored pixels as float32 in [0, 1]."""
    return pixels.float() / LEVELS.get(pixels.dtype, 1)


class _Lost:
    """Pixels whose colours sRGB cannot show, gathered over tiles: few at a time cost as many."""

    def __init__(self, out: Tensor) -> None:
        self.out = out
        self.found: list[tuple[Tensor, ...]] = []
        self.count = 0

    def add(self, where: Tensor, planes: tuple[Tensor, ...], rows: slice, columns: slice) -> None:
        if not len(where):
            return
        width = columns.stop - columns.start
        places = (where // width + rows.start, where % width + columns.start)
        values = [plane.reshape(-1).index_select(0, where) for plane in planes]
        self.found.append((*places, *values))
        self.count += len(where)
        if self.count >= TILE_PIXELS:
            self.find()

    def find(self) -> None:
        """Bring them into the gamut and store them."""
        if not self.found:
            return
        rows, columns, f_y, a, b = (torch.cat(part) for part in zip(*self.found, strict=True))
        scale = gamut_scale(f_y, a, b, BISECTIONS[self.out.dtype])
        linear = torch.stack(f_to_linear(f_y, a.mul_(scale), b.mul_(scale)))
        values = _encode(linear, self.out.dtype).to(self.out.device)
        out = self.out
        if out.dtype == torch.uint16:  # torch stores at indices in signed integers only
            out, values = out.view(torch.int16), values.view(torch.int16)
        out[:, rows.to(out.device), columns.to(out.device)] = values
        self.found, self.count = [], 0


def _nonzero(mask: Tensor) -> Tensor:
    """Where a plane is true: flat indices, int64."""
    if mask.device.type == "cpu":  # several times as fast as torch's
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.view(-1).nonzero()[:, 0]


def _encode(linear: Tensor, dtype: torch.dtype) -> Tensor:
    """Linear light less 1/2, as `f_to_linear` gives it, to stored sRGB of the dtype."""
    if dtype == torch.uint8:
        index = linear.mul_(CURVE_STEPS).add_((CURVE_STEPS + 1) / 2).clamp_(0, CURVE_STEPS)
        return _look_up(_curve_table(linear.device), index)
    linear = linear.add_(0.5).clamp_(0, 1)
    rgb = linear_to_rgb(linear.reshape(1, -1, 1).expand(3, -1, -1))[0].view(linear.shape)
    if dtype == torch.uint16:
        return rgb.mul_(LEVELS[dtype]).add_(0.5).int().to(dtype)
    return rgb
