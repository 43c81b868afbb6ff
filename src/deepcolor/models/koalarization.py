"""Baldassarre, Gonzalez Morin and Rodes-Guirao, "Deep Koalarization", 2017.

An encoder and decoder around a fusion layer that is told, at every place, what a frozen
Inception-ResNet-v2 sees in the whole picture.
"""

from typing import ClassVar, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.autoencoder import ENCODED, TABLE, conv_decoder, conv_encoder
from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.models._global_vector import GlobalVectorColorizer

__all__ = ["Koalarization"]

CLASSIFIER = "inception_resnet_v2"
SIDE = 299  # of the pictures that the classifier reads
CLASSIFIER_MEAN = CLASSIFIER_STD = (0.5, 0.5, 0.5)  # grey in [-1, 1]
FUSED = 256
AB_SCALE = 127.0  # of the published code


class KoalarizationNetwork(nn.Module):
    """Luminance and logits to scaled chroma; `features` makes the logits, or is None."""

    def __init__(self, classes: int, keras_padding: bool, features: GlobalFeatures | None) -> None:
        super().__init__()
        self.encoder = conv_encoder(1, keras_padding=keras_padding)
        self.fusion = nn.Conv2d(ENCODED + classes, FUSED, kernel_size=1)
        nn.init.xavier_uniform_(self.fusion.weight)
        nn.init.zeros_(self.fusion.bias)  # type: ignore[arg-type]
        self.decoder = conv_decoder(FUSED, TABLE)
        self.features = features

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        """(B, 1, H, W) in [-1, 1] and (B, classes) -> (B, 2, H, W) in [-1, 1]."""
        local = self.encoder(x)  # (B, 256, H/8, W/8)
        tiled = logits.to(local.dtype)[:, :, None, None].expand(-1, -1, *local.shape[-2:])
        fused = torch.relu(self.fusion(torch.cat([local, tiled], dim=1)))
        chroma: Tensor = self.decoder(fused)
        return chroma


class Koalarization(GlobalVectorColorizer):
    """Regression fused with Inception-ResNet-v2: 6,573,794 trained parameters.

    The classifier holds 55,843,464 more, which are frozen but part of the network's weights.

    Args:
        classes: of the classifier: 1000 of today's weights, or the paper's 1001 with a class for
            background (6,574,050 trained parameters).
        features: "live" holds the classifier; "given" does not, and needs vectors (see
            `GlobalVectorColorizer`).
        keras_padding: pad right and below alone at stride 2, as Keras does.
        lr: of Adam.
        weight_decay: of Adam.
        encoder_weights: file of timm's inception_resnet_v2 weights, with as many classes; None
            leaves it random. Not asked for again by a checkpoint, which holds them.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8
    grain: ClassVar[int] = 2  # the last layer but doubles the size
    network: KoalarizationNetwork

    def __init__(
        self,
        classes: int = 1000,
        features: Literal["live", "given"] = "live",
        keras_padding: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__(classes, lr, weight_decay)
        self.save_hyperparameters(ignore="encoder_weights")
        self.classes = classes
        inception = self.classifier(features, encoder_weights)
        self.network = KoalarizationNetwork(classes, keras_padding, inception)

    def make_classifier(self, weights: str | None) -> GlobalFeatures:
        return GlobalFeatures(
            CLASSIFIER, SIDE, "logits", CLASSIFIER_MEAN, CLASSIFIER_STD,
            classes=self.classes, weights=weights,
        )  # fmt: skip

    def fused(self, luminance: Tensor, vector: Tensor) -> Tensor:
        output: Tensor = self.network(luminance / 50 - 1, vector)
        return output

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return ab / AB_SCALE

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return AB_SCALE * output

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam at a constant rate."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.Adam(trainable, self.lr, weight_decay=self.weight_decay)
