"""Motion between two pictures of a film, and how far it can be trusted, on the grid of a network.

Dense inverse search (Kroeger et al. 2016), as OpenCV has it, both ways. A place is trusted where
the way there and back ends where it began, and where both ends are as light as each other once a
change of exposure, common to the whole picture, is taken out.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepcolor.extras import needs

__all__ = ["Motion", "MotionFinder", "around", "carried", "cv2", "middle", "shrunk"]

Array = NDArray[np.float32]

SMALLEST = 32  # pixels a side that the search needs
WAY_BACK = 0.25  # half pixels that a way there and back may miss by, and
WAY_SHARE = 0.05  # of its length, before trust goes down
LIGHTNESS = 2.0  # L that both ends may differ by, or
NOISE = 3.0  # times the median difference, if that is more: old films are grainy; but no more than
ROUGHEST = 8.0  # L
STANDING = 1.0  # pixels; what moves less is looked at for having stood still
STILL = 1.1  # times the difference along the motion that standing still may cost


@cache
def cv2() -> Any:
    """OpenCV, with one thread."""
    try:
        import cv2 as found
    except ImportError as error:
        raise ImportError(f"finding motion in films {needs('video')}") from error
    # pictures this small are slower in threads; and the caller's own threads run beside
    found.setNumThreads(1)
    return found


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How things moved from one picture of a film, `before`, to the next, `after`.

    Attributes:
        back: (h, w, 2) where each square of `after` was: columns and rows to add, in squares.
        ahead: (h, w, 2) where each square of `before` went.
        back_trust: (h, w) how far `back` can be trusted, in [0, 1].
        ahead_trust: (h, w), of `ahead`.
    """

    back: Array
    ahead: Array
    back_trust: Array
    ahead_trust: Array


