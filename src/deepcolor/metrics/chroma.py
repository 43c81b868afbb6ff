"""How much colour there is: colourfulness in both published definitions, and what stayed grey."""

import torch
from torch import Tensor
from torchmetrics import Metric

from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.gamut import clamp_to_gamut
from deepcolor.metrics.mean import PictureMean

__all__ = [
    "GREY_CHROMA",
    "Colourfulness",
    "ColourfulnessDelta",
    "GreyShare",
    "colourfulness",
    "grey_share",
    "match_colourfulness",
]

GREY_CHROMA = 4.0  # CIELAB units; below it a pixel counts as left grey
MATCHED = 1e-3  # how near colourfulness must come to the wanted one, as a share
STEPS = 12  # of matching; each closes most of what the gamut allows
MOST_CHROMA = 16.0  # factor; a picture that needs more holds noise, not colour


def colourfulness(rgb: Tensor, *, absolute: bool = False) -> Tensor:
    """Colourfulness of pictures (Hasler and Suesstrunk 2003).

    Args:
        rgb: (B, 3, H, W) in [0, 1].
        absolute: take |R - G| and |(R + G) / 2 - B| before the statistics, as DDColor's code and
            its many users do; figures of the two variants do not compare.

    Returns:
        (B,), on the paper's scale of 0..255 pixels: 15 slightly, 45 quite, 82 highly colourful.
    """
    red, green, blue = (255 * rgb.double()).flatten(2).unbind(1)  # (B, HW) each
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    if absolute:
        red_green, yellow_blue = red_green.abs(), yellow_blue.abs()
    spread = red_green.var(1, correction=0) + yellow_blue.var(1, correction=0)
    offset = red_green.mean(1).square() + yellow_blue.mean(1).square()
    return (spread.sqrt() + 0.3 * offset.sqrt()).float()


def grey_share(rgb: Tensor) -> Tensor:
    """Share of pixels with a chroma under GREY_CHROMA: (B, 3, H, W) in [0, 1] -> (B,)."""
    _, ab = split_lab(rgb_to_lab(rgb))
    grey: Tensor = ab.norm(dim=1) < GREY_CHROMA
    return grey.float().flatten(1).mean(dim=1)


def match_colourfulness(rgb: Tensor, truth: Tensor) -> Tensor:
    """Multiply each picture's chroma so that it is as colourful as its truth.

    Lightness and hue stay. Where sRGB or a lack of any colour forbids it, the result comes as near
    as it can.

    Args:
        rgb: (B, 3, H, W) in [0, 1].
        truth: the same shape.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    luminance, ab = split_lab(rgb_to_lab(rgb))
    wanted = colourfulness(truth)
    factor = torch.ones_like(wanted)
    result = rgb
    for _ in range(STEPS):
        have = colourfulness(result)
        if bool(((have - wanted).abs() <= MATCHED * wanted.clamp(min=1)).all()):
            break
        factor = (factor * wanted / have.clamp(min=MATCHED)).clamp(max=MOST_CHROMA)
        scaled = clamp_to_gamut(join_lab(luminance, ab * factor[:, None, None, None]))
        result = lab_to_rgb(scaled).clamp(0, 1)
    return result


class Colourfulness(PictureMean):
    """Mean colourfulness of the pictures given (see `colourfulness`); `update(rgb)`."""

    def __init__(self, absolute: bool = False) -> None:
        super().__init__()
        self.absolute = absolute

    def update(self, rgb: Tensor) -> None:
        """Count (B, 3, H, W) pictures in [0, 1]."""
        self.add(colourfulness(rgb, absolute=self.absolute))


class ColourfulnessDelta(Metric):
    """Distance of the mean colourfulness from the truth's; `update(rgb, truth)`.

    |mean CF - mean CF of the truth| over the set, as DDColor's tables have it (their CF and delta
    give one CF of the truth for all rows). Others average |CF - CF of the truth| picture by
    picture, which is larger: figures of the two do not compare.

    Args:
        absolute: the variant of `colourfulness`.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, absolute: bool = False) -> None:
        super().__init__()
        self.absolute = absolute
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Compare (B, 3, H, W) pictures in [0, 1]."""
        difference = colourfulness(rgb, absolute=self.absolute) - colourfulness(
            truth, absolute=self.absolute
        )
        self.total += difference.double().sum()
        self.count += len(rgb)

    def compute(self) -> Tensor:
        """The distance so far."""
        return (self.total / self.count).abs().float()


class GreyShare(PictureMean):
    """Mean share of pixels left grey (see `grey_share`); `update(rgb)`."""

    higher_is_better = False

    def update(self, rgb: Tensor) -> None:
        """Count (B, 3, H, W) pictures in [0, 1]."""
        self.add(grey_share(rgb))
