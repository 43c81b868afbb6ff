"""The family whose networks say which colours are likely at each place."""

from abc import abstractmethod
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from deepcolor.blocks.hints import HintSpread, Places
from deepcolor.guidance import Guidance
from deepcolor.losses.chroma import colourful, soft_cross_entropy
from deepcolor.models.base import Colorizer
from deepcolor.models.loaders import plain_loader
from deepcolor.quantize import AbQuantizer
from deepcolor.rebalance import AbPrior, rebalancing_weights, smooth_prior

__all__ = ["ClassificationColorizer", "Vary"]

PRIOR_PICTURES = 2048  # enough for the bins that a data set shows at all to be seen
PRIOR_SEED = 0
Vary = Callable[[Tensor], Iterable[Tensor]]  # of (B, Q, h, w) logits


class ClassificationColorizer(Colorizer):
    """The network gives logits over ab bins; chroma is their annealed mean (Zhang et al. 2016).

    Args:
        quantizer: the codebook.
        temperature: of the annealed mean, in [0, 1]: 1 the mean, 0 the mode.
        mix: lambda of class rebalancing, in [0, 1]: 1 none, 0 the full inverse of the prior.
        lr: learning rate.
        weight_decay: of AdamW.

    The prior is the mean of the targets that the loss is given. It is measured on the first 2,048
    training pictures when training starts, and kept in Lightning checkpoints; until then all bins
    count alike.
    """

    prior: Tensor

    def __init__(
        self,
        quantizer: AbQuantizer,
        temperature: float,
        mix: float,
        lr: float,
        weight_decay: float,
    ) -> None:
        super().__init__(lr, weight_decay)
        if not 0 <= temperature <= 1:
            raise ValueError(f"temperature must lie in [0, 1], got {temperature}")
        if not 0 <= mix <= 1:
            raise ValueError(f"mix must lie in [0, 1], got {mix}")
        self.quantizer = quantizer
        self.temperature = temperature
        self.mix = mix
        self.register_buffer("prior", torch.full((quantizer.bins,), 1 / quantizer.bins))

    @abstractmethod
    def logits(self, luminance: Tensor) -> Tensor:
        """(B, 1, H, W) L in [0, 100] -> (B, Q, h, w), at the network's own resolution."""

    def decode(self, logits: Tensor, temperature: float | None = None) -> Tensor:
        """(B, Q, h, w) logits -> (B, 2, h, w) ab in CIELAB units, at the model's temperature."""
        return self.quantizer.annealed_mean(
            logits, self.temperature if temperature is None else temperature
        )

    def reduce(self, ab: Tensor, size: tuple[int, int]) -> Tensor:
        """True ab at the size of the logits: the mean over each logit's area."""
        return F.interpolate(ab, size=size, mode="area")

    def counted(self, ab: Tensor) -> Tensor:
        """Which pictures the loss learns from, those with colour: (B, 2, H, W) ab -> (B,) bool."""
        return colourful(ab)

    def class_weights(self) -> Tensor:
        """Weight of each bin in the loss: (Q,), of mean 1 over the targets that were measured."""
        smoothed = self.prior
        if self.quantizer.neighbours == 1:  # targets of several bins are smooth already
            smoothed = smooth_prior(self.prior, self.quantizer)
        return rebalancing_weights(smoothed, self.mix, targets=self.prior)

    def coarse_logits(self, luminance: Tensor) -> Tensor:
        """Logits of the squares that `coarse_ab` answers for: (B, Q, H / grain, W / grain)."""
        return self.logits(luminance)

    def likeness(self, luminance: Tensor) -> tuple[Tensor, list[Places], Tensor]:
        """What is likely at each place, and which places err alike.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].

        Returns:
            Logits (B, Q, h, w); the places of each picture, on the same grid, for the covariance
            of errors; the variance of what a hint is off by, (), in units of a usual error's.
            Where no model learned it, by luminance and position.
        """
        spread = HintSpread().to(luminance.device)
        places = spread.places(F.avg_pool2d(luminance, self.grain))
        return self.coarse_logits(luminance), places, spread.noise

    def distribution(self, luminance: Tensor, guidance: Guidance | None = None) -> Tensor:
        """How likely each bin is at each place.

        Args:
            luminance: as for `forward`.
            guidance: as for `forward`.

        Returns:
            (B, Q, h, w) on the grid of `coarse_ab`, summing to 1 over the bins.
        """
        self.check_input(luminance, guidance)
        return torch.softmax(self.coarse_logits(luminance).float(), dim=1)

    def answers(
        self,
        luminance: Tensor,
        guidance: Guidance | None,
        temperature: float | None,
        vary: Vary,
        likely: bool = False,
    ) -> Tensor:
        """Several colourings out of one run of the network, and the distribution if asked for.

        Args:
            luminance: as for `forward`.
            guidance: as for `forward`.
            temperature: as for `coarse_ab`.
            vary: gives k times logits to decode, (B, Q, h, w), for the network's.
            likely: whether what `distribution` says comes last.

        Returns:
            (B, 2 k or 2 k + Q, h, w): ab as by `coarse_ab`, k times, and probabilities.
        """
        self.check_input(luminance, guidance)
        logits = self.coarse_logits(luminance)
        found = [self.decode(varied, temperature) for varied in vary(logits)]
        if likely:
            found.append(torch.softmax(logits.float(), dim=1))
        return torch.cat(found, dim=1)

    def coarse_ab(
        self,
        luminance: Tensor,
        guidance: Guidance | None = None,
        temperature: float | None = None,
    ) -> Tensor:
        return self.answers(luminance, guidance, temperature, lambda logits: [logits])

    def forward(self, luminance: Tensor, guidance: Guidance | None = None) -> Tensor:
        ab = self.coarse_ab(luminance, guidance)
        return F.interpolate(ab, size=luminance.shape[-2:], mode="bilinear", align_corners=False)

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        self.check_input(luminance)
        return {"cross_entropy": self.cross_entropy(self.logits(luminance), ab)}

    def cross_entropy(self, logits: Tensor, ab: Tensor) -> Tensor:
        """Of (B, Q, h, w) logits and (B, 2, H, W) true ab, rebalanced; grey pictures left out."""
        small = self.reduce(ab, (logits.shape[-2], logits.shape[-1]))
        target = self.quantizer.soft_encode(small)
        weights = None if self.mix == 1 else self.class_weights()
        return soft_cross_entropy(logits, target, weights, self.counted(ab))

    def on_train_start(self) -> None:
        """Measure the prior on the training pictures, unless a checkpoint brought it."""
        if self.mix == 1 or not bool((self.prior == self.prior[0]).all()):
            return
        loader = self.trainer.train_dataloader
        if not isinstance(loader, DataLoader):
            raise TypeError(
                f"class rebalancing measures the prior on a DataLoader, got a"
                f" {type(loader).__name__}; set model.prior yourself, or mix=1 for no rebalancing"
            )
        self.prior.copy_(self.measure_prior(loader))

    @torch.no_grad()
    def measure_prior(self, loader: "DataLoader[Tensor]") -> Tensor:
        """Mean target of the pixels that the loss would see of a loader: (Q,), summing to 1."""
        prior = AbPrior(self.quantizer)
        seen = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(PRIOR_SEED)
            for batch in plain_loader(loader):
                _, ab = self._lab(batch)
                height, width = (max(1, side // self.grain) for side in ab.shape[-2:])
                counted = ab[self.counted(ab)]
                if len(counted):
                    prior.update(self.reduce(counted, (height, width)))
                seen += len(ab)
                if seen >= PRIOR_PICTURES:
                    break
        return prior.compute()
