"""Kinds of guidance for whole pictures: each checks, resizes, pads, mirrors and moves itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import colours
from deepcolor.guidance.checks import FARTHEST, Tensors, check_range, shape_of
from deepcolor.guidance.drawing import Color
from deepcolor.images import ImageError

__all__ = ["Palette", "Reference", "Statistics"]

Whole = TypeVar("Whole", bound="_OfWholePictures")
# A reference is grey if not even this share of it has more chroma: JPEG makes 1 or 2 of none.
GREY, GREY_SHARE = 3.0, 0.01
MOST_STRENGTH = 100.0  # of a palette; nothing else is left by then


class _OfWholePictures(Tensors):
    """What says nothing of places: it stays as it is when pictures are resized or mirrored."""

    def resized(self: Whole, size: tuple[int, int]) -> Whole:
        return self

    def padded(self: Whole, bottom: int, right: int) -> Whole:
        return self

    def mirrored(self: Whole) -> Whole:
        return self


@dataclass(frozen=True)
class Reference(Tensors):
    """A colour picture to take the colours from, as a whole or from swatches to swatches.

    Args:
        lab: (B, 3, H, W) CIELAB, of any size.
        swatches: (B, 1, H, W), which swatch each of its pixels is of: 1, 2, ...; 0 for none.
        places: (B, 1, h, w), the same of the picture to colour: swatch 1 takes its colours from
            swatch 1 of the reference. Given together, or neither.
    """

    lab: Tensor
    swatches: Tensor | None = None
    places: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        batch, channels, height, width = shape_of("reference.lab", self.lab)
        if channels != 3:
            raise ValueError(f"a reference needs lab (B, 3, H, W), got {tuple(self.lab.shape)}")
        if (self.swatches is None) != (self.places is None):
            raise ValueError(
                "swatches of a reference and their places in the picture go together: give both"
            )
        if self.swatches is None or self.places is None:
            return
        if shape_of("reference.swatches", self.swatches) != (batch, 1, height, width):
            raise ValueError(
                f"swatches of {tuple(self.lab.shape)} lab need {(batch, 1, height, width)}, got"
                f" {tuple(self.swatches.shape)}"
            )
        if shape_of("reference.places", self.places)[1] != 1:
            raise ValueError(f"places of swatches need (B, 1, h, w), got {self.places.shape}")

    @classmethod
    def from_picture(cls, image: Any) -> "Reference":
        """A reference from any picture that `colorize` takes.

        Raises:
            ImageError: for a picture that cannot be read, or is grey.
        """
        lab, name = colours.reference_lab(image)
        reference = cls(lab)
        try:
            reference.check_values()
        except ValueError as error:
            raise ImageError(f"{name}: {error}") from error
        return reference

    def check_values(self) -> None:
        """Refuse numbers that are no colours, with a ValueError: NaN, infinity, far out of range.

        A grey reference too, and swatches that only one of the two pictures has. Not asked for in
        training, where each look at a tensor's values makes a GPU wait.
        """
        check_range("reference.lab", self.lab, -FARTHEST, FARTHEST)
        for number, chroma in enumerate(self.lab[:, 1:].float().norm(dim=1).flatten(1)):
            if not bool((chroma > GREY).float().mean() > GREY_SHARE):
                raise ValueError(
                    f"reference {number} is grey: it has no colours to give (chroma of at most"
                    f" {float(chroma.max()):.2g} CIELAB units nearly everywhere); give a picture in"
                    " colour"
                )
        if self.swatches is None or self.places is None:
            return
        for swatches, places in zip(*self._together(self.swatches, self.places), strict=True):
            here, there = (set(x[x > 0].unique().tolist()) for x in (places, swatches))
            if here != there or not here:
                raise ValueError(
                    f"the picture has swatches {sorted(here)}, the reference {sorted(there)}: they"
                    " must be the same, and at least one"
                )

    @staticmethod
    def _together(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        most = max(len(one), len(other))
        return one.expand(most, -1, -1, -1), other.expand(most, -1, -1, -1)

    def check(self, luminance: Tensor) -> None:
        """Refuse a reference for another batch, or places for another size; one serves all."""
        if len(self.lab) not in (1, len(luminance)):
            raise ValueError(f"{len(self.lab)} references do not fit a batch of {len(luminance)}")
        if self.places is None:
            return
        size = luminance.shape[-2:]
        if len(self.places) not in (1, len(luminance)) or self.places.shape[-2:] != size:
            raise ValueError(
                f"places of swatches for {tuple(luminance.shape)} luminance need"
                f" {(len(luminance), 1, *size)}, got {tuple(self.places.shape)}"
            )

    def resized(self, size: tuple[int, int]) -> "Reference":
        """For pictures of another size: places are read at the middles of the new pixels."""
        return self._placed(lambda places: F.interpolate(places, size=size, mode="nearest-exact"))

    def padded(self, bottom: int, right: int) -> "Reference":
        """For pictures with so many rows and columns more, as the last ones."""
        return self._placed(lambda places: F.pad(places, (0, right, 0, bottom), mode="replicate"))

    def mirrored(self) -> "Reference":
        """With left and right swapped, as the picture that it stands beside."""
        swatches = None if self.swatches is None else self.swatches.flip(-1)
        places = None if self.places is None else self.places.flip(-1)
        return Reference(self.lab.flip(-1), swatches, places)

    def to(self, device: torch.device) -> "Reference":
        """On a device."""
        swatches = None if self.swatches is None else self.swatches.to(device)
        places = None if self.places is None else self.places.to(device)
        return Reference(self.lab.to(device), swatches, places)

    def _placed(self, change: Callable[[Tensor], Tensor]) -> "Reference":
        return self if self.places is None else replace(self, places=change(self.places.float()))


@dataclass(frozen=True)
class Palette(_OfWholePictures):
    """The colours that a picture is to have.

    Args:
        ab: (B, N, 2), in CIELAB units.
        weights: (B, N), how much of each, summing to 1; None for no preference.
        strength: how far it bends what a model says, 0 or more: 0 says nothing, 1 brings nearly
            all colours to the palette's.
    """

    ab: Tensor
    weights: Tensor | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ab.ndim != 3 or self.ab.shape[2] != 2 or not self.ab.shape[1]:
            raise ValueError(f"a palette needs ab (B, N, 2), got {tuple(self.ab.shape)}")
        if not isinstance(self.strength, Real) or not 0 <= self.strength <= MOST_STRENGTH:
            raise ValueError(
                f"the strength of a palette must be 0 (none) to {MOST_STRENGTH:g}, 1 as usual; got"
                f" {self.strength!r}"
            )
        if self.weights is not None and self.weights.shape != self.ab.shape[:2]:
            raise ValueError(
                f"a palette needs weights {tuple(self.ab.shape[:2])}, got"
                f" {tuple(self.weights.shape)}"
            )

    @classmethod
    def from_colors(
        cls,
        colors: Sequence[Color] | str,
        weights: Sequence[float] | None = None,
        strength: float = 1.0,
    ) -> "Palette":
        """A palette of colours, of which the ab at their own lightness counts.

        Greys count too: what is to stay grey beside them needs one in the palette.

        Args:
            colors: as of `Hints.from_points`; or all in one string, between commas.
            weights: how much of each, 0 or more; of any sum.
            strength: as of `Palette`.

        Raises:
            ValueError, TypeError: for no colours, or what is none.
        """
        return cls(*colours.of_colors(colors, weights), strength)

    @classmethod
    def from_picture(cls, image: Any, n: int = 8, strength: float = 1.0) -> "Palette":
        """The main colours of a picture, by k-means of its ab, weighted by their areas.

        Args:
            image: any picture that `colorize` takes.
            n: how many colours, 1 to 256; fewer if it has no more.
            strength: as of `Palette`.
        """
        return cls(*colours.of_picture(image, n), strength)

    @classmethod
    def from_histogram(
        cls, histogram: Any, centres: Any = None, strength: float = 1.0
    ) -> "Palette":
        """The bins that a histogram has, weighted by their shares.

        Args:
            histogram: (Q,) of any sum.
            centres: (Q, 2) ab of the bins; those of `AbQuantizer.gamut313` when None.
            strength: as of `Palette`.
        """
        return cls(*colours.of_histogram(histogram, centres), strength)

    def check_values(self) -> None:
        """Refuse numbers that are no colours, with a ValueError: NaN, infinity, far out of range.

        Not asked for in training, where each look at a tensor's values makes a GPU wait.
        """
        check_range("palette.ab", self.ab, -FARTHEST, FARTHEST)
        if self.weights is not None:
            check_range("palette.weights", self.weights, 0, 1)

    def check(self, luminance: Tensor) -> None:
        """Refuse a palette for another batch; one serves all pictures."""
        if len(self.ab) not in (1, len(luminance)):
            raise ValueError(f"{len(self.ab)} palettes do not fit a batch of {len(luminance)}")

    def to(self, device: torch.device) -> "Palette":
        """On a device."""
        weights = None if self.weights is None else self.weights.to(device)
        return Palette(self.ab.to(device), weights, self.strength)


@dataclass(frozen=True)
class Statistics(_OfWholePictures):
    """Colour statistics wanted over the whole picture (Zhang et al. 2017, section 3.3).

    Args:
        histogram: (B, Q), the share of each ab bin, summing to 1. None, or a row of NaN for one
            picture, says nothing about it.
        saturation: (B, 1), the mean HSV saturation in [0, 1]; None or NaN likewise.
    """

    histogram: Tensor | None = None
    saturation: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.histogram is not None and self.histogram.ndim != 2:
            raise ValueError(f"a histogram needs (B, Q), got {tuple(self.histogram.shape)}")
        if self.saturation is not None and (
            self.saturation.ndim != 2 or self.saturation.shape[1] != 1
        ):
            raise ValueError(f"saturation needs (B, 1), got {tuple(self.saturation.shape)}")

    def check_values(self) -> None:
        """Refuse numbers that are no colours, with a ValueError: NaN, infinity, far out of range.

        Not asked for in training, where each look at a tensor's values makes a GPU wait.
        """
        for name in ("histogram", "saturation"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value.nan_to_num(nan=0.0), 0, 1)  # NaN says nothing

    def check(self, luminance: Tensor) -> None:
        """Refuse statistics for another batch."""
        for name in ("histogram", "saturation"):
            value = getattr(self, name)
            if value is not None and len(value) != len(luminance):
                raise ValueError(
                    f"{name} is for {len(value)} pictures, the batch has {len(luminance)}"
                )

    def to(self, device: torch.device) -> "Statistics":
        """On a device."""
        both = (self.histogram, self.saturation)
        return Statistics(*(None if value is None else value.to(device) for value in both))
