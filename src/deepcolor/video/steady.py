"""Colours of a film that hold from frame to frame, whatever the network said of each frame.

A place's colour is the mean of what was predicted for it: in this frame, in the frames before,
carried along motion for as long as it can be trusted, and in a few frames to come.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepcolor.video.flow import Array, Motion, MotionFinder, around, carried, middle

__all__ = ["Steadier"]

LONGEST = 256.0  # frames that steady=1 takes the mean of
ODDS = 5.0  # CIELAB units that past and future may differ by, or
UNUSUAL = 3.0  # times the median difference, if that is more, before one of them loses weight
SIDES = 3.0  # how soon a frame that is nearer to one of them takes its side
STATE = 1  # version of what `state` gives


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """A frame that waits for those to come."""

    ab: Array  # (h, w, 2)
    keep: Array  # (h, w)
    motion: Motion | None  # from the frame before; None for the first of a shot


class Steadier:
    """Steadies the colours of a film, frame by frame.

    Args:
        steady: from 0, frames as they were predicted, to 1. At 0.5 about 16 frames are taken the
            mean of, at 1 about 256.
        ahead: frames to look ahead: the most that the answer lags behind.
    """

    def __init__(self, steady: float = 0.5, ahead: int = 4) -> None:
        if not 0 <= steady <= 1:
            raise ValueError(f"steady must lie in [0, 1], got {steady}")
        if ahead < 0:
            raise ValueError(f"ahead must be 0 frames or more, got {ahead}")
        self.steady = steady
        self.ahead = ahead
        self._most = np.float32(LONGEST**steady - 1)  # weight of other frames, this one having 1
        self._find = MotionFinder() if steady else None
        self._waiting: list[_Pending] = []
        self._last: Array | None = None  # (H, W), luminance of the newest frame
        # Of the frame returned last: mean ab of the frames so far, and its weight; colours
        # commanded, and how far they hold.
        self._mean: Array | None = None  # (h, w, 2)
        self._weight: Array | None = None  # (h, w)
        self._told: Array | None = None  # (h, w, 2)
        self._holds: Array | None = None  # (h, w)

    @property
    def pending(self) -> int:
        """Frames pushed and not yet returned."""
        return len(self._waiting)

    def push(
        self, luminance: Tensor, ab: Tensor, cut: bool, keep: Tensor | None = None
    ) -> list[Tensor]:
        """Take the next frame.

        Args:
            luminance: (1, H, W) L in [0, 100], at about the size that the network saw.
            ab: (2, h, w) in CIELAB units, on a grid over the picture.
            cut: whether the frame begins a new shot; the first frame does in any case.
            keep: (1, h, w) in [0, 1], how far the frame's colours are commanded: they win over
                what is guessed, and hold until the next cut.

        Returns:
            (2, h, w) each: ab of earlier frames, oldest first, that nothing changes any more.

        Raises:
            ValueError: for shapes that do not fit each other, or those of the frame before.
        """
        self._check(luminance, ab, cut, keep)
        if self._find is None:
            return [ab]
        grid = (ab.shape[-2], ab.shape[-1])
        light = _array(luminance[0])
        told = np.zeros(grid, np.float32) if keep is None else _array(keep[0])
        final = []
        motion = None
        if cut or self._last is None:
            final = self.flush()
        else:
            motion = self._find.between(self._last, light, grid)
        self._last = light
        frame = _Pending(ab=_array(ab.movedim(0, -1)), keep=told, motion=motion)
        self._waiting.append(frame)
        while len(self._waiting) > self.ahead:
            final.append(self._next())
        return [one.to(ab.device) for one in final]

    def flush(self) -> list[Tensor]:
        """The frames that are left; what comes after begins a new shot."""
        final = []
        while self._waiting:
            final.append(self._next())
        self._last = None
        return final

    def state(self) -> dict[str, Tensor]:
        """All that is remembered, as tensors on the CPU; `load` goes on from it exactly."""
        state = {"version": torch.tensor(STATE)}
        for name in ("last", "mean", "weight", "told", "holds"):
            value = getattr(self, f"_{name}")
            if value is not None:
                state[name] = torch.from_numpy(value.copy())
        for number, frame in enumerate(self._waiting):
            state[f"waiting.{number}.ab"] = torch.from_numpy(frame.ab.copy())
            state[f"waiting.{number}.keep"] = torch.from_numpy(frame.keep.copy())
            if frame.motion is not None:
                for name, value in vars(frame.motion).items():
                    state[f"waiting.{number}.motion.{name}"] = torch.from_numpy(value.copy())
        return state

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave, of a Steadier with the same arguments."""
        if "version" not in state or int(state["version"]) != STATE:
            raise ValueError("this is no state of a Steadier of this version of deepcolor")
        for name in ("last", "mean", "weight", "told", "holds"):
            setattr(self, f"_{name}", _array(state[name]) if name in state else None)
        self._waiting = []
        while f"waiting.{len(self._waiting)}.ab" in state:
            start = f"waiting.{len(self._waiting)}."
            moved = start + "motion."
            parts = {k.removeprefix(moved): _array(v) for k, v in state.items() if moved in k}
            self._waiting.append(
                _Pending(
                    ab=_array(state[start + "ab"]),
                    keep=_array(state[start + "keep"]),
                    motion=Motion(**parts) if parts else None,
                )
            )

    def _check(self, luminance: Tensor, ab: Tensor, cut: bool, keep: Tensor | None) -> None:
        fits = luminance.ndim == ab.ndim == 3 and len(luminance) == 1 and len(ab) == 2
        if not fits or (keep is not None and keep.shape != (1, *ab.shape[1:])):
            raise ValueError(
                "a Steadier takes (1, H, W) luminance, (2, h, w) ab and (1, h, w) keep, got"
                f" {tuple(luminance.shape)}, {tuple(ab.shape)} and"
                f" {None if keep is None else tuple(keep.shape)}"
            )
        if self._last is None or cut:
            return
        before = (self._last.shape, self._waiting[-1].ab.shape[:2] if self._waiting else None)
        now = (tuple(luminance.shape[1:]), tuple(ab.shape[1:]))
        if before[0] != now[0] or before[1] not in (None, now[1]):
            raise ValueError(f"frames of one shot have one size: {now} after {before}")

    def _next(self) -> Tensor:
        """The oldest frame that waits, steadied."""
        frame = self._waiting[0]
        to_come, weight_to_come = self._to_come()
        first = frame.motion is None or self._mean is None
        commanded = bool(frame.keep.any()) or not (first or self._holds is None)
        told, holds = np.zeros_like(frame.ab), np.zeros_like(frame.keep)
        if frame.motion is None or self._mean is None:
            mean, weight = np.zeros_like(frame.ab), np.zeros_like(frame.keep)
        else:
            assert self._weight is not None
            mean = carried(self._mean, frame.motion.back)
            weight = carried(self._weight, frame.motion.back)
            trust = frame.motion.back_trust
            weight = np.clip(weight, 0, self._most) * trust
            if self._told is not None and self._holds is not None:
                told = carried(self._told, frame.motion.back)
                # Halves of trust do not wear commands away; but squares that are trusted alone
                # among strangers, which are as light by chance, do not keep them.
                company = np.clip(4 * around(trust) - 1, 0, 1)
                holds = np.clip(carried(self._holds, frame.motion.back), 0, 1)
                holds *= np.minimum(1, 2 * trust) * company
        weight, weight_to_come = _at_odds(frame.ab, mean, weight, to_come, weight_to_come)
        past, future = _twice(weight), _twice(weight_to_come)
        summed = past * mean + frame.ab
        steadied = (summed + future * to_come) / (past + 1 + future)
        self._mean = summed / (past + 1)
        self._weight = weight + 1
        self._told = self._holds = None
        if commanded:  # what is commanded now replaces what was commanded before
            new = _twice(frame.keep)
            self._told = new * frame.ab + (1 - new) * told
            self._holds = frame.keep + (1 - frame.keep) * holds
            held = _twice(self._holds)
            steadied = held * self._told + (1 - held) * steadied
        del self._waiting[0]
        return torch.from_numpy(np.ascontiguousarray(steadied.transpose(2, 0, 1)))

    def _to_come(self) -> tuple[Array, Array]:
        """Mean ab of the frames after the oldest that waits, where its places go, and weight."""
        mean = np.zeros_like(self._waiting[0].ab)
        weight = np.zeros_like(self._waiting[0].keep)
        for frame in reversed(self._waiting[1:]):
            assert frame.motion is not None  # a cut flushes
            past = _twice(weight)
            mean = carried((past * mean + frame.ab) / (past + 1), frame.motion.ahead)
            weight = carried(weight + 1, frame.motion.ahead)
            weight = np.clip(weight, 0, self._most) * frame.motion.ahead_trust
        return mean, weight


def _twice(weight: Array) -> Array:
    """(h, w) -> (h, w, 2)."""
    return np.repeat(weight[..., None], 2, axis=-1)


def _at_odds(
    now: Array, past: Array, weight: Array, future: Array, weight_to_come: Array
) -> tuple[Array, Array]:
    """Weights of past and future where they are at odds: what the frame itself is unlike loses."""
    both = (weight > 0) & (weight_to_come > 0)
    odds = _distance(past, future)
    usual = middle(odds[both]) if both.any() else 0.0
    over = np.maximum(np.float32(0), odds / np.float32(max(ODDS, UNUSUAL * usual)) - np.float32(1))
    agree = np.exp(-np.square(over))
    agree[~both] = 1
    here, there = _distance(now, past), _distance(now, future)
    share = here / np.maximum(here + there, np.float32(1e-6))
    share = np.clip(SIDES * (share - np.float32(0.5)) + np.float32(0.5), 0, 1)
    return weight * (agree + (1 - agree) * (1 - share)), weight_to_come * (
        agree + (1 - agree) * share
    )


def _distance(one: Array, other: Array) -> Array:
    across = one - other
    length: Array = np.hypot(across[..., 0], across[..., 1])
    return length


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())
