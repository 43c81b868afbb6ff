"""The merged VGG16 model: the vanilla autoencoder told by VGG16 what the picture shows.

The report and its code differ in the head: it describes a trained layer on the 4,096 features, its
code joins them as they are. Both are here.
"""

from typing import ClassVar, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.autoencoder import (
    CODE,
    ENCODED,
    TABLE,
    ChromaCode,
    conv_decoder,
    conv_encoder,
)
from deepcolor.blocks.backbones import CAFFE_MEAN, IMAGENET_MEAN, IMAGENET_STD, GlobalFeatures
from deepcolor.blocks.vgg import expected_preprocessing
from deepcolor.models._global_vector import GlobalVectorColorizer

__all__ = ["MergedVGG16"]

WIDTH = 4096  # of fc2, after its ReLU
HEAD_WIDTH = 1024
DROPOUT = 0.5
SIDE = 224  # the only one that VGG16's dense layers take
DECODERS = {"code": CODE, "table": TABLE}
KERAS_EPSILON = 1e-7  # of Adam
SMALLEST_PEAK = 1e-6  # of a vector of nothing but zeros


class MergedVGG16Network(nn.Module):
    """Grey and a global vector to scaled chroma; `features` makes the vector, or is None."""

    def __init__(
        self,
        head: Literal["described", "literal"],
        plan: tuple[int, ...],
        keras_padding: bool,
        features: GlobalFeatures | None,
    ) -> None:
        super().__init__()
        self.encoder = conv_encoder(1, keras_padding=keras_padding)
        self.head: nn.Module = nn.Identity()
        width = WIDTH
        if head == "described":
            dense = nn.Linear(WIDTH, HEAD_WIDTH)
            nn.init.xavier_uniform_(dense.weight)
            nn.init.zeros_(dense.bias)
            self.head = nn.Sequential(nn.Dropout(DROPOUT), dense, nn.ReLU())
            width = HEAD_WIDTH
        self.decoder = conv_decoder(ENCODED + width, plan)
        self.features = features

    def forward(self, grey: Tensor, vector: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] and raw (B, 4096) -> (B, 2, H, W) in [-1, 1]."""
        peak = vector.amax(dim=1, keepdim=True).clamp(min=SMALLEST_PEAK)
        told = self.head(vector / peak)[:, :, None, None]
        local = self.encoder(grey)  # (B, 256, H/8, W/8)
        tiled = told.expand(-1, -1, *local.shape[-2:])
        chroma: Tensor = self.decoder(torch.cat([local, tiled.to(local.dtype)], dim=1))
        return chroma


class MergedVGG16(GlobalVectorColorizer):
    """Autoencoder and frozen VGG16 features: 11,594,386 trained parameters.

    VGG16 itself holds 134,260,544 more, which are frozen but part of the network's weights: a
    weights file says all that the model needs.

    Args:
        space: "lab": L / 100 in, ab / 128 out; "ycbcr": Y / 255 in, (Cb, Cr) / 255 out.
        head: "described": dropout and a trained dense layer to 1,024 on the features; "literal":
            the features themselves, as the code has it (10,938,002 trained parameters).
        decoder: "code" or "table", see `VanillaAutoencoder`.
        features: "live" holds VGG16; "given" does not, and needs vectors (see
            `GlobalVectorColorizer`).
        preprocess: what VGG16's weights expect: "caffe", Keras' (BGR, 0..255, mean subtracted), or
            "imagenet", torchvision's and timm's (RGB, mean and deviation). "auto" is what their
            file says, or the cache that vectors are given from; for random weights "caffe".
        center: with "ycbcr": (Cb - 128, Cr - 128) / 128 out.
        legacy_truncate: with "ycbcr": cut Y, Cb and Cr to whole numbers.
        keras_padding: pad right and below alone at stride 2, as Keras does.
        lr: of Adam.
        weight_decay: of Adam.
        encoder_weights: file of VGG16's ImageNet weights, from timm or torchvision; None leaves
            VGG16 random. Not asked for again by a checkpoint, which holds them.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8
    grain: ClassVar[int] = 2  # the last layer but doubles the size
    network: MergedVGG16Network

    def __init__(
        self,
        space: Literal["ycbcr", "lab"] = "lab",
        head: Literal["described", "literal"] = "described",
        decoder: Literal["code", "table"] = "code",
        features: Literal["live", "given"] = "live",
        preprocess: Literal["auto", "caffe", "imagenet"] = "auto",
        center: bool = False,
        legacy_truncate: bool = False,
        keras_padding: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__(WIDTH, lr, weight_decay)
        self.save_hyperparameters(ignore="encoder_weights")
        self.code = ChromaCode(space, center, legacy_truncate)
        for name, value, known in (
            ("head", head, ("described", "literal")),
            ("decoder", decoder, tuple(DECODERS)),
            ("preprocess", preprocess, ("auto", "caffe", "imagenet")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {value!r}")
        self.preprocess: Literal["auto", "caffe", "imagenet"] = preprocess
        vgg16 = self.classifier(features, encoder_weights)
        if vgg16 is not None and self.preprocess == "auto":
            self._settle("caffe")
        self.network = MergedVGG16Network(head, DECODERS[decoder], keras_padding, vgg16)

    def make_classifier(self, weights: str | None) -> GlobalFeatures:
        if self.preprocess == "auto" and weights is not None:
            caffe = expected_preprocessing(weights) == "caffe"
            self._settle("caffe" if caffe else "imagenet")
        return make_vgg16("imagenet" if self.preprocess == "imagenet" else "caffe", weights)

    def _settle(self, preprocess: Literal["caffe", "imagenet"]) -> None:
        self.preprocess = self.hparams["preprocess"] = preprocess  # for who loads without the file

    def setup(self, stage: str) -> None:
        cache = getattr(getattr(self.trainer, "datamodule", None), "cache", None)
        if self.preprocess == "auto" and cache is not None and self.network.features is None:
            with torch.device("meta"):
                imagenet = make_vgg16("imagenet").tag
            self._settle("imagenet" if cache.tag == imagenet else "caffe")
        super().setup(stage)

    def fused(self, luminance: Tensor, vector: Tensor) -> Tensor:
        output: Tensor = self.network(self.code.grey(luminance), vector)
        return output

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return self.code.encode(luminance, ab)

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return self.code.decode(output, luminance)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam as Keras sets it by default, at a constant rate."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.Adam(
            trainable, self.lr, eps=KERAS_EPSILON, weight_decay=self.weight_decay
        )


def make_vgg16(
    preprocess: Literal["caffe", "imagenet"], weights: str | None = None
) -> GlobalFeatures:
    """VGG16 up to fc2, frozen: a grey picture to (B, 4096), after ReLU.

    Args:
        preprocess: what the weights expect, see `MergedVGG16`.
        weights: a file; None leaves it random.
    """
    if preprocess == "caffe":
        return GlobalFeatures(
            "vgg16", SIDE, "features", mean=CAFFE_MEAN, scale=255.0, weights=weights
        )
    return GlobalFeatures(
        "vgg16", SIDE, "features", mean=IMAGENET_MEAN, std=IMAGENET_STD, weights=weights
    )
