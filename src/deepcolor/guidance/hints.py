"""Hints: colours at places."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import drawing
from deepcolor.guidance.checks import FARTHEST, Tensors, check_range, shape_of

__all__ = ["Hints"]


@dataclass(frozen=True)
class Hints(Tensors):
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

    @classmethod
    def from_points(cls, points: Iterable[Any], size: tuple[int, int]) -> "Hints":
        """Hints at places of one picture as it is shown, upright.

        A hint's ab is that of its colour at the colour's own lightness; the picture keeps its
        lightness, and where sRGB cannot show that ab there, it is drawn in towards grey.

        Args:
            points: (x, y, color) or (x, y, color, radius) of each, in pixels from the top left
                pixel, (0, 0). A radius of 0 is the pixel alone. Colours: #rgb, #rrggbb, names of
                CSS, (r, g, b) of 0 to 255. The later wins where two overlap, with a warning.
            size: height and width of the picture.

        Raises:
            ValueError, TypeError: for no points, one outside the picture, or no colour.

        Example:
            >>> Hints.from_points([(1, 0, "#f00")], (2, 3)).mask.tolist()
            [[[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]]
        """
        return cls(*drawing.points(points, size))

    @classmethod
    def from_lines(cls, lines: Iterable[Any], size: tuple[int, int]) -> "Hints":
        """As `from_points`, along lines.

        Args:
            lines: (points, color) or (points, color, width) of each; points are (x, y), joined by
                straight lines; the width is 1 pixel or more, and 1 unless given.
            size: height and width of the picture.
        """
        return cls(*drawing.lines(lines, size))

    @classmethod
    def from_strokes(
        cls, image: Any, photograph: Any = None, tolerance: int = drawing.TOLERANCE
    ) -> "Hints":
        """Hints where somebody painted: an overlay, or a painted copy of the photograph.

        Args:
            image: any picture that `colorize` takes. With transparent pixels it is an overlay: what
                is at least half opaque is a hint. Without, it is a painted copy.
            photograph: that it is for. An overlay of another size is resized to the photograph's;
                without a photograph its hints have its own size. A painted copy needs it.
            tolerance: of 255; pixels of a copy that differ by more from the photograph's, in red,
                green or blue, are hints.

        Raises:
            ImageError: for nothing painted, another aspect, a copy of another size.
        """
        ab, mask, full = drawing.strokes(image, photograph, tolerance)
        return cls(ab, mask).resized(full)

    def over(self, below: "Hints") -> "Hints":
        """These hints, and others of the same size where these say nothing."""
        said = self.mask > 0
        ab = torch.where(said, self.ab.float(), below.ab.float())
        return Hints(ab, torch.where(said, self.mask.float(), below.mask.float()))

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
