"""Whether the pictures as a whole look like true ones: FID, plain and hue-invariant."""

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from deepcolor.metrics.chroma import match_colourfulness

__all__ = ["FID", "HueInvariantFID"]


class FID(Metric):
    """Frechet distance between the features of coloured and of true pictures (Heusel et al. 2017).

    ||m1 - m2||^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), means and covariances (divisor N - 1) over
    pictures. Far below as many pictures as features the covariances are mostly chance: figures of
    sets of different size, or of different extractors, do not compare.

    `update(rgb, truth)`.

    Args:
        extractor: maps (B, 3, H, W) in [0, 1] to (B, F) features; it says itself how it resizes.
            `deepcolor.weights.load_extractor` has Inception, which papers use, and another one
            that needs no download.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    count: Tensor

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        # (2, F) sums and (2, F, F) sums of products, coloured before true; F shows at the first
        # picture, and zeros broadcast until then.
        self.add_state("sums", torch.zeros(2, 1, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("products", torch.zeros(2, 1, 1, dtype=torch.float64), dist_reduce_fx="sum")
        self.sums: Tensor
        self.products: Tensor

    @torch.no_grad()
    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Count (B, 3, H, W) pictures in [0, 1]."""
        both = torch.stack([self.extractor(rgb), self.extractor(truth)]).double()  # (2, B, F)
        self.sums = self.sums + both.sum(dim=1)
        self.products = self.products + both.transpose(1, 2) @ both
        self.count += len(rgb)

    def compute(self) -> Tensor:
        """The distance so far.

        Raises:
            ValueError: before two pictures were seen.
        """
        if self.count < 2:
            raise ValueError(f"FID needs at least two pictures, it saw {int(self.count)}")
        means = self.sums / self.count  # (2, F)
        outer = means[:, :, None] * means[:, None, :]
        one, other = (self.products - self.count * outer) / (self.count - 1)  # (F, F) each
        # tr (C1 C2)^(1/2) by symmetric matrices: the same eigenvalues, and no complex numbers.
        values, vectors = torch.linalg.eigh(one)
        root = vectors * values.clamp(min=0).sqrt() @ vectors.T
        cross = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0).sqrt().sum()
        distance = (means[0] - means[1]).square().sum() + one.trace() + other.trace() - 2 * cross
        least: Tensor = distance.clamp(min=0)
        return least.float()


class HueInvariantFID(FID):
    """FID after each coloured picture was made as colourful as its truth; `update(rgb, truth)`.

    Plain FID rewards saturation. Named in Color-Turbo (arXiv 2503.14974, section 5.2.1): chroma is
    rescaled so that colourfulness equals the truth's, then FID. We rescale ab picture by picture,
    at the same lightness and within sRGB (see `match_colourfulness`): the paper's code is not
    public, so figures may not compare with its own.
    """

    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Count (B, 3, H, W) pictures in [0, 1]."""
        super().update(match_colourfulness(rgb, truth), truth)
