"""How often a classifier of colours names the right bin."""

import torch
from torch import Tensor
from torchmetrics import Metric

from deepcolor.quantize import AbQuantizer

__all__ = ["BinAccuracy"]

TOP = (1, 5)


class BinAccuracy(Metric):
    """Share of pixels whose true ab bin is the likeliest, or among the five likeliest, in percent.

    At the resolution of the logits, where the truth is the mean ab of each logit's area. All
    pixels count alike, and most pixels are nearly grey: a net that always says grey gets a third.

    `update(logits, ab)`; `compute()` gives {"top1", "top5"}.

    Args:
        quantizer: the codebook of the logits.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    hits: Tensor
    count: Tensor

    def __init__(self, quantizer: AbQuantizer) -> None:
        super().__init__()
        self.quantizer = AbQuantizer(quantizer.centres.detach().cpu(), neighbours=1)
        self.add_state("hits", torch.zeros(len(TOP), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, ab: Tensor) -> None:
        """Compare (B, Q, h, w) logits with (B, 2, H, W) ab in CIELAB units, reduced to h x w."""
        small = torch.nn.functional.interpolate(ab, size=logits.shape[-2:], mode="area")
        true = self.quantizer.hard_encode(small)  # (B, h, w)
        best = logits.topk(min(max(TOP), logits.shape[1]), dim=1).indices  # (B, 5, h, w)
        right = best == true[:, None]
        self.hits += torch.stack([right[:, :top].any(dim=1).double().sum() for top in TOP])
        self.count += true.numel()

    def compute(self) -> dict[str, Tensor]:
        """Both shares, in percent."""
        shares = 100 * self.hits / self.count
        return {f"top{top}": share.float() for top, share in zip(TOP, shares, strict=True)}
