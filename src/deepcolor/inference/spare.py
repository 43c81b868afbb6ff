"""A model's copy on another device, for when its own runs out of memory."""

import copy

import torch
from torch import nn

from deepcolor.models import Colorizer

__all__ = ["SpareCopy"]


class SpareCopy:
    """Makes the copy when it is first asked for, and keeps it until the model's weights change.

    Args:
        model: stays where it is.
    """

    def __init__(self, model: Colorizer) -> None:
        self.model = model
        self._made: tuple[object, Colorizer] | None = None

    def on(self, device: torch.device) -> Colorizer:
        """The model on that device; none of its weights is doubled on its own."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        state = (device, [(id(t), t.data_ptr(), t._version) for t in tensors])
        if self._made is None or self._made[0] != state:
            moved = {
                id(t): nn.Parameter(t.to(device), t.requires_grad)
                if isinstance(t, nn.Parameter)
                else t.to(device)
                for t in tensors
            }
            self._made = state, copy.deepcopy(self.model, moved).to(device)
        return self._made[1]
