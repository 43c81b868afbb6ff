"""Chroma from the network's grid to full size, along the edges of the luminance.

Within a few of the network's squares colour changes with lightness or not at all: a red coat before
a grey wall. So chroma is written as a line in luminance, ab = slope L + offset, fitted around each
square; slope and offset are smooth, are enlarged smoothly, and the full-size luminance draws the
edges. It is the guided filter (He, Sun and Tang 2010; upsampling as in He and Sun 2015) with two
changes that benchmarks/images.py measures: the offsets keep what the line does not explain, and the
grid is sharpened first so that the means over its squares survive the enlargement.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["ChromaField", "upsample_chroma"]

RADIUS = 1  # of the window of the line, in squares
# Added to the variance of L in the window: contrasts well under 14 L do not bend chroma.
VARIANCE = 200.0
CUBIC = -0.75  # Keys' parameter, as torch and OpenCV have it
# Means over squares of a bicubic enlargement: the cubic's integrals over the squares around.
BICUBIC_MEANS = (-0.0195, 0.0937, 0.8516, 0.0937, -0.0195)
BAND = 64  # rows that are read at once
SHARPENING = 2  # steps of the fixed-point iteration that undoes them


class ChromaField:
    """Chroma of one picture, ready to be read at any of its pixels.

    Args:
        ab: (2, h, w), means over the squares of a grid that covers the picture exactly.
        luminance: (1, h, w) L in [0, 100], means over the same squares.
        size: height and width of the picture.
        edges: follow the edges of the luminance; plain bicubic enlargement if not.
    """

    def __init__(
        self, ab: Tensor, luminance: Tensor, size: tuple[int, int], edges: bool = True
    ) -> None:
        self.size = size
        self.device = ab.device
        edges = edges and ab.shape[-2:] != size  # a grid of the picture's pixels stands as it is
        # (4, h, w): slopes of a and b on L, then the offsets
        self.lines = _lines(ab, luminance) if edges else torch.cat([torch.zeros_like(ab), ab])
        self._columns = self._rows = slice(0, 0)
        self._wide = self._weights = self.lines
        self._first = 0

    def in_f(self) -> "ChromaField":
        """The same, with lines in CIELAB's f: a / 500 and -b / 200 on f(Y), for `compose`."""
        other = copy.copy(self)
        slopes, offsets = self.lines[:2], self.lines[2:]
        share = slopes.new_tensor([1 / 500, -1 / 200]).view(2, 1, 1)
        # L = 116 f(Y) - 16
        other.lines = torch.cat([116 * share * slopes, share * (offsets - 16 * slopes)])
        other._columns = other._rows = slice(0, 0)
        return other

    def prepare(self, rows: slice) -> None:
        """Make ready for tiles out of these rows; it saves a third of the time of small tiles."""
        self._first, self._weights = _bicubic(_centres(rows, self), self.size[0], self.lines.mT)
        self._rows = rows

    def read(self, rows: slice, columns: slice) -> Tensor:
        """Slopes and offsets at the pixels of a tile: (4, R, C), slopes of a and b first.

        Reading tiles of the same columns one after the other is cheapest.
        """
        if columns != self._columns:
            first, weights = _bicubic(_centres(columns, self), self.size[1], self.lines)
            band = self.lines[:, :, first : first + weights.shape[1]]
            wide = torch.matmul(band, weights.T).transpose(0, 1)  # (h, 4, C)
            self._wide, self._columns = wide.reshape(len(wide), -1), columns
        if rows.start < self._rows.start or rows.stop > self._rows.stop:
            self.prepare(rows)
        weights = self._weights[rows.start - self._rows.start : rows.stop - self._rows.start]
        tile = torch.matmul(weights, self._wide[self._first : self._first + weights.shape[1]])
        return tile.view(len(weights), 4, -1).transpose(0, 1)

    def read_at(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Slopes and offsets where the given rows and columns cross: (4, R, C), as `read`.

        Args:
            rows: (R,) rising, in pixels from the upper edge: the middle of the first is 0.5.
            columns: (C,) likewise, from the left edge.
        """
        first, across = _bicubic(columns, self.size[1], self.lines)
        wide = torch.matmul(self.lines[:, :, first : first + across.shape[1]], across.T)
        first, down = _bicubic(rows, self.size[0], self.lines.mT)
        wide = wide[:, first : first + down.shape[1]]
        out = wide.new_empty(4, len(rows), len(columns))
        for start in range(0, len(rows), BAND):  # each band needs a few rows of squares only
            band = slice(start, start + BAND)
            used = down[band].any(0).nonzero()
            near = slice(int(used[0]), int(used[-1]) + 1)
            torch.matmul(down[band, near], wide[:, near], out=out[:, band])
        return out


def _centres(span: slice, field: ChromaField) -> Tensor:
    return torch.arange(span.start, span.stop, device=field.device) + 0.5


def _bicubic(at: Tensor, full: int, lines: Tensor) -> tuple[int, Tensor]:
    """Weights of bicubic enlargement (Keys 1981) along the last axis of the lines.

    Args:
        at: (pixels,) rising places, in pixels of `full`.
        full: pixels along the axis.
        lines: (..., squares).

    Returns:
        The first of k squares that the places need, and (pixels, k) weights.
    """
    coarse = lines.shape[-1]
    at = at * (coarse / full) - 0.5
    nearest = torch.stack([at.floor() + step for step in (-1, 0, 1, 2)], dim=1)
    distance = (at[:, None] - nearest).abs()
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance.square() + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * CUBIC
    squares = nearest.long().clamp(0, coarse - 1)  # beyond the border, the border
    first = int(squares[0, 0])
    weights = lines.new_zeros(len(at), int(squares[-1, -1]) + 1 - first)
    return first, weights.scatter_add_(1, squares - first, torch.where(distance <= 1, near, far))


def upsample_chroma(
    ab: Tensor, luminance: Tensor, edges: bool = True, means: Tensor | None = None
) -> Tensor:
    """Enlarge chroma to the size of the luminance, along its edges.

    Args:
        ab: (B, 2, h, w) in CIELAB units, of a grid that covers the picture.
        luminance: (B, 1, H, W) L in [0, 100].
        edges: False for plain bicubic enlargement.
        means: (B, 1, h, w), the luminance on the grid; its means over the squares when None.

    Returns:
        (B, 2, H, W) ab, in CIELAB units; may leave the sRGB gamut.

    Raises:
        ValueError: for shapes that do not fit each other.
    """
    if ab.ndim != 4 or luminance.ndim != 4 or ab.shape[:2] != (len(luminance), 2):
        raise ValueError(
            "upsample_chroma takes (B, 2, h, w) ab and (B, 1, H, W) luminance,"
            f" got {tuple(ab.shape)} and {tuple(luminance.shape)}"
        )
    height, width = luminance.shape[-2:]
    if means is None:
        means = F.interpolate(luminance.float(), size=ab.shape[-2:], mode="area")
    out = []
    for chroma, coarse, full in zip(ab.float(), means, luminance.float(), strict=True):
        field = ChromaField(chroma, coarse, (height, width), edges)
        lines = field.read(slice(0, height), slice(0, width))
        out.append(lines[:2] * full + lines[2:])
    return torch.stack(out)


def _lines(ab: Tensor, luminance: Tensor) -> Tensor:
    """(2, h, w) ab and (1, h, w) L -> (4, h, w): slopes of a and b on L, then the offsets."""
    ab, luminance = ab[None], luminance[None]
    mean = _box(luminance)
    variance = _box(luminance.square()) - mean.square()
    covariance = _box(ab * luminance) - _box(ab) * mean
    slopes = _box(covariance / (variance + VARIANCE))
    return torch.cat([slopes, _sharpen(ab) - slopes * _sharpen(luminance)], dim=1)[0]


def _box(x: Tensor) -> Tensor:
    """Mean over the window around each square."""
    x = F.pad(x, (RADIUS,) * 4, mode="replicate")
    return F.avg_pool2d(x, 2 * RADIUS + 1, stride=1)


def _sharpen(x: Tensor) -> Tensor:
    """Values whose bicubic enlargement has the means x over the squares."""
    weights = x.new_tensor(BICUBIC_MEANS)
    kernel = torch.outer(weights, weights).expand(x.shape[1], 1, -1, -1)
    y = x
    for _ in range(SHARPENING):
        around = F.pad(y, (2,) * 4, mode="replicate")
        y = y + (x - F.conv2d(around, kernel, groups=x.shape[1]))
    return y
