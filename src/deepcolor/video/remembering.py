"""What a network remembers of the frames before, as named tensors, and back."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["packed", "unpacked"]


def packed(memory: Any) -> dict[str, Tensor]:
    """Tensors of dataclasses and tuples, however nested, by name, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in _walk(memory, "m")}


def unpacked(like: Any, tensors: dict[str, Tensor]) -> Any:
    """A memory that holds these tensors.

    Args:
        like: a memory of the same model and size, which says what it is made of, and where.
        tensors: of `packed`.
    """
    return _filled(like, tensors, "m")


def _walk(memory: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(memory, Tensor):
        yield name, memory
        return
    for key, part in _parts(memory):
        yield from _walk(part, f"{name}.{key}")


def _filled(like: Any, tensors: dict[str, Tensor], name: str) -> Any:
    if isinstance(like, Tensor):
        with torch.inference_mode():
            return tensors[name].to(like.device, like.dtype)
    filled = {key: _filled(part, tensors, f"{name}.{key}") for key, part in _parts(like)}
    if is_dataclass(like) and not isinstance(like, type):
        return type(like)(**filled)
    if isinstance(like, (tuple, list)):
        return type(like)(filled.values())
    return filled if isinstance(like, dict) else like


def _parts(memory: Any) -> list[tuple[str, Any]]:
    if is_dataclass(memory) and not isinstance(memory, type):
        return [(one.name, getattr(memory, one.name)) for one in fields(memory)]
    if isinstance(memory, (tuple, list)):
        return [(str(number), part) for number, part in enumerate(memory)]
    if isinstance(memory, dict):
        return list(memory.items())
    return []
