"""Averages of weights: over the steps of a run, and of a fine-tuned model with what it was."""

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from deepcolor.models import Colorizer

__all__ = ["WeightEMA", "blend"]


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


@torch.no_grad()
def blend(model: Colorizer, start: Colorizer, share: float = 0.5) -> None:
    """Move a fine-tuned model part of the way back to what it started from.

    A few hundred photographs teach their kind and let the rest be forgotten; the weights between
    both models often do better than either (Wortsman et al. 2022, robust fine-tuning).

    Args:
        model: changed in place; only its network is.
        start: the model that the fine-tuning began with, of the same class and settings.
        share: of `start` in the result, in [0, 1].

    Raises:
        ValueError: for a share out of range, or models whose networks differ in their layers.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    mine, old = model.network.state_dict(), start.network.state_dict()
    if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in old.items()}:
        raise ValueError(
            f"a {type(model).__name__} and a {type(start).__name__} whose layers differ cannot be"
            " blended"
        )
    for name, value in mine.items():
        if value.is_floating_point():
            value.lerp_(old[name].to(value), share)
