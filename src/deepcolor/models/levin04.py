"""Colorization using optimization (Levin, Lischinski and Weiss 2004): scribbles spread by L.

Neighbours of like luminance have like colours: the chroma of each pixel is the weighted mean of its
eight neighbours', the weights falling with the difference of luminance against how much that varies
around. Where a person drew, chroma is what they drew. One sparse system, which the paper's code
solves directly and `blocks.multigrid` in a tenth of the time, with the same answer.

The paper works in YUV on Y; here the unknowns are ab, and differences are of L / 100.
"""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.blocks.multigrid import NEIGHBOURS, PixelSystem
from deepcolor.guidance import Guidance, Kind
from deepcolor.models._classical import ClassicalColorizer

__all__ = ["Levin04"]

# The paper's code: w = exp(-difference^2 / s) with s a share of the variance in the 3 x 3 window,
# large enough that the likest neighbour weighs at least so much, and at least so large.
VARIANCE_SHARE, LEAST_WEIGHT, LEAST_VARIANCE = 0.6, 0.01, 2e-6


def affinities(luminance: Tensor) -> Tensor:
    """How much each pixel draws on its eight neighbours: (H, W) in [0, 1] -> (8, H, W).

    Weights lie in [0, 1], and are 0 towards neighbours beyond the border.
    """
    within = _neighbours(torch.ones_like(luminance))
    difference = (_neighbours(luminance) - luminance) * within
    count = 1 + within.sum(dim=0)  # the pixel itself differs by 0
    square = difference.square()
    variance = square.sum(dim=0) / count - (difference.sum(dim=0) / count).square()
    likest = square.masked_fill(within == 0, math.inf).amin(dim=0)
    likest = likest.where(likest.isfinite(), 0.0)  # a picture of one pixel
    spread = torch.maximum(VARIANCE_SHARE * variance, likest / -math.log(LEAST_WEIGHT))
    return within * torch.exp(-square / spread.clamp(min=LEAST_VARIANCE))


def _neighbours(x: Tensor) -> Tensor:
    """(H, W) -> (8, H, W); 0 from beyond the border."""
    height, width = x.shape
    wide = F.pad(x, (1, 1, 1, 1))
    return torch.stack([wide[1 + i : 1 + i + height, 1 + j : 1 + j + width] for i, j in NEIGHBOURS])


class Propagation(nn.Module):
    """Spreads the colours of scribbles; it has no parameters."""

    def system(self, luminance: Tensor, ab: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sparse system of one picture, whose answer is its chroma.

        Args:
            luminance: (H, W) L in [0, 100].
            ab: (2, H, W), in CIELAB units.
            mask: (H, W) in [0, 1]; between, a pixel is the mean of its hint and its neighbours.

        Returns:
            Weights (8, H, W), anchors (H, W) and right sides (2, H, W) of a `PixelSystem`. Pixels
            whose mask is 1 are known: their rows say so, and others draw on them as on anchors.
        """
        weights = affinities(luminance / 100)
        total = weights.sum(dim=0).where(weights.sum(dim=0) > 0, 1.0)
        known = (mask >= 1).to(mask.dtype)
        weights = weights * (1 - mask)
        anchor = mask * total
        right = anchor * ab
        drawn = weights * _neighbours(known)
        anchor = anchor + drawn.sum(dim=0)
        around = torch.stack([(drawn * _neighbours(known * one)).sum(dim=0) for one in ab])
        return weights - drawn, anchor, right + around

    def forward(self, luminance: Tensor, ab: Tensor, mask: Tensor) -> Tensor:
        """(H, W) L, (2, H, W) ab and (H, W) mask, as for `system` -> (2, H, W) ab."""
        weights, anchor, right = self.system(luminance, ab, mask)
        chroma = PixelSystem(weights, anchor).solve(right).to(ab.dtype)
        return torch.where(mask >= 1, ab, chroma)


class Levin04(ClassicalColorizer):
    """Scribbles, spread up to the edges of the luminance; works on the picture's own pixels.

    Pictures beyond `size` x `size` pixels are solved at that size and enlarged along their edges.
    It solves on the CPU, whatever device the luminance is on.
    """

    size: ClassVar[int] = 2048
    stride: ClassVar[int] = 1
    enlarges: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"hints"})
    needs: ClassVar[frozenset[str]] = frozenset({"hints"})

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = Propagation()

    @torch.no_grad()
    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        """As `Colorizer.forward`.

        Raises:
            ValueError: for a picture without any hint, too: it would stay grey.
        """
        hints = self.check_input(luminance, guidance).hints
        assert hints is not None  # it needs them
        without = [i for i, mask in enumerate(hints.mask) if not mask.any()]
        if without:
            raise ValueError(
                f"Levin04 spreads hints, and picture {without[0]} of the batch has none: give at"
                " least one"
            )
        solved = [
            self.network(one[0].float().cpu(), ab.float().cpu(), mask[0].float().cpu())
            for one, ab, mask in zip(luminance, hints.ab, hints.mask, strict=True)
        ]
        return torch.stack(solved).to(luminance.device)
