"""The ResNet-34 report's regression model (its table 1): ResNet-34 down to 1/16, a decoder up."""

from typing import ClassVar, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.backbones import Trunk
from deepcolor.models._regression import RegressionColorizer

__all__ = ["ResNet34Regression"]

WIDTHS = (128, 64, 32)  # of the decoder, before the last convolution
AB_OFFSET, AB_RANGE = 128.0, 255.0  # targets as 8-bit CIELAB stores them: (ab + 128) / 255


class ResNet34RegressionNetwork(nn.Module):
    """Grey to chroma in [0, 1]."""

    def __init__(
        self,
        backbone: str,
        inputs: int,
        upsampling: Literal["nearest", "bilinear"],
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = Trunk(backbone, 16, inputs, encoder_weights)
        corners = None if upsampling == "nearest" else False
        layers: list[nn.Module] = []
        channels = self.encoder.channels
        for width in WIDTHS:
            layers += [
                nn.Conv2d(channels, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode=upsampling, align_corners=corners),
            ]
            channels = width
        self.decoder = nn.Sequential(
            *layers,
            nn.Conv2d(channels, 2, 3, padding=1),
            nn.Sigmoid(),
            nn.Upsample(scale_factor=2, mode=upsampling, align_corners=corners),
        )

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, 2, H, W) in [0, 1]."""
        chroma: Tensor = self.decoder(self.encoder(grey))  # (B, 256, H/16, W/16) between
        return chroma


class ResNet34Regression(RegressionColorizer):
    """Regression on ResNet-34's layer3: 8,170,304 parameters there, 388,322 in the decoder.

    Args:
        backbone: resnet18, resnet34, resnet50, resnet152 or vgg16; fine-tuned.
        inputs: 3 repeats L three times, as the report; 1 sums the first kernels over RGB.
        upsampling: "nearest", Keras' and PyTorch's default, or "bilinear"; the report is silent.
        lr: of Adam.
        weight_decay: of Adam.
        encoder_weights: file of the backbone's ImageNet weights, from timm or torchvision; None
            starts from random numbers. Not asked for again by a checkpoint, which holds them.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 16
    grain: ClassVar[int] = 2  # the last layer but doubles the size
    network: ResNet34RegressionNetwork

    def __init__(
        self,
        backbone: str = "resnet34",
        inputs: int = 3,
        upsampling: Literal["nearest", "bilinear"] = "nearest",
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.save_hyperparameters(ignore="encoder_weights")
        if upsampling not in ("nearest", "bilinear"):
            raise ValueError(f"upsampling must be nearest or bilinear, got {upsampling!r}")
        self.network = ResNet34RegressionNetwork(backbone, inputs, upsampling, encoder_weights)

    def core(self, luminance: Tensor) -> Tensor:
        output: Tensor = self.network(luminance / 100)
        return output

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return (ab + AB_OFFSET) / AB_RANGE

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return AB_RANGE * output - AB_OFFSET

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam at a constant rate."""
        return torch.optim.Adam(self.parameters(), self.lr, weight_decay=self.weight_decay)
