"""Colour spaces: sRGB to and from CIELAB, CIELUV and JFIF YCbCr.

Everything here is differentiable, works on any device, takes (..., 3, H, W) tensors with the
channels third from last, and computes in float32 at least, also under autocast: kornia's
rgb_to_lab under bfloat16 autocast errs by up to 2.9 in a. CIELAB and CIELUV are kornia's (sRGB,
D65, 2 degree observer); YCbCr is ours, because kornia rounds the chroma factors to 0.564 and 0.713.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import kornia.color
import torch
from torch import Tensor

__all__ = [
    "join_lab",
    "lab_to_rgb",
    "lightness_to_grey",
    "linear_to_rgb",
    "luv_to_rgb",
    "rgb_to_lab",
    "rgb_to_linear",
    "rgb_to_luv",
    "rgb_to_ycbcr",
    "saturation",
    "split_lab",
    "unit_rgb",
    "ycbcr_chroma_to_ab",
    "ycbcr_to_rgb",
]

RANGE_SLACK = 1e-3  # float dust of resizing and of inverse transforms
EPSILON = 1e-12  # keeps quotients finite
LUMA_RED, LUMA_BLUE = 0.299, 0.114  # JFIF 1.02, from ITU-R BT.601
YCBCR_CENTRE = 128.0  # JFIF 1.02: chroma of every grey, on a scale of 0..255
LUMA_REACH = 512.0  # beyond this luma, either way, no byte-sized chroma keeps RGB off its limits
LUMA_BISECTIONS = 20  # 2^-20 of twice that is a thousandth of an 8-bit step

Converter = Callable[[Tensor], Tensor]


@contextmanager
def _full_precision(device_type: str) -> Iterator[None]:
    with torch.autocast(device_type, enabled=False):
        yield


def _guarded(convert: Converter) -> Converter:
    """Run `convert` outside autocast, in float32 (float64 stays float64), on three channels."""

    @wraps(convert)
    def run(image: Tensor) -> Tensor:
        name = getattr(convert, "__name__", "convert")
        if not isinstance(image, Tensor):
            raise TypeError(f"{name} takes a torch.Tensor, got {type(image).__name__}")
        if image.ndim < 3 or image.shape[-3] != 3:
            raise ValueError(f"{name} takes (..., 3, H, W), got shape {tuple(image.shape)}")
        if not image.is_floating_point():
            raise TypeError(
                f"{name} takes floating point, got {image.dtype}; unit_rgb() divides uint8 by 255"
            )
        with _full_precision(image.device.type):
            return convert(image if image.dtype == torch.float64 else image.float())

    return run


def _check_unit(rgb: Tensor, name: str) -> None:
    """Refuse RGB outside [0, 1]; NaN and infinity are refused with it."""
    if rgb.numel() == 0:
        return
    low, high = (float(v) for v in torch.aminmax(rgb.detach()))
    if low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK:
        return
    if low != low or high != high:
        raise ValueError(f"{name}: RGB holds NaN; replace it before converting")
    hint = "; divide by 255 first" if high > 1 + RANGE_SLACK and low >= 0 else "; clamp it first"
    raise ValueError(f"{name} takes RGB in [0, 1], got values in [{low:.4g}, {high:.4g}]{hint}")


def unit_rgb(rgb: Tensor) -> Tensor:
    """Bring RGB to float in [0, 1].

    Args:
        rgb: (..., 3, H, W), uint8 in 0..255 or floating point in [0, 1].

    Returns:
        (..., 3, H, W) in [0, 1]; floating point input comes back as it is.

    Raises:
        TypeError: for a dtype that is neither uint8 nor floating point.
        ValueError: for floats outside [0, 1], NaN among them.
    """
    if rgb.dtype == torch.uint8:
        return rgb.float() / 255
    if not rgb.is_floating_point():
        raise TypeError(f"RGB must be uint8 or floating point in [0, 1], got {rgb.dtype}")
    _check_unit(rgb, "unit_rgb")
    return rgb


@_guarded
def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB to CIELAB (D65, 2 degree observer).

    Args:
        rgb: (..., 3, H, W) in [0, 1]. 0..255 floats are refused.

    Returns:
        (..., 3, H, W): L in [0, 100], a in [-86.2, 98.3], b in [-107.9, 94.5].

    Example:
        >>> rgb_to_lab(torch.ones(3, 1, 1)).flatten().round().abs().tolist()
        [100.0, 0.0, 0.0]
    """
    _check_unit(rgb, "rgb_to_lab")
    return kornia.color.rgb_to_lab(rgb)


