"""The VGG networks (Simonyan and Zisserman 2015), read after each of their first four scales."""

from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from deepcolor.blocks.backbones import read_weights
from deepcolor.blocks.fitting import misfits, told

__all__ = ["VGG_CHANNELS", "Preprocessing", "VGGPyramid"]

Preprocessing = Literal["caffe", "torchvision"]

VGG_CHANNELS = (64, 128, 256, 512)  # conv1_2, conv2_2, conv3_3 and conv4_3 of VGG-16
VGG_STRIDES = (1, 2, 4, 8)
NORMALIZATION = {  # mean and deviation of the three channels, on a scale of 0..1
    # BGR, not divided: for weights as the authors published them
    "caffe": ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255, 1 / 255, 1 / 255)),
    # RGB: for weights of torchvision and timm
    "torchvision": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
SMALL_HEAD = 1 / 4096  # timm builds the classifier even where it is thrown away: make it tiny


class VGGPyramid(nn.Module):
    """A VGG network on grey tiled to three channels, up to conv4_3 and its ReLU.

    Args:
        name: a VGG of timm: vgg16, vgg16_bn, vgg13, vgg19 ...
        weights: a .safetensors or .pth file of that network in timm's or torchvision's names,
            classifier or not; None leaves it random.
        preprocessing: what the weights expect: "caffe" 0..255 BGR less its mean, "torchvision"
            0..1 RGB less its mean, divided by its deviation.
        frozen: neither trained nor in training mode, whatever the rest does.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str, weights: str | None, preprocessing: Preprocessing, *, frozen: bool
    ) -> None:
        super().__init__()
        if not name.startswith("vgg"):
            raise ValueError(f"the backbone must be a VGG of timm, such as vgg16, got {name!r}")
        if preprocessing not in NORMALIZATION:
            raise ValueError(
                f"preprocessing must be one of {', '.join(NORMALIZATION)}, got {preprocessing!r}"
            )
        self.backbone = timm.create_model(
            name,
            features_only=True,
            out_indices=tuple(range(len(VGG_CHANNELS))),
            mlp_ratio=SMALL_HEAD,
            num_classes=0,
        )
        levels: Any = self.backbone.feature_info
        assert tuple(levels.channels()) == VGG_CHANNELS
        assert tuple(levels.reduction()) == VGG_STRIDES
        if weights is not None:
            _load(self.backbone, name, weights)
        mean, std = NORMALIZATION[preprocessing]
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> "VGGPyramid":
        return super().train(mode and not self.frozen)

    def forward(self, grey: Tensor) -> list[Tensor]:
        """(B, 1, H, W) in [0, 1] -> conv1_2 (B, 64, H, W) to conv4_3 (B, 512, H/8, W/8)."""
        features: list[Tensor] = self.backbone((grey - self.mean) / self.std)
        return features


def _load(backbone: nn.Module, name: str, file: str) -> None:
    """Load the convolutions of a classifier's file, strictly; what lies above is left out."""
    weights = read_weights(file)
    whole = timm.create_model(name, mlp_ratio=SMALL_HEAD, num_classes=0).state_dict()
    wanted = {key: value for key, value in whole.items() if key.startswith("features.")}
    given = {key: value for key, value in weights.items() if key.startswith("features.")}
    problems = misfits(wanted, given)
    if problems:
        raise ValueError(f"{file}: the weights do not fit {name}: {told(problems)}")
    renamed = {key.replace("features.", "features_", 1): value for key, value in given.items()}
    with torch.no_grad():
        backbone.load_state_dict({key: renamed[key] for key in backbone.state_dict()}, strict=True)
