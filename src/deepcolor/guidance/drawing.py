"""Hints from what people draw: points, lines, an overlay, a painted copy."""

import math
import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from deepcolor import images
from deepcolor.color import rgb_to_lab

__all__ = [
    "Color", "Mark", "chroma_of", "draw", "line", "lines", "point", "points", "strokes", "unit",
]  # fmt: skip

Color = str | Sequence[int]
"""A colour as people write it: #rgb, #rrggbb, a name of CSS, or red, green, blue of 0 to 255."""

TOLERANCE = 24  # of 255: what JPEG changes about a pixel; paint changes more
OPAQUE = 128  # of 255: alpha from which on a pixel of an overlay is painted
SAME_ASPECT = 0.02  # how far the aspects of overlay and photograph may differ, as a share
COLORS = "colours are written as #rgb, #rrggbb, a name of CSS (teal), or (r, g, b) of 0 to 255"


class Mark(NamedTuple):
    """One colour along a path of pixels, ready to be drawn.

    Attributes:
        path: (x, y) of pixels, the top left one being (0, 0); one alone is a dot.
        color: as people write it.
        reach: pixels, from the middle of the path's pixels to the middle of the farthest drawn.
        name: what to call it in messages.
    """

    path: tuple[tuple[int, int], ...]
    color: Color
    reach: float
    name: str


def unit(pixels: Tensor) -> Tensor:
    """(..., 3, H, W) of uint8, uint16 or [0, 1] as float32 in [0, 1]; grey gets three channels."""
    top = {torch.uint8: 255, torch.uint16: 65535}.get(pixels.dtype, 1)
    wide = [3 if n == pixels.ndim - 3 else -1 for n in range(pixels.ndim)]
    return (pixels.float() / top).clamp(0, 1).expand(*wide)


def rgb_of(color: Color) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour as people write it.

    Raises:
        ValueError, TypeError: for what is no colour; the message says how they are written.
    """
    numbers: tuple[Any, ...]
    if isinstance(color, str):
        try:
            numbers = ImageColor.getrgb(color.strip())
        except ValueError as error:
            raise ValueError(f"no colour: {color!r}; {COLORS}") from error
        if len(numbers) != 3:
            raise ValueError(f"{color!r} has an alpha, which hints and palettes have not; {COLORS}")
    else:
        numbers = tuple(color) if isinstance(color, (Sequence, np.ndarray)) else ()
        if len(numbers) != 3 or not all(isinstance(n, Integral) for n in numbers):
            raise TypeError(f"no colour: {color!r}; {COLORS}")
        if not all(0 <= n <= 255 for n in numbers):
            raise ValueError(f"{tuple(numbers)} leaves 0 to 255; {COLORS}")
    red, green, blue = (int(n) for n in numbers)
    return red, green, blue


def chroma_of(colors: Sequence[Color]) -> Tensor:
    """The ab of colours, each at its own lightness: (N, 2), in CIELAB units."""
    rgb = torch.tensor([rgb_of(one) for one in colors], dtype=torch.float32).reshape(-1, 3)
    return rgb_to_lab(rgb.T[:, None] / 255)[1:, 0].T


def point(given: Any, name: str) -> Mark:
    """A dot from (x, y, color) or (x, y, color, radius)."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) not in (3, 4):
        raise TypeError(f"{name} must be (x, y, color) or (x, y, color, radius), got {given!r}")
    radius = _length(given[3] if len(given) == 4 else 0, name, "radius", 0)
    return Mark((_place(given[:2], name),), given[2], radius, name)