class MotionFinder:
    """Finds motion between small luminance pictures; each thread needs its own.

    Args:
        preset: of OpenCV: "ULTRAFAST", "FAST" or "MEDIUM". The slower ones steady no better: at the
            size that networks see, ULTRAFAST loses no motion, and its edges are sharper.
    """

    def __init__(self, preset: str = "ULTRAFAST") -> None:
        if preset not in ("ULTRAFAST", "FAST", "MEDIUM"):
            raise ValueError(f"preset must be ULTRAFAST, FAST or MEDIUM, got {preset!r}")
        self._search = cv2().DISOpticalFlow_create(
            getattr(cv2(), f"DISOPTICAL_FLOW_PRESET_{preset}")
        )

    def between(self, before: Array, after: Array, grid: tuple[int, int]) -> Motion:
        """Motion between two pictures of one shot.

        Args:
            before: (H, W) L in [0, 100].
            after: the same shape.
            grid: rows and columns of the squares to answer for.
        """
        before, after, back, ahead = self._halves(before, after, grid)
        squares, trust = _answer(before, after, back, ahead, grid)
        squares_ahead, trust_ahead = _answer(after, before, ahead, back, grid)
        return Motion(back=squares, ahead=squares_ahead, back_trust=trust, ahead_trust=trust_ahead)

    def back(self, before: Array, after: Array, grid: tuple[int, int]) -> tuple[Array, Array]:
        """`back` and `back_trust` of `between` alone: two thirds of the time."""
        return _answer(*self._halves(before, after, grid), grid)

    def _halves(
        self, before: Array, after: Array, grid: tuple[int, int]
    ) -> tuple[Array, Array, Array, Array]:
        """Both pictures and the flow between them, back and ahead, at half the size."""
        flows = [self.flow(after, before), self.flow(before, after)]
        # the search ends at a quarter of the size: halves hold all that it says
        size = (max(grid[0], before.shape[0] // 2), max(grid[1], before.shape[1] // 2))
        share = np.array([size[1] / before.shape[1], size[0] / before.shape[0]], np.float32)
        back, ahead = (shrunk(flow, size) * share for flow in flows)
        return shrunk(before, size), shrunk(after, size), back, ahead

    def flow(self, here: Array, there: Array) -> Array:
        """Where each pixel of one picture lies in another.

        Args:
            here: (H, W) L in [0, 100].
            there: the same shape.

        Returns:
            (H, W, 2): columns and rows to add, in pixels.
        """
        height, width = here.shape
        low, high = float(here.min()), float(here.max())
        scale = 255 / max(high - low, 1.0)
        gain = float(here.std()) / max(float(there.std()), 1e-3) if high > low else 1.0
        gain = min(max(gain, 0.5), 2.0)
        like = (there - there.mean()) * gain + here.mean()
        bottom, right = max(0, SMALLEST - height), max(0, SMALLEST - width)
        pair = [
            cv2().copyMakeBorder(
                np.clip((one - low) * scale + 0.5, 0, 255).astype(np.uint8),
                0, bottom, 0, right, cv2().BORDER_REPLICATE,
            )
            for one in (here, like)
        ]  # fmt: skip
        found: Array = self._search.calc(pair[0], pair[1], None)
        return found[:height, :width]


def carried(picture: Array, flow: Array) -> Array:
    """What lies where a flow leads: (h, w, C) and (h, w, 2) columns and rows -> (h, w, C).

    Between squares it is bicubic; beyond the border lies the border.
    """
    return _moved(picture, flow, cv2().INTER_CUBIC).reshape(picture.shape)


def _moved(picture: Array, flow: Array, between: int | None = None) -> Array:
    moved: Array = cv2().remap(
        picture, _places(flow.shape[0], flow.shape[1]) + flow, None,
        cv2().INTER_LINEAR if between is None else between, borderMode=cv2().BORDER_REPLICATE,
    )  # fmt: skip
    return moved


@cache
def _places(height: int, width: int) -> Array:
    """(h, w, 2): column and row of each square."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def shrunk(picture: Array, grid: tuple[int, int]) -> Array:
    """Means over the squares of a grid: (H, W) or (H, W, C) -> (h, w) or (h, w, C)."""
    small: Array = cv2().resize(picture, grid[::-1], interpolation=cv2().INTER_AREA)
    return small


def around(trust: Array) -> Array:
    """Mean over the 5 x 5 squares around each: (h, w) -> (h, w)."""
    mean: Array = cv2().blur(trust, (5, 5), borderType=cv2().BORDER_REPLICATE)
    return mean


def _answer(
    there: Array, here: Array, flow: Array, opposite: Array, grid: tuple[int, int]
) -> tuple[Array, Array]:
    """Flow from `here` to `there` on the grid, and its trust; all but the grid of one size."""
    height, width = here.shape
    # the way there and back, and where it leads out of the picture
    to, fro = cv2().split(flow), cv2().split(_moved(opposite, flow))
    # not cv2.magnitude, whose last digits change from run to run
    length = np.sqrt(to[0] * to[0] + to[1] * to[1])
    miss = np.sqrt(np.square(to[0] + fro[0]) + np.square(to[1] + fro[1]))
    way = _trust(miss / (WAY_BACK + WAY_SHARE * length))
    for axis, (side, step) in enumerate(zip((width, height), to, strict=True)):
        end = _places(height, width)[..., axis] + step
        way[(end < -0.5) | (end > side - 0.5)] = 0
    # lightness at both ends, along the motion and standing still
    moving = shrunk(_moved(there, flow), grid)
    at_rest, light = shrunk(there, grid), shrunk(here, grid)
    squares = shrunk(flow, grid)
    difference, standing = _differences(light, moving, at_rest)
    noise = middle(np.minimum(difference, standing))
    stands = (standing <= STILL * difference + noise) & (shrunk(length, grid) < STANDING)
    squares *= np.array([grid[1] / width, grid[0] / height], np.float32)
    squares[stands] = 0
    allowed = max(LIGHTNESS, min(NOISE * noise, ROUGHEST))
    off = np.where(stands, standing, difference).astype(np.float32)
    trust = _trust(off / np.float32(allowed))
    trust *= np.where(stands, np.float32(1), shrunk(way, grid))
    return squares, trust


def _differences(light: Array, *others: Array) -> list[Array]:
    """|L| that other pictures' lightness is off by, for one exposure common to all squares."""
    gain, offset = _exposure(others[0], light)
    return [np.abs(light - np.float32(gain) * other - np.float32(offset)) for other in others]


def _exposure(dark: Array, light: Array) -> tuple[float, float]:
    """Gain and offset that bring one picture's lightness to another's, whatever moved in it."""
    x, y = dark.ravel().astype(np.float64), light.ravel().astype(np.float64)
    gain, offset = 1.0, middle(y - x)
    for _ in range(3):
        error = y - gain * x - offset
        weight = error / max(0.5, 1.5 * middle(np.abs(error)))
        weight = 1 / np.square(1 + np.square(weight))
        total = weight.sum()
        mx, my = weight @ x / total, weight @ y / total
        dx = x - mx
        weight *= dx
        # a prior of gain 1: a picture without contrast says nothing of its gain
        gain = (weight @ (y - my) / total + 1) / (weight @ dx / total + 1)
        gain = min(max(float(gain), 0.5), 2.0)
        offset = float(my - gain * mx)
    return gain, offset


def middle(values: NDArray[Any]) -> float:
    """The median, the upper one of two; numpy's own takes many times as long."""
    values = values.ravel()
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


def _trust(excess: Array) -> Array:
    """1 up to the tolerance, then falling fast."""
    over = np.maximum(np.float32(0), excess - np.float32(1))
    trust: Array = np.exp(-np.square(over))
    return trust
