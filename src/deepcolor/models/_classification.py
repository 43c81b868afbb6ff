"""The family whose networks say which colours are likely at each place."""

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from deepcolor.batch import Batch
from deepcolor.guidance import Guidance, Kind
from deepcolor.losses.chroma import colourful, soft_cross_entropy
from deepcolor.models._training import Colorizer
from deepcolor.models.loaders import plain_loader
from deepcolor.models.prediction import BinPrediction
from deepcolor.quantize import AbQuantizer
from deepcolor.rebalance import AbPrior, rebalancing_weights, smooth_prior

__all__ = ["ClassificationColorizer"]

PRIOR_PICTURES = 2048  # enough for the bins that a data set shows at all to be seen
PRIOR_SEED = 0


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
    def core(self, luminance: Tensor) -> Tensor:
        """(B, 1, H, W) L in [0, 100] -> (B, Q, H / grain, W / grain) logits."""

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

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
    ) -> BinPrediction:
        self.check_input(luminance, guidance)
        return self.prediction(luminance, self.core(luminance))

    def prediction(self, luminance: Tensor, answer: Tensor) -> BinPrediction:
        return BinPrediction(
            model=type(self).__name__,
            luminance=F.avg_pool2d(luminance, self.grain),
            output=answer,
            decode=lambda output, _, temperature: self.decode(output, temperature),
            centres=self.quantizer.centres,
            temperature=self.temperature,
        )

    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        ab = self.predict(luminance, guidance).ab()
        return F.interpolate(ab, size=luminance.shape[-2:], mode="bilinear", align_corners=False)

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        self.check_input(luminance)
        return {"cross_entropy": self.cross_entropy(self.core(luminance), ab)}

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
                _, ab = Batch.of(batch).lab()
                ab = ab.flatten(0, -4)  # of clips the frames
                height, width = (max(1, side // self.grain) for side in ab.shape[-2:])
                counted = ab[self.counted(ab)]
                if len(counted):
                    prior.update(self.reduce(counted, (height, width)))
                seen += len(ab)
                if seen >= PRIOR_PICTURES:
                    break
        return prior.compute()
