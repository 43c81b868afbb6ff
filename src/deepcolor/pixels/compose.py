"""Luminance and chroma into stored pixels."""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.color import linear_to_rgb, rgb_to_lab
from deepcolor.gamut import GAMUT_EXTENT, excess, f_to_linear, gamut_scale, inverse_f, mix_linear
from deepcolor.pixels.luminance import LEVELS, f_luminance, look_up, unit
from deepcolor.pixels.workers import TILE_PIXELS, bands_of, tiles, workers
from deepcolor.upsample import ChromaField

__all__ = ["PictureChroma", "compose"]

# At most 0.13 or 0.01 of a chroma of 130 given away: half an 8-bit step is about 0.3.
BISECTIONS = {torch.uint8: 10, torch.uint16: 14, torch.float32: 14}
CURVE_STEPS = 1 << 15  # of the table of sRGB's curve; an 8-bit level spans at least 9 of them


@lru_cache(maxsize=8)
def _curve_table(device: torch.device) -> Tensor:
    """8-bit sRGB of linear light in CURVE_STEPS steps: (CURVE_STEPS + 1,) uint8."""
    ramp = torch.linspace(0, 1, CURVE_STEPS + 1, dtype=torch.float64).expand(3, 1, -1)
    return (255 * linear_to_rgb(ramp)[0, 0]).round().to(device, torch.uint8)


class _Scratch:
    """Memory to compute tiles in: taking it anew for each costs as much time as the work."""

    def __init__(self, pixels: int, device: torch.device) -> None:
        self.floats = torch.empty(9 * pixels, device=device)
        self.index = torch.empty(3 * pixels, dtype=torch.int32, device=device)
        self.stored = torch.empty(3 * pixels, dtype=torch.uint8, device=device)

    def fit(self, pixels: int) -> list[Tensor]:
        """Three times (3, pixels) floats, (3, pixels) int32, (3, pixels) uint8."""
        floats = self.floats[: 9 * pixels].view(3, 3, pixels)
        rest = (memory[: 3 * pixels].view(3, pixels) for memory in (self.index, self.stored))
        return [*floats, *rest]


def compose(pixels: Tensor, field: "ChromaField | PictureChroma", out: Tensor) -> None:
    """Join a picture's luminance with chroma, in sRGB's gamut, and store it.

    Colours that sRGB cannot show keep lightness and hue and lose chroma, as `clamp_to_gamut`.

    Args:
        pixels: (1 | 3, H, W), as `f_luminance` takes them.
        field: the chroma, of the same size; on the device that works.
        out: (3, H, W) uint8, uint16 or float32; may be the pixels themselves.
    """
    device = field.device
    height, width = pixels.shape[-2:]

    def work(band: slice) -> None:
        out_of_gamut = _OutOfGamut(out)
        own = field.in_f()  # a copy: it remembers the columns that it read last
        own.prepare(band)
        cut = list(tiles(band, width, device))
        most = max((r.stop - r.start) * (c.stop - c.start) for r, c in cut)
        scratch = _Scratch(most, device)
        for rows, columns in cut:
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            f, spare, third, index, stored = scratch.fit(shape[0] * shape[1])
            f_luminance(pixels[:, rows, columns].to(device), index[0], f[2])
            slopes, offsets = torch.split(own.read(rows, columns), 2)
            torch.addcmul(offsets, slopes, f[2].view(shape), out=f[:2].view(2, *shape))
            f[:2].add_(f[2])  # f(X), f(Z), f(Y)
            linear = mix_linear(inverse_f(f, spare, third), out=spare)
            outside = _nonzero(excess(linear, third) > GAMUT_EXTENT)
            for plane, channel in zip(_encode(linear, out.dtype, index, stored), out, strict=True):
                channel[rows, columns].copy_(plane.view(shape))
            out_of_gamut.add(outside, f, rows, columns)  # it may store them, over the plain pixels
        out_of_gamut.settle()

    if pixels.numel():
        workers.run(work, bands_of(height, width, 1, device))


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

    def in_f(self) -> "ChromaField | PictureChroma":
        """As `ChromaField.in_f`."""
        return self if self.field is None else self.field.in_f()

    def prepare(self, rows: slice) -> None:
        """As `ChromaField.prepare`; there is nothing to do."""

    def read(self, rows: slice, columns: slice) -> Tensor:
        """Slopes, which are 0, and a / 500 and -b / 200 at the pixels of a tile: (4, R, C)."""
        lab = rgb_to_lab(unit(self.colours[:, rows, columns]).expand(3, -1, -1))
        shares = lab[1:] * lab.new_tensor([1 / 500, -1 / 200]).view(2, 1, 1)
        return torch.cat([torch.zeros_like(shares), shares.mul_(self.saturation)])


class _OutOfGamut:
    """Pixels whose colours sRGB cannot show, gathered over tiles: few at a time cost as many."""

    def __init__(self, out: Tensor) -> None:
        self.out = out
        self.found: list[tuple[Tensor, Tensor]] = []
        self.count = 0

    def add(self, where: Tensor, f: Tensor, rows: slice, columns: slice) -> None:
        """Remember (3, N) f(X), f(Z) and f(Y) at some flat places of a tile."""
        if not len(where):
            return
        width = columns.stop - columns.start
        places = torch.stack([where // width + rows.start, where % width + columns.start])
        self.found.append((places, f.index_select(1, where)))
        self.count += len(where)
        if self.count >= TILE_PIXELS:
            self.settle()

    def settle(self) -> None:
        """Bring them into the gamut and store them."""
        if not self.found:
            return
        places, f = (torch.cat(part, dim=1) for part in zip(*self.found, strict=True))
        f_y, shares = f[2], f[:2].sub_(f[2])
        shares.mul_(gamut_scale(f_y, shares, BISECTIONS[self.out.dtype]))
        values = _encode(f_to_linear(f_y, shares), self.out.dtype).to(self.out.device)
        out = self.out
        if out.dtype == torch.uint16:  # torch stores at indices in signed integers only
            out, values = out.view(torch.int16), values.view(torch.int16)
        rows, columns = places.to(out.device)
        out[:, rows, columns] = values
        self.found, self.count = [], 0


def _nonzero(mask: Tensor) -> Tensor:
    """Where a plane is true: flat indices, int64."""
    if mask.device.type == "cpu":  # several times as fast as torch's
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.view(-1).nonzero()[:, 0]


def _encode(
    linear: Tensor, dtype: torch.dtype, scratch: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """(3, N) linear light less 1/2 to stored sRGB; `scratch`, `out` as for `look_up`, 8 bits."""
    if dtype == torch.uint8:
        index = linear.mul_(CURVE_STEPS).add_((CURVE_STEPS + 1) / 2).clamp_(0, CURVE_STEPS)
        return look_up(_curve_table(linear.device), index, scratch, out)
    rgb = linear_to_rgb(linear.add_(0.5).clamp_(0, 1)[..., None])[..., 0]
    if dtype == torch.uint16:
        return rgb.mul_(LEVELS[dtype]).add_(0.5).int().to(dtype)
    return rgb
