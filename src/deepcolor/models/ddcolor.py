"""Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", ICCV 2023.

ConvNeXt reads the grey picture; one decoder makes features of each pixel, the other makes colours
of learned queries that look at the first. Layers and names are those of the release, so that its
weights load key for key.

Its loss has an adversarial term too, which is not here yet.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.backbones import IMAGENET_MEAN, IMAGENET_STD
from deepcolor.blocks.colour_queries import ColourDecoder
from deepcolor.blocks.convnext import ConvNeXt
from deepcolor.blocks.normed import Enlarge, SpectralConv
from deepcolor.blocks.unet import UpBlock
from deepcolor.blocks.vgg import vgg_features
from deepcolor.color import join_lab, lab_to_rgb, lightness_to_grey, rgb_to_ycbcr, split_lab
from deepcolor.losses.chroma import colourfulness_loss
from deepcolor.losses.perceptual import FeatureLoss
from deepcolor.models._regression import RegressionColorizer

__all__ = ["DDColor"]

LAYERS = 9  # of the colour decoder
LAST_SCALE = 4  # the pixel decoder's last step goes from a quarter to the whole
PIXELS_WEIGHT = 0.1  # of the L1 distance of ab
FEATURES_WEIGHT = 5.0  # of the distance in VGG-16's features
FEATURES = {0: 0.0625, 7: 0.125, 14: 0.25, 24: 0.5, 34: 1.0}  # conv1_1 to conv5_1, not normalized
BRIGHTER = 1.2  # saturation of the pictures that all but L1 look at
MILESTONES = tuple(range(80_000, 400_000, 40_000))  # steps after each of which the rate is halved


class Encoder(nn.Module):
    """Holds ConvNeXt under its published name."""

    def __init__(self, name: str, weights: str | None) -> None:
        super().__init__()
        self.arch = ConvNeXt(name, weights)


class Decoder(nn.Module):
    """The features of each pixel, and the queries that colour them."""

    def __init__(self, channels: tuple[int, ...], width: int, queries: int) -> None:
        super().__init__()
        outputs = (2 * width, 2 * width, width)
        *skips, inputs = channels
        self.layers = nn.ModuleList()
        for skip, out in zip(reversed(skips), outputs, strict=True):
            self.layers.append(UpBlock(inputs, skip, out, out))
            inputs = out
        last = SpectralConv(width, LAST_SCALE**2 * width, bias=True, shuffle=LAST_SCALE)
        self.last_shuf = Enlarge(nn.Sequential(last), LAST_SCALE)
        self.color_decoder = ColourDecoder(outputs, width, queries, LAYERS)

    def forward(self, answers: list[Tensor]) -> Tensor:
        """The encoder's answers, fine to coarse -> (B, queries, H, W)."""
        *skips, x = answers
        features = []
        for layer in self.layers:
            x = layer(x, skips.pop())
            features.append(x)  # (B, 2C, H/16, W/16), (B, 2C, H/8, W/8), (B, C, H/4, W/4)
        shares: Tensor = self.color_decoder(features, self.last_shuf(x))
        return shares


class DDColorNetwork(nn.Module):
    """Grey RGB in [0, 1] to ab."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: str, width: int, queries: int, weights: str | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1))
        self.encoder = Encoder(encoder, weights)
        self.decoder = Decoder(self.encoder.arch.channels, width, queries)
        self.refine_net = nn.Sequential(nn.Sequential(SpectralConv(queries + 3, 2, bias=True)))

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], H and W multiples of 32 -> (B, 2, H, W), in CIELAB units."""
        x = (grey - self.mean) / self.std
        shares = self.decoder(self.encoder.arch(x))
        ab: Tensor = self.refine_net(torch.cat([shares, x], dim=1))
        return ab


class DDColor(RegressionColorizer):
    """Colour queries on ConvNeXt: 55,006,640 parameters, 227,869,328 as "large".

    Args:
        encoder: "tiny" or "large", as released; "atto", ConvNeXt's smallest, for trials.
        width: channels of the queries and of the pixels' features, a multiple of 8; 256 released.
        queries: how many colours to look for.
        colourfulness: weight of the colourfulness loss; 0 as in the release called artistic.
        lr: of AdamW, halved after 80,000 steps and each 40,000 more.
        weight_decay: of AdamW.
        encoder_weights: a file of ConvNeXt's ImageNet weights; None starts from random numbers.
        perceptual_weights: a file of VGG-16's ImageNet weights, with batch normalization; None
            trains without the perceptual term.
    """

    size: ClassVar[int] = 512
    stride: ClassVar[int] = 32
    unsaved: ClassVar[tuple[str, ...]] = ("encoder_weights", "perceptual_weights")
    network: DDColorNetwork

    def __init__(
        self,
        encoder: Literal["tiny", "large", "atto"] = "tiny",
        width: int = 256,
        queries: int = 100,
        colourfulness: float = 0.5,
        lr: float = 1e-4,
        weight_decay: float = 0.01,
        encoder_weights: str | None = None,
        perceptual_weights: str | None = None,
    ) -> None:
        super().__init__(lr, weight_decay)
        if width < 8 or width % 8:
            raise ValueError(f"width must be a multiple of 8, got {width}")
        if queries < 1:
            raise ValueError(f"queries must be at least 1, got {queries}")
        if colourfulness < 0:
            raise ValueError(f"colourfulness must be at least 0, got {colourfulness}")
        self.save_hyperparameters(ignore=list(self.unsaved))
        self.colourfulness = colourfulness
        self.network = DDColorNetwork(encoder, width, queries, encoder_weights)
        self.perceptual = None
        if perceptual_weights is not None:
            vgg = vgg_features("vgg16_bn", perceptual_weights)
            self.perceptual = FeatureLoss(vgg, FEATURES, IMAGENET_MEAN, IMAGENET_STD)

    def core(self, luminance: Tensor) -> Tensor:
        ab: Tensor = self.network(lightness_to_grey(luminance).expand(-1, 3, -1, -1))
        return ab

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return ab

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return output

    def regression_loss(self, output: Tensor, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """L1 of ab; distance in VGG-16's features and lack of colourfulness, of brighter RGB.

        Means over pixels and pictures. The release sums the colourfulness term over the batch.
        """
        output = output.float()
        terms = {"pixels": PIXELS_WEIGHT * F.l1_loss(output, ab)}
        if self.perceptual is None and self.colourfulness == 0:
            return terms
        rgb = _brighter(lab_to_rgb(join_lab(luminance, output)))
        if self.perceptual is not None:
            truth = _brighter(lab_to_rgb(join_lab(luminance, ab)))
            terms["features"] = FEATURES_WEIGHT * self.perceptual(rgb, truth)
        if self.colourfulness > 0:
            terms["colourfulness"] = self.colourfulness * colourfulness_loss(rgb)
        return terms

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, betas 0.9 and 0.99."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable, self.lr, betas=(0.9, 0.99), weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(MILESTONES), gamma=0.5)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _brighter(rgb: Tensor) -> Tensor:
    """RGB of more saturation: further from its grey, and clipped."""
    grey = _luma(rgb)
    return (BRIGHTER * rgb - (BRIGHTER - 1) * grey).clamp(0, 1)


def _luma(rgb: Tensor) -> Tensor:
    """Luma, ITU-R BT.601: (B, 3, H, W) -> (B, 1, H, W)."""
    return split_lab(rgb_to_ycbcr(rgb))[0] / 255
