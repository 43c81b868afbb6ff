"""How often colours occur, and the class weights that make rare ones count.

Zhang, Isola and Efros 2016, section 2.2: photographs are mostly grey walls and pale skies, so a
plain classifier learns dullness; weighing pixels by the rarity of their colour undoes that.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from deepcolor.quantize import AbQuantizer

__all__ = ["AbPrior", "rebalancing_weights", "smooth_prior"]

MIX = 0.5  # lambda of Zhang et al. 2016: share of the uniform distribution
PRIOR_FLOOR = 1e-6  # keeps 1/p finite for colours that a data set never shows


class AbPrior:
    """Accumulates the ab prior of a data set: the mean of its pixels' soft encodings.

    Averaging soft encodings smooths with the same Gaussian as the training targets.

    Args:
        quantizer: the codebook; stays on its device.
    """

    def __init__(self, quantizer: AbQuantizer) -> None:
        self.quantizer = quantizer
        self.total = torch.zeros(quantizer.bins, dtype=torch.float64)

    def update(self, ab: Tensor) -> None:
        """Count the pixels of (B, 2, H, W) ab, in CIELAB units."""
        soft = self.quantizer.soft_encode(ab.to(self.quantizer.centres.device))
        self.total += torch.bincount(
            soft.bins.flatten().cpu(), soft.weights.flatten().cpu().double(), self.quantizer.bins
        )

    def compute(self) -> Tensor:
        """The prior: (Q,) float32, summing to 1."""
        if not self.total.sum() > 0:
            raise ValueError("the ab prior has seen no pixel; update it with photographs first")
        return (self.total / self.total.sum()).float()

    @classmethod
    def of(cls, quantizer: AbQuantizer, batches: Iterable[Tensor]) -> Tensor:
        """The prior over an iterable of (B, 2, H, W) ab batches."""
        prior = cls(quantizer)
        for ab in batches:
            prior.update(ab)
        return prior.compute()


def smooth_prior(counts: Tensor, quantizer: AbQuantizer) -> Tensor:
    """Smooth counts of nearest bins with the Gaussian of the soft encoding.

    Args:
        counts: (Q,) pixels per nearest bin, any scale.
        quantizer: the codebook that they belong to.

    Returns:
        (Q,) float32, summing to 1.
    """
    _check_size(counts, quantizer.bins)
    centres = quantizer.centres.cpu().double()
    distance = torch.cdist(centres, centres)
    kernel = torch.exp(-distance.square() / (2 * quantizer.sigma**2))
    kernel = kernel / kernel.sum(dim=0, keepdim=True)  # each bin spreads a mass of one
    smoothed = kernel @ counts.cpu().double()
    return (smoothed / smoothed.sum()).float().to(counts.device)


def rebalancing_weights(prior: Tensor, mix: float = MIX, targets: Tensor | None = None) -> Tensor:
    """Weight of each bin, rare colours first (Zhang et al. 2016, eq. 4).

    w is proportional to 1 / ((1 - mix) p + mix / Q), scaled so that its mean is 1.

    Args:
        prior: (Q,) probabilities, smoothed, summing to 1.
        mix: lambda, the share of the uniform distribution, in [0, 1]: 1 gives every bin weight 1,
            0 the full inverse, with p floored at 1e-6.
        targets: (Q,) probabilities under which the mean is taken, those of what the weights are
            for; the prior itself when None.

    Returns:
        (Q,) weights, positive.
    """
    if prior.ndim != 1 or not torch.isclose(prior.sum(), prior.new_ones(()), atol=1e-3):
        raise ValueError(
            f"prior must be (Q,) and sum to 1, got shape {tuple(prior.shape)}"
            f" with sum {float(prior.sum()):.4g}"
        )
    if not 0 <= mix <= 1:
        raise ValueError(f"mix must lie in [0, 1], got {mix}")
    if targets is not None:
        _check_size(targets, len(prior))
    exact = prior.cpu().double()  # no device of Apple's holds float64
    blend = (1 - mix) * exact + mix / len(prior)
    weights = 1 / (blend.clamp(min=PRIOR_FLOOR) if mix == 0 else blend)
    mean = ((exact if targets is None else targets.cpu().double()) * weights).sum()
    return (weights / mean).to(prior)


def _check_size(values: Tensor, bins: int) -> None:
    if values.shape != (bins,):
        raise ValueError(f"expected ({bins},) values, one a bin, got {tuple(values.shape)}")
