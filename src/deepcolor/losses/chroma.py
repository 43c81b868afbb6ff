"""Losses on chroma: Huber and MSE, rebalanced cross-entropy for classification, colourfulness."""

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from deepcolor.quantize import AbQuantizer, SoftBins

__all__ = [
    "chroma_huber",
    "chroma_mse",
    "colourful",
    "colourfulness_loss",
    "combined_chroma_loss",
    "soft_cross_entropy",
]

AB_SCALE = 110.0  # regression losses measure ab / 110, as Zhang et al. 2017 scale it
DELTA = 1 / AB_SCALE  # where the Huber loss of Zhang et al. 2017 bends: at 1 CIELAB unit
MEAN_SHARE = 0.3  # of the mean beside the spread, Hasler and Suesstrunk 2003
TINY = 1e-12
NON_GREY = 5.0  # a picture with no |a| or |b| above this teaches only grey; Zhang's training code


def _check_same(predicted: Tensor, ab: Tensor) -> None:
    if predicted.shape != ab.shape or ab.ndim != 4 or ab.shape[1] != 2:
        raise ValueError(
            f"predicted and true ab must both be (B, 2, H, W), got {tuple(predicted.shape)}"
            f" and {tuple(ab.shape)}"
        )


def chroma_mse(predicted: Tensor, ab: Tensor) -> Tensor:
    """Mean squared error of ab / 110.

    Args:
        predicted: (B, 2, H, W), in CIELAB units.
        ab: (B, 2, H, W), the truth.

    Returns:
        A scalar: mean over pixels and both channels.
    """
    _check_same(predicted, ab)
    return F.mse_loss(predicted.float() / AB_SCALE, ab.float() / AB_SCALE)


def chroma_huber(predicted: Tensor, ab: Tensor, delta: float = DELTA) -> Tensor:
    """Huber loss of ab / 110: the sum of both channels, averaged over pixels.

    As the training code of Zhang et al. 2017: divided by delta, so that its slope is 1 beyond.

    Args:
        predicted: (B, 2, H, W), in CIELAB units.
        ab: (B, 2, H, W), the truth.
        delta: where the square turns into a line, on the scale of ab / 110, above 0.

    Returns:
        A scalar.
    """
    _check_same(predicted, ab)
    # The mean over the channels too: twice that is their sum.
    return 2 * F.smooth_l1_loss(predicted.float() / AB_SCALE, ab.float() / AB_SCALE, beta=delta)


def colourful(ab: Tensor, threshold: float = NON_GREY) -> Tensor:
    """Tell which pictures hold any colour: (B, 2, H, W) ab -> (B,) bool.

    A picture counts when one pixel has |a| or |b| above `threshold`, in CIELAB units.
    """
    return (ab.abs() > threshold).flatten(1).any(dim=1)


def colourfulness_loss(rgb: Tensor) -> Tensor:
    """1 less the colourfulness of pictures, on average (Kang et al. 2023).

    Their colourfulness is Hasler and Suesstrunk's with absolute opponent colours, of RGB in [0, 1];
    `deepcolor.metrics.colourfulness` has the original's signed ones, of 0..255.

    Args:
        rgb: (B, 3, H, W) in [0, 1].

    Returns:
        A scalar: the mean over the pictures.
    """
    if rgb.ndim != 4 or rgb.shape[1] != 3:
        raise ValueError(f"rgb must be (B, 3, H, W), got {tuple(rgb.shape)}")
    red, green, blue = rgb.float().flatten(2).unbind(dim=1)  # (B, HW)
    opponents = torch.stack([(red - green).abs(), ((red + green) / 2 - blue).abs()])
    # The clamp: a root has no slope at zero, where all grey pictures are.
    spread = opponents.var(dim=2, correction=0).sum(dim=0).clamp(min=TINY).sqrt()
    away = opponents.mean(dim=2).square().sum(dim=0).clamp(min=TINY).sqrt()
    return (1 - spread - MEAN_SHARE * away).mean()


