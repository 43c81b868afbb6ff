"""What a few true colours tell about the rest of a picture: regression with a learned kernel.

A network's chroma is wrong by some error at every place, and errors are alike at like places: on
one wall, on both sleeves, a little over the whole picture. So the error seen at a hint is passed
on to each place as far as that is like the hint's: Gaussian process regression, whose kernel is a
sum of four, from the near to the whole picture, on position, luminance and the decoder's features.
Without hints nothing is added, not even a rounding error; at a hint its colour is met; hints that
say the same count once. Nothing depends on the number of hints, so few train for many.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepcolor.guidance import Hints

__all__ = ["ErrorKernel", "HintSpread"]

# Share of the error's variance, width in position (1 is the root of the area) and in L: a start
# that is useful untrained, 31.0 dB with 100 hints and 26.7 with 10 on ten photographs of BSDS.
KERNELS = ((0.3, 0.03, 10.0), (0.3, 0.1, 15.0), (0.2, 0.3, 20.0), (0.2, 9.0, 40.0))
NOISE = 0.05  # variance of what a hint is off by, as a share of the error's at a usual place
DIMENSIONS = 8  # of the features' part of a key, in each kernel
START = 0.05  # deviation of the features' weights at the start: they bend the kernels a little
STEEPEST = 2.0  # log of the most that the features raise or lower the expected error by
MOST = 1024  # hinted squares that are solved for; of more, evenly taken ones
ROWS = 8192  # places that are computed at once, which bounds memory
LEAST_LEFT = 0.02  # share of the variance that no hint explains
BIN_VARIANCE = 25.0  # of a distribution as narrow as the bins' soft encoding, in CIELAB units


@dataclass(frozen=True)
class ErrorKernel:
    """Where errors are alike: the places of one picture, row by row.

    Attributes:
        keys: (M, N, D), of M kernels; a distance of 1 is one width.
        amplitude: (M, N), roots of the kernels' variances.
    """

    keys: Tensor
    amplitude: Tensor

    def __getitem__(self, chosen: Tensor | slice) -> "ErrorKernel":
        """Some of the places."""
        return ErrorKernel(self.keys[:, chosen], self.amplitude[:, chosen])

    def __len__(self) -> int:
        return self.keys.shape[1]

    def covariance(self, other: "ErrorKernel") -> Tensor:
        """Of the errors here and there, in units of a usual error's variance: (N, n)."""
        # One product for all of log(amplitude) + log(amplitude) - distance^2 / 2.
        left, right = self._logs(), other._logs()
        here = torch.cat([self.keys, left, torch.ones_like(left)], dim=2)
        there = torch.cat([other.keys, torch.ones_like(right), right], dim=2)
        return (here @ there.mT).exp().sum(dim=0)

    def _logs(self) -> Tensor:
        return (self.amplitude.log() - 0.5 * self.keys.square().sum(dim=2))[..., None]

    def variance(self) -> Tensor:
        """Of the error at each place, in units of a usual error's: (N,)."""
        return self.amplitude.square().sum(dim=0)


