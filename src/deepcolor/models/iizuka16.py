"""Iizuka, Simo-Serra and Ishikawa, "Let there be Color!", SIGGRAPH 2016.

Local features at the picture's own size and global ones at 224 x 224 come from the same first
layers, meet in a fusion layer, and are coloured; the global branch may learn to name the scene too.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.color import lightness_to_grey
from deepcolor.models._regression import RegressionColorizer

__all__ = ["Iizuka16"]

GLOBAL_SIDE = 224  # of the picture that the global branch reads
LOW = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1))  # channels, stride; all 3x3
MIDDLE = ((512, 1), (256, 1))
GLOBAL = ((512, 2), (512, 1), (512, 2), (512, 1))  # to 7 x 7
GLOBAL_DENSE = (1024, 512)  # the class head begins after these
VECTOR = 256  # channels of the global vector, of the fusion, and within the class head
COLOUR = ((128,), (64, 64), (32,))  # channels; twice the size after each group, nearest pixel
CLASS_WEIGHT = 1 / 300  # alpha of the paper
AB_SCALE = 100.0  # targets are (ab / 100 + 1) / 2


class Answer(NamedTuple):
    """What the network says of a batch."""

    chroma: Tensor
    """(B, 2, H, W) in [0, 1]."""
    scores: Tensor | None
    """(B, classes) logits; None without a class head."""


def _rectified(layer: nn.Conv2d | nn.Linear, norm: bool) -> list[nn.Module]:
    """Layer, normalization, ReLU."""
    if not norm:
        return [layer, nn.ReLU()]
    if isinstance(layer, nn.Linear):
        return [layer, nn.BatchNorm1d(layer.out_features), nn.ReLU()]
    return [layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU()]


def _convolutions(inputs: int, plan: Sequence[tuple[int, int]], norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels, stride in plan:
        convolution = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=not norm)
        layers += _rectified(convolution, norm)
        inputs = channels
    return nn.Sequential(*layers)


def _dense(inputs: int, widths: Sequence[int], norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += _rectified(nn.Linear(inputs, width, bias=not norm), norm)
        inputs = width
    return nn.Sequential(*layers)


class Iizuka16Network(nn.Module):
    """Grey, less its mean, to chroma and to scene scores."""

    def __init__(self, classes: int | None, norm: bool) -> None:
        super().__init__()
        self.low = _convolutions(1, LOW, norm)
        self.middle = _convolutions(LOW[-1][0], MIDDLE, norm)
        self.wide = _convolutions(LOW[-1][0], GLOBAL, norm)
        flat = GLOBAL[-1][0] * (GLOBAL_SIDE // 32) ** 2  # 25,088
        self.dense = _dense(flat, GLOBAL_DENSE, norm)
        self.vector = _dense(GLOBAL_DENSE[-1], (VECTOR,), norm)
        mixed = nn.Conv2d(VECTOR + MIDDLE[-1][0], VECTOR, kernel_size=1, bias=not norm)
        self.fusion = nn.Sequential(*_rectified(mixed, norm))
        layers: list[nn.Module] = []
        inputs = VECTOR
        for group in COLOUR:
            layers += _convolutions(inputs, [(channels, 1) for channels in group], norm)
            inputs = group[-1]
            if group is not COLOUR[-1]:
                layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        self.colour = nn.Sequential(
            *layers,
            nn.Conv2d(inputs, 2, 3, padding=1),
            nn.Sigmoid(),
            nn.Upsample(scale_factor=2, mode="nearest"),
        )
        self.scene = None
        if classes is not None:
            self.scene = nn.Sequential(
                _dense(GLOBAL_DENSE[-1], (VECTOR,), norm), nn.Linear(VECTOR, classes)
            )

    def forward(self, whole: Tensor, own: Tensor) -> Answer:
        """Look at a picture in two sizes.

        Args:
            whole: (B, 1, 224, 224).
            own: (B, 1, H, W); when it is `whole` itself, the first layers run once.
        """
        low = self.low(whole)  # (B, 512, 28, 28)
        local = self.middle(low if own is whole else self.low(own))  # (B, 256, H/8, W/8)
        named = self.dense(self.wide(low).flatten(1))  # (B, 512)
        tiled = self.vector(named)[:, :, None, None].expand(-1, -1, *local.shape[-2:])
        chroma = self.colour(self.fusion(torch.cat([tiled, local], dim=1)))
        return Answer(chroma, None if self.scene is None else self.scene(named))


class Iizuka16(RegressionColorizer):
    """Global and local features joined: 42,353,839 parameters with 205 classes and no norm.

    Batches are RGB, or (rgb, labels) with labels (B,) of whole numbers when there are classes, as
    `ColorizationDataModule(labels=True)` gives them. The gradient of the class loss reaches the
    shared layers, not those that colour.

    Args:
        classes: of the scenes that training labels name: 205 in the paper (Places). None has no
            class head, for pictures without labels; with classes, the loss needs labels.
        class_weight: alpha of the class loss, 1/300 in the paper.
        norm: batch normalization before each ReLU; training then needs batches of two at least.
        local: "own" reads local features at the picture's own size; "small" at 224 x 224, and
            enlarges the chroma.
        grey_mean: subtracted from the grey in [0, 1]. The release stores that of its data; ours is
            the mean of ImageNet's three channel means.
        lr: of ADADELTA.
        weight_decay: of ADADELTA.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8
    grain: ClassVar[int] = 2  # the last layer but doubles the size
    targets: ClassVar[tuple[str, ...]] = ("label",)
    network: Iizuka16Network

    def __init__(
        self,
        classes: int | None = None,
        class_weight: float = CLASS_WEIGHT,
        norm: bool = True,
        local: Literal["own", "small"] = "own",
        grey_mean: float = 0.449,
        lr: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.save_hyperparameters()
        if classes is not None and classes < 2:
            raise ValueError(f"classes must be at least 2, or None, got {classes}")
        if class_weight < 0:
            raise ValueError(f"class_weight must be at least 0, got {class_weight}")
        if local not in ("own", "small"):
            raise ValueError(f"local must be own or small, got {local!r}")
        self.classes = classes
        self.class_weight = class_weight
        self.local = local
        self.grey_mean = grey_mean
        self.network = Iizuka16Network(classes, norm)

    def setup(self, stage: str) -> None:
        """Refuse labels of another number of classes, before the first of them is used.

        Raises:
            ValueError: naming both; from a data module that has `labels`.
        """
        data: Any = getattr(self.trainer, "datamodule", None)
        named = len(data.classes) if getattr(data, "labels", False) else 0
        if self.classes is not None and named and named != self.classes:
            raise ValueError(
                f"Iizuka16(classes={self.classes}) does not fit the labels: {data.path} has {named}"
                f" folders; give classes={named}"
            )

    def answer(self, luminance: Tensor) -> Answer:
        """Chroma and scene scores for (B, 1, H, W) L in [0, 100]."""
        own = lightness_to_grey(luminance) - self.grey_mean
        whole = own
        if own.shape[-2:] != (GLOBAL_SIDE, GLOBAL_SIDE):
            whole = F.interpolate(
                own, size=(GLOBAL_SIDE, GLOBAL_SIDE), mode="bilinear", align_corners=False,
                antialias=True,
            )  # fmt: skip
        answer: Answer = self.network(whole, whole if self.local == "small" else own)
        return answer

    def core(self, luminance: Tensor) -> Tensor:
        return self.answer(luminance).chroma

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return (ab / AB_SCALE + 1) / 2

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return AB_SCALE * (2 * output - 1)

    def loss(self, luminance: Tensor, ab: Tensor, label: Tensor | None = None) -> dict[str, Tensor]:
        """Mean squared error, and with classes alpha times the cross-entropy of the scene.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].
            ab: (B, 2, H, W), the truth, in CIELAB units.
            label: (B,), whole numbers from 0 to classes - 1; needed with classes, else ignored.
        """
        self.check_input(luminance)
        if self.classes is not None:
            label = self._checked(label, len(luminance))
        answer = self.answer(luminance)
        terms = self.regression_loss(answer.chroma, luminance, ab)
        if answer.scores is not None and label is not None:
            scores = answer.scores.float()
            terms["scene"] = self.class_weight * F.cross_entropy(scores, label.long())
        return terms

    def _checked(self, labels: Tensor | None, batch: int) -> Tensor:
        assert self.classes is not None
        if labels is None:
            raise ValueError(
                f"Iizuka16(classes={self.classes}) learns scenes too and needs labels: batches"
                " (rgb, labels), or classes=None for pictures without"
            )
        if labels.shape != (batch,) or labels.is_floating_point():
            raise ValueError(
                f"labels must be ({batch},) whole numbers, got {tuple(labels.shape)} {labels.dtype}"
            )
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise ValueError(
                f"labels must lie in 0..{self.classes - 1}, got {int(labels.min())}.."
                f"{int(labels.max())}"
            )
        return labels

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """ADADELTA, as the paper."""
        return torch.optim.Adadelta(self.parameters(), self.lr, weight_decay=self.weight_decay)