def soft_cross_entropy(
    logits: Tensor,
    target: SoftBins,
    class_weights: Tensor | None = None,
    picture_weights: Tensor | None = None,
) -> Tensor:
    """Rebalanced cross-entropy with soft targets (Zhang et al. 2016, eq. 2 and 3).

    Each pixel counts with the weight of its nearest bin. The target stays sparse: the loss gathers
    k logits a pixel, and beyond the gradient of the logits itself, memory holds one picture at a
    time. Computed in float32 whatever the dtype of the logits. Differentiable once.

    Args:
        logits: (B, Q, H, W).
        target: k bins a pixel, (B, k, H, W), nearest first.
        class_weights: (Q,), by `rebalancing_weights`; all 1 when None.
        picture_weights: (B,), for example 0 for grey pictures; all 1 when None.

    Returns:
        A scalar: the weighted sum over pixels, divided by the number of pixels B * H * W.
    """
    batch, bins, height, width = logits.shape
    if target.bins.shape != target.weights.shape or (
        target.bins.shape[0],
        *target.bins.shape[2:],
    ) != (batch, height, width):
        raise ValueError(
            f"logits {tuple(logits.shape)} and targets {tuple(target.bins.shape)},"
            f" {tuple(target.weights.shape)} do not fit: (B, Q, H, W) and twice (B, k, H, W) needed"
        )
    pixel_weights = torch.ones(batch, height, width, device=logits.device)
    if class_weights is not None:
        if class_weights.shape != (bins,):
            raise ValueError(f"class_weights must be ({bins},), got {tuple(class_weights.shape)}")
        pixel_weights = class_weights.to(logits.device, torch.float32)[target.bins[:, 0]]
    if picture_weights is not None:
        pixel_weights = pixel_weights * picture_weights.to(pixel_weights)[:, None, None]
    loss: Tensor = _SoftCrossEntropy.apply(
        logits, target.bins, target.weights.float(), pixel_weights / pixel_weights.numel()
    )
    return loss


class _Context(Protocol):
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _SoftCrossEntropy(torch.autograd.Function):
    """sum_p v_p (logsumexp(z_p) - sum_i w_pi z_p,q(i)), picture by picture.

    Uses that the weights of a pixel sum to 1. Plain autograd would keep log-probabilities and
    their gradient, each as large as the logits.
    """

    @staticmethod
    def forward(
        ctx: _Context, logits: Tensor, index: Tensor, weight: Tensor, pixel_weights: Tensor
    ) -> Tensor:
        total = torch.zeros((), device=logits.device)
        normalizers = torch.empty_like(pixel_weights)
        for i, picture in enumerate(logits):  # (Q, H, W)
            gathered = picture.gather(0, index[i]).float()  # (k, H, W)
            normalizers[i] = torch.logsumexp(picture.float(), dim=0)
            total += (pixel_weights[i] * (normalizers[i] - (weight[i] * gathered).sum(0))).sum()
        ctx.save_for_backward(logits, index, weight, pixel_weights, normalizers)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Any, ...]:
        logits, index, weight, pixel_weights, normalizers = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        scaled = upstream * pixel_weights
        for i, picture in enumerate(logits):
            softmax = torch.sub(picture.float(), normalizers[i]).exp_().mul_(scaled[i])
            gradient[i] = softmax.scatter_add_(0, index[i], -weight[i] * scaled[i])
        return gradient, None, None, None


def combined_chroma_loss(
    logits: Tensor,
    ab: Tensor,
    quantizer: AbQuantizer,
    class_weights: Tensor | None = None,
    regression_share: float = 0.1,
) -> dict[str, Tensor]:
    """Both families at once: cross-entropy on the bins, Huber on the mean that they decode to.

    Args:
        logits: (B, Q, H, W).
        ab: (B, 2, H, W), the truth at the size of the logits, in CIELAB units.
        quantizer: the codebook of the logits.
        class_weights: (Q,), for the cross-entropy.
        regression_share: factor of the Huber term, at least 0.

    Returns:
        "cross_entropy" and "huber", scalars; their sum is minimized.
    """
    if regression_share < 0:
        raise ValueError(f"regression_share must be at least 0, got {regression_share}")
    mean = quantizer.annealed_mean(logits, temperature=1.0)  # the expectation: eq. 5 at T = 1
    return {
        "cross_entropy": soft_cross_entropy(logits, quantizer.soft_encode(ab), class_weights),
        "huber": regression_share * chroma_huber(mean, ab),
    }
