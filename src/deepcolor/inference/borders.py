"""Uniform borders, mounts and album pages, and flat grey cards, which are to stay without colour.

A network colours them like sky or earth: there is nothing in them to see. They are recognised by
luminance alone, and only by what photographs hardly show: evenness along whole sides of the
picture, of one lightness, with something straight-edged inside, or over all of the picture. A sky
touches sides too, but what stands before it is no rectangle.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deepcolor.guidance import Hints
from deepcolor.pixels import f_luminance, shrink
from deepcolor.upsample import ChromaField

__all__ = ["BorderedField", "colour_shares"]

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]

SIDE = 512  # longest side at which borders are looked for, in pixels
CELLS = 64  # pieces that each side is read in; grain averages out in them
EVEN = 4.0  # in L: how far pieces of a side may lie from its median
LIKE = 6.0  # in L: how far two sides may lie apart, and a border's pixels from their plane
FLAT = 2.5  # in L: how far the pixels of a grey card may lie from their plane
SPECKS = 0.01  # of a row: dust, scratches and grain that a border may show
LEAST = 0.01  # of the picture: smaller things on a page are captions and corners
STRAIGHT = 0.4, 0.5  # share of a picture's side that lies on a line: least, and mean
EARLIEST = 35  # percent of a side that the line is drawn by
NEAR = 1.5  # in pixels: how far from a line its points may lie
TILT = 0.08  # slope of a side that is no longer a tilted picture's: 4.6 degrees
SIDES = ("top", "bottom", "left", "right")
TURNS = 1, -1, -1, 1  # which way these lean in a tilted picture, looked at as below
LOOKS: tuple[Callable[[Mask], Mask], ...] = (  # views of a mask whose rows begin at that side
    lambda mask: mask.T,
    lambda mask: mask[::-1].T,
    lambda mask: mask,
    lambda mask: mask[:, ::-1],
)


class BorderedField(ChromaField):
    """Chroma of which only a share is kept, different from place to place.

    Args:
        ab, luminance, size, edges: as of `ChromaField`.
        share: (h, w) in [0, 1], over the whole picture.
    """

    def __init__(
        self,
        ab: Tensor,
        luminance: Tensor,
        size: tuple[int, int],
        edges: bool,
        share: Tensor,
    ) -> None:
        super().__init__(ab, luminance, size, edges)
        self.share = share

    def read(self, rows: slice, columns: slice) -> Tensor:
        """As `ChromaField.read`."""
        part = self.share
        for span, full, axis in ((rows, self.size[0], 0), (columns, self.size[1], 1)):
            small = self.share.shape[axis]
            at = torch.arange(span.start, span.stop, device=self.device) + 0.5
            at = (at * (small / full) - 0.5).clamp(0, small - 1)
            first = at.long().clamp(max=max(0, small - 2))
            between = (at - first).view((-1, 1) if axis == 0 else (1, -1))
            part = torch.lerp(
                part.index_select(axis, first),
                part.index_select(axis, (first + 1).clamp(max=small - 1)),
                between,
            )
        return super().read(rows, columns).mul_(part)


def colour_shares(pixels: Tensor, hints: Hints | None, device: torch.device) -> list[Tensor | None]:
    """What share of its chroma each place of each picture is to keep.

    Args:
        pixels: (B, 1 | 3, H, W), as `f_luminance` takes them.
        hints: of the pictures; where they give colour to a border there is none.
        device: where to work.

    Returns:
        (h, w) of each picture, 0 in borders and 1 elsewhere, or None where all keep all.
    """
    shares = []
    for number, one in enumerate(pixels):
        share = _share(one, device)
        if share is not None and hints is not None:
            own = Hints(hints.ab[number : number + 1], hints.mask[number : number + 1])
            hinted = own.resized((share.shape[0], share.shape[1])).mask[0, 0].to(device) > 0
            share = None if bool((share[hinted] < 1).any()) else share
        shares.append(share)
    return shares


def _share(pixels: Tensor, device: torch.device) -> Tensor | None:
    even = _even_sides(pixels, device)
    if not even:
        return None
    height, width = pixels.shape[-2:]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(scale * height)), max(1, round(scale * width)))
    lightness = F.avg_pool2d(
        F.pad(shrink(pixels, size, device)[None], (1, 1, 1, 1), mode="replicate"), 3, 1
    )[0, 0]
    off = np.abs(_off_plane(lightness.cpu().double().numpy(), even))
    if len(even) == 4 and (off > FLAT).mean() <= SPECKS / 10:
        return torch.zeros(size, device=device)
    far = off > LIKE
    boxes = [box for box in _boxes(far) if far[box].size >= LEAST * far.size]
    kept = np.zeros(size, np.float32)
    for box in boxes:
        shape = _picture(far, box, even)
        if shape is None:  # not a picture on a page: all of it is one picture
            return None
        kept[box] = shape
    return torch.from_numpy(kept).to(device) if boxes and not kept.all() else None


def _even_sides(pixels: Tensor, device: torch.device) -> set[str]:
    """Sides of one lightness: all, three, or two that face each other; else none."""
    height, width = pixels.shape[-2:]
    deep = max(1, min(height, width) // 256)
    strips = (
        pixels[:, :deep],
        pixels[:, height - deep :],
        pixels[..., :deep].mT,
        pixels[..., width - deep :].mT,
    )
    level = {}
    for side, strip in zip(SIDES, strips, strict=True):
        along = (116 * f_luminance(strip.to(device)) - 16).mean(dim=0)
        pieces = F.adaptive_avg_pool1d(along[None], min(CELLS, len(along)))[0]
        middle = float(pieces.median())
        if float(((pieces - middle).abs() <= EVEN).float().mean()) >= 1 - 2 / CELLS:
            level[side] = middle
    for wanted in (SIDES, *(set(SIDES) - {side} for side in SIDES), SIDES[:2], SIDES[2:]):
        known = [level[side] for side in wanted if side in level]
        if len(known) == len(wanted) and max(known) - min(known) <= LIKE:
            return set(wanted)
    return set()


def _off_plane(lightness: NDArray[np.float64], even: set[str]) -> NDArray[np.float64]:
    """How far each pixel lies from the plane through the even sides: light falls off slowly."""
    height, width = lightness.shape
    on = np.zeros((height, width), bool)
    on[0] |= "top" in even
    on[-1] |= "bottom" in even
    on[:, 0] |= "left" in even
    on[:, -1] |= "right" in even
    row, column = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(row), row, column], axis=-1)
    weights, *_ = np.linalg.lstsq(terms[on], lightness[on], rcond=None)
    off: NDArray[np.float64] = lightness - terms @ weights
    return off


def _boxes(far: Mask, top: int = 0, left: int = 0) -> Iterator[Box]:
    """Cut what differs from the border into rectangles, at rows and columns that do not."""
    for axis in (0, 1):
        runs = _runs(far.mean(axis=1 - axis) > SPECKS)
        if not runs:
            return
        if len(runs) > 1 or runs[0] != (0, far.shape[axis]):
            for start, stop in runs:
                if axis == 0:
                    yield from _boxes(far[start:stop], top + start, left)
                else:
                    yield from _boxes(far[:, start:stop], top, left + start)
            return
    yield slice(top, top + far.shape[0]), slice(left, left + far.shape[1])


def _runs(line: Mask) -> list[tuple[int, int]]:
    """Starts and stops of what is true."""
    steps = np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))
    return [(int(a), int(b)) for a, b in steps.reshape(-1, 2)]


def _picture(far: Mask, box: Box, even: set[str]) -> Mask | None:
    """Where in a box there is a picture, upright or a little tilted; None for another shape."""
    inside = far[box]
    rows, columns = box
    ends = (rows.start, rows.stop - far.shape[0], columns.start, columns.stop - far.shape[1])
    # Where a picture goes on beyond the scan there is no side to look at.
    seen = [n for n in range(4) if ends[n] != 0 or SIDES[n] in even]
    first = {n: LOOKS[n](inside).argmax(axis=1) for n in seen}
    if _is_straight([np.abs(first[n]) for n in seen]):
        return np.ones_like(inside)
    if len(seen) < 4:
        return None
    slope = float(np.median([turn * _slope(first[n]) for n, turn in enumerate(TURNS)]))
    if abs(slope) > TILT:
        return None
    kept = np.ones_like(inside)
    off = []
    for n, turn in enumerate(TURNS):
        line = turn * slope * np.arange(len(first[n]))
        line += np.percentile(first[n] - line, EARLIEST)
        off.append(np.abs(first[n] - line))
        view = LOOKS[n](kept)
        view[np.arange(view.shape[1]) < line[:, None] - 0.5] = False
    return kept if _is_straight(off) else None


def _is_straight(off: list[NDArray[Any]]) -> bool:
    """Whether enough of each side lies near its line."""
    on = [float((side <= NEAR).mean()) for side in off]
    return min(on) >= STRAIGHT[0] and float(np.mean(on)) >= STRAIGHT[1]


def _slope(first: NDArray[np.int64]) -> float:
    """Of a side, from where each row first differs from the border.

    What differs too little is missed, and found further in: the earliest count.
    """
    third = max(1, len(first) // 3)
    early, late = (np.percentile(part, EARLIEST) for part in (first[:third], first[-third:]))
    return float(late - early) / max(1, len(first) - third)
