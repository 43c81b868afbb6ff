"""Kinds of guidance: each checks, resizes, pads, mirrors and moves itself."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Hints", "Palette", "Reference", "Statistics", "shape_of"]

Whole = TypeVar("Whole", bound="_OfWholePictures")
FARTHEST = 256.0  # CIELAB units: twice what files of CIELAB hold
# A reference is grey if not even this share of it has more chroma: JPEG makes 1 or 2 of none.
GREY, GREY_SHARE = 3.0, 0.01


class _Tensors:
    """Takes NumPy arrays where tensors are meant; they are tensors from then on."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # the kinds are dataclasses
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


@dataclass(frozen=True)
class Hints(_Tensors):
    """Local colour hints (Zhang et al. 2017): the chroma wanted at some pixels.

    Args:
        ab: (B, 2, H, W), in CIELAB units; 0 where the mask is 0.
        mask: (B, 1, H, W), 1 where a hint is given, 0 elsewhere; what lies between counts less.

    NumPy arrays of these shapes are taken too, as by the other kinds.
    """

    ab: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        batch, channels, height, width = shape_of("hints.ab", self.ab)
        if channels != 2 or shape_of("hints.mask", self.mask) != (batch, 1, height, width):
            raise ValueError(
                "hints need ab (B, 2, H, W) and mask (B, 1, H, W),"
                f" got {tuple(self.ab.shape)} and {tuple(self.mask.shape)}"
            )

    def check_values(self) -> None:
        """Refuse numbers that are no colours, with a ValueError: NaN, infinity, far out of range.

        Not asked for in training, where each look at a tensor's values makes a GPU wait.
        """
        check_range("the mask of hints", self.mask, 0, 1)
        picture, _, row, column = self.mask.nonzero(as_tuple=True)
        check_range("hints.ab", self.ab[picture, :, row, column], -FARTHEST, FARTHEST)

    def check(self, luminance: Tensor) -> None:
        """Refuse hints of another batch, height or width than (B, 1, H, W) luminance."""
        wanted = (len(luminance), 1, *luminance.shape[-2:])
        if self.mask.shape != wanted:
            raise ValueError(
                f"hints for {tuple(luminance.shape)} luminance need a mask"
                f" {wanted}, got {tuple(self.mask.shape)}"
            )

    def resized(self, size: tuple[int, int]) -> "Hints":
        """Bring them to another size and lose none, not even one of a single pixel.

        Where pictures shrink, each pixel falls into one square of the new grid; a square's mask is
        the largest of its pixels', its ab the mean over those with hints, weighted by their masks.
        Where they grow, the nearest pixel fills the square.

        Args:
            size: height and width wanted.

        Example:
            >>> one = torch.zeros(1, 1, 8, 8)
            >>> one[..., 5, 2] = 1
            >>> Hints(40 * one.expand(1, 2, 8, 8), one).resized((2, 2)).ab[0, 0].tolist()
            [[0.0, 0.0], [40.0, 0.0]]
        """
        ab, mask = self.ab.float(), self.mask.float()
        if mask.shape[-2:] == size:
            return Hints(ab, mask)
        height, width = (max(sides) for sides in zip(mask.shape[-2:], size, strict=True))
        if mask.shape[-2:] != (height, width):
            ab, mask = (
                F.interpolate(x, size=(height, width), mode="nearest-exact") for x in (ab, mask)
            )
        picture, _, row, column = mask.nonzero(as_tuple=True)  # hints are few: no full-size tensors
        weight = mask[picture, 0, row, column]
        colour = ab[picture, :, row, column] * weight[:, None]  # (N, 2)
        row = (2 * row + 1) * size[0] // (2 * height)  # where the middle of the pixel falls
        column = (2 * column + 1) * size[1] // (2 * width)
        square = (picture * size[0] + row) * size[1] + column
        squares = len(mask) * size[0] * size[1]
        total = weight.new_zeros(squares).index_add_(0, square, weight)
        most = weight.new_zeros(squares).scatter_reduce_(0, square, weight, "amax")
        sums = weight.new_zeros(squares, 2).index_add_(0, square, colour)
        mean = torch.where(total[:, None] > 0, sums / total[:, None], 0.0)
        return Hints(mean.view(len(mask), *size, 2).movedim(-1, 1), most.view(len(mask), 1, *size))

    def padded(self, bottom: int, right: int) -> "Hints":
        """With so many rows and columns more, as the last ones."""
        ab, mask = (F.pad(x, (0, right, 0, bottom), mode="replicate") for x in (self.ab, self.mask))
        return Hints(ab, mask)

    def mirrored(self) -> "Hints":
        """With left and right swapped."""
        return Hints(self.ab.flip(-1), self.mask.flip(-1))

    def to(self, device: torch.device) -> "Hints":
        """On a device."""
        return Hints(self.ab.to(device), self.mask.to(device))


class _OfWholePictures(_Tensors):
    """What says nothing of places: it stays as it is when pictures are resized or mirrored."""

    def resized(self: Whole, size: tuple[int, int]) -> Whole:
        return self

    def padded(self: Whole, bottom: int, right: int) -> Whole:
        return self

    def mirrored(self: Whole) -> Whole:
        return self


@dataclass(frozen=True)
class Reference(_Tensors):
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
    """

    ab: Tensor
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ab.ndim != 3 or self.ab.shape[2] != 2 or not self.ab.shape[1]:
            raise ValueError(f"a palette needs ab (B, N, 2), got {tuple(self.ab.shape)}")
        if self.weights is not None and self.weights.shape != self.ab.shape[:2]:
            raise ValueError(
                f"a palette needs weights {tuple(self.ab.shape[:2])}, got"
                f" {tuple(self.weights.shape)}"
            )

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
        return Palette(self.ab.to(device), weights)


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
