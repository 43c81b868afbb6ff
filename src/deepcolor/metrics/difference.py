"""How far colours lie from the truth: CIEDE2000 and the area under the curve of ab accuracy."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics import Metric

from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.quantize import AbQuantizer
from deepcolor.rebalance import rebalancing_weights, smooth_prior

__all__ = ["CIEDE2000", "AbAuC", "ciede2000"]

AUC_LIMIT = 150  # largest ab distance counted, Zhang et al. 2016
STRIP = 1 << 20  # pixels looked at at a time: scans would take gigabytes in float64


def ciede2000(lab: Tensor, other: Tensor) -> Tensor:
    """Perceptual colour difference CIEDE2000 (Sharma, Wu and Dalal 2005), all factors 1.

    Args:
        lab: (..., 3, H, W) CIELAB.
        other: the same shape.

    Returns:
        (..., H, W); 1 is about a just noticeable difference.
    """
    l1, a1, b1 = lab.double().unbind(-3)
    l2, a2, b2 = other.double().unbind(-3)
    chroma7 = ((a1.hypot(b1) + a2.hypot(b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * (chroma7 / (chroma7 + 25.0**7)).sqrt()
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = a1.hypot(b1), a2.hypot(b2)
    h1 = torch.rad2deg(torch.atan2(b1, a1)) % 360
    h2 = torch.rad2deg(torch.atan2(b2, a2)) % 360
    grey = c1 * c2 == 0

    hue_step = h2 - h1
    hue_step = torch.where(hue_step > 180, hue_step - 360, hue_step)
    hue_step = torch.where(hue_step < -180, hue_step + 360, hue_step)
    hue_step = torch.where(grey, 0.0, hue_step)
    d_hue = 2 * (c1 * c2).sqrt() * torch.sin(torch.deg2rad(hue_step / 2))
    total = h1 + h2
    wrapped = torch.where(total < 360, total + 360, total - 360)
    hue = torch.where((h1 - h2).abs() > 180, wrapped, total) / 2
    hue = torch.where(grey, total, hue)

    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * torch.cos(torch.deg2rad(hue - 30))
        + 0.24 * torch.cos(torch.deg2rad(2 * hue))
        + 0.32 * torch.cos(torch.deg2rad(3 * hue + 6))
        - 0.20 * torch.cos(torch.deg2rad(4 * hue - 63))
    )
    off = (lightness - 50) ** 2
    s_l = 1 + 0.015 * off / (20 + off).sqrt()
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotation = 2 * (chroma**7 / (chroma**7 + 25.0**7)).sqrt()
    rotation = -rotation * torch.sin(torch.deg2rad(60 * torch.exp(-(((hue - 275) / 25) ** 2))))
    d_l, d_c, d_h = (l2 - l1) / s_l, (c2 - c1) / s_c, d_hue / s_h
    return (d_l**2 + d_c**2 + d_h**2 + rotation * d_c * d_h).clamp(min=0).sqrt().float()


class CIEDE2000(Metric):
    """Mean CIEDE2000 over all pixels; `update(rgb, truth)`."""

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Compare (B, 3, H, W) pictures in [0, 1]."""
        for one, other in _strips(rgb, truth):
            difference = ciede2000(rgb_to_lab(one), rgb_to_lab(other))
            self.total += difference.double().sum()
            self.count += difference.numel()

    def compute(self) -> Tensor:
        """The mean so far."""
        return (self.total / self.count).float()


class AbAuC(Metric):
    """Area under the curve of ab accuracy, raw and rebalanced (Zhang et al. 2016, section 3.1).

    accuracy(t) is the share of pixels whose ab lies within distance t of the truth; the area is
    taken by trapezoids over t = 0, 1 .. 150 and divided by 150. Pixels of all pictures are pooled.
    Rebalanced: each pixel weighs 1 / p(bin of its true colour), with p the smoothed prior.

    `update(rgb, truth)`; `compute()` gives {"auc", "auc_rebalanced"} in percent.

    Args:
        prior: (313,) smoothed prior for the weights; None takes that of the true pictures seen.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    histogram: Tensor

    def __init__(self, prior: Tensor | None = None) -> None:
        super().__init__()
        self.quantizer = AbQuantizer.gamut313(neighbours=1)
        self.prior = prior
        shape = (self.quantizer.bins, AUC_LIMIT + 2)  # true bin x rounded-up error, the rest last
        self.add_state("histogram", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, rgb: Tensor, truth: Tensor) -> None:
        """Compare (B, 3, H, W) pictures in [0, 1]."""
        for one, other in _strips(rgb, truth):
            _, predicted = split_lab(rgb_to_lab(one))
            _, true = split_lab(rgb_to_lab(other))
            error = (predicted - true).norm(dim=1).ceil().clamp(max=AUC_LIMIT + 1).long()
            cell = self.quantizer.hard_encode(true) * (AUC_LIMIT + 2) + error
            counts = torch.bincount(cell.flatten(), minlength=self.histogram.numel())
            self.histogram += counts.reshape(self.histogram.shape)

    def compute(self) -> dict[str, Tensor]:
        """Both areas, in percent."""
        counts = self.histogram.sum(dim=1)
        prior = smooth_prior(counts, self.quantizer) if self.prior is None else self.prior
        weights = rebalancing_weights(prior.to(counts.device), mix=0).double()
        return {
            "auc": _area(self.histogram.sum(dim=0)),
            "auc_rebalanced": _area((self.histogram * weights[:, None]).sum(dim=0)),
        }


def _strips(rgb: Tensor, truth: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of both pictures, about STRIP pixels at a time."""
    if rgb.shape != truth.shape:
        raise ValueError(f"pictures differ: {tuple(rgb.shape)} and {tuple(truth.shape)}")
    rows = max(1, STRIP // max(1, len(rgb) * rgb.shape[-1]))
    for top in range(0, rgb.shape[-2], rows):
        yield rgb[..., top : top + rows, :], truth[..., top : top + rows, :]


def _area(histogram: Tensor) -> Tensor:
    """Percent under the curve, from counts of rounded-up errors."""
    accuracy = histogram.cumsum(0)[: AUC_LIMIT + 1] / histogram.sum()
    return (100 * torch.trapezoid(accuracy) / AUC_LIMIT).float()
