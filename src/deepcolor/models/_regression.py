"""The family whose networks give chroma itself."""

from abc import abstractmethod
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import Guidance, Kind
from deepcolor.models._training import Colorizer
from deepcolor.models.prediction import ChromaPrediction, Prediction

__all__ = ["RegressionColorizer"]


class RegressionColorizer(Colorizer):
    """The network gives chroma itself, in a colour space and on a scale of its own.

    A subclass says three things: what the network answers (`core`), what it should have
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
    def core(self, luminance: Tensor) -> Tensor:
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
        return self.ab(self.core(luminance), luminance)

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
    ) -> Prediction:
        self.check_input(luminance, guidance)
        return self.prediction(luminance, self.core(luminance))

    def prediction(self, luminance: Tensor, answer: Tensor) -> Prediction:
        coarse = self.coarse_luminance(luminance)
        chroma = self.ab(answer, coarse)
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
        return self.regression_loss(self.core(luminance), luminance, ab)

    def regression_loss(self, output: Tensor, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Mean squared error, or Huber loss, in the network's units, over pixels and channels.

        Args:
            output: (B, 2, h, w), from `core`; the target is averaged over each of its pixels.
            luminance: (B, 1, H, W) L in [0, 100].
            ab: (B, 2, H, W), the truth, in CIELAB units.
        """
        target = self.encode_target(luminance, ab)
        if target.shape[-2:] != output.shape[-2:]:
            target = F.interpolate(target, size=output.shape[-2:], mode="area")
        if self.huber_delta is None:
            return {"mse": F.mse_loss(output.float(), target)}
        return {"huber": F.huber_loss(output.float(), target, delta=self.huber_delta)}
