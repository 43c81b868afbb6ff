"""How to treat a film, and what became of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepcolor.inference.options import check_count

__all__ = ["FilmOptions", "FilmResult", "FilmStoppedError", "Tell"]

STRETCH = 256  # frames: some ten seconds of film, half a minute of work on two cores

Tell = Callable[[int, int | None], object]
"""Told of frames done, and of how many there are, about; None where nobody knows."""


class FilmStoppedError(RuntimeError):
    """Told to stop; what was finished is kept."""


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """How to colour a film; checked at once.

    Attributes:
        steady: from 0, every frame by itself, to 1.
        codec: of the result; None for the one that its suffix suggests.
        crf: quality of the codec, lower is better; None for its own.
        start, end: seconds of the film between which frames are coloured; None for all.
        every: colour only every Nth frame, for a draft.
        deinterlace: make whole frames of interlaced ones.
        stretch: frames after which a run can be resumed.
    """

    steady: float = 0.5
    codec: str | None = None
    crf: int | None = None
    start: float | None = None
    end: float | None = None
    every: int = 1
    deinterlace: bool = False
    stretch: int = STRETCH

    def __post_init__(self) -> None:
        if not 0 <= self.steady <= 1:
            raise ValueError(f"steady must lie in [0, 1], got {self.steady}")
        check_count("every", self.every, 1)
        check_count("stretch", self.stretch, 1)
        if self.crf is not None:
            check_count("crf", self.crf, 0)
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 seconds or more, got {value}")
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError(f"end, {self.end} s, must come after start, {self.start or 0} s")


@dataclass(frozen=True)
class FilmResult:
    """What became of a film.

    Attributes:
        path: of the result: a file, or a folder of frames.
        frames: written, those of runs that were resumed included.
        seconds: that this run took.
        fps: frames a second of this run.
        remarks: what a person should know.
    """

    path: Path
    frames: int
    seconds: float
    fps: float
    remarks: tuple[str, ...]