def line(given: Any, name: str) -> Mark:
    """A stroke from (points, color) or (points, color, width)."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) not in (2, 3):
        raise TypeError(f"{name} must be (points, color) or (points, color, width), got {given!r}")
    path = tuple(_place(one, name) for one in given[0])
    if not path:
        raise ValueError(f"{name} has no points; one gives a dot, two and more a line")
    width = _length(given[2] if len(given) == 3 else 1, name, "width", 1)
    return Mark(path, given[1], width / 2, name)


def points(given: Iterable[Any], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """As `Hints.from_points`: ab and mask."""
    return draw([point(one, f"point {n}") for n, one in enumerate(given, start=1)], size)


def lines(given: Iterable[Any], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """As `Hints.from_lines`: ab and mask."""
    return draw([line(one, f"line {n}") for n, one in enumerate(given, start=1)], size)


def draw(marks: Sequence[Mark], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Marks as ab and mask of a picture, (1, 2, H, W) and (1, 1, H, W); later ones win.

    Args:
        marks: at least one, each with its path inside the picture.
        size: height and width of the picture.

    Raises:
        ValueError: for a path that leaves the picture, and for no marks.

    Warns:
        UserWarning: of marks of different colours at one pixel.
    """
    height, width = _checked_size(size)
    if not marks:
        raise ValueError("no hints: give at least one, or no guidance at all")
    for mark in marks:
        for x, y in mark.path:
            if not (0 <= x < width and 0 <= y < height):
                raise ValueError(
                    f"{mark.name} at x = {x}, y = {y} lies outside the picture, which is {width} x"
                    f" {height} pixels: x goes from 0 to {width - 1}, y from 0 to {height - 1}"
                )
    chroma = chroma_of([mark.color for mark in marks])
    owner = np.zeros((height, width), np.int32)  # the number of the mark, from 1
    covered: dict[tuple[int, int], int] = {}
    for number, mark in enumerate(marks, start=1):
        corner, inside = _footprint(mark, height, width)
        window = owner[corner][inside]
        for below in np.unique(window[window > 0]):
            if not torch.equal(chroma[below - 1], chroma[number - 1]):
                covered[int(below), number] = int((window == below).sum())
        owner[corner][inside] = number
    if covered:
        (below, above), count = next(iter(covered.items()))
        more = f", and so do {len(covered) - 1} more pairs" if len(covered) > 1 else ""
        warnings.warn(
            f"{marks[below - 1].name} and {marks[above - 1].name} give {count} pixel"
            f"{'s' * (count > 1)} different colours: the later one wins{more}",
            stacklevel=4,
        )
    which = torch.from_numpy(owner).long()
    table = torch.cat([torch.zeros(1, 2), chroma])
    return table[which].permute(2, 0, 1)[None], (which > 0).float()[None, None]


def _footprint(mark: Mark, height: int, width: int) -> tuple[tuple[slice, slice], Any]:
    """The window of a mark in the picture, and which of its pixels are drawn.

    The tests are exact, in whole numbers but for the reach: mirrored marks draw mirrored pixels.
    """
    far = min(mark.reach, height + width)
    reach, square = math.floor(far), far**2

    def window(*ends: tuple[int, int]) -> tuple[int, int, int, int]:
        xs, ys = zip(*ends, strict=True)
        left, top = max(0, min(xs) - reach), max(0, min(ys) - reach)
        return left, top, min(width, max(xs) + reach + 1), min(height, max(ys) + reach + 1)

    left, top, right, bottom = window(*mark.path)
    inside = np.zeros((bottom - top, right - left), bool)
    for (ax, ay), (bx, by) in pairwise(mark.path if mark.path[1:] else mark.path * 2):
        x0, y0, x1, y1 = window((ax, ay), (bx, by))
        y, x = np.ogrid[y0:y1, x0:x1]
        dx, dy = bx - ax, by - ay
        along = (x - ax) * dx + (y - ay) * dy
        across = (x - ax) * dy - (y - ay) * dx
        length = dx * dx + dy * dy
        near = across**2 <= square * length
        near &= (along >= 0) & (along <= length) & (length > 0)
        for px, py in ((ax, ay), (bx, by)):
            near |= (x - px) ** 2 + (y - py) ** 2 <= square
        inside[y0 - top : y1 - top, x0 - left : x1 - left] |= near
    return (slice(top, bottom), slice(left, right)), inside


