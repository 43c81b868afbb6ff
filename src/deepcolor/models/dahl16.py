"""Dahl, "Automatic Colorization", 2016: a residual encoder on VGG-16, and its hypercolumns.

Both read a fixed VGG-16 and answer UV between 0 and 1. The first version joins all scales in
hypercolumns; the second adds them one by one on the way back up, which saves memory.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.vgg import VGG_CHANNELS, Preprocessing, VGGPyramid
from deepcolor.color import (
    join_lab,
    lab_to_rgb,
    lightness_to_grey,
    rgb_to_ycbcr,
    split_lab,
    ycbcr_chroma_to_ab,
)
from deepcolor.models._regression import RegressionColorizer

__all__ = ["Dahl16"]

GREY_CHANNELS = 3  # grey is tiled
INITIAL_DEVIATION = 0.01  # of the decoder's kernels: a normal distribution, cut at two deviations
BLURS = (  # one-dimensional kernels; the loss is the mean over them
    (1,), (1, 2, 1), (1, 4, 6, 4, 1),
)  # fmt: skip
# U / (2 * 0.435912) + 0.5 and V / (2 * 0.614777) + 0.5 of RGB in [0, 1], which are U and V over
# their whole range, are JFIF's (Cb - 128) / 255 + 0.5 and (Cr - 128) / 255 + 0.5.
CHROMA_CENTRE, CHROMA_RANGE = 128.0, 255.0


class Up(nn.Module):
    """A step of the decoder: convolution, batch normalization, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _conv(inputs, outputs, 3)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return torch.relu(self.norm(self.conv(x)))


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    cut = 2 * INITIAL_DEVIATION
    nn.init.trunc_normal_(conv.weight, std=INITIAL_DEVIATION, a=-cut, b=cut)
    return conv


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _enlarged_sum(x: Tensor, scale: Tensor) -> Tensor:
    return _enlarge(x, scale).add_(scale)


class ResidualNetwork(nn.Module):
    """Grey to scaled UV, scale by scale."""

    def __init__(self, vgg: VGGPyramid) -> None:
        super().__init__()
        self.vgg = vgg
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in (GREY_CHANNELS, *VGG_CHANNELS))
        self.top = _conv(512, 256, 1)
        self.up3 = Up(256, 128)
        self.up2 = Up(128, 64)
        self.up1 = Up(64, GREY_CHANNELS)
        self.last = Up(GREY_CHANNELS, GREY_CHANNELS)
        self.out = _conv(GREY_CHANNELS, 2, 3)
        self.out_norm = nn.BatchNorm2d(2)

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, 2, H, W) in [0, 1]."""
        zero, one, two, three, four = self.norms
        scales = self.vgg(grey)  # each is let go of once it was used
        y = torch.relu(self.top(four(scales.pop())))  # (B, 256, H/8, W/8)
        y = self.up3(_enlarged_sum(y, three(scales.pop())))  # (B, 128, H/4, W/4)
        y = self.up2(_enlarged_sum(y, two(scales.pop())))  # (B, 64, H/2, W/2)
        y = self.up1(_enlarged_sum(y, one(scales.pop())))  # (B, 3, H, W)
        y = self.last(y + zero(grey.expand(-1, GREY_CHANNELS, -1, -1)))
        return torch.sigmoid(self.out_norm(self.out(y)))


class HyperNetwork(nn.Module):
    """Grey to scaled UV by a 1x1 convolution on 963 channels: the grey and all scales.

    A 1x1 convolution and enlarging may change places, so that the channels are never enlarged.
    Normalized as the residual version is; the source gives no more than the 1x1 convolution.
    """

    def __init__(self, vgg: VGGPyramid) -> None:
        super().__init__()
        self.vgg = vgg
        channels = (GREY_CHANNELS, *VGG_CHANNELS)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        self.out = nn.ModuleList(_conv(c, 2, 1) for c in channels)
        self.out_norm = nn.BatchNorm2d(2)

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, 2, H, W) in [0, 1]."""
        inputs = [grey.expand(-1, GREY_CHANNELS, -1, -1), *self.vgg(grey)]
        parts = [
            _enlarge(out(norm(x)), grey)
            for x, norm, out in zip(inputs, self.norms, self.out, strict=True)
        ]
        return torch.sigmoid(self.out_norm(torch.stack(parts).sum(dim=0)))


