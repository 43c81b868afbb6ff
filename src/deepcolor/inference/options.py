"""How to colour: what the public calls ask for, checked once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["QUALITIES", "Options", "Quality", "QualityName"]

QualityName = Literal["fast", "balanced", "best"]


@dataclass(frozen=True)
class Quality:
    """What a name of quality means; benchmarks/images.py measures each.

    Attributes:
        scales: working sizes, as shares of the model's; chroma is averaged over them.
        flips: whether chroma is also averaged with that of the mirrored picture.
        edges: whether chroma follows the edges of the full-size luminance.
    """

    scales: tuple[float, ...]
    flips: bool
    edges: bool


QUALITIES: Mapping[str, Quality] = {
    "fast": Quality(scales=(0.75,), flips=False, edges=False),
    "balanced": Quality(scales=(1.0,), flips=False, edges=True),
    "best": Quality(scales=(1.0, 1.5), flips=True, edges=True),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The controls of `colorize`: how to colour.

    Attributes:
        quality: a name in QUALITIES.
        size: side that the network works at, in pixels; None for the model's own.
        temperature: of the annealed mean, in [0, 1]; None for the model's own.
        saturation: chroma is multiplied by it.

    Raises:
        ValueError: for a control out of range; the message says what would work.
    """

    quality: str = "balanced"
    size: int | None = None
    temperature: float | None = None
    saturation: float = 1.0

    def __post_init__(self) -> None:
        if self.quality not in QUALITIES:
            raise ValueError(
                f"no quality named {self.quality!r}; there are: {', '.join(QUALITIES)}"
            )
        if self.size is not None and self.size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {self.size}")
        if self.temperature is not None and not 0 <= self.temperature <= 1:
            raise ValueError(f"temperature must lie in [0, 1], got {self.temperature}")
        if not (math.isfinite(self.saturation) and self.saturation >= 0):
            raise ValueError(
                f"saturation must be 0 (grey) or more, 1 as predicted; got {self.saturation}"
            )

    @property
    def work(self) -> Quality:
        """What the quality means."""
        return QUALITIES[self.quality]
