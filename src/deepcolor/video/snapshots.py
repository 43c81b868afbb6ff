"""Frames on their way through a film's pipeline, and how far it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["Coloured", "Shown", "Snapshot", "View"]

View = Callable[[Any, tuple[int, int]], Tensor]
"""A frame and a size, of the frame as it is shown -> (1, h, w) L in [0, 100]."""


@dataclass(frozen=True)
class Shown:
    """A frame on its way.

    Attributes:
        position: in the run, from 0.
        number: in the film.
        frame: what it is painted from.
        views: luminance (1, h, w) at the sizes that the network sees; none if it is known already.
    """

    position: int
    number: int
    frame: Any
    views: dict[tuple[int, int], Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Coloured:
    """A frame, and its colours on a grid over it: ab (2, h, w), luminance (1, h, w)."""

    frame: Any
    ab: Tensor
    luminance: Tensor


@dataclass(frozen=True)
class Snapshot:
    """All that is needed to go on from here.

    Attributes:
        paint: position of the next frame to be painted.
        push: position of the next frame to be predicted; those between wait for being painted.
        tensors: of the stages, by name.
        frame: the next to be painted, if it is here already.
    """

    paint: int = 0
    push: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)
    frame: Any = None

    def of(self, stage: str) -> dict[str, Tensor]:
        """The tensors of one stage."""
        start = f"{stage}."
        found = {k: v for k, v in self.tensors.items() if k.startswith(start)}
        return {k.removeprefix(start): v for k, v in found.items()}