def lab_to_rgb(lab: Tensor, *, clip: bool = True) -> Tensor:
    """Convert CIELAB to sRGB.

    Args:
        lab: (..., 3, H, W), L in [0, 100].
        clip: clamp to [0, 1]. Clipping moves lightness: `clamp_to_gamut` first to keep it.

    Returns:
        (..., 3, H, W), in [0, 1] when clipped; colours outside sRGB fall outside otherwise.
    """
    rgb = _lab_to_rgb(lab)
    return rgb.clamp(0, 1) if clip else rgb


@_guarded
def _lab_to_rgb(lab: Tensor) -> Tensor:
    return kornia.color.lab_to_rgb(lab, clip=False)


@_guarded
def rgb_to_luv(rgb: Tensor) -> Tensor:
    """Convert sRGB to CIELUV (D65).

    Args:
        rgb: (..., 3, H, W) in [0, 1]. 0..255 floats are refused.

    Returns:
        (..., 3, H, W): L in [0, 100], u in [-83.1, 175.1], v in [-134.2, 107.5]; black is 0.
    """
    _check_unit(rgb, "rgb_to_luv")
    return kornia.color.rgb_to_luv(rgb)


def luv_to_rgb(luv: Tensor, *, clip: bool = True) -> Tensor:
    """Convert CIELUV to sRGB.

    Args:
        luv: (..., 3, H, W), L in [0, 100].
        clip: clamp to [0, 1].

    Returns:
        (..., 3, H, W), in [0, 1] when clipped.
    """
    rgb = _luv_to_rgb(luv)
    return rgb.clamp(0, 1) if clip else rgb


@_guarded
def _luv_to_rgb(luv: Tensor) -> Tensor:
    return kornia.color.luv_to_rgb(luv)