class HintSpread(nn.Module):
    """Corrects predicted chroma by hints.

    Args:
        channels: of the features that tell which places are alike; with 0, position and luminance
            alone do.
    """

    def __init__(self, channels: int = 0) -> None:
        super().__init__()
        share, position, lightness = torch.tensor(KERNELS).log().unbind(dim=1)
        self.log_share = nn.Parameter(share)
        self.log_position = nn.Parameter(position)
        self.log_lightness = nn.Parameter(lightness)
        self.log_noise = nn.Parameter(torch.tensor(math.log(NOISE)))
        self.features = nn.Parameter(START * torch.randn(len(KERNELS), DIMENSIONS, channels))
        self.error = nn.Parameter(torch.zeros(len(KERNELS), channels))

    @property
    def noise(self) -> Tensor:
        """Variance of what a hint is off by, in units of a usual error's variance."""
        return self.log_noise.exp()

    def places(self, luminance: Tensor, features: Tensor | None = None) -> list[ErrorKernel]:
        """What is alike in each picture of a batch.

        Args:
            luminance: (B, 1, h, w) L in [0, 100], on the grid of the chroma.
            features: (B, channels, h, w), or None if there are no channels.
        """
        batch, _, height, width = luminance.shape
        if features is None:
            features = luminance.new_zeros(batch, 0, height, width)
        with torch.autocast(luminance.device.type, enabled=False):
            rows = torch.arange(height, device=luminance.device) / math.sqrt(height * width)
            columns = torch.arange(width, device=luminance.device) / math.sqrt(height * width)
            position = torch.cartesian_prod(rows, columns)  # (N, 2)
            lightness = luminance.float().flatten(1)[..., None]  # (B, N, 1)
            described = features.float().flatten(2).mT  # (B, N, C)
            found = []
            for own, feature in zip(lightness, described, strict=True):
                parts = [
                    position * (-self.log_position).exp()[:, None, None],
                    own * (-self.log_lightness).exp()[:, None, None],
                    feature @ self.features.mT,
                ]
                more = STEEPEST * torch.tanh(feature @ self.error.T / STEEPEST).T  # (M, N)
                keys = torch.cat(parts, dim=-1)
                # Keys about 0: squared distances lose the fewest digits.
                keys = keys - keys.mean(dim=1, keepdim=True)
                amplitude = (0.5 * self.log_share[:, None] + more).exp()
                if keys.is_cuda:  # where products of float32 may be of TF32, with 10 bits
                    keys, amplitude = keys.double(), amplitude.double()
                found.append(ErrorKernel(keys, amplitude))
        return found

    def forward(self, ab: Tensor, hints: Hints, places: list[ErrorKernel]) -> Tensor:
        """Correct chroma.

        Args:
            ab: (B, 2, h, w), as predicted, in CIELAB units.
            hints: of any size.
            places: by `places`, for the same grid.

        Returns:
            (B, 2, h, w). Pictures without hints are exactly what they were.
        """
        small = hints.resized((ab.shape[-2], ab.shape[-1]))
        corrected = []
        with torch.autocast(ab.device.type, enabled=False):
            for chroma, colour, mask, where in zip(
                ab.float(), small.ab, small.mask, places, strict=True
            ):
                chosen = mask.flatten().nonzero()[:, 0]
                if not len(chosen):
                    corrected.append(chroma)
                    continue
                error = (colour - chroma).flatten(1)[:, chosen].T  # (n, 2)
                every = -(-len(chosen) // MOST)
                known, matrix = self._known(where, chosen[::every], mask)
                gain = torch.linalg.solve(matrix, error[::every].to(matrix.dtype))
                added = torch.cat([part.covariance(known) @ gain for part in _parts(where)])
                added = added.to(error.dtype)
                if every > 1:  # those left out are at least right themselves
                    added = added.index_copy(0, chosen, error)
                corrected.append(chroma + added.T.view_as(chroma))
        return torch.stack(corrected)

    def unexplained(self, size: tuple[int, int], hints: Hints, places: list[ErrorKernel]) -> Tensor:
        """What hints leave of the error's variance at each place: (B, 1, h, w), in (0, 1]."""
        small = hints.resized(size)
        left = []
        for mask, where in zip(small.mask, places, strict=True):
            chosen = mask.flatten().nonzero()[:, 0]
            share = torch.ones_like(mask)
            if len(chosen):
                known, matrix = self._known(where, chosen[:: -(-len(chosen) // MOST)], mask)
                explained = []
                for part in _parts(where):
                    towards = part.covariance(known)  # (N, n)
                    solved = torch.linalg.solve(matrix, towards.T)
                    explained.append((towards * solved.T).sum(dim=1) / part.variance())
                share = 1 - torch.cat(explained).to(mask.dtype).view_as(mask)
            left.append(share)
        return torch.stack(left).clamp(LEAST_LEFT, 1)

    @torch.no_grad()
    def condition(
        self, probability: Tensor, centres: Tensor, hints: Hints, places: list[ErrorKernel]
    ) -> Tensor:
        """What is likely once hints are known.

        The regression tells mean and variance of the error at each place. Distributions are
        multiplied by the Gaussian that brings their own mean and variance to these.

        Args:
            probability: (B, Q, h, w), summing to 1 over Q.
            centres: (Q, 2) ab of the bins, in CIELAB units.
            hints: of any size.
            places: by `places`, for the same grid.

        Returns:
            (B, Q, h, w), summing to 1; unchanged where there are no hints.
        """
        size = (probability.shape[-2], probability.shape[-1])
        with torch.autocast(probability.device.type, enabled=False):
            probability = probability.float()
            mean = torch.einsum("bqhw,qc->bchw", probability, centres)
            square = torch.einsum("bqhw,q->bhw", probability, centres.square().sum(dim=1))
            variance = (square[:, None] - mean.square().sum(dim=1, keepdim=True)) / 2
            left = self.unexplained(size, hints, places)
            towards = mean + (self(mean, hints, places) - mean) / (1 - left).clamp(min=LEAST_LEFT)
            precision = (1 / left - 1) / variance.clamp(min=BIN_VARIANCE)
            distance = (
                centres.square().sum(dim=1)[:, None, None]
                - 2 * torch.einsum("bchw,qc->bqhw", towards, centres)
                + towards.square().sum(dim=1, keepdim=True)
            )
            weighed = probability.log() - 0.5 * precision * distance
            return torch.softmax(weighed, dim=1)

    def _known(
        self, where: ErrorKernel, chosen: Tensor, mask: Tensor
    ) -> tuple[ErrorKernel, Tensor]:
        """The hinted places, and the covariance of what is seen there: (n, n)."""
        known = where[chosen]
        noise = torch.diag(self.noise / mask.flatten()[chosen])
        return known, known.covariance(known) + noise


def _parts(where: ErrorKernel) -> Iterator[ErrorKernel]:
    for start in range(0, len(where), ROWS):
        yield where[start : start + ROWS]
