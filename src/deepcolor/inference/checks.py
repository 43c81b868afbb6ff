"""What the public calls refuse before any work."""

import math

from deepcolor.models import MODELS, Colorizer
from deepcolor.models.classification import ClassificationColorizer

__all__ = ["check_controls", "check_samples", "check_size", "distribution_of"]


def check_size(size: int | None) -> None:
    """Refuse working sizes below a pixel."""
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")


def check_controls(saturation: float, temperature: float | None = None) -> None:
    """Refuse negative saturation, and temperatures outside [0, 1]."""
    if not (math.isfinite(saturation) and saturation >= 0):
        raise ValueError(f"saturation must be 0 (grey) or more, 1 as predicted; got {saturation}")
    if temperature is not None and not 0 <= temperature <= 1:
        raise ValueError(f"temperature must lie in [0, 1], got {temperature}")


def check_samples(samples: int | None, seed: int) -> None:
    """Refuse fewer than one sample, and seeds that are no natural number."""
    if samples is not None and samples < 1:
        raise ValueError(f"samples must be at least 1, or None for the plain result; got {samples}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")


def distribution_of(model: Colorizer, wanted: str) -> ClassificationColorizer:
    """The model, if it predicts distributions over bins of ab.

    Raises:
        TypeError: if it does not; the message lists models that do.
    """
    if isinstance(model, ClassificationColorizer):
        return model
    able = [name for name, kind in MODELS.items() if issubclass(kind, ClassificationColorizer)]
    raise TypeError(
        f"{type(model).__name__} predicts no distribution over ab bins, which {wanted} needs;"
        f" models that do: {', '.join(sorted(able))}"
    )
