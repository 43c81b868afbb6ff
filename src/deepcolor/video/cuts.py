"""Where a film's shots begin, from luminance alone.

A frame continues a shot if motion explains it: most of its places are found in the frame before, by
the way there and back and with like lightness, once a change of exposure is taken out. So pans,
things that cross the picture, jitter of exposure and grain make no cuts, as they do where
histograms or pixels are compared (PySceneDetect's detectors do). What its adaptive detector has is
here as well: where frames have been hard to explain for a while, more is asked of a cut. And a
frame is compared with some before the last one too, so that a flash is not taken for two cuts.
"""

import math

import numpy as np
import torch
from torch import Tensor

from deepcolor.video.flow import Array, MotionFinder, carried, shrunk

__all__ = ["CutFinder"]

SIDE = 110  # pixels, of a square as large as what is looked at
GRID = 28  # squares a side, of a square grid
BLANK = 2.5  # L; pictures of less contrast show nothing: black, white, fades that are over
NEW = 0.78  # how new a frame must be to begin a shot; pairs of photographs have 0.86 to 1.8
UNLIKE = 0.5  # weight of how unlike the light is along the motion
CUSTOM = 0.35  # how much the newness of the frames before adds to what is asked
SLOW = 0.2  # weight of the newest frame in what is customary
REMEMBERED = 4  # frames that a new one is compared with


class CutFinder:
    """Finds cuts, frame by frame. Dissolves are none: their colours change as their light does.

    Example:
        >>> finder = CutFinder()
        >>> frame = torch.rand(1, 96, 128) * 100
        >>> [finder.push(frame), finder.push(frame)]
        [True, False]
    """

    def __init__(self) -> None:
        self._find = MotionFinder("ULTRAFAST")
        self._seen: list[Array] = []  # (h, w) each, the newest last; blank ones are left out
        self._custom = 0.0  # newness, as frames of this shot have it
        self._began = False

    def push(self, luminance: Tensor) -> bool:
        """Take the next frame.

        Args:
            luminance: (1, H, W) L in [0, 100], of any size from that of the network up.

        Returns:
            Whether the frame begins a shot; the first does, and blank ones never do after it.

        Raises:
            ValueError: for another shape.
        """
        if luminance.ndim != 3 or len(luminance) != 1:
            raise ValueError(f"a CutFinder takes (1, H, W) luminance, got {tuple(luminance.shape)}")
        picture = _small(luminance)
        first, self._began = not self._began, True
        if float(picture.std()) < BLANK:
            return first
        cut = bool(self._seen) and not self._continues(picture)
        if cut:
            self._custom = 0.0
        self._seen = [*self._seen, picture][-REMEMBERED:]
        return first or cut

    def state(self) -> dict[str, Tensor]:
        """All that is remembered, as tensors on the CPU; `load` goes on from it exactly."""
        state = {f"seen.{i}": torch.from_numpy(one.copy()) for i, one in enumerate(self._seen)}
        state["custom"] = torch.tensor(self._custom, dtype=torch.float64)
        state["began"] = torch.tensor(self._began)
        return state

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        if "began" not in state or "custom" not in state:
            raise ValueError("this is no state of a CutFinder")
        self._began = bool(state["began"])
        self._custom = float(state["custom"])
        pictures = sum(name.startswith("seen.") for name in state)
        self._seen = [state[f"seen.{i}"].cpu().numpy().copy() for i in range(pictures)]

    def _continues(self, picture: Array) -> bool:
        """Whether the frames before explain a picture."""
        for number, before in enumerate(reversed(self._seen)):
            if before.shape != picture.shape:
                return False
            new = self._newness(before, picture)
            if new < NEW + CUSTOM * self._custom:
                if number == 0:
                    self._custom += SLOW * (new - self._custom)
                return True
        return False

    def _newness(self, before: Array, after: Array) -> float:
        """Share of `after` that motion from `before` leaves open, and how unlike its light is."""
        height, width = after.shape
        unit = math.sqrt(height * width) / GRID
        grid = (max(1, round(height / unit)), max(1, round(width / unit)))
        back, trust = self._find.back(before, after, grid)
        was = carried(shrunk(before, grid)[..., None], back).ravel().astype(np.float64)
        now = shrunk(after, grid).ravel().astype(np.float64)
        was, now = was - was.mean(), now - now.mean()
        size = math.sqrt(float((was @ was) * (now @ now)))
        alike = float(was @ now) / size if size else 0.0
        return 1 - float(trust.mean()) + UNLIKE * (1 - alike)


def _small(luminance: Tensor) -> Array:
    height, width = luminance.shape[-2:]
    scale = min(1.0, SIDE / math.sqrt(height * width))
    picture: Array = luminance[0].detach().cpu().float().contiguous().numpy()
    return shrunk(picture, (max(1, round(height * scale)), max(1, round(width * scale))))
