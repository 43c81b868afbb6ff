"""Decoders from feature pyramids."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.blocks.conv import ConvBlock

__all__ = ["PyramidDecoder"]


class PyramidDecoder(nn.Module):
    """Goes up a feature pyramid: enlarge, join the finer level, convolve twice.

    The coarsest level first takes in the mean over the whole picture, so that what lies far away
    (is this a beach or a living room?) reaches every pixel whatever the receptive field.

    Args:
        channels: channels of the pyramid's levels, fine to coarse.
        widths: channels of the steps, coarse to fine; one a level that is used. The first is that
            of the coarsest level, the last that of the output.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        if not 1 <= len(widths) <= len(channels):
            raise ValueError(f"widths must be 1 to {len(channels)} numbers, got {list(widths)}")
        coarse, *finer = list(reversed(channels))[: len(widths)]
        self.top = ConvBlock(coarse, widths[0], kernel=1)
        self.context = nn.Conv2d(coarse, widths[0], kernel_size=1)
        self.steps = nn.ModuleList(
            nn.Sequential(ConvBlock(below + skip, width), ConvBlock(width, width))
            for below, skip, width in zip(widths[:-1], finer, widths[1:], strict=True)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Levels (B, channels[i], H_i, W_i), fine to coarse -> (B, widths[-1], H_j, W_j)."""
        coarse, *finer = list(reversed(features))[: len(self.steps) + 1]
        x: Tensor = self.top(coarse) + self.context(coarse.mean(dim=(2, 3), keepdim=True))
        for step, skip in zip(self.steps, finer, strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = step(torch.cat([x, skip], dim=1))
        return x
