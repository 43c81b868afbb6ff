"""What a person can tell a colorizer besides the photograph, and its simulation for training."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.color import join_lab, lab_to_rgb, saturation
from deepcolor.quantize import AbQuantizer

__all__ = [
    "Exemplar",
    "GlobalHints",
    "Guidance",
    "Hints",
    "check_guidance",
    "evaluation_hints",
    "hide_statistics",
    "measure_statistics",
    "move_guidance",
    "on_hints",
    "resize_hints",
    "simulate_hints",
]

LARGEST_PATCH = 9  # side in pixels of a simulated hint, Zhang et al. 2017
EVALUATION_SEED = 7  # gives seven patches, the mean, at Zhang's stop of 0.125
SPREAD = 4  # the places of simulated hints have a deviation of a quarter of the free side


@dataclass(frozen=True)
class Hints:
    """Local colour hints (Zhang et al. 2017): the chroma wanted at some pixels.

    Args:
        ab: (B, 2, H, W), in CIELAB units; 0 where the mask is 0.
        mask: (B, 1, H, W), 1 where a hint is given, 0 elsewhere; what lies between counts less.

    NumPy arrays of these shapes are taken too, and are tensors from then on.
    """

    ab: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        _as_tensors(self)
        batch, channels, height, width = _shape("hints.ab", self.ab)
        if channels != 2 or _shape("hints.mask", self.mask) != (batch, 1, height, width):
            raise ValueError(
                "hints need ab (B, 2, H, W) and mask (B, 1, H, W),"
                f" got {tuple(self.ab.shape)} and {tuple(self.mask.shape)}"
            )


@dataclass(frozen=True)
class Exemplar:
    """A colour picture to take the colours from.

    Args:
        lab: (B, 3, H, W) CIELAB, of any size; a NumPy array too.
    """

    lab: Tensor

    def __post_init__(self) -> None:
        _as_tensors(self)
        if _shape("exemplar.lab", self.lab)[1] != 3:
            raise ValueError(f"an exemplar needs lab (B, 3, H, W), got {tuple(self.lab.shape)}")


@dataclass(frozen=True)
class GlobalHints:
    """Colour statistics wanted over the whole picture (Zhang et al. 2017, section 3.3).

    Args:
        histogram: (B, Q), the share of each ab bin, summing to 1. None, or a row of NaN for one
            picture, says nothing about it.
        saturation: (B, 1), the mean HSV saturation in [0, 1]; None or NaN likewise.
        local: hints at single pixels besides.

    NumPy arrays are taken too.
    """

    histogram: Tensor | None = None
    saturation: Tensor | None = None
    local: Hints | None = None

    def __post_init__(self) -> None:
        _as_tensors(self)
        if self.histogram is not None and self.histogram.ndim != 2:
            raise ValueError(f"a histogram needs (B, Q), got {tuple(self.histogram.shape)}")
        if self.saturation is not None and (
            self.saturation.ndim != 2 or self.saturation.shape[1] != 1
        ):
            raise ValueError(f"saturation needs (B, 1), got {tuple(self.saturation.shape)}")


Guidance = Hints | Exemplar | GlobalHints


def check_guidance(guidance: Guidance | None, luminance: Tensor) -> None:
    """Refuse guidance whose shapes do not fit the pictures.

    Args:
        guidance: of any kind, or None.
        luminance: (B, 1, H, W) that it goes with.

    Raises:
        ValueError: for hints of another batch, height or width, or an exemplar of another batch.
    """
    batch, _, height, width = luminance.shape
    if isinstance(guidance, Hints):
        if guidance.mask.shape != (batch, 1, height, width):
            raise ValueError(
                f"hints for {tuple(luminance.shape)} luminance need a mask"
                f" {(batch, 1, height, width)}, got {tuple(guidance.mask.shape)}"
            )
    elif isinstance(guidance, GlobalHints):
        check_guidance(guidance.local, luminance)
        for name, value in (
            ("histogram", guidance.histogram),
            ("saturation", guidance.saturation),
        ):
            if value is not None and len(value) != batch:
                raise ValueError(f"{name} is for {len(value)} pictures, the batch has {batch}")
    elif isinstance(guidance, Exemplar) and len(guidance.lab) not in (1, batch):
        raise ValueError(f"{len(guidance.lab)} exemplars do not fit a batch of {batch}")


def _as_tensors(guidance: "Guidance") -> None:
    """Make tensors of the arrays in guidance that is being made."""
    for field in fields(guidance):
        value = getattr(guidance, field.name)
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            array = np.require(value, np.float32, ["C", "W"])
            object.__setattr__(guidance, field.name, torch.from_numpy(array))  # it is frozen
        elif not (value is None or isinstance(value, (Tensor, Hints))):
            given = f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip()
            raise TypeError(
                f"{type(guidance).__name__}.{field.name} must be a tensor or a NumPy array of"
                f" numbers, got {given}"
            )


def on_hints(guidance: Guidance | None, change: Callable[[Hints], Hints]) -> Guidance | None:
    """Change the hints at single pixels; what is said of whole pictures stays as it is."""
    if isinstance(guidance, Hints):
        return change(guidance)
    if isinstance(guidance, GlobalHints) and guidance.local is not None:
        return replace(guidance, local=change(guidance.local))
    return guidance


def move_guidance(guidance: Guidance | None, device: torch.device) -> Guidance | None:
    """The same guidance with all of its tensors on a device."""
    if guidance is None:
        return None
    moved: dict[str, Any] = {}
    for field in fields(guidance):
        value = getattr(guidance, field.name)
        if value is not None:
            to = value.to(device) if isinstance(value, Tensor) else move_guidance(value, device)
            moved[field.name] = to
    return replace(guidance, **moved)


def resize_hints(hints: Hints, size: tuple[int, int]) -> Hints:
    """Bring hints to another size and lose none, not even one of a single pixel.

    Where pictures shrink, each pixel falls into one square of the new grid; a square's mask is the
    largest of its pixels', its ab the mean over those with hints, weighted by their masks. Where
    they grow, the nearest pixel fills the square.

    Args:
        hints: of any size.
        size: height and width wanted.

    Example:
        >>> one = torch.zeros(1, 1, 8, 8)
        >>> one[..., 5, 2] = 1
        >>> resize_hints(Hints(40 * one.expand(1, 2, 8, 8), one), (2, 2)).ab[0, 0].tolist()
        [[0.0, 0.0], [40.0, 0.0]]
    """
    ab, mask = hints.ab.float(), hints.mask.float()
    if mask.shape[-2:] == size:
        return Hints(ab, mask)
    height, width = (max(sides) for sides in zip(mask.shape[-2:], size, strict=True))
    if mask.shape[-2:] != (height, width):
        ab, mask = (
            F.interpolate(x, size=(height, width), mode="nearest-exact") for x in (ab, mask)
        )
    picture, _, row, column = mask.nonzero(as_tuple=True)  # hints are few: no full-size tensors
    weight = mask[picture, 0, row, column]
    colour = ab[picture, :, row, column] * weight[:, None]  # (N, 2)
    row = (2 * row + 1) * size[0] // (2 * height)  # where the middle of the pixel falls
    column = (2 * column + 1) * size[1] // (2 * width)
    square = (picture * size[0] + row) * size[1] + column
    squares = len(mask) * size[0] * size[1]
    total = weight.new_zeros(squares).index_add_(0, square, weight)
    most = weight.new_zeros(squares).scatter_reduce_(0, square, weight, "amax")
    sums = weight.new_zeros(squares, 2).index_add_(0, square, colour)
    mean = torch.where(total[:, None] > 0, sums / total[:, None], 0.0)
    return Hints(mean.view(len(mask), *size, 2).movedim(-1, 1), most.view(len(mask), 1, *size))


def simulate_hints(
    ab: Tensor,
    stop: float,
    reveal_all: float = 0.0,
    generator: torch.Generator | None = None,
) -> Hints:
    """Draw hints as a person might give them (Zhang et al. 2017, section 3.2).

    Each picture gets a geometric number of square patches, (1 - stop) / stop on average; their
    sides are uniform over 1 to 9 pixels, their places Gaussian about the centre. A patch carries
    the mean of the true chroma below it; later patches cover earlier ones.

    Args:
        ab: (B, 2, H, W), the true chroma in CIELAB units.
        stop: chance to stop before each further patch, in (0, 1]; 1 gives no hint, 0.125 seven.
        reveal_all: chance that a picture shows all of its chroma instead, in [0, 1].
        generator: a CPU generator, for numbers that repeat; torch's own when None.

    Returns:
        Hints on the device of `ab`.

    Example:
        >>> simulate_hints(torch.ones(1, 2, 16, 16), stop=1.0).mask.sum().item()
        0.0
    """
    if not 0 < stop <= 1:
        raise ValueError(f"stop must lie in (0, 1], got {stop}")
    if not 0 <= reveal_all <= 1:
        raise ValueError(f"reveal_all must lie in [0, 1], got {reveal_all}")
    batch, _, height, width = _shape("ab", ab)
    hints = torch.zeros_like(ab)
    mask = ab.new_zeros(batch, 1, height, width)
    largest = min(LARGEST_PATCH, height, width)

    def chance() -> float:
        return float(torch.rand((), generator=generator))

    def place(side: int, patch: int) -> int:
        free = side - patch
        middle, deviation = (free + 1) / 2, (free + 1) / SPREAD
        drawn = middle + deviation * float(torch.randn((), generator=generator))
        return int(min(max(drawn, 0), free))

    for i in range(batch):
        if chance() < reveal_all:
            hints[i], mask[i] = ab[i], 1
            continue
        while chance() < 1 - stop:
            patch = int(torch.randint(1, largest + 1, (), generator=generator))
            top, left = place(height, patch), place(width, patch)
            window = (..., slice(top, top + patch), slice(left, left + patch))
            hints[i][window] = ab[i][window].mean(dim=(1, 2), keepdim=True)
            mask[i][window] = 1
    return Hints(hints, mask)


def evaluation_hints(ab: Tensor, stop: float, reveal_all: float = 0.0) -> Hints:
    """As `simulate_hints`, at the same places in each picture.

    So a validation loss depends on the pictures alone, not on the batch or the process that a
    picture came in.

    Args:
        ab: (B, 2, H, W), the true chroma in CIELAB units.
        stop: as of `simulate_hints`.
        reveal_all: as of `simulate_hints`.
    """
    drawn = [
        simulate_hints(one, stop, reveal_all, torch.Generator().manual_seed(EVALUATION_SEED))
        for one in torch.split(ab, 1)
    ]
    return Hints(torch.cat([one.ab for one in drawn]), torch.cat([one.mask for one in drawn]))


@torch.no_grad()
def measure_statistics(luminance: Tensor, ab: Tensor, quantizer: AbQuantizer) -> GlobalHints:
    """Measure the colour statistics of pictures (Zhang et al. 2017, section 3.3).

    Args:
        luminance: (B, 1, H, W) L in [0, 100].
        ab: (B, 2, H, W), in CIELAB units.
        quantizer: the codebook of the histogram.

    Returns:
        The mean soft encoding of ab at a quarter of the size, and the mean HSV saturation.
    """
    height, width = (max(1, side // 4) for side in ab.shape[-2:])
    small = F.interpolate(ab, size=(height, width), mode="area")
    histogram = quantizer.densify(quantizer.soft_encode(small)).mean(dim=(2, 3))
    rgb = lab_to_rgb(join_lab(luminance, ab))
    return GlobalHints(histogram, saturation(rgb).mean(dim=(2, 3)))


def hide_statistics(
    truth: GlobalHints, local: Hints, generator: torch.Generator | None = None
) -> GlobalHints:
    """Hide the histogram of half of the pictures, and the saturation of half, for training.

    Args:
        truth: both statistics.
        local: hints at single pixels to go with them.
        generator: a CPU generator, for numbers that repeat; torch's own when None.
    """
    if truth.histogram is None or truth.saturation is None:
        raise ValueError("both statistics are needed to hide some of them")
    hidden = torch.rand(2, len(truth.histogram), 1, generator=generator) < 0.5
    histogram, mean = hidden.to(truth.histogram.device)
    return GlobalHints(
        truth.histogram.masked_fill(histogram, torch.nan),
        truth.saturation.masked_fill(mean, torch.nan),
        local,
    )


def _shape(name: str, tensor: Tensor) -> tuple[int, int, int, int]:
    if tensor.ndim != 4:
        raise ValueError(f"{name} must have four dimensions, got {tuple(tensor.shape)}")
    batch, channels, height, width = tensor.shape
    return batch, channels, height, width
