"""What a person can tell a colorizer besides the photograph, and its simulation for training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcolor.guidance.drawing import draw
from deepcolor.guidance.hints import Hints
from deepcolor.guidance.kinds import Palette, Reference, Statistics
from deepcolor.guidance.simulation import (
    evaluation_hints,
    hide_statistics,
    measure_statistics,
    simulate_hints,
)
from deepcolor.guidance.sketch import Point, Sketch, Stroke

__all__ = [
    "KINDS",
    "Guidance",
    "Hints",
    "Kind",
    "Palette",
    "Point",
    "Reference",
    "Sketch",
    "Statistics",
    "Stroke",
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

    @classmethod
    def load(cls, path: str | Path, size: tuple[int, int]) -> "Guidance":
        """What a hints.json says; `Sketch` writes one, and reads it as it was said.

        Args:
            path: of the file; a reference's name in it is from its folder.
            size: height and width of the picture as it is shown.

        Raises:
            ValueError: for what is no such file, or not for a picture of that size.
            OSError: if it, or its reference, cannot be read.
        """
        return cls.of_sketch(Sketch.load(path), size, Path(path).parent)

    @classmethod
    def of_sketch(
        cls, sketch: Sketch, size: tuple[int, int] | None, folder: str | Path = ""
    ) -> "Guidance":
        """What a sketch says.

        Args:
            sketch: as it was said.
            size: height and width of the picture; None leaves out what is said of places.
            folder: that the reference's name is from.

        Raises:
            ValueError: for hints outside the picture, or made for one of another size.
            OSError: if the reference cannot be read.
        """
        hints = palette = reference = None
        if size is not None and sketch.has_places:
            if sketch.size is not None and tuple(sketch.size) != tuple(size):
                raise ValueError(
                    f"these hints are for a picture of {sketch.size[1]} x {sketch.size[0]} pixels,"
                    f" this one has {size[1]} x {size[0]} (as it is shown, upright)"
                )
            hints = Hints(*draw(sketch.marks(), size))
        if sketch.palette:
            palette = Palette.from_colors(sketch.palette, strength=sketch.strength)
        if sketch.reference is not None:
            reference = Reference.from_picture(Path(folder) / sketch.reference)
        return cls(hints=hints, palette=palette, reference=reference)

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
