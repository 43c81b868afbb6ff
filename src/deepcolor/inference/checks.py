"""What the public calls refuse before any work."""

from numbers import Integral, Real

import torch
from torch import Tensor

from deepcolor.guidance import Exemplar, GlobalHints, Guidance, Hints
from deepcolor.models import MODELS, Colorizer
from deepcolor.models.classification import ClassificationColorizer

__all__ = [
    "check_answer",
    "check_controls",
    "check_guidance_values",
    "check_samples",
    "check_size",
    "distribution_of",
]

LARGEST = 4096  # working size: 16 times what models are trained at, some GB of memory
FARTHEST_HINT = 256.0  # CIELAB units: twice what files of CIELAB hold
MOST_SATURATION = 100.0  # any colour is at the border of sRGB by then
FARTHEST = 1e4  # CIELAB units: a hundred times any colour; only grey would be left in sRGB


def check_size(size: int | None) -> None:
    """Refuse working sizes below a pixel, and those that no memory holds."""
    if size is None:
        return
    if not isinstance(size, Integral):
        raise TypeError(f"size must be a whole number of pixels, got {size!r}")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    if size > LARGEST:
        raise ValueError(
            f"size must be at most {LARGEST} pixels, got {size}: it is the side that the network"
            " works at, best near the model's own; the result has the size of the picture always"
        )


def check_controls(saturation: float, temperature: float | None = None) -> None:
    """Refuse saturation outside [0, MOST_SATURATION], and temperatures outside [0, 1]."""
    for name, value in (("saturation", saturation), ("temperature", temperature)):
        if not (isinstance(value, Real) or (value is None and name == "temperature")):
            raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= saturation <= MOST_SATURATION:
        raise ValueError(
            f"saturation must be 0 (grey) or more, 1 as predicted, at most {MOST_SATURATION:g};"
            f" got {saturation}"
        )
    if temperature is not None and not 0 <= temperature <= 1:
        raise ValueError(f"temperature must lie in [0, 1], got {temperature}")


def check_answer(answer: Tensor, model: Colorizer) -> None:
    """Refuse what a model answered if it is no colour: nothing but grey could be made of it.

    Args:
        answer: any shape, in CIELAB units.
        model: that it is of, for the message.

    Raises:
        ValueError: for NaN, infinity, and numbers a hundred times as far out as any colour.
    """
    if not answer.numel() or bool((answer.abs() <= FARTHEST).all()):  # NaN is not
        return
    finite = bool(answer.isfinite().all())
    what = f"colours up to {float(answer.abs().max()):.3g} CIELAB units" if finite else "NaN"
    raise ValueError(
        f"{type(model).__name__} answered {what}, where colours end at 130: its weights are"
        " damaged, or overflow in half precision (torch.bfloat16 has more room than torch.float16)"
    )


def check_guidance_values(guidance: Guidance | None) -> None:
    """Refuse guidance whose numbers are no colours: NaN, infinity, far out of range.

    Not asked for in training, where each look at a tensor's values makes a GPU wait.

    Raises:
        ValueError: names what is wrong and what would work.
    """
    if isinstance(guidance, Hints):
        low, high = _range(guidance.mask)
        if not (low >= 0 and high <= 1):
            raise ValueError(
                "the mask of hints must lie in [0, 1], 1 where a hint is given;"
                f" got [{low:.4g}, {high:.4g}]"
            )
        picture, _, row, column = guidance.mask.nonzero(as_tuple=True)
        _check_colours("hints.ab", guidance.ab[picture, :, row, column])
    elif isinstance(guidance, Exemplar):
        _check_colours("exemplar.lab", guidance.lab)
    elif isinstance(guidance, GlobalHints):
        check_guidance_values(guidance.local)
        for name in ("histogram", "saturation"):
            value = getattr(guidance, name)
            low, high = (0.0, 0.0) if value is None else _range(value.nan_to_num(nan=0.0))
            if not (low >= 0 and high <= 1):
                raise ValueError(f"{name} must lie in [0, 1], got [{low:.4g}, {high:.4g}]")


def _check_colours(name: str, values: Tensor) -> None:
    low, high = _range(values)
    if not (low >= -FARTHEST_HINT and high <= FARTHEST_HINT):
        raise ValueError(
            f"{name} must be CIELAB units, in which colours end at 130; got [{low:.4g}, {high:.4g}]"
        )


def _range(values: Tensor) -> tuple[float, float]:
    """Least and most; NaN if there is any."""
    if not values.numel():
        return 0.0, 0.0
    low, high = torch.aminmax(values.float())
    return float(low), float(high)


def check_samples(samples: int | None, seed: int) -> None:
    """Refuse fewer than one sample, and seeds that are no natural number."""
    for name, value in (("samples", samples), ("seed", seed)):
        if not (isinstance(value, Integral) or (value is None and name == "samples")):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
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