NETWORKS: dict[str, type[ResidualNetwork] | type[HyperNetwork]] = {
    "residual": ResidualNetwork,
    "hyper": HyperNetwork,
}
OPTIMIZERS: dict[str, type[torch.optim.Adam] | type[torch.optim.Adadelta]] = {
    "adam": torch.optim.Adam,
    "adadelta": torch.optim.Adadelta,
}


class Dahl16(RegressionColorizer):
    """The residual encoder: 503,901 trained parameters on a fixed VGG-16 of 7,635,264.

    Args:
        mode: "residual", or "hyper" for the earlier hypercolumns.
        optimizer: "adam" or "adadelta"; the source does not fix it.
        backbone: a VGG of timm.
        preprocessing: what the backbone's weights expect: "caffe", "torchvision", or "auto", what
            their file says; see VGGPyramid.
        lr: of the optimizer.
        weight_decay: of the optimizer.
        encoder_weights: a .pth file of ImageNet weights for the backbone; None starts from random
            numbers, which stay fixed all the same.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8
    network: ResidualNetwork | HyperNetwork

    def __init__(
        self,
        mode: Literal["residual", "hyper"] = "residual",
        optimizer: Literal["adam", "adadelta"] = "adam",
        backbone: str = "vgg16",
        preprocessing: Preprocessing = "auto",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__(lr, weight_decay)
        if mode not in NETWORKS:
            raise ValueError(f"mode must be residual or hyper, got {mode!r}")
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be adam or adadelta, got {optimizer!r}")
        # Not the encoder weights: a checkpoint holds them, and must load without that file.
        self.save_hyperparameters(ignore="encoder_weights")
        self.optimizer = optimizer
        vgg = VGGPyramid(backbone, encoder_weights, preprocessing, frozen=True)
        self.hparams["preprocessing"] = vgg.preprocessing  # for who loads without the file
        self.network = NETWORKS[mode](vgg)

    def core(self, luminance: Tensor) -> Tensor:
        uv: Tensor = self.network(lightness_to_grey(luminance))
        return uv

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        _, cbcr = split_lab(rgb_to_ycbcr(lab_to_rgb(join_lab(luminance, ab))))
        return ((cbcr - CHROMA_CENTRE) / CHROMA_RANGE + 0.5).clamp(0, 1)

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return ycbcr_chroma_to_ab(luminance, (output - 0.5) * CHROMA_RANGE + CHROMA_CENTRE)

    def regression_loss(self, output: Tensor, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """A third each of the squared UV differences unblurred, and blurred 3 and 5 pixels wide.

        Summed over pixels and channels, averaged over pictures.
        """
        difference = output.float() - self.encode_target(luminance, ab)
        return {
            f"blur{len(kernel)}": _blur(difference, kernel).square().sum() / len(ab) / len(BLURS)
            for kernel in BLURS
        }

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trainable = [p for p in self.parameters() if p.requires_grad]
        kind = OPTIMIZERS[self.optimizer]
        return kind(trainable, lr=self.lr, weight_decay=self.weight_decay)


def _blur(x: Tensor, kernel: tuple[int, ...]) -> Tensor:
    """Blur (B, C, H, W) by a kernel that sums to 1 along both axes; nothing lies outside."""
    line = torch.tensor(kernel, dtype=x.dtype, device=x.device)
    line = (line / line.sum()).expand(x.shape[1], 1, -1)  # (C, 1, K)
    half = len(kernel) // 2
    x = F.conv2d(x, line[:, :, None, :], padding=(0, half), groups=x.shape[1])
    return F.conv2d(x, line[:, :, :, None], padding=(half, 0), groups=x.shape[1])
