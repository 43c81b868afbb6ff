"""Where a person's hint would help most."""

import torch
from torch import Tensor

from deepcolor.blocks.hints import ErrorKernel
from deepcolor.guidance import Hints
from deepcolor.models.prediction import BinPrediction

__all__ = ["most_useful"]

MOST_SQUARES = 4096  # that are weighed against each other: 67 MB of covariances
LEAST_VARIANCE = 1e-6  # of an error, in CIELAB units squared: keeps quotients finite


def most_useful(
    prediction: BinPrediction, full: tuple[int, int], n: int, hints: Hints | None = None
) -> list[tuple[int, int]]:
    """Where a person's hints would help most: see `suggest_hints`.

    Args:
        prediction: of one picture, without hints.
        full: height and width of the picture.
        n: number of points.
        hints: that are known already.

    Returns:
        Row and column of n distinct pixels, the most useful first.
    """
    (places,), noise, logits = prediction.places(), prediction.noise(), prediction.output
    grid = prediction.grid
    step = 1  # of more squares than can be weighed, every second or third each way
    while -(-grid[0] // step) * -(-grid[1] // step) > MOST_SQUARES:
        step += 1
    rows, columns = (torch.arange(step // 2, side, step) for side in grid)
    at = torch.cartesian_prod(rows, columns)  # (N, 2)
    among = (at[:, 0] * grid[1] + at[:, 1]).to(logits.device)

    variance = _variance(logits[0].flatten(1)[:, among], prediction.centres)
    covariance, unheard = _covariance(places[among], variance, noise)
    if hints is not None:
        mask = hints.resized(grid).mask[0, 0][at[:, 0], at[:, 1]]
        for known in mask.nonzero()[:, 0].tolist():
            _learn(covariance, unheard, known)
    sides = torch.tensor(full)
    pixels = ((2 * at + 1) * sides) // (2 * torch.tensor(grid))  # middles of the squares
    numbers = (pixels[:, 0] * full[1] + pixels[:, 1]).to(covariance.device)
    chosen = _greedy(covariance, unheard, numbers, n)
    return [(int(pixels[i, 0]), int(pixels[i, 1])) for i in chosen]


def _variance(logits: Tensor, centres: Tensor) -> Tensor:
    """Expected squared distance of ab from its mean: (Q, N) logits -> (N,)."""
    probability = torch.softmax(logits.float(), dim=0)
    mean = probability.T @ centres  # (N, 2)
    square = probability.T @ centres.square().sum(dim=1)
    return (square - mean.square().sum(dim=1)).clamp(min=LEAST_VARIANCE)


def _covariance(places: ErrorKernel, variance: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Of errors, (N, N), in CIELAB units squared, and what hints there are off by, (N,)."""
    own = places.variance()
    scale = (variance / own).sqrt()
    covariance = places.covariance(places) * scale[:, None] * scale
    return covariance, noise * variance / own


def _learn(covariance: Tensor, noise: Tensor, known: int) -> None:
    """Take out of the covariance what a hint at that place tells, in place."""
    column = covariance[:, known].clone()
    covariance.addr_(column, column / (column[known] + noise[known]), alpha=-1.0)


def _greedy(covariance: Tensor, noise: Tensor, numbers: Tensor, n: int) -> list[int]:
    """Places that lower the sum of variances most, one after the other, no pixel twice."""
    distinct = len(set(numbers.tolist()))
    if n > distinct:
        raise ValueError(f"n must be at most {distinct} in this picture, got {n}")
    free = torch.ones_like(numbers, dtype=torch.bool)
    found: list[int] = []
    while True:
        gain = covariance.square().sum(dim=0) / (covariance.diagonal().clamp(min=0) + noise)
        best = int(gain.masked_fill(~free, -1.0).argmax())
        found.append(best)
        if len(found) == n:
            return found
        free &= numbers != numbers[best]
        _learn(covariance, noise, best)
