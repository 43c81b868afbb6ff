"""The gamut of sRGB: which CIELAB colours it shows, and others brought into it by less chroma."""

import torch
from torch import Tensor

from deepcolor.color import join_lab, lab_to_rgb, split_lab

__all__ = [
    "REACH",
    "clamp_to_gamut",
    "excess",
    "f_to_linear",
    "gamut_scale",
    "in_gamut",
    "inverse_f",
]

GAMUT_SLACK = 1e-4  # in sRGB units: a fortieth of an 8-bit step
# Of a channel of linear light from 1/2, with half that slack: the curve's slope is 12.92 at 0.
REACH = 0.5 + GAMUT_SLACK / 2 / 12.92
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
            kept = gamut_scale(f_y, a[lost].float() / 500, b[lost].float() / -200)
            scale[outside] = kept.to(scale.dtype)
    return join_lab(luminance, ab * scale)


def inverse_f(f: Tensor) -> Tensor:
    """CIELAB's f backwards: f(t) -> t, the share of the white's X, Y or Z (CIE 15).

    Without a branch: the cube above 6/29, and below it the cube's tangent at 6/29.
    """
    cubic = f.clamp(min=F_JOINT)
    below = f - cubic
    return (cubic * cubic).mul_(cubic).add_(below, alpha=3 * F_JOINT**2)


def f_to_linear(f_y: Tensor, a_share: Tensor, b_share: Tensor) -> list[Tensor]:
    """Linear-light red, green and blue of CIELAB colours, unclipped and less 1/2.

    Centred so, a colour is displayable if no channel's magnitude exceeds 1/2.

    Args:
        f_y: f(Y) = (L + 16) / 116, any shape.
        a_share: f(X) - f(Y) = a / 500, the same shape.
        b_share: f(Z) - f(Y) = -b / 200, the same shape.
    """
    x = inverse_f(f_y + a_share)
    y = inverse_f(f_y)
    z = inverse_f((f_y + b_share).clamp_(min=0))  # as kornia: no negative Z
    return [
        (y * of_y).sub_(0.5).add_(x, alpha=of_x).add_(z, alpha=of_z)
        for of_x, of_y, of_z in WHITE_TO_RGB
    ]


def excess(linear: list[Tensor]) -> Tensor:
    """How far the outermost channel of `f_to_linear` lies from 1/2; sRGB ends at REACH."""
    red, green, blue = (channel.abs() for channel in linear)
    return torch.maximum(torch.maximum(red, green, out=red), blue, out=red)


def gamut_scale(
    f_y: Tensor, a_share: Tensor, b_share: Tensor, bisections: int = BISECTIONS
) -> Tensor:
    """Bisect the largest share of chroma that sRGB can show.

    Args:
        f_y: (N,) f(Y).
        a_share: (N,) f(X) - f(Y).
        b_share: (N,) f(Z) - f(Y).
        bisections: each halves the chroma that may be given away.

    Returns:
        (N,) in [0, 1); colours so scaled lie inside.
    """
    y = inverse_f(f_y)
    from_y = [(y * of_y).sub_(0.5) for _, of_y, _ in WHITE_TO_RGB]
    low = torch.zeros_like(f_y)
    step = 0.5
    for _ in range(bisections):
        middle = low + step
        x = inverse_f(torch.addcmul(f_y, a_share, middle))
        z = inverse_f(torch.addcmul(f_y, b_share, middle).clamp_(min=0))
        linear = [
            torch.add(base, x, alpha=of_x).add_(z, alpha=of_z)
            for base, (of_x, _, of_z) in zip(from_y, WHITE_TO_RGB, strict=True)
        ]
        low.add_(excess(linear).le_(REACH), alpha=step)
        step /= 2
    return low