def strokes(image: Any, photograph: Any, tolerance: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """As `Hints.from_strokes`: ab and mask of the image's size, and the photograph's size."""
    over = images.read_colours(image)
    alpha = _alpha(over)
    see_through = alpha is not None and bool((alpha < OPAQUE).any())
    under = None if photograph is None else images.read_colours(photograph)
    for picture in (over, under):
        if picture is not None and (len(picture.pixels) != 1 or not picture.pixels.numel()):
            raise images.ImageError(f"{picture.name} must be one picture, with pixels")
    if under is None and not see_through:
        raise images.ImageError(
            f"{over.name} has no transparent pixels: an overlay is transparent where nothing is"
            " painted; for a painted copy give the photograph too"
        )
    size = (over.pixels.shape[-2], over.pixels.shape[-1])
    full = size if under is None else (under.pixels.shape[-2], under.pixels.shape[-1])
    _check_aspect(over.name, size, full)
    rgb = unit(over.pixels)
    if see_through:
        assert alpha is not None
        mask = (alpha >= OPAQUE).float()[None, None]
    else:
        assert under is not None
        if size != full:
            raise images.ImageError(
                f"{over.name} is {size[1]} x {size[0]}, the photograph {full[1]} x {full[0]}: a"
                " painted copy is compared pixel by pixel and must have the photograph's size"
                " (an overlay with transparency need not)"
            )
        apart = (rgb - unit(under.pixels)).abs().amax(dim=1, keepdim=True)
        mask = (apart * 255 > tolerance).float()
    if not bool(mask.any()):
        what = "nothing is opaque" if see_through else "it nowhere differs from the photograph"
        raise images.ImageError(f"{over.name} holds no strokes: {what}")
    return rgb_to_lab(rgb)[:, 1:] * mask, mask, full


def _alpha(picture: images.Picture) -> Tensor | None:
    """(H, W) alpha in 0 to 255, of what the picture gives back with one; None without."""
    plain = torch.zeros(1, 3, *picture.pixels.shape[-2:], dtype=picture.depth)
    back = picture.give_back(plain) if len(picture.pixels) == 1 else None
    if isinstance(back, Image.Image):
        found = np.asarray(back.getchannel("A")) if back.mode == "RGBA" else None
        return None if found is None else torch.from_numpy(found.astype(np.float32))
    if isinstance(back, np.ndarray):
        back = torch.from_numpy(np.ascontiguousarray(back)).permute(2, 0, 1)
    if back is None or back.shape[-3] != 4:
        return None
    top = {torch.uint8: 255, torch.uint16: 65535}.get(back.dtype, 1)
    return back[..., 3, :, :].reshape(plain.shape[-2:]).float() * (255 / top)


def _check_aspect(name: str, size: tuple[int, int], full: tuple[int, int]) -> None:
    apart = abs(math.log(size[0] * full[1] / (size[1] * full[0])))
    if apart > SAME_ASPECT + max(1 / side for side in (*size, *full)):
        raise images.ImageError(
            f"{name} is {size[1]} x {size[0]}, the photograph {full[1]} x {full[0]} (as shown,"
            " upright): another size of the same aspect is resized, another aspect does not fit"
        )


def _checked_size(size: Any) -> tuple[int, int]:
    both = isinstance(size, Sequence) and len(size) == 2
    if not both or not all(isinstance(side, int) and side > 0 for side in size):
        raise TypeError(f"size must be height and width in pixels, as (480, 640); got {size!r}")
    return int(size[0]), int(size[1])


def _place(given: Any, name: str) -> tuple[int, int]:
    """The pixel that a place lies in: x, then y."""
    pair = isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2
    if not pair or not all(isinstance(n, Real) and math.isfinite(n) for n in given):
        raise TypeError(f"{name} needs x and y, numbers of pixels; got {given!r}")
    return math.floor(given[0]), math.floor(given[1])


def _length(given: Any, name: str, what: str, least: float) -> float:
    if not isinstance(given, Real) or not math.isfinite(given) or given < least:
        raise ValueError(f"the {what} of {name} must be {least} pixels or more, got {given!r}")
    return float(given)
