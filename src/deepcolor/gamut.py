"""The gamut of sRGB: which CIELAB colours it shows, and others brought into it by less chroma."""

import torch
from torch import Tensor

from deepcolor.color import join_lab, lab_to_rgb, split_lab

__all__ = [
    "GAMUT_EXTENT",
    "clamp_to_gamut",
    "excess",
    "f_to_linear",
    "gamut_scale",
    "in_gamut",
    "inverse_f",
    "mix_linear",
]

GAMUT_SLACK = 1e-4  # in sRGB units: a fortieth of an 8-bit step
# Of a channel of linear light from 1/2, with half that slack: the curve's slope is 12.92 at 0.
GAMUT_EXTENT = 0.5 + GAMUT_SLACK / 2 / 12.92
MINUS_HALF = torch.tensor(-0.5)
BISECTIONS = 14  # 2^-14 of a chroma of 130 is under 0.01 CIELAB units
F_JOINT = 6 / 29  # CIE 15: where f's cube root and straight line meet
# Linear RGB from shares of the white's X, Y and Z: the rows of XYZ to sRGB (IEC 61966-2-1, as
# kornia has them) times the white of its CIELAB, (0.95047, 1, 1.08883), less the up to 8e-5 by
# which their sums leave 1, so that greys stay grey.
WHITE_TO_RGB = (
    (3.0799573, -1.5371401, -0.5428172),
    (-0.9212573, 1.8760095, 0.0452478),
    (0.0528862, -0.2040248, 1.1511386),
)


def in_gamut(lab: Tensor, *, slack: float = GAMUT_SLACK) -> Tensor:
    """Tell which CIELAB colours sRGB can show.

    Args:
        lab: (..., 3, H, W).
        slack: how far outside [0, 1] an sRGB channel may lie, against float dust.

    Returns:
        (..., 1, H, W) bool.
    """
    rgb = lab_to_rgb(lab, clip=False)
    return ((rgb >= -slack) & (rgb <= 1 + slack)).all(dim=-3, keepdim=True)


def clamp_to_gamut(lab: Tensor) -> Tensor:
    """Bring colours into sRGB by less chroma, at the same lightness and hue.

    Clipping RGB instead changes lightness (up to 5.5 L on Kodak photographs at 1.3 times their
    chroma). Colours already in sRGB come back bit for bit. The chroma kept is found by bisection
    and always lies inside; the gradient flows through ab as through a fixed scale.

    Args:
        lab: (..., 3, H, W); L is clamped to [0, 100].

    Returns:
        (..., 3, H, W), every colour of which `in_gamut` accepts.
    """
    luminance, ab = split_lab(lab)
    luminance = luminance.clamp(0, 100)
    scale = torch.ones_like(luminance)
    with torch.no_grad():
        outside = ~in_gamut(join_lab(luminance, ab))
        if outside.any():
            a, b = ab.movedim(-3, 0)
            lost = outside.squeeze(-3)
            f_y = (luminance.squeeze(-3)[lost].float() + 16) / 116
            kept = gamut_scale(f_y, torch.stack([a[lost] / 500, b[lost] / -200]).float())
            scale[outside] = kept.to(scale.dtype)
    return join_lab(luminance, ab * scale)


def inverse_f(f: Tensor, spare: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """CIELAB's f backwards: f(t) -> t, the share of the white's X, Y or Z (CIE 15).

    Without a branch: the cube above 6/29, and below it the cube's tangent at 6/29.

    Args:
        f: any shape.
        spare: memory of the same shape to compute in.
        out: memory of the same shape for the result.
    """
    cubic = torch.clamp(f, min=F_JOINT, out=spare)
    result = torch.mul(cubic, cubic, out=out).mul_(cubic)
    return result.add_(torch.sub(f, cubic, out=cubic), alpha=3 * F_JOINT**2)


def mix_linear(xzy: Tensor, out: Tensor | None = None) -> Tensor:
    """Linear-light red, green and blue, less 1/2: (3, ...) shares of the white's X, Z and Y."""
    x, z, y = xzy
    out = torch.empty_like(xzy) if out is None else out
    for channel, (of_x, of_y, of_z) in zip(out, WHITE_TO_RGB, strict=True):
        torch.add(MINUS_HALF, y, alpha=of_y, out=channel).add_(x, alpha=of_x).add_(z, alpha=of_z)
    return out


def f_to_linear(f_y: Tensor, shares: Tensor) -> Tensor:
    """Linear-light red, green and blue of CIELAB colours, unclipped and less 1/2.

    Centred so, a colour is displayable if no channel's magnitude exceeds 1/2.

    Args:
        f_y: (...) f(Y) = (L + 16) / 116.
        shares: (2, ...), f(X) - f(Y) = a / 500 and f(Z) - f(Y) = -b / 200.

    Returns:
        (3, ...).
    """
    return mix_linear(inverse_f(torch.cat([f_y + shares, f_y[None]])))


def excess(linear: Tensor, spare: Tensor | None = None) -> Tensor:
    """How far the outermost channel lies from 1/2; sRGB ends at GAMUT_EXTENT: (3, ...) -> (...)."""
    size = torch.abs(linear, out=spare)
    largest = torch.maximum(size[0], size[1], out=size[0])
    return torch.maximum(largest, size[2], out=largest)


def gamut_scale(f_y: Tensor, shares: Tensor, bisections: int = BISECTIONS) -> Tensor:
    """Bisect the largest share of chroma that sRGB can show.

    Args:
        f_y: (N,), as for `f_to_linear`.
        shares: (2, N), as for `f_to_linear`.
        bisections: each halves the chroma that may be given away.

    Returns:
        (N,) in [0, 1); colours so scaled lie inside.
    """
    y = inverse_f(f_y)
    from_y = [(y * of_y).sub_(0.5) for _, of_y, _ in WHITE_TO_RGB]
    low = torch.zeros_like(f_y)
    linear, size = (f_y.new_empty(3, *f_y.shape) for _ in range(2))
    f, spare, xz = (torch.empty_like(shares) for _ in range(3))
    step = 0.5
    for _ in range(bisections):
        x, z = inverse_f(torch.addcmul(f_y, shares, low + step, out=f), spare, xz)
        for channel, base, (of_x, _, of_z) in zip(linear, from_y, WHITE_TO_RGB, strict=True):
            torch.add(base, x, alpha=of_x, out=channel).add_(z, alpha=of_z)
        low.add_(excess(linear, size).le_(GAMUT_EXTENT), alpha=step)
        step /= 2
    return low
