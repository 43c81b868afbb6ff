"""Predicting where a GPU's memory is short: at half the size, then on the CPU."""

import copy
import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from deepcolor.guidance import Guidance, Kind
from deepcolor.inference.network import predict_grid
from deepcolor.inference.options import Quality
from deepcolor.models import Colorizer
from deepcolor.models.prediction import Prediction

__all__ = ["copy_on_cpu", "predict_in_memory"]

FULL = (None, torch.float32)


def predict_in_memory(
    model: Colorizer,
    device: torch.device,
    dtype: torch.dtype | None,
    read: Callable[[tuple[int, int], torch.device], Tensor],
    full: tuple[int, int],
    size: int,
    quality: Quality,
    guidance: Guidance | Kind | None,
    memory: tuple[Any, ...] | None = None,
) -> Prediction:
    """As `predict_grid`; at half the size, then on the CPU, with a warning, if memory is short.

    Args:
        model: on the device.
        device: where to work.
        dtype: of the network's autocast; None or float32 for none.
        read: gives (B, 1, h, w) luminance at a size asked for, worked out on a device.
        full: height and width of the pictures.
        size: working size.
        quality: how much work to put in.
        guidance: for the model.
        memory: of the frame before, as of `predict_grid`.

    Raises:
        torch.OutOfMemoryError: if the last try fails too.
    """
    tries = [(size, device)]
    if has_less_memory(device):
        tries += [(max(model.stride, size // 2), device), (size, torch.device("cpu"))]
    for number, (side, where) in enumerate(tries):
        try:
            able = model if where == device else copy_on_cpu(model)
            with torch.autocast(where.type, dtype, enabled=dtype not in FULL):
                return predict_grid(
                    able, lambda small: read(small, device).to(where),  # noqa: B023, called at once
                    full, side, quality, guidance, memory,
                )  # fmt: skip
        except torch.OutOfMemoryError as error:
            if number + 1 == len(tries):
                raise
            after, there = tries[number + 1]
            warnings.warn(
                f"out of memory on {where} at working size {side};"
                f" going on at {after} on {there} ({str(error).splitlines()[0]})",
                RuntimeWarning,
                stacklevel=6,
            )
    raise AssertionError("the last try returns or raises")


def has_less_memory(device: torch.device) -> bool:
    """Whether the CPU may manage what a device could not."""
    return device.type != "cpu"


def copy_on_cpu(model: Colorizer) -> Colorizer:
    """A copy of a model on the CPU, kept until the weights change.

    It takes no memory of the device that the model is on: each tensor is moved before the copy.
    """
    tensors = [*model.parameters(), *model.buffers()]
    state = [(id(tensor), tensor._version) for tensor in tensors]
    kept = _COPIES.get(model)
    if kept is None or kept[0] != state:
        moved: dict[int, Tensor] = {}
        for tensor in tensors:
            there = tensor.detach().to("cpu", copy=True)
            if isinstance(tensor, nn.Parameter):
                there = nn.Parameter(there, tensor.requires_grad)
            moved[id(tensor)] = there
        kept = _COPIES[model] = (state, copy.deepcopy(model, moved))
    return kept[1]


_COPIES: WeakKeyDictionary[Colorizer, tuple[list[tuple[int, int]], Colorizer]] = WeakKeyDictionary()
