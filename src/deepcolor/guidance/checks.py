"""What all kinds of guidance check of themselves."""

from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

__all__ = ["FARTHEST", "Tensors", "check_range", "shape_of"]

FARTHEST = 256.0  # CIELAB units: twice what files of CIELAB hold


class Tensors:
    """Takes NumPy arrays where tensors are meant; they are tensors from then on."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # the kinds are dataclasses
            if field.type is float:
                continue
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
                array = np.require(value, np.float32, ["C", "W"])
                object.__setattr__(self, field.name, torch.from_numpy(array))  # it is frozen
            elif not (value is None or isinstance(value, Tensor)):
                given = f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip()
                raise TypeError(
                    f"{type(self).__name__}.{field.name} must be a tensor or a NumPy array of"
                    f" numbers, got {given}"
                )


def check_range(name: str, values: Tensor, low: float, high: float) -> None:
    """Refuse values outside of a range, and NaN, with a ValueError."""
    if not values.numel():
        return
    least, most = (float(end) for end in torch.aminmax(values.float()))
    if not (least >= low and most <= high):
        wanted = "be CIELAB units, in which colours end at 130" if high > 1 else "lie in [0, 1]"
        raise ValueError(f"{name} must {wanted}; got [{least:.4g}, {most:.4g}]")


def shape_of(name: str, tensor: Tensor) -> tuple[int, int, int, int]:
    """The four sides of a tensor, or a ValueError that names it."""
    if tensor.ndim != 4:
        raise ValueError(f"{name} must have four dimensions, got {tuple(tensor.shape)}")
    batch, channels, height, width = tensor.shape
    return batch, channels, height, width
