"""What a predicted distribution is good for: several plausible colourings, and how sure each is.

The likeliest colour after Gumbel noise was added to logits is a draw from their distribution, here
the annealed one: noise times temperature. The noise is alike for like colours and at like places:
near ones, of like luminance and like mean colour. So a coat is drawn in one colour, not in
speckles, and places that have little to do with one another are drawn apart. Taking the annealed
mean instead of the likeliest leaves no bins to be seen.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import Guidance
from deepcolor.inference.network import Frame
from deepcolor.models import Colorizer
from deepcolor.models.classification import ClassificationColorizer

__all__ = ["Question", "entropy"]

WAVES = 256  # random Fourier features (Rahimi and Recht 2007) of the noise
# Widths of the noise. Change from a pixel to the next over the spread of colours, against the plain
# result's, on photographs of scikit-image: 0.9 to 1.2 in the mean; a quarter of them gives patches,
# up to 1.5.
NEAR = 0.7  # in position; 1 is the root of the picture's area
LIKE_LIGHTNESS = 40.0  # in L
LIKE_COLOUR = 25.0  # of the mean colours of two places, in CIELAB units
SHADES = 22.0  # over the colours drawn from, in CIELAB units
UNLIKELIEST = 1e-6  # of the noise: keeps it finite


def entropy(probability: Tensor) -> Tensor:
    """How spread distributions are: (B, Q, h, w) -> (B, 1, h, w) in nats, in [0, log Q]."""
    nats: Tensor = torch.special.entr(probability).sum(dim=1, keepdim=True)
    return nats


class Noise:
    """Gumbel noise over places and colours, smooth in both; the same wherever it is asked for.

    Args:
        centres: (Q, 2) ab of the bins, in CIELAB units.
        seed: of the family of samples.
        number: of the sample.
    """

    def __init__(self, centres: Tensor, seed: int, number: int) -> None:
        # Seeds of neighbouring numbers give unrelated streams: torch's generator mixes them.
        generator = torch.Generator().manual_seed((1_000_003 * seed + number) % 2**63)
        widths = torch.tensor([NEAR, NEAR, LIKE_LIGHTNESS, LIKE_COLOUR, LIKE_COLOUR])
        waves = torch.randn(WAVES, 5, generator=generator) / widths
        shades = torch.randn(WAVES, 2, generator=generator) / SHADES
        phase = 2 * math.pi * torch.rand(WAVES, generator=generator)
        self.waves, phase = waves.to(centres.device), phase.to(centres.device)
        self.colours = centres @ shades.to(centres.device).T + phase  # (Q, R)

    def __call__(self, places: Tensor) -> Tensor:
        """(B, 5, h, w): row, column, L and mean ab -> (B, Q, h, w)."""
        angles = torch.einsum("bphw,rp->brhw", places, self.waves)
        # cos(x + y), summed over the waves: a Gaussian field of variance 1
        field = torch.einsum("brhw,qr->bqhw", angles.cos(), self.colours.cos())
        field = field - torch.einsum("brhw,qr->bqhw", angles.sin(), self.colours.sin())
        share: Tensor = torch.special.ndtr(field * math.sqrt(2 / WAVES))
        return -(-share.clamp(UNLIKELIEST, 1 - UNLIKELIEST).log()).log()


@dataclass(frozen=True)
class Question:
    """What a model that predicts distributions is asked: its answer is one map for each channel.

    Attributes:
        temperature: of the annealed mean; the model's own when None.
        samples: how many colourings to draw; None for the one that is not drawn.
        seed: of the draws.
        uncertainty: whether the entropy comes last.
    """

    temperature: float | None
    samples: int | None
    seed: int
    uncertainty: bool

    @property
    def pictures(self) -> int:
        """How many colourings the answer has, two channels each."""
        return self.samples or 1

    def __call__(
        self, model: Colorizer, luminance: Tensor, guidance: Guidance | None, frame: Frame
    ) -> Tensor:
        """(B, 1, H, W) L of whole squares -> (B, 2 k or 2 k + 1, h, w): ab, and nats if asked."""
        assert isinstance(model, ClassificationColorizer)  # Predictor refuses others

        warmth = model.temperature if self.temperature is None else self.temperature

        def vary(logits: Tensor) -> Iterable[Tensor]:
            if self.samples is None:
                yield logits
                return
            centres = model.quantizer.centres
            with torch.autocast(logits.device.type, enabled=False):
                logits = logits.float()
                means = model.quantizer.annealed_mean(logits, 1.0)
                light = F.avg_pool2d(luminance.float(), model.grain)
                position = frame.positions(logits.shape[-2], logits.shape[-1], model.grain)
                position = position.to(logits.device).expand(len(logits), -1, -1, -1)
                places = torch.cat([position, light, means], dim=1)
                for number in range(self.samples):
                    yield logits + warmth * Noise(centres, self.seed, number)(places)

        answer = model.answers(luminance, guidance, self.temperature, vary, self.uncertainty)
        if not self.uncertainty:
            return answer.float()
        answer, channels = answer.float(), 2 * self.pictures
        return torch.cat([answer[:, :channels], entropy(answer[:, channels:])], dim=1)
