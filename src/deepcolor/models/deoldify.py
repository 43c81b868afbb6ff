"""Antic, "DeOldify", 2018 and 2019: U-Nets on ResNets, pretrained on features, then "NoGAN".

The network answers with a whole RGB picture, of which only the chroma is used: U and V of YUV.
Layers and names are those of the release, so that its weights load key for key.

Pretraining is here: L1 and features of VGG-16. The short adversarial training after it is not yet.
"""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.backbones import IMAGENET_MEAN, IMAGENET_STD
from deepcolor.blocks.unet import DynamicUnet
from deepcolor.blocks.vgg import vgg_features
from deepcolor.color import (
    join_lab,
    lab_to_rgb,
    lightness_to_grey,
    rgb_to_ycbcr,
    split_lab,
    ycbcr_chroma_to_ab,
)
from deepcolor.losses.perceptual import FeatureLoss
from deepcolor.models._regression import RegressionColorizer

__all__ = ["DeOldify"]

VARIANTS = {  # ResNet, whether two convolutions a step up, factor of the channels
    "artistic": ("resnet34", True, 1.5),
    "stable": ("resnet101", False, 2.0),
    "video": ("resnet101", False, 2.0),
}
RENDER_SQUARE = 16  # pixels a render factor: the release works at 16 times it
RENDER_FACTOR = 35
FEATURES = {22: 20.0, 32: 70.0, 42: 10.0}  # VGG-16's ReLUs before the last three poolings
BODY_SLOWER = 10.0  # the body learns by this much less
RISE, STARTS = 0.3, 25.0  # share of the steps over which the rate rises, and from what part of it
BETAS = (0.9, 0.99)


class DeOldify(RegressionColorizer):
    """A whole picture of which the chroma is taken: 63,646,881 parameters, 218,222,197 as "stable".

    Args:
        variant: "artistic" is deep, on ResNet-34; "stable" and "video" are wide, on ResNet-101,
            and differ in their training alone.
        body: another ResNet instead: resnet18, resnet34, resnet50 or resnet101.
        factor: of the channels on the way up, instead of the variant's.
        freeze_body: train all but the ResNet's convolutions, as the first epoch does.
        lr: greatest of the one-cycle schedule; the body has a tenth of it.
        weight_decay: of AdamW.
        encoder_weights: a file of the ResNet's ImageNet weights; None starts from random numbers.
        perceptual_weights: a file of VGG-16's ImageNet weights, with batch normalization; None
            trains on L1 alone.
    """

    size: ClassVar[int] = RENDER_SQUARE * RENDER_FACTOR
    stride: ClassVar[int] = RENDER_SQUARE
    unsaved: ClassVar[tuple[str, ...]] = ("encoder_weights", "perceptual_weights")
    network: DynamicUnet
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        variant: Literal["artistic", "stable", "video"] = "artistic",
        body: str | None = None,
        factor: float | None = None,
        freeze_body: bool = False,
        lr: float = 3e-4,
        weight_decay: float = 1e-3,
        encoder_weights: str | None = None,
        perceptual_weights: str | None = None,
    ) -> None:
        super().__init__(lr, weight_decay)
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        usual_body, deep, usual_factor = VARIANTS[variant]
        factor = usual_factor if factor is None else factor
        if not factor > 0:
            raise ValueError(f"factor must be above 0, got {factor}")
        self.save_hyperparameters(ignore=list(self.unsaved))
        self.network = DynamicUnet(body or usual_body, deep, factor, encoder_weights)
        if freeze_body:
            for part in self.network.body.modules():
                if isinstance(part, nn.Conv2d):
                    part.requires_grad_(False)
        self.perceptual = None
        if perceptual_weights is not None:
            self.perceptual = FeatureLoss(vgg_features("vgg16_bn", perceptual_weights), FEATURES)
        for name, numbers in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            column = torch.tensor(numbers)[:, None, None]
            self.register_buffer(name, column, persistent=False)

    def core(self, luminance: Tensor) -> Tensor:
        """A whole picture: (B, 1, H, W) L -> (B, 3, H, W) RGB, less ImageNet's mean, by its std."""
        answer: Tensor = self.network((lightness_to_grey(luminance) - self.mean) / self.std)
        return answer

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return (lab_to_rgb(join_lab(luminance, ab)) - self.mean) / self.std

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        """The picture's U and V (JFIF's Cb and Cr, on another scale) at the lightness given."""
        rgb = (output * self.std + self.mean).clamp(0, 1)
        return ycbcr_chroma_to_ab(luminance, split_lab(rgb_to_ycbcr(rgb))[1])

    def regression_loss(self, output: Tensor, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """L1 of the whole normalized picture, and of VGG-16's features of it."""
        answer, truth = output.float(), self.encode_target(luminance, ab)
        terms = {"pixels": F.l1_loss(answer, truth)}
        if self.perceptual is not None:
            terms["features"] = self.perceptual(answer, truth)
        return terms

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW on one cycle, the body by a tenth of the rate."""
        body = {id(p) for p in self.network.body.parameters()}
        trained = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if id(p) in body], "lr": self.lr / BODY_SLOWER},
            {"params": [p for p in trained if id(p) not in body], "lr": self.lr},
        ]
        optimizer = torch.optim.AdamW(groups, self.lr, betas=BETAS, weight_decay=self.weight_decay)
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            [group["lr"] for group in groups],  # type: ignore[misc]
            total_steps=int(steps),
            pct_start=RISE,
            div_factor=STARTS,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
