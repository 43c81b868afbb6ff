"""What a model says about a batch of pictures, on its own grid: no pixels, and no network any more.

Another temperature, another draw or another hint is read from a prediction; the network does not
run again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from deepcolor.blocks.hints import ErrorKernel, HintSpread
from deepcolor.guidance import Hints, Palette

__all__ = [
    "BinPrediction",
    "ChromaPrediction",
    "DecodedPrediction",
    "Noise",
    "Prediction",
    "entropy_of",
    "likeliest",
]

LIKELY = 8  # colours that `likely` names
REACH = 7.0  # CIELAB units from a palette's colour at which a bin counts 0.6 of one that has it
WIDE = 20.0  # the same, where places choose among the palette's colours
DECIDED = 0.2  # temperature of that choice: the mean of red and green is neither
LEAST = 1e-30  # share of a bin far from the palette
CERTAIN = 1e4  # a logit that leaves no other bin any share

Noise = Callable[[Tensor], Tensor]
"""(B, 5, h, w): row, column, L and mean ab of each place -> (B, Q, h, w), added to logits."""


def entropy_of(probability: Tensor) -> Tensor:
    """How spread distributions are: (B, Q, h, w) -> (B, 1, h, w) in nats, in [0, log Q]."""
    nats: Tensor = torch.special.entr(probability).sum(dim=1, keepdim=True)
    return nats


@dataclass(frozen=True, kw_only=True)
class Prediction(ABC):
    """The colours of a batch of pictures, on the grid of a network.

    Attributes:
        model: class name of who predicts, for messages.
        luminance: (B, 1, h, w) L in [0, 100], means over the squares of the grid.
        memory: what a video network hands to the next frame; None for image models.
        picture_size: height and width of the pictures, where they are known.
        hints: that it follows, if any.
    """

    model: str
    luminance: Tensor
    memory: Any = None
    picture_size: tuple[int, int] | None = None
    hints: Hints | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of squares."""
        return self.luminance.shape[-2], self.luminance.shape[-1]

    @abstractmethod
    def ab(self, temperature: float | None = None) -> Tensor:
        """Chroma.

        Args:
            temperature: of the annealed mean, in [0, 1]; the model's own when None.

        Returns:
            (B, 2, h, w) float32, in CIELAB units; may leave the sRGB gamut.

        Raises:
            TypeError: for a temperature where there is no distribution.
        """

    def sample(self, noise: Noise, temperature: float | None = None) -> Tensor:
        """A colouring drawn from the distributions: (B, 2, h, w), as `ab`.

        Args:
            noise: Gumbel noise for each place and bin.
            temperature: above 0, up to 1; the model's own when None.
        """
        raise self._without_distribution("draws")

    def entropy(self) -> Tensor:
        """How unsure each colour is: (B, 1, h, w) in nats, from 0, sure, to log Q."""
        return entropy_of(self.probability())

    def probability(self) -> Tensor:
        """How likely each bin is at each place: (B, Q, h, w), summing to 1 over the bins."""
        raise self._without_distribution("likelihoods")

    def likely(self, row: int, column: int, k: int = LIKELY, picture: int = 0) -> Tensor:
        """The likeliest colours at a place.

        Args:
            row: of the grid.
            column: of the grid.
            k: how many colours.
            picture: number in the batch.

        Returns:
            (k, 3): a, b and the probability of their bin, the likeliest first.

        Raises:
            IndexError: for a place outside the grid, or a picture outside the batch.
            ValueError: for k below 1, or above the number of bins.
        """
        raise self._without_distribution("likely colours")

    def with_hints(self, hints: Hints | None) -> "Prediction":
        """The same prediction corrected by hints (by none when None); the network does not run.

        Args:
            hints: at single pixels, of the size of the pictures or any other of their aspect; they
                replace those given before.

        Raises:
            TypeError: of models that take no hints, or take them through their network.
            ValueError: for hints of another batch.
        """
        raise TypeError(
            f"{self.model} cannot take hints after its network has run;"
            " give guidance= to predict() of a model that takes hints"
        )

    def cropped(self, rows: int, columns: int) -> "Prediction":
        """The first rows and columns of the grid: what lies beyond was padding."""
        return self._on_grid(lambda x: x[..., :rows, :columns])

    def _on_grid(self, change: Callable[[Tensor], Tensor]) -> "Prediction":
        """The same change for all maps."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor) and value.ndim == 4:
                changed[field.name] = change(value)
        return replace(self, **changed)

    def _without_distribution(self, wanted: str) -> TypeError:
        return TypeError(f"{self.model} predicts no distribution over ab bins: it has no {wanted}")


@dataclass(frozen=True, kw_only=True)
class ChromaPrediction(Prediction):
    """Of a model that answers with chroma itself.

    Attributes:
        chroma: (B, 2, h, w) ab, in CIELAB units.
    """

    chroma: Tensor

    def ab(self, temperature: float | None = None) -> Tensor:
        if temperature is not None:
            raise TypeError(
                f"{self.model} predicts no distribution, which temperature= is for;"
                " saturation= works with every model"
            )
        return self.chroma.float()


@dataclass(frozen=True, kw_only=True)
class DecodedPrediction(Prediction):
    """Of a model whose answer means different chroma at different temperatures.

    Attributes:
        output: (B, C, h, w), the network's answer.
        decode: output, luminance on its grid and a temperature or None -> ab on that grid.
    """

    output: Tensor
    decode: Callable[[Tensor, Tensor, float | None], Tensor]

    def ab(self, temperature: float | None = None) -> Tensor:
        return self.decode(self.output, self.luminance, temperature).float()


@dataclass(frozen=True, kw_only=True)
class BinPrediction(DecodedPrediction):
    """Of a model that says how likely each bin of ab is: `output` are logits, C = Q.

    Attributes:
        centres: (Q, 2) ab of the bins, in CIELAB units.
        temperature: of the annealed mean, where nothing else is asked.
        features: (B, C, h, w), what tells which places are alike; None for luminance alone.
        spread: passes hints on; None where the model takes no hints after its network.
    """

    centres: Tensor
    temperature: float
    features: Tensor | None = None
    spread: HintSpread | None = None

    def ab(self, temperature: float | None = None) -> Tensor:
        return self._corrected(super().ab(temperature))

    def sample(self, noise: Noise, temperature: float | None = None) -> Tensor:
        warmth = self.temperature if temperature is None else temperature
        logits = self.output.float()
        probability = torch.softmax(logits, dim=1)
        means = torch.einsum("bqhw,qc->bchw", probability, self.centres)
        places = torch.cat([self._positions(), self.luminance.float(), means], dim=1)
        drawn = self.decode(logits + warmth * noise(places), self.luminance, temperature)
        return self._corrected(drawn.float())

    def probability(self) -> Tensor:
        plain = torch.softmax(self.output.float(), dim=1)
        if self.hints is None or self.spread is None:
            return plain
        return self.spread.condition(plain, self.centres, self.hints, self.places())

    def likely(self, row: int, column: int, k: int = LIKELY, picture: int = 0) -> Tensor:
        return likeliest(self.probability(), self.centres, row, column, k, picture)

    def with_hints(self, hints: Hints | None) -> "BinPrediction":
        if self.spread is None:
            super().with_hints(hints)
        if hints is not None and len(hints.mask) != len(self.luminance):
            raise ValueError(
                f"hints for {len(hints.mask)} pictures, the prediction is of {len(self.luminance)}"
            )
        if hints is None:
            return replace(self, hints=None)
        hints.check_values()
        return replace(self, hints=hints.to(self.luminance.device))

    def with_palette(self, palette: Palette) -> "BinPrediction":
        """The same prediction with other likelihoods: higher near a palette's colours.

        Each place leans to the colours of the palette that are nearest to what it was likely to
        have. Likelihoods of bins are multiplied by Gaussians about these, to the power of the
        palette's strength. Hints hold as before.

        Args:
            palette: for the batch, or one for all of it.

        Raises:
            ValueError: for palettes of another batch.
        """
        palette.check_values()
        palette.check(self.luminance)
        palette = palette.to(self.output.device)
        weights = (
            torch.ones_like(palette.ab[..., 0]) if palette.weights is None else palette.weights
        )
        square = torch.cdist(self._bin_colours(), palette.ab.float()).square()  # (B, Q, N)
        plain, batch = self.output.float(), len(self.output)
        near = weights[:, None] * torch.exp(-square / (2 * WIDE**2))
        fitting = torch.einsum(
            "bqhw,bqn->bnhw", torch.softmax(plain, dim=1), near.expand(batch, -1, -1)
        )
        chosen = torch.softmax((fitting + LEAST).log() / DECIDED, dim=1)
        about = torch.exp(-square / (2 * REACH**2)).expand(batch, -1, -1)
        bent = torch.einsum("bnhw,bqn->bqhw", chosen, about)
        output = plain + palette.strength * (bent + LEAST).log()
        return replace(self, output=output)

    def _bin_colours(self) -> Tensor:
        """What each bin is decoded to if it alone is likely: (1, Q, 2)."""
        bins = len(self.centres)
        alone = CERTAIN * torch.eye(bins, device=self.output.device)[..., None, None]
        luminance = torch.full((bins, 1, 1, 1), 50.0, device=self.output.device)
        return self.decode(alone, luminance, None).float().view(1, bins, 2)

    def places(self) -> list[ErrorKernel]:
        """Which places err alike, picture by picture; by luminance and position if not learned."""
        return self._spread().places(self.luminance, self.features)

    def noise(self) -> Tensor:
        """Variance of what a hint is off by, (), in units of a usual error's."""
        return self._spread().noise

    def _spread(self) -> HintSpread:
        return self.spread or HintSpread().to(self.luminance.device)

    def _corrected(self, ab: Tensor) -> Tensor:
        if self.hints is None or self.spread is None:
            return ab
        # What was predicted without gradients stays without: the kernel has parameters of its own.
        with torch.set_grad_enabled(torch.is_grad_enabled() and ab.requires_grad):
            corrected: Tensor = self.spread(ab, self.hints, self.places())
        return corrected

    def _positions(self) -> Tensor:
        """Row and column of the squares in the picture, its area being 1: (B, 2, h, w)."""
        rows, columns = self.grid
        unit = (rows * columns) ** 0.5
        down = (torch.arange(rows) + 0.5) / unit
        across = (torch.arange(columns) + 0.5) / unit
        both = torch.stack(torch.meshgrid(down, across, indexing="ij"))[None]
        return both.to(self.luminance.device).expand(len(self.luminance), -1, -1, -1)


def likeliest(
    probability: Tensor, centres: Tensor, row: int, column: int, k: int, picture: int
) -> Tensor:
    """As `Prediction.likely`, of (B, Q, h, w) and (Q, 2)."""
    batch, bins, rows, columns = probability.shape
    if not (0 <= row < rows and 0 <= column < columns and 0 <= picture < batch):
        raise IndexError(
            f"row {row}, column {column} of picture {picture} lies outside {batch} grids of"
            f" {rows} x {columns}"
        )
    if not 1 <= k <= bins:
        raise ValueError(f"k must lie in 1..{bins}, got {k}")
    share, which = probability[picture, :, row, column].topk(k)
    return torch.cat([centres[which], share[:, None]], dim=1)
