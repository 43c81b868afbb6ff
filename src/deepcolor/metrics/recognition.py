"""Whether a classifier that knows coloured photographs recognises what is in the coloured ones."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.metrics.mean import PictureMean

__all__ = ["FrozenClassifier", "Recognisability"]


class FrozenClassifier(nn.Module):
    """A classifier of photographs with its preprocessing: short side, centre crop, normalization.

    Args:
        backbone: maps (B, 3, side, side), normalized, to (B, classes) logits or (B, F) features.
        side: of the crop, in pixels.
        short_side: of the picture that it is cut from, in pixels.
        mean: of RGB in [0, 1].
        std: of RGB in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        side: int,
        short_side: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.side = side
        self.short_side = short_side
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "FrozenClassifier":
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] of any size -> what the backbone answers."""
        scale = self.short_side / min(rgb.shape[-2:])
        height, width = (max(self.side, round(edge * scale)) for edge in rgb.shape[-2:])
        rgb = F.interpolate(
            rgb, size=(height, width), mode="bicubic", align_corners=False, antialias=True
        ).clamp(0, 1)
        top, left = (height - self.side) // 2, (width - self.side) // 2
        crop = rgb[..., top : top + self.side, left : left + self.side]
        answer: Tensor = self.backbone((crop - self.mean) / self.std)
        return answer


class Recognisability(PictureMean):
    """Top-1 accuracy of a frozen classifier on coloured pictures; `update(rgb, classes)`.

    In percent. After Zhang et al. 2016, section 3.1, who ask VGG-16: colours that make things look
    like what they are keep the classifier right. Where no labels are known, its own answers on the
    true pictures can stand in for them; that is another figure, and higher.

    Args:
        classifier: maps (B, 3, H, W) in [0, 1] to (B, classes) logits;
            `deepcolor.weights.load_classifier` has one.
    """

    higher_is_better = True

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    @torch.no_grad()
    def update(self, rgb: Tensor, classes: Tensor) -> None:
        """Compare (B, 3, H, W) pictures in [0, 1] with (B,) numbers of classes."""
        self.add(100.0 * (self.classifier(rgb).argmax(dim=1) == classes))

    @torch.no_grad()
    def classes(self, rgb: Tensor) -> Tensor:
        """The classifier's answers: (B, 3, H, W) in [0, 1] -> (B,)."""
        answers: Tensor = self.classifier(rgb).argmax(dim=1)
        return answers
