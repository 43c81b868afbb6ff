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

__all__ = ["Motion", "MotionFinder", "carried", "shrunk"]

Array = NDArray[np.float32]

SMALLEST = 32  # pixels a side that the search needs
WAY_BACK = 0.5  # pixels that a way there and back may miss by, and
WAY_SHARE = 0.05  # of its length, before trust goes down
LIGHTNESS = 2.0  # L that both ends may differ by, or
NOISE = 3.0  # times the median difference, if that is more: old films are grainy; but no more than
ROUGHEST = 8.0  # L
STANDING = 1.0  # pixels; what moves less is looked at for having stood still
STILL = 1.1  # times the difference along the motion that standing still may cost


@cache
def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError(f"steady colours of a film: {needs('video')}") from error
    return cv2


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
        preset: of OpenCV: "ULTRAFAST", "FAST" or "MEDIUM".
    """

    def __init__(self, preset: str = "FAST") -> None:
        cv2 = _cv2()
        if preset not in ("ULTRAFAST", "FAST", "MEDIUM"):
            raise ValueError(f"preset must be ULTRAFAST, FAST or MEDIUM, got {preset!r}")
        self._search = cv2.DISOpticalFlow_create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset}"))

    def between(self, before: Array, after: Array, grid: tuple[int, int]) -> Motion:
        """Motion between two pictures of one shot.

        Args:
            before: (H, W) L in [0, 100].
            after: the same shape.
            grid: rows and columns of the squares to answer for.
        """
        back = self.flow(after, before)
        ahead = self.flow(before, after)
        return Motion(
            **_answer("back", before, after, back, ahead, grid),
            **_answer("ahead", after, before, ahead, back, grid),
        )

    def flow(self, here: Array, there: Array) -> Array:
        """Where each pixel of one picture lies in another.

        Args:
            here: (H, W) L in [0, 100].
            there: the same shape.

        Returns:
            (H, W, 2): columns and rows to add, in pixels.
        """
        cv2 = _cv2()
        height, width = here.shape
        low, high = float(here.min()), float(here.max())
        scale = 255 / max(high - low, 1.0)
        gain = float(here.std()) / max(float(there.std()), 1e-3) if high > low else 1.0
        gain = min(max(gain, 0.5), 2.0)
        like = (there - there.mean()) * gain + here.mean()
        bottom, right = max(0, SMALLEST - height), max(0, SMALLEST - width)
        pair = [
            cv2.copyMakeBorder(
                np.clip((one - low) * scale + 0.5, 0, 255).astype(np.uint8),
                0, bottom, 0, right, cv2.BORDER_REPLICATE,
            )
            for one in (here, like)
        ]  # fmt: skip
        found: Array = self._search.calc(pair[0], pair[1], None)
        return found[:height, :width]


def carried(picture: Array, flow: Array) -> Array:
    """What lies where a flow leads: (h, w, C) and (h, w, 2) columns and rows -> (h, w, C).

    Between squares it is bicubic; beyond the border lies the border.
    """
    cv2 = _cv2()
    moved: Array = cv2.remap(
        picture, _places(flow.shape[0], flow.shape[1]) + flow, None, cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return moved.reshape(picture.shape)


@cache
def _places(height: int, width: int) -> Array:
    """(h, w, 2): column and row of each square."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)


def shrunk(picture: Array, grid: tuple[int, int]) -> Array:
    """Means over the squares of a grid: (H, W) or (H, W, C) -> (h, w) or (h, w, C)."""
    small: Array = _cv2().resize(picture, grid[::-1], interpolation=_cv2().INTER_AREA)
    return small


def _answer(
    name: str, there: Array, here: Array, flow: Array, opposite: Array, grid: tuple[int, int]
) -> dict[str, Array]:
    """Flow from `here` to `there` on the grid, and its trust."""
    height, width = here.shape
    # the way there and back, and where it leads out of the picture
    miss = np.linalg.norm(flow + carried(opposite, flow), axis=-1)
    allowed = WAY_BACK + WAY_SHARE * np.linalg.norm(flow, axis=-1)
    ends = _places(height, width) + flow
    inside = (ends >= -0.5).all(axis=-1) & (ends <= (width - 0.5, height - 0.5)).all(axis=-1)
    way = _trust(miss / allowed) * inside
    # lightness at both ends, along the motion and standing still
    moving = shrunk(carried(there[..., None], flow)[..., 0], grid)
    at_rest, light = shrunk(there, grid), shrunk(here, grid)
    squares = shrunk(flow, grid) * np.float32([grid[1] / width, grid[0] / height])
    difference, standing = _differences(light, moving, at_rest)
    length = shrunk(np.linalg.norm(flow, axis=-1), grid)
    noise = np.float32(np.median(np.minimum(difference, standing)))
    stands = (standing <= STILL * difference + noise) & (length < STANDING)
    squares[stands] = 0
    agree = _trust(np.where(stands, standing, difference) / max(LIGHTNESS, min(NOISE * noise, ROUGHEST)))
    sure = np.where(stands, 1, shrunk(way.astype(np.float32), grid))
    trust = (sure * agree).astype(np.float32)
    return {name: squares.astype(np.float32), f"{name}_trust": trust}


def _differences(light: Array, moving: Array, at_rest: Array) -> tuple[Array, Array]:
    """|L| that the lightness at the other end is off by, for one exposure common to both."""
    gain, offset = _exposure(moving, light)
    return tuple(np.abs(light - gain * other - offset) for other in (moving, at_rest))  # type: ignore[return-value]


def _exposure(dark: Array, light: Array) -> tuple[float, float]:
    """Gain and offset that bring one picture's lightness to another's, whatever moved in it."""
    x, y = dark.ravel().astype(np.float64), light.ravel().astype(np.float64)
    weight = np.ones_like(x)
    gain, offset = 1.0, float(np.median(y - x))
    for _ in range(3):
        error = np.abs(y - gain * x - offset)
        weight = 1 / (1 + (error / max(0.5, 1.5 * float(np.median(error)))) ** 2) ** 2
        total = weight.sum()
        mx, my = (weight * x).sum() / total, (weight * y).sum() / total
        variance = (weight * (x - mx) ** 2).sum() / total
        # a prior of gain 1: a picture without contrast says nothing of its gain
        gain = ((weight * (x - mx) * (y - my)).sum() / total + 1) / (variance + 1)
        gain = float(np.clip(gain, 0.5, 2))
        offset = float(my - gain * mx)
    return gain, offset


def _trust(excess: Array) -> Array:
    """1 up to the tolerance, then falling fast."""
    over = np.maximum(0, excess - 1)
    return np.exp(-(over**2)).astype(np.float32)