@_guarded
def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Convert RGB to full-range YCbCr as JFIF 1.02 defines it, unrounded.

    Args:
        rgb: (..., 3, H, W) in [0, 1]. 0..255 floats are refused.

    Returns:
        (..., 3, H, W) on JFIF's scale: Y in [0, 255], Cb and Cr in [0.5, 255.5], 128 for greys.
    """
    _check_unit(rgb, "rgb_to_ycbcr")
    red, green, blue = (255 * rgb).unbind(-3)
    luma = LUMA_RED * red + (1 - LUMA_RED - LUMA_BLUE) * green + LUMA_BLUE * blue
    cb = YCBCR_CENTRE + (blue - luma) / (2 * (1 - LUMA_BLUE))
    cr = YCBCR_CENTRE + (red - luma) / (2 * (1 - LUMA_RED))
    return torch.stack([luma, cb, cr], -3)


def ycbcr_to_rgb(ycbcr: Tensor, *, clip: bool = True) -> Tensor:
    """Convert full-range JFIF YCbCr to RGB: the exact inverse of `rgb_to_ycbcr`.

    Args:
        ycbcr: (..., 3, H, W) on JFIF's scale of 0..255, chroma centred at 128.
        clip: clamp to [0, 1].

    Returns:
        (..., 3, H, W), in [0, 1] when clipped.
    """
    rgb = _ycbcr_to_rgb(ycbcr)
    return rgb.clamp(0, 1) if clip else rgb


@_guarded
def _ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    luma, cb, cr = ycbcr.unbind(-3)
    blue = luma + 2 * (1 - LUMA_BLUE) * (cb - YCBCR_CENTRE)
    red = luma + 2 * (1 - LUMA_RED) * (cr - YCBCR_CENTRE)
    green = (luma - LUMA_RED * red - LUMA_BLUE * blue) / (1 - LUMA_RED - LUMA_BLUE)
    return torch.stack([red, green, blue], -3) / 255


@_guarded
def saturation(rgb: Tensor) -> Tensor:
    """HSV saturation: the range of the channels as a share of the largest.

    Args:
        rgb: (..., 3, H, W) in [0, 1]. 0..255 floats are refused.

    Returns:
        (..., 1, H, W) in [0, 1]; black has 0.
    """
    _check_unit(rgb, "saturation")
    least, most = rgb.amin(-3, keepdim=True), rgb.amax(-3, keepdim=True)
    return torch.where(most > 0, (most - least) / most.clamp(min=EPSILON), 0.0)


@_guarded
def _relative_luminance(rgb: Tensor) -> Tensor:
    """CIE Y in [0, 1], which lightness rises with: (..., 3, H, W) -> (..., 1, H, W)."""
    return kornia.color.rgb_to_xyz(kornia.color.rgb_to_linear_rgb(rgb))[..., 1:2, :, :]


def lightness_to_grey(luminance: Tensor) -> Tensor:
    """The grey of each lightness, which is its RGB level and its luma.

    Args:
        luminance: (..., 1, H, W) L in [0, 100].

    Returns:
        (..., 1, H, W) in [0, 1].
    """
    shape = (*luminance.shape[:-3], 2, *luminance.shape[-2:])
    return lab_to_rgb(join_lab(luminance, luminance.new_zeros(shape)))[..., 1:2, :, :]


def ycbcr_chroma_to_ab(luminance: Tensor, cbcr: Tensor) -> Tensor:
    """The ab of the colour that has a lightness in CIELAB and a chroma in YCbCr.

    Luma is not lightness: a saturated blue of luma 29 is as light as a grey of 76. So the luma
    is sought at which RGB, clipped to [0, 1], has the lightness; there is always one, as each
    channel rises with luma. The gradient flows through the chroma as if that luma were fixed.

    Args:
        luminance: (..., 1, H, W) L in [0, 100].
        cbcr: (..., 2, H, W) on JFIF's scale, 128 for greys; values that no RGB has are clipped.

    Returns:
        (..., 2, H, W) ab, in CIELAB units, within the sRGB gamut.
    """
    cbcr = (cbcr if cbcr.dtype == torch.float64 else cbcr.float()).clamp(0, 2 * YCBCR_CENTRE)
    with torch.no_grad():
        grey = lightness_to_grey(luminance)
        wanted = _relative_luminance(torch.cat([grey] * 3, dim=-3))
        low = torch.full_like(cbcr[..., :1, :, :], -LUMA_REACH)
        high = -low
        for _ in range(LUMA_BISECTIONS):
            middle = (low + high) / 2
            rgb = ycbcr_to_rgb(torch.cat([middle, cbcr], dim=-3))
            darker = _relative_luminance(rgb) < wanted
            low, high = torch.where(darker, middle, low), torch.where(darker, high, middle)
    rgb = ycbcr_to_rgb(torch.cat([(low + high) / 2, cbcr], dim=-3))
    return split_lab(rgb_to_lab(rgb))[1]


def split_lab(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Split (..., 3, H, W) CIELAB into luminance (..., 1, H, W) and ab (..., 2, H, W)."""
    return lab[..., :1, :, :], lab[..., 1:, :, :]


def join_lab(luminance: Tensor, ab: Tensor) -> Tensor:
    """Join luminance (..., 1, H, W) and ab (..., 2, H, W) to CIELAB (..., 3, H, W)."""
    return torch.cat([luminance, ab.to(luminance.dtype)], dim=-3)


@_guarded
def rgb_to_linear(rgb: Tensor) -> Tensor:
    """Undo sRGB's transfer curve (IEC 61966-2-1): (..., 3, H, W) in [0, 1], linear light."""
    return kornia.color.rgb_to_linear_rgb(rgb)


@_guarded
def linear_to_rgb(linear: Tensor) -> Tensor:
    """Apply sRGB's transfer curve (IEC 61966-2-1): (..., 3, H, W), linear light to sRGB."""
    return kornia.color.linear_rgb_to_rgb(linear)
