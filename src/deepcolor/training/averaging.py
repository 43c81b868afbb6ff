"""The exponential moving average of a model's weights."""

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

__all__ = ["WeightEMA"]


class WeightEMA(WeightAveraging):
    """Validates, saves and ends with the exponential moving average of the weights.

    Lightning's `WeightAveraging` with a decay that warms up, min(decay, (1 + n) / (10 + n)) after n
    steps, as timm's and TensorFlow's do: random first weights are forgotten at once, so no step
    has to be named at which averaging starts. Buffers are averaged too (batch statistics).
    Checkpoints hold both: the average as `state_dict`, the weights in training beside it.

    Args:
        decay: the part of the average that each step keeps, in [0, 1).
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.decay = decay
        super().__init__(avg_fn=self.average)

    def average(self, averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        """One step of the average, of one tensor."""
        if not averaged.is_floating_point():  # a counter, such as that of batch normalization
            return current
        kept = min(self.decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged.lerp(current, 1 - kept)
