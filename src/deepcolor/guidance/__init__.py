"""What a person can tell a colorizer besides the photograph, and its simulation for training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from deepcolor.guidance.hints import Hints
from deepcolor.guidance.kinds import Palette, Reference, Statistics
from deepcolor.guidance.simulation import (
    evaluation_hints,
    hide_statistics,
    measure_statistics,
    simulate_hints,
)

__all__ = [
    "KINDS",
    "Guidance",
    "Hints",
    "Kind",
    "Palette",
    "Reference",
    "Statistics",
    "evaluation_hints",
    "hide_statistics",
    "measure_statistics",
    "simulate_hints",
]

Kind = Hints | Palette | Reference | Statistics


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """All that a person can say besides the photograph, together; each may be left out.

    Where `guidance` is asked for, one kind alone is short for this: Hints(...) for
    Guidance(hints=Hints(...)).

    Attributes:
        hints: colours at places.
        palette: colours to use.
        reference: a picture to take colours from.
        statistics: of the colours of the whole picture.
    """

    hints: Hints | None = None
    palette: Palette | None = None
    reference: Reference | None = None
    statistics: Statistics | None = None

    @classmethod
    def of(cls, given: "Guidance | Kind | None") -> "Guidance":
        """What was said, in full.

        Raises:
            TypeError: for anything else; the message names the kinds.
        """
        if given is None or isinstance(given, Guidance):
            return given or cls()
        for name, kind in KINDS.items():
            if isinstance(given, kind):
                alone: dict[str, Any] = {name: given}
                return cls(**alone)
        kinds = ", ".join(kind.__name__ for kind in KINDS.values())
        raise TypeError(
            f"guidance must be a Guidance or one of {kinds}, got a {type(given).__name__}; a list"
            " of them goes with a list of pictures"
        )

    @property
    def kinds(self) -> frozenset[str]:
        """Names of what is said."""
        return frozenset(name for name in KINDS if getattr(self, name) is not None)

    def check(self, luminance: Tensor) -> None:
        """Refuse, with a ValueError, what does not fit (B, 1, H, W) luminance."""
        for name in self.kinds:
            getattr(self, name).check(luminance)

    def check_values(self) -> None:
        """Refuse, with a ValueError, numbers that are no colours."""
        for name in self.kinds:
            getattr(self, name).check_values()

    def resized(self, size: tuple[int, int]) -> "Guidance":
        """For pictures of another size."""
        return self._each(lambda kind: kind.resized(size))

    def padded(self, bottom: int, right: int) -> "Guidance":
        """For pictures that were padded by repeating their last rows and columns."""
        return self._each(lambda kind: kind.padded(bottom, right))

    def mirrored(self) -> "Guidance":
        """For pictures whose left and right were swapped."""
        return self._each(lambda kind: kind.mirrored())

    def to(self, device: torch.device) -> "Guidance":
        """On a device."""
        return self._each(lambda kind: kind.to(device))

    def _each(self, change: Callable[[Any], Any]) -> "Guidance":
        return replace(self, **{name: change(getattr(self, name)) for name in self.kinds})


KINDS: dict[str, type[Kind]] = {
    "hints": Hints,
    "palette": Palette,
    "reference": Reference,
    "statistics": Statistics,
}
