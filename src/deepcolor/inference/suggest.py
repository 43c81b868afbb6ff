"""Where a person's hint would help most."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor import images
from deepcolor.blocks.hints import Places
from deepcolor.guidance import Hints, check_guidance, resize_hints
from deepcolor.inference.checks import distribution_of
from deepcolor.inference.network import working_size
from deepcolor.inference.predictor import predictor_of
from deepcolor.models import Colorizer
from deepcolor.pixels import shrink
from deepcolor.weights import DEFAULT

__all__ = ["suggest_hints"]

MOST_SQUARES = 4096  # that are weighed against each other: 67 MB of covariances
LEAST_VARIANCE = 1e-6  # of an error, in CIELAB units squared: keeps quotients finite


@torch.inference_mode()
def suggest_hints(
    image: Any,
    n: int,
    model: str | Path | Colorizer = DEFAULT,
    device: str = "auto",
    *,
    guidance: Hints | None = None,
    max_pixels: int | None = images.MAX_PIXELS,
) -> list[tuple[int, int]]:
    """Find the pixels whose true colours would correct a colouring most.

    Each point is the one that lowers the expected squared error of ab, summed over the picture,
    most, once the points before it are known: a place of unsure colour that many unsure places are
    like. What is sure already, such as a grey wall, is not asked about.

    Args:
        image: one picture, of any kind that `colorize` takes.
        n: number of points, at least 1.
        model: a name of `list_checkpoints()`, a .safetensors file, or a model in memory; one that
            predicts distributions. Models that learned to take hints know better what is alike.
        device: "auto", "cpu", "cuda" or "mps".
        guidance: hints given already, of the size of the picture.
        max_pixels: refuse larger pictures; None for no limit.

    Returns:
        Row and column of n distinct pixels of the picture as it is shown, the most useful first.

    Raises:
        ImageError: if the picture cannot be used, or a batch of several was given.
        TypeError: for a model that predicts no distribution; the message lists models that do.
        ValueError: for n below 1, or above what the network tells apart; for hints that do not fit.

    Example:
        >>> suggest_hints("old.jpg", 3)  # doctest: +SKIP
        [(212, 340), (71, 92), (480, 121)]
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    chosen = distribution_of(predictor_of(model, device).model, "suggest_hints")
    picture = images.read(image, max_pixels)
    if len(picture.pixels) != 1 or not picture.pixels.numel():
        raise images.ImageError(
            f"{picture.name} must be one picture that holds pixels, got a batch of"
            f" {len(picture.pixels)}"
        )
    full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
    if guidance is not None:
        check_guidance(guidance, torch.empty(()).expand(1, 1, *full))

    small = working_size(*full, chosen.size, chosen.grain)
    luminance = shrink(picture.pixels[0], small, chosen.device)[None]
    padding = (0, -small[1] % chosen.stride, 0, -small[0] % chosen.stride)
    logits, (places,), noise = chosen.likeness(F.pad(luminance, padding, mode="replicate"))
    grid = (small[0] // chosen.grain, small[1] // chosen.grain)
    step = 1  # of more squares than can be weighed, every second or third each way
    while -(-grid[0] // step) * -(-grid[1] // step) > MOST_SQUARES:
        step += 1
    rows, columns = (torch.arange(step // 2, side, step) for side in grid)
    at = torch.cartesian_prod(rows, columns)  # (N, 2)
    among = (at[:, 0] * logits.shape[-1] + at[:, 1]).to(logits.device)

    variance = _variance(logits[0].flatten(1)[:, among], chosen.quantizer.centres)
    covariance, heard = _covariance(places[among], variance, noise)
    if guidance is not None:
        mask = resize_hints(guidance, grid).mask[0, 0][at[:, 0], at[:, 1]]
        for known in mask.nonzero()[:, 0].tolist():
            _learn(covariance, heard, known)
    sides = torch.tensor(full)
    pixels = ((2 * at + 1) * sides) // (2 * torch.tensor(grid))  # middles of the squares
    numbers = (pixels[:, 0] * full[1] + pixels[:, 1]).to(covariance.device)
    return [tuple(pixels[i].tolist()) for i in _greedy(covariance, heard, numbers, n)]


def _variance(logits: Tensor, centres: Tensor) -> Tensor:
    """Expected squared distance of ab from its mean: (Q, N) logits -> (N,)."""
    probability = torch.softmax(logits.float(), dim=0)
    mean = probability.T @ centres  # (N, 2)
    square = probability.T @ centres.square().sum(dim=1)
    return (square - mean.square().sum(dim=1)).clamp(min=LEAST_VARIANCE)


def _covariance(places: Places, variance: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Of errors, (N, N), in CIELAB units squared, and what hints there are off by, (N,)."""
    own = places.variance()
    scale = (variance / own).sqrt()
    covariance = places.covariance(places) * scale[:, None] * scale
    return covariance, noise * variance / own


def _learn(covariance: Tensor, heard: Tensor, known: int) -> None:
    """Take out of the covariance what a hint at that place tells, in place."""
    told = covariance[:, known].clone()
    covariance.addr_(told, told / (told[known] + heard[known]), alpha=-1.0)


def _greedy(covariance: Tensor, heard: Tensor, numbers: Tensor, n: int) -> list[int]:
    """Places that lower the sum of variances most, one after the other, no pixel twice."""
    distinct = len(set(numbers.tolist()))
    if n > distinct:
        raise ValueError(f"n must be at most {distinct} in this picture, got {n}")
    free = torch.ones_like(numbers, dtype=torch.bool)
    found: list[int] = []
    while True:
        gain = covariance.square().sum(dim=0) / (covariance.diagonal().clamp(min=0) + heard)
        best = int(gain.masked_fill(~free, -1.0).argmax())
        found.append(best)
        if len(found) == n:
            return found
        free &= numbers != numbers[best]
        _learn(covariance, heard, best)
