"""Distances between what a frozen network sees in two pictures."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FeatureLoss"]


class FeatureLoss(nn.Module):
    """Weighted L1 distances between a network's features of two pictures (Johnson et al. 2016).

    The network is given, is not trained and stays in evaluation mode. Its layers run one after the
    other, as far as the last that is looked at.

    Args:
        network: a sequence of layers that work on pictures, such as VGG-16's.
        layers: number of a layer -> weight of the mean distance of its answers.
        mean: of the pictures' channels, subtracted before the network; none when None.
        std: divides them afterwards; none when None.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Sequential,
        layers: Mapping[int, float],
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not layers or not 0 <= min(layers) <= max(layers) < len(network):
            raise ValueError(
                f"layers must be numbers in 0..{len(network) - 1}, got {sorted(layers)}"
            )
        self.network = network[: max(layers) + 1].requires_grad_(False).eval()
        for layer in self.network:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # what was looked at must stay
        self.layers = dict(layers)
        for name, numbers, usual in (("mean", mean, 0.0), ("std", std, 1.0)):
            column = torch.tensor(numbers if numbers is not None else [usual])[:, None, None]
            self.register_buffer(name, column, persistent=False)

    def train(self, mode: bool = True) -> "FeatureLoss":
        """Stay in evaluation mode."""
        return super().train(False)

    def features(self, rgb: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> the answers of the layers looked at, in order."""
        x = (rgb - self.mean) / self.std
        seen = []
        for number, layer in enumerate(self.network):
            x = layer(x)
            if number in self.layers:
                seen.append(x)
        return seen

    def forward(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """A scalar: the weighted sum of the mean distances.

        Args:
            predicted: (B, 3, H, W).
            truth: (B, 3, H, W), on the same scale; gets no gradient.
        """
        if predicted.shape != truth.shape or predicted.ndim != 4:
            raise ValueError(
                f"predicted and true pictures must both be (B, 3, H, W), got"
                f" {tuple(predicted.shape)} and {tuple(truth.shape)}"
            )
        with torch.no_grad():
            wanted = self.features(truth)
        weights = [weight for _, weight in sorted(self.layers.items())]
        return torch.stack(
            [
                weight * F.l1_loss(mine.float(), other.float())
                for weight, mine, other in zip(
                    weights, self.features(predicted), wanted, strict=True
                )
            ]
        ).sum()
