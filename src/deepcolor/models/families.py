"""Families: what models share that differ only in their networks."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.color import lightness_to_grey
from deepcolor.guidance import Guidance, Kind
from deepcolor.models.base import Colorizer
from deepcolor.models.classification import ClassificationColorizer
from deepcolor.models.prediction import ChromaPrediction, Prediction

__all__ = [
    "ClassificationColorizer",
    "GlobalVectorColorizer",
    "RegressionColorizer",
]


class RegressionColorizer(Colorizer):
    """The network gives chroma itself, in a colour space and on a scale of its own.

    A subclass says three things: what the network answers (`chroma`), what it should have
    answered (`encode_target`), and what an answer means (`decode`, the inverse). A model that
    works in YCbCr, YUV or CIELUV converts there, and nowhere else.

    Args:
        lr: learning rate.
        weight_decay: of the optimizer.
        huber_delta: where the Huber loss turns from a square into a line, in the network's units;
            None is the mean squared error.
    """

    def __init__(self, lr: float, weight_decay: float, huber_delta: float | None = None) -> None:
        super().__init__(lr, weight_decay)
        if huber_delta is not None and not huber_delta > 0:
            raise ValueError(f"huber_delta must be positive, or None, got {huber_delta}")
        self.huber_delta = huber_delta

    @abstractmethod
    def chroma(self, luminance: Tensor) -> Tensor:
        """What the network answers, in its own units.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].

        Returns:
            (B, 2, h, w), at the network's own resolution.
        """

    @abstractmethod
    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        """What the network should answer: true chroma in its own units.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].
            ab: (B, 2, H, W), in CIELAB units.

        Returns:
            (B, 2, H, W).
        """

    @abstractmethod
    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        """What an answer means: the inverse of `encode_target`.

        Args:
            output: (B, 2, H, W) float32, in the network's units.
            luminance: (B, 1, H, W) L in [0, 100].

        Returns:
            (B, 2, H, W) ab, in CIELAB units.
        """

    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        self.check_input(luminance, guidance)
        return self.ab(self.chroma(luminance), luminance)

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
    ) -> Prediction:
        self.check_input(luminance, guidance)
        coarse = self.coarse_luminance(luminance)
        chroma = self.ab(self.chroma(luminance), coarse)
        return ChromaPrediction(model=type(self).__name__, luminance=coarse, chroma=chroma)

    def coarse_luminance(self, luminance: Tensor) -> Tensor:
        """Means over squares of `grain` pixels: (B, 1, H, W) -> (B, 1, H / grain, W / grain)."""
        return luminance if self.grain == 1 else F.avg_pool2d(luminance, self.grain)

    def ab(self, output: Tensor, luminance: Tensor) -> Tensor:
        """The network's answer, (B, 2, h, w), as ab at the size of the luminance."""
        output = output.float()
        height, width = luminance.shape[-2:]
        if output.shape[-2] > height:  # means, which undo a doubling by the nearest pixel
            output = F.interpolate(output, size=(height, width), mode="area")
        elif output.shape[-2:] != (height, width):
            output = F.interpolate(
                output, size=(height, width), mode="bilinear", align_corners=False
            )
        return self.decode(output, luminance.float())

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        self.check_input(luminance)
        return self.regression_loss(self.chroma(luminance), luminance, ab)

    def regression_loss(self, output: Tensor, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Mean squared error, or Huber loss, in the network's units, over pixels and channels.

        Args:
            output: (B, 2, h, w), from `chroma`; the target is averaged over each of its pixels.
            luminance: (B, 1, H, W) L in [0, 100].
            ab: (B, 2, H, W), the truth, in CIELAB units.
        """
        target = self.encode_target(luminance, ab)
        if target.shape[-2:] != output.shape[-2:]:
            target = F.interpolate(target, size=output.shape[-2:], mode="area")
        if self.huber_delta is None:
            return {"mse": F.mse_loss(output.float(), target)}
        return {"huber": F.huber_loss(output.float(), target, delta=self.huber_delta)}


class GlobalVectorColorizer(RegressionColorizer):
    """Regression that is told a vector on the whole picture, from a frozen classifier.

    The classifier is the `features` of the network: live, it reads each picture anew. Without it
    (`features = None`), vectors must be given: `vector=` in `forward` and `loss`, or as the second
    of a batch, (rgb, vector); that saves its time and memory once vectors lie in a cache. Vectors
    are raw, as the classifier answers; the network scales them. A model with live features takes
    given ones too. Numbers of whole type beside the pictures are labels, and not looked at.

    Args:
        width: of the vectors.
        lr: learning rate.
        weight_decay: of the optimizer.
    """

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

    def chroma(self, luminance: Tensor, vector: Tensor | None = None) -> Tensor:
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
        return self.ab(self.chroma(luminance, vector), luminance)

    def loss(
        self, luminance: Tensor, ab: Tensor, vector: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As `Colorizer.loss`; `vector` is (B, width), computed when None."""
        self.check_input(luminance)
        return self.regression_loss(self.chroma(luminance, vector), luminance, ab)

    def networks(self) -> list[nn.Module]:
        features = self.network.features
        return [self.network, *([features] if isinstance(features, nn.Module) else [])]

    def forward_extras(self, batch: Tensor | Sequence[Any]) -> dict[str, Tensor]:
        if isinstance(batch, Tensor) or len(batch) < 2:
            return {}
        vector = batch[1]
        given = isinstance(vector, Tensor) and vector.is_floating_point()
        return {"vector": vector} if given else {}
