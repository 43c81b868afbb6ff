"""Metrics that are a mean over pictures."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["PictureMean"]


class PictureMean(Metric):
    """Mean of one number a picture; a subclass's `update` calls `add`.

    Pictures may differ in size from update to update: each counts once, whatever its pixels.
    """

    higher_is_better: bool | None = None
    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def add(self, values: Tensor) -> None:
        """Count (B,) numbers, one a picture."""
        self.total += values.double().sum()
        self.count += len(values)

    def compute(self) -> Tensor:
        """The mean so far."""
        return (self.total / self.count).float()
