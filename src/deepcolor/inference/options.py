"""How to colour: what the public calls ask for, checked once."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

__all__ = ["QUALITIES", "Options", "Quality", "QualityName", "check_count"]

QualityName = Literal["fast", "balanced", "best"]
LARGEST = 4096  # working size: 16 times what models are trained at, some GB of memory
MOST_SATURATION = 100.0  # any colour is at the border of sRGB by then


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
        size: side that the network works at, in pixels, up to 4096; None for the model's own.
        temperature: of the annealed mean, in [0, 1]; None for the model's own.
        saturation: chroma is multiplied by it, in [0, 100].
        borders: whether uniform borders, mounts and flat grey cards are left without colour.

    Raises:
        TypeError, ValueError: for a control of a wrong kind or out of range; the message says what
            would work.
    """

    quality: str = "balanced"
    size: int | None = None
    temperature: float | None = None
    saturation: float = 1.0
    borders: bool = True

    def __post_init__(self) -> None:
        if self.quality not in QUALITIES:
            raise ValueError(
                f"no quality named {self.quality!r}; there are: {', '.join(QUALITIES)}"
            )
        if self.size is not None:
            check_count("size", self.size, 1)
            if self.size > LARGEST:
                raise ValueError(
                    f"size must be at most {LARGEST} pixels, got {self.size}: it is the side that"
                    " the network works at, best near the model's own; the result has the size of"
                    " the picture always"
                )
        for name in ("saturation", "temperature"):
            value = getattr(self, name)
            if not (isinstance(value, Real) or (value is None and name == "temperature")):
                raise TypeError(f"{name} must be a number, got {value!r}")
        if not 0 <= self.saturation <= MOST_SATURATION:
            raise ValueError(
                "saturation must be 0 (grey) or more, 1 as predicted, at most"
                f" {MOST_SATURATION:g}; got {self.saturation}"
            )
        if self.temperature is not None and not 0 <= self.temperature <= 1:
            raise ValueError(f"temperature must lie in [0, 1], got {self.temperature}")

    @property
    def work(self) -> Quality:
        """What the quality means."""
        return QUALITIES[self.quality]


def check_count(name: str, value: int, least: int) -> None:
    """Refuse, with a TypeError or a ValueError, what is no whole number of at least `least`."""
    if not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
