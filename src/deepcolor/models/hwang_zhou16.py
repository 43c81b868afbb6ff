"""Hwang and Zhou, "Image Colorization with Deep Convolutional Neural Networks", 2016.

VGG-16 reads the lightness; its four scales are normalized and added on the way back up. CIELUV
inside: the chroma is regressed, or classified in 50 bins of u and 50 of v, independently.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.vgg import VGG_CHANNELS, Preprocessing, VGGPyramid
from deepcolor.color import join_lab, lab_to_rgb, luv_to_rgb, rgb_to_lab, rgb_to_luv, split_lab
from deepcolor.models._regression import RegressionColorizer
from deepcolor.models.prediction import DecodedPrediction, Prediction

__all__ = ["HwangZhou16"]

BINS = 50  # of u, and of v
UV_SCALE = 100.0  # the regression answers u and v divided by it, which is the bins' range too


class HwangZhou16Network(nn.Module):
    """L / 100 to `outputs` channels at the same size."""

    def __init__(self, outputs: int, vgg: VGGPyramid, upsampling: str) -> None:
        super().__init__()
        self.vgg = vgg
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in VGG_CHANNELS)
        self.conv4 = nn.Conv2d(512, 256, 1)
        self.conv3 = nn.Conv2d(256, 128, 3, padding=1)
        self.conv2 = nn.Conv2d(128, 64, 3, padding=1)
        self.conv1 = nn.Conv2d(64, outputs, 3, padding=1)
        self.up = nn.Upsample(
            scale_factor=2,
            mode=upsampling,
            align_corners=False if upsampling == "bilinear" else None,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, outputs, H, W)."""
        one, two, three, four = self.norms
        scales = self.vgg(x)  # each is let go of once it was used
        y = self.conv4(four(scales.pop()))
        y = self.up(torch.relu(y)).add_(three(scales.pop()))  # (B, 256, H/4, W/4)
        y = self.conv3(y)
        y = self.up(torch.relu(y)).add_(two(scales.pop()))  # (B, 128, H/2, W/2)
        y = self.conv2(y)
        y = self.up(torch.relu(y)).add_(one(scales.pop()))  # (B, 64, H, W)
        out: Tensor = self.conv1(y)
        return out


class HwangZhou16(RegressionColorizer):
    """VGG-16 with added scales: 8,138,498 parameters, 8,195,044 as a classifier.

    Args:
        mode: "regression" of u and v, or "classification" in 2 x 50 bins.
        bounds: least and greatest u and v of the bins; what lies outside counts to the outermost.
            The paper's -100 to 100 clips sRGB's u, which reaches 175: (-100, 180) holds it.
        temperature: of the annealed mean of the bins, in [0, 1]: 0 the mode, 1 the mean.
        upsampling: "bilinear" or "nearest".
        backbone: a VGG of timm.
        preprocessing: what the backbone's weights expect: "caffe", "torchvision", or "auto", what
            their file says; see VGGPyramid.
        freeze_encoder: leave the backbone as it is.
        lr: of Adam, 1e-3 to 1e-4.
        weight_decay: of Adam.
        encoder_weights: a .pth file of ImageNet weights for the backbone; None starts from random
            numbers.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8
    network: HwangZhou16Network

    def __init__(
        self,
        mode: Literal["regression", "classification"] = "regression",
        bounds: tuple[float, float] = (-100.0, 100.0),
        temperature: float = 0.3,
        upsampling: Literal["bilinear", "nearest"] = "bilinear",
        backbone: str = "vgg16",
        preprocessing: Preprocessing = "auto",
        freeze_encoder: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__(lr, weight_decay)
        if mode not in ("regression", "classification"):
            raise ValueError(f"mode must be regression or classification, got {mode!r}")
        if upsampling not in ("bilinear", "nearest"):
            raise ValueError(f"upsampling must be bilinear or nearest, got {upsampling!r}")
        if not 0 <= temperature <= 1:
            raise ValueError(f"temperature must lie in [0, 1], got {temperature}")
        low, high = bounds
        if not low < high:
            raise ValueError(f"bounds must rise, got {bounds}")
        # Not the encoder weights: a checkpoint holds better ones, and must load without that file.
        self.save_hyperparameters(ignore="encoder_weights")
        self.classifies = mode == "classification"
        self.low, self.high = float(low), float(high)
        self.temperature = temperature
        vgg = VGGPyramid(backbone, encoder_weights, preprocessing, frozen=freeze_encoder)
        self.hparams["preprocessing"] = vgg.preprocessing  # for who loads without the file
        self.network = HwangZhou16Network(2 * BINS if self.classifies else 2, vgg, upsampling)

    def core(self, luminance: Tensor) -> Tensor:
        """(B, 1, H, W) L -> (B, 2, H, W) uv / 100, or of bins (B, 100, H, W) logits, u's first."""
        output: Tensor = self.network(luminance / 100)
        return output

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        luv = rgb_to_luv(lab_to_rgb(join_lab(luminance, ab)))
        return split_lab(luv)[1] / UV_SCALE

    def decode(self, output: Tensor, luminance: Tensor, temperature: float | None = None) -> Tensor:
        """By way of sRGB: a chroma that no displayable colour has is clipped there."""
        uv = self.decode_bins(output, temperature) if self.classifies else UV_SCALE * output
        rgb = luv_to_rgb(torch.cat([luminance, uv], dim=1))
        return split_lab(rgb_to_lab(rgb))[1]

    def centres(self) -> Tensor:
        """u, and v, of each bin: (50,)."""
        width = (self.high - self.low) / BINS
        return self.low + width * (torch.arange(BINS, device=self.device) + 0.5)

    def encode_bins(self, uv: Tensor) -> Tensor:
        """Bin numbers of u and of v: (B, 2, H, W) -> (B, 2, H, W) int64 in 0..49."""
        share = (uv - self.low) / (self.high - self.low)
        return (share * BINS).floor().clamp(0, BINS - 1).long()

    def prediction(self, luminance: Tensor, answer: Tensor) -> Prediction:
        if not self.classifies:
            return super().prediction(luminance, answer)
        return DecodedPrediction(
            model=type(self).__name__, luminance=luminance, output=answer, decode=self.decode
        )

    def decode_bins(self, logits: Tensor, temperature: float | None = None) -> Tensor:
        """Annealed mean of u and of v: (B, 100, H, W) logits, u's first -> (B, 2, H, W) uv."""
        temperature = self.temperature if temperature is None else temperature
        each = torch.stack(logits.float().chunk(2, dim=1), dim=1)  # (B, 2, 50, H, W)
        if temperature == 0:
            return self.centres()[each.argmax(dim=2)]
        probability = torch.softmax(each / temperature, dim=2)
        return (probability * self.centres()[:, None, None]).sum(dim=2)

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Half the squared distance in uv / 100 a pixel, or the cross-entropies of u and of v."""
        if not self.classifies:  # the mean over u and v is half the sum
            return super().loss(luminance, ab)
        self.check_input(luminance)
        u, v = self.core(luminance).float().chunk(2, dim=1)
        bins = self.encode_bins(UV_SCALE * self.encode_target(luminance, ab))
        return {
            "cross_entropy_u": F.cross_entropy(u, bins[:, 0]),
            "cross_entropy_v": F.cross_entropy(v, bins[:, 1]),
        }

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trainable = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.Adam(trainable, self.lr, weight_decay=self.weight_decay)
