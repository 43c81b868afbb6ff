"""The figures that a validation or a test prints."""

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from deepcolor.metrics.chroma import Colourfulness
from deepcolor.metrics.difference import CIEDE2000, AbAuC
from deepcolor.metrics.fidelity import PSNR

__all__ = ["Figures"]


class Figures:
    """Counts what is said of a set of pictures: PSNR, both AuC, CIEDE2000, colourfulness, loss.

    No module, so that a model that holds one neither moves nor saves it: figures count in float64,
    which not every device has. Over several processes each metric is taken over all pictures.

    Args:
        device: where to count; the CPU beside an MPS device, which has no float64.
    """

    def __init__(self, device: torch.device | str) -> None:
        device = torch.device(device)
        self.device = torch.device("cpu") if device.type == "mps" else device
        # Not Lightning's own mean: over several processes it weighs by the wrong counts (2.6).
        self.loss = MeanMetric(nan_strategy="disable").to(self.device)
        self.psnr = PSNR().to(self.device)
        self.auc = AbAuC().to(self.device)
        self.ciede2000 = CIEDE2000().to(self.device)
        self.colourfulness = Colourfulness().to(self.device)
        self.true_colourfulness = Colourfulness().to(self.device)

    @torch.no_grad()
    def update(self, rgb: Tensor, truth: Tensor, loss: Tensor) -> None:
        """Count pictures.

        Args:
            rgb: (B, 3, H, W) in [0, 1], coloured.
            truth: the same shape.
            loss: (), the mean over them.
        """
        rgb, truth, loss = (x.to(self.device) for x in (rgb, truth, loss))
        self.loss.update(loss.expand(len(truth)))  # once a picture
        for metric in (self.psnr, self.auc, self.ciede2000):
            metric.update(rgb, truth)
        self.colourfulness.update(rgb)
        self.true_colourfulness.update(truth)

    def compute(self) -> dict[str, Tensor]:
        """All figures of all processes, by name; "colourfulness_share" is of the truth's."""
        return {
            **self.auc.compute(),
            "colourfulness_share": self.colourfulness.compute() / self.true_colourfulness.compute(),
            "psnr": self.psnr.compute(),
            "ciede2000": self.ciede2000.compute(),
            "loss": self.loss.compute(),
        }
