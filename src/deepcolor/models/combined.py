"""Predictions made of others: of the mirrored picture, and the mean of several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import Hints
from deepcolor.models.prediction import LIKELY, BinPrediction, Noise, Prediction, likeliest

__all__ = ["AveragedPrediction", "MirroredPrediction", "resized"]

ACROSS = 1  # which of the five numbers of a place is its column


@dataclass(frozen=True, kw_only=True)
class MirroredPrediction(Prediction):
    """A prediction of the mirrored pictures, read as one of the pictures.

    Attributes:
        part: of the pictures with left and right swapped.
    """

    part: Prediction

    @classmethod
    def of(cls, part: Prediction) -> "MirroredPrediction":
        """Turn one round."""
        return cls(model=part.model, luminance=part.luminance.flip(-1), part=part)

    def ab(self, temperature: float | None = None) -> Tensor:
        return self.part.ab(temperature).flip(-1)

    def sample(self, noise: Noise, temperature: float | None = None) -> Tensor:
        rows, columns = self.grid
        width = columns / (rows * columns) ** 0.5

        def mirrored(places: Tensor) -> Tensor:
            places = places.clone()
            places[:, ACROSS] = width - places[:, ACROSS]
            return noise(places)

        return self.part.sample(mirrored, temperature).flip(-1)

    def entropy(self) -> Tensor:
        return self.part.entropy().flip(-1)

    def probability(self) -> Tensor:
        return self.part.probability().flip(-1)

    def with_hints(self, hints: Hints | None) -> "MirroredPrediction":
        flipped = None if hints is None else hints.mirrored()
        return replace(self, part=self.part.with_hints(flipped), hints=hints)


@dataclass(frozen=True, kw_only=True)
class AveragedPrediction(Prediction):
    """The mean of several predictions of the same pictures, on the grid of the last.

    Attributes:
        parts: of any grids.
    """

    parts: tuple[Prediction, ...]

    @classmethod
    def of(cls, parts: Sequence[Prediction]) -> Prediction:
        """Average them; the only one of one is left as it is."""
        if len(parts) == 1:
            return parts[0]
        return cls(model=parts[-1].model, luminance=parts[-1].luminance, parts=tuple(parts))

    def ab(self, temperature: float | None = None) -> Tensor:
        return self._mean(lambda part: part.ab(temperature))

    def sample(self, noise: Noise, temperature: float | None = None) -> Tensor:
        return self._mean(lambda part: part.sample(noise, temperature))

    def entropy(self) -> Tensor:
        return self._mean(lambda part: part.entropy())

    def probability(self) -> Tensor:
        mean = self._mean(lambda part: part.probability()).clamp(min=0)  # bicubic overshoots
        return mean / mean.sum(dim=1, keepdim=True)

    def likely(self, row: int, column: int, k: int = LIKELY, picture: int = 0) -> Tensor:
        first: Prediction = self
        while isinstance(first, (AveragedPrediction, MirroredPrediction)):
            first = first.parts[0] if isinstance(first, AveragedPrediction) else first.part
        if not isinstance(first, BinPrediction):
            return super().likely(row, column, k, picture)
        return likeliest(self.probability(), first.centres, row, column, k, picture)

    def with_hints(self, hints: Hints | None) -> "AveragedPrediction":
        parts = tuple(part.with_hints(hints) for part in self.parts)
        return replace(self, parts=parts, hints=hints)

    def _mean(self, answer: Callable[[Prediction], Tensor]) -> Tensor:
        return torch.stack([resized(answer(part), self.grid) for part in self.parts]).mean(dim=0)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic, without aliasing; the same tensor where nothing changes."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bicubic", align_corners=False, antialias=True)
