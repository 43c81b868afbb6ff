"""The VGG networks (Simonyan and Zisserman 2015), read after each of their first four scales."""

from pathlib import Path
from typing import Any, Literal

import pooch
import timm
import torch
from torch import Tensor, nn

from deepcolor.blocks.fitting import listed, misfits
from deepcolor.tensors import read_layout, read_state

__all__ = [
    "VGG_CHANNELS",
    "Preprocessing",
    "VGGPyramid",
    "expected_preprocessing",
    "vgg_features",
]

Preprocessing = Literal["auto", "caffe", "torchvision"]

VGG_CHANNELS = (64, 128, 256, 512)  # conv1_2, conv2_2, conv3_3 and conv4_3 of VGG-16
VGG_STRIDES = (1, 2, 4, 8)
NORMALIZATION = {  # mean and deviation of the three channels, on a scale of 0..1
    # BGR, not divided: for weights as the authors published them
    "caffe": ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255, 1 / 255, 1 / 255)),
    # RGB: for weights of torchvision and timm
    "torchvision": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
FROM_CAFFE = ("00b39a1b", "d01eb7cb")  # sha256 of Johnson's VGG-16 and 19, named as torchvision's
NEITHER = ("88682ab5",)  # torchvision's VGG16_Weights.IMAGENET1K_FEATURES
SMALL_HEAD = 1 / 4096  # timm builds the classifier even where it is thrown away: make it tiny


class VGGPyramid(nn.Module):
    """A VGG network on grey tiled to three channels, up to conv4_3 and its ReLU.

    Args:
        name: a VGG of timm: vgg16, vgg16_bn, vgg13, vgg19 ...
        weights: a .safetensors or .pth file of that network in timm's or torchvision's names,
            classifier or not; None leaves it random.
        preprocessing: what the weights expect: "caffe" 0..255 BGR less its mean, "torchvision"
            0..1 RGB less its mean, divided by its deviation. "auto" is what the file says, see
            `expected_preprocessing`, and "caffe", as the sources, for random weights.
        frozen: neither trained nor in training mode, whatever the rest does.

    Attributes:
        preprocessing: "caffe" or "torchvision".
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str, weights: str | None, preprocessing: Preprocessing, *, frozen: bool
    ) -> None:
        super().__init__()
        if not name.startswith("vgg"):
            raise ValueError(f"the backbone must be a VGG of timm, such as vgg16, got {name!r}")
        if preprocessing not in ("auto", *NORMALIZATION):
            raise ValueError(
                f"preprocessing must be one of auto, {', '.join(NORMALIZATION)},"
                f" got {preprocessing!r}"
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
        if preprocessing == "auto":
            preprocessing = "caffe" if weights is None else expected_preprocessing(weights)
        self.preprocessing = preprocessing
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


def expected_preprocessing(file: str) -> Literal["caffe", "torchvision"]:
    """What a file of VGG weights expects, from what it says or from whose file it is.

    In this order: "preprocessing" in the metadata of a .safetensors file; the checksum of Johnson's
    conversions of Caffe's weights; a classifier, named as torchvision or timm names it, or batch
    normalization, which Caffe's networks lack.

    Raises:
        FileNotFoundError, ValueError: if it cannot be read, or cannot be known.
    """
    path, said = Path(file), None
    if path.suffix == ".safetensors":
        layout = read_layout(path)
        names, said = layout.shapes.keys(), layout.metadata.get("preprocessing")
    else:
        names = read_state(path).keys()
    if said in ("caffe", "torchvision"):
        return "caffe" if said == "caffe" else "torchvision"
    known = any(
        name.startswith(("classifier.", "pre_logits.", "head.")) or name.endswith(".running_mean")
        for name in names
    )
    if said is not None or not known:
        raise ValueError(
            f"{file} does not tell what its weights expect: it has neither torchvision's or timm's"
            " classifier nor caffe or torchvision as preprocessing in its metadata; say which, as"
            " the model's argument"
        )
    digest = pooch.file_hash(file)
    if digest.startswith(NEITHER):
        raise ValueError(
            f"{file}: torchvision's vgg16_features expects RGB bytes less their mean, neither as"
            " caffe (BGR) nor as torchvision; wanted: weights that classify, IMAGENET1K_V1"
        )
    return "caffe" if digest.startswith(FROM_CAFFE) else "torchvision"


def vgg_features(name: str, file: str) -> nn.Sequential:
    """The layers of a VGG network before its classifier, numbered as torchvision numbers them.

    Args:
        name: a VGG of timm, such as vgg16_bn.
        file: its weights, in timm's or torchvision's names, for normalized RGB.

    Raises:
        FileNotFoundError, ValueError: if it cannot be read, or does not fit, or expects another
            preprocessing.
    """
    if expected_preprocessing(file) != "torchvision":
        raise ValueError(f"{file}: Caffe's weights, which expect BGR; wanted: torchvision's")
    whole: Any = timm.create_model(name, mlp_ratio=SMALL_HEAD, num_classes=0)
    weights = _convolutions(whole, name, file)
    features: nn.Sequential = whole.features
    features.load_state_dict({k.removeprefix("features."): v for k, v in weights.items()})
    return features


def _convolutions(whole: nn.Module, name: str, file: str) -> dict[str, Tensor]:
    """The weights of a file that lie below the classifier, if they are that network's."""
    weights = read_state(Path(file))
    wanted = {k: v for k, v in whole.state_dict().items() if k.startswith("features.")}
    given = {key: value for key, value in weights.items() if key.startswith("features.")}
    problems = misfits(wanted, given)
    if problems:
        raise ValueError(f"{file}: the weights do not fit {name}: {listed(problems)}")
    return given


def _load(backbone: nn.Module, name: str, file: str) -> None:
    """Load the convolutions of a classifier's file, strictly; what lies above is left out."""
    whole = timm.create_model(name, mlp_ratio=SMALL_HEAD, num_classes=0)
    given = _convolutions(whole, name, file)
    renamed = {key.replace("features.", "features_", 1): value for key, value in given.items()}
    with torch.no_grad():
        backbone.load_state_dict({key: renamed[key] for key in backbone.state_dict()}, strict=True)
