"""The family that is told a vector on the whole picture."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.color import lightness_to_grey
from deepcolor.guidance import Guidance, Kind
from deepcolor.models._regression import RegressionColorizer

__all__ = ["GlobalVectorColorizer"]


class GlobalVectorColorizer(RegressionColorizer):
    """Regression that is told a vector on the whole picture, from a frozen classifier.

    The classifier is the `features` of the network: live, it reads each picture anew. Without it
    (`features = None`), vectors must be given: `vector=` in `forward`, `core` and `loss`, or with a
    batch, (rgb, vector); that saves its time and memory once vectors lie in a cache. Vectors
    are raw, as the classifier answers; the network scales them. A model with live features takes
    given ones too. Numbers of whole type beside the pictures are labels, and not looked at.

    Args:
        width: of the vectors.
        lr: learning rate.
        weight_decay: of the optimizer.
    """

    inputs: ClassVar[tuple[str, ...]] = ("vector",)

    def __init__(self, width: int, lr: float, weight_decay: float) -> None:
        super().__init__(lr, weight_decay)
        self.width = width

    @abstractmethod
    def make_classifier(self, weights: str | None) -> GlobalFeatures:
        """The classifier, with weights from a file, or random ones."""

    @abstractmethod
    def fused(self, luminance: Tensor, vector: Tensor) -> Tensor:
        """Chroma in the network's units: (B, 1, H, W) L and (B, width) -> (B, 2, H, W)."""

    def classifier(self, features: str, weights: str | None) -> GlobalFeatures | None:
        """What `features="live"` or `"given"` asks for."""
        if features not in ("live", "given"):
            raise ValueError(f"features must be live or given, got {features!r}")
        if features == "given" and weights is not None:
            raise ValueError('encoder_weights are for features="live"; "given" has no classifier')
        return self.make_classifier(weights) if features == "live" else None

    def attach_classifier(self, weights: str) -> None:
        """Make live what was trained on given vectors; `weights` is the file that made those."""
        self.network.features = self.make_classifier(weights).to(self.device)
        self.hparams["features"] = "live"  # weights files say so, and hold the classifier

    def vector_tag(self) -> str:
        """How vectors given to this model must have been made: `GlobalFeatures.tag`."""
        with torch.device("meta"):  # no weights are made
            return self.make_classifier(None).tag

    def setup(self, stage: str) -> None:
        """Refuse cached vectors of another classifier, before the first of them is used.

        Raises:
            ValueError: naming both; from a data module that has a `cache`.
        """
        cache = getattr(getattr(self.trainer, "datamodule", None), "cache", None)
        if cache is not None:
            cache.require(self.network.features or self.vector_tag())

    def global_vector(self, luminance: Tensor) -> Tensor:
        """The live classifier's answer, as a cache keeps it: (B, 1, H, W) L -> (B, width).

        Raises:
            ValueError: if the model was made without a classifier.
        """
        features: Any = self.network.features
        if features is None:
            raise ValueError(
                f"{type(self).__name__} was made without its classifier: give vector=(B,"
                f" {self.width}) or batches (rgb, vector), or attach_classifier(weights)"
            )
        vector: Tensor = features(lightness_to_grey(luminance))
        return vector

    def core(self, luminance: Tensor, vector: Tensor | None = None) -> Tensor:
        if vector is None:
            vector = self.global_vector(luminance)
        if vector.shape != (len(luminance), self.width):
            raise ValueError(
                f"{type(self).__name__} takes vectors {(len(luminance), self.width)}, got"
                f" {tuple(vector.shape)}; a cache made by another classifier?"
            )
        return self.fused(luminance, vector.float())  # a cache may hold float16

    def forward(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """As `Colorizer.forward`; `vector` is (B, width), computed when None."""
        self.check_input(luminance, guidance)
        return self.ab(self.core(luminance, vector), luminance)

    def loss(
        self, luminance: Tensor, ab: Tensor, vector: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As `Colorizer.loss`; `vector` is (B, width), computed when None."""
        self.check_input(luminance)
        return self.regression_loss(self.core(luminance, vector), luminance, ab)

    def networks(self) -> list[nn.Module]:
        features = self.network.features
        return [self.network, *([features] if isinstance(features, nn.Module) else [])]
