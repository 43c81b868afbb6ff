"""What a person might say, drawn from the truth, for training and for measuring."""

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.color import join_lab, lab_to_rgb, saturation
from deepcolor.guidance.checks import shape_of
from deepcolor.guidance.hints import Hints
from deepcolor.guidance.kinds import Statistics
from deepcolor.quantize import AbQuantizer

__all__ = ["evaluation_hints", "hide_statistics", "measure_statistics", "simulate_hints"]

LARGEST_PATCH = 9  # side in pixels of a simulated hint, Zhang et al. 2017
EVALUATION_SEED = 7  # gives seven patches, the mean, at Zhang's stop of 0.125
SPREAD = 4  # the places of simulated hints have a deviation of a quarter of the free side


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
    batch, _, height, width = shape_of("ab", ab)
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
def measure_statistics(luminance: Tensor, ab: Tensor, quantizer: AbQuantizer) -> Statistics:
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
    return Statistics(histogram, saturation(rgb).mean(dim=(2, 3)))


def hide_statistics(truth: Statistics, generator: torch.Generator | None = None) -> Statistics:
    """Hide the histogram of half of the pictures, and the saturation of half, for training.

    Args:
        truth: both statistics.
        generator: a CPU generator, for numbers that repeat; torch's own when None.
    """
    if truth.histogram is None or truth.saturation is None:
        raise ValueError("both statistics are needed to hide some of them")
    hidden = torch.rand(2, len(truth.histogram), 1, generator=generator) < 0.5
    histogram, mean = hidden.to(truth.histogram.device)
    return Statistics(
        truth.histogram.masked_fill(histogram, torch.nan),
        truth.saturation.masked_fill(mean, torch.nan),
    )
