"""Levels of any bit depth, and what white is where a file does not say so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcolor.images.decoding import remark
from deepcolor.images.picture import ImageError

__all__ = ["WHITES", "Deep", "bands", "divided", "rescaled", "white_of"]

WHITES = (1.0, 255.0, 65535.0)  # what white may be in floats
DUST = 1e-3  # of white: float dust of resizing, clipped without a word
NEAR = 0.05  # of white: out of range by less is clipped, with a warning
FEW = 1e-3  # of the values: so few may lie out of range by up to white itself
DARKEST = 0.1  # of white: a picture with nothing brighter does not say what white is
LIT = 0.25  # of floats that must exceed a smaller white before a larger one is believed
BAND_VALUES = 1 << 18


@dataclass(frozen=True)
class Deep:
    """The pixels of a file that PIL would cut to 8 bits, or cannot hold.

    Attributes:
        values: (H, W, 1) grey or (H, W, 3) RGB, uint8, uint16 or float32; (H, W, 4) CMYK, uint8.
        alpha: (H, W) of the same dtype, not multiplied into `values`; None if there is none.
        white: in floats, of `values` and `alpha`.
    """

    values: np.ndarray[Any, Any]
    alpha: np.ndarray[Any, Any] | None = None
    white: float = 1.0

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> "Deep":
        """From (H, W) or (H, W, 1 to 4) integers; a second or fourth channel is alpha."""
        planes = array[..., None] if array.ndim == 2 else array
        if planes.shape[2] in (2, 4):
            return cls(planes[..., :-1], np.ascontiguousarray(planes[..., -1]))
        return cls(planes)


def white_of(values: np.ndarray[Any, Any], name: str, whites: Sequence[float] = WHITES) -> float:
    """Which of several whites a picture is scaled to, the least first.

    It is the least that no value exceeds by more than 5 %, or that 0.1 % of the values at most
    exceed, by no more than white itself; what is out of range, above or below, is to be clipped,
    and a warning says so. A larger white than the least needs a pixel of a tenth of it, and a
    quarter of the values above the next smaller one (of integers, which have no light sources
    beyond white, 0.1 %): bright spots tell nothing.

    Raises:
        ImageError: for NaN and infinity, and for a range that does not say what white is.
    """
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name} holds NaN or infinity; replace them first")

    def share(out: np.ndarray[Any, Any]) -> float:
        return float(np.count_nonzero(out)) / values.size

    smaller, enough = 0.0, LIT if values.dtype.kind == "f" else FEW
    for white in whites:
        fits = high <= (1 + NEAR) * white or (high <= 2 * white and share(values > white) <= FEW)
        if not fits:
            smaller = white
            continue
        lit = not smaller or (
            high >= DARKEST * white and share(values > (1 + NEAR) * smaller) > enough
        )
        floor = low >= -NEAR * white or (low >= -white and share(values < 0) <= FEW)
        if not (lit and floor and high >= 0):
            break
        if low < -DUST * white or high > (1 + DUST) * white:
            outside = share(values < 0) + share(values > white)
            remark(
                f"{name}: values reach from {low:.4g} to {high:.4g}; {outside:.2g} of them lie"
                f" out of [0, {white:.10g}] and are clipped"
            )
        return white
    known = ", ".join(f"{white:.10g}" for white in whites)
    raise ImageError(
        f"{name}: values lie in [{low:.4g}, {high:.4g}], which does not say what white is; scale"
        f" them so that black is 0 and white one of {known}"
    )


def rescaled(values: np.ndarray[Any, Any], white: int) -> np.ndarray[Any, Any]:
    """Whole levels of [0, white], clipped, as uint8 if white is at most 255, else uint16; rounded.

    Args:
        values: integers of any shape.
        white: 2^bits - 1 for a file of so many bits.
    """
    full = 255 if white <= 255 else 65535
    out = np.empty(values.shape, dtype=np.uint8 if full == 255 else np.uint16)
    for rows, to in bands(values, out):
        to[...] = rows.clip(0, white) if white == full else _rounded(rows * (full / white), full)
    return out


def divided(values: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any], white: float) -> None:
    """Undo, in place, that colours were multiplied by alpha (TIFF 6.0, associated alpha).

    Args:
        values: (H, W, C) levels of [0, white]; 0 where alpha is 0.
        alpha: (H, W) of the same levels.
        white: of both.
    """
    for rows, cover in bands(values, alpha):
        part = cover[..., None].astype(np.float64)
        whole = np.divide(rows * white, part, out=np.zeros(rows.shape), where=part > 0)
        rows[...] = whole.clip(0, white) if rows.dtype.kind == "f" else _rounded(whole, white)


def _rounded(values: np.ndarray[Any, Any], full: float) -> np.ndarray[Any, Any]:
    result: np.ndarray[Any, Any] = np.rint(values).clip(0, full)
    return result


def bands(*arrays: np.ndarray[Any, Any]) -> Any:
    """The same rows of each, so many at a time that temporary copies stay small."""
    rows = max(1, BAND_VALUES // max(1, arrays[0][:1].size))
    for top in range(0, len(arrays[0]), rows):
        yield tuple(array[top : top + rows] for array in arrays)
