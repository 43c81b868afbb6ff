"""Classifiers from timm as parts of colorizers: fine-tuned trunks, and frozen global features.

Nothing here downloads. Weights come from a file that the user names, and load strictly.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.blocks.fitting import listed, misfits
from deepcolor.tensors import read_state

__all__ = [
    "CAFFE_MEAN",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "TRUNKS",
    "ClassifierTrunk",
    "GlobalFeatures",
    "WholeMap",
    "load_backbone",
    "read_weights",
]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]
CAFFE_MEAN = (103.939, 116.779, 123.68)  # of BGR in 0..255; Keras' VGG16 and ResNets
TRUNKS = ("resnet18", "resnet34", "resnet50", "resnet152", "vgg16")
RESNET_STAGES = {8: ("layer1", "layer2"), 16: ("layer1", "layer2", "layer3")}  # by reduction
VGG16_LAYERS = {8: 17, 16: 24}  # by reduction: up to the third and the fourth pooling, inclusive
VGG16_CLASSIFIER = {  # torchvision's names of what timm holds as convolutions
    "classifier.0": "pre_logits.fc1",
    "classifier.3": "pre_logits.fc2",
    "classifier.6": "head.fc",
}
VGG16_MAP = (512, 7, 7)  # what its first dense layer flattens


def read_weights(path: str) -> dict[str, Tensor]:
    """A state dict of a .safetensors, .pth, .pt or .bin file; see `deepcolor.tensors.read_state`.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if it is damaged, would run code, or holds no state dict.
    """
    return read_state(Path(path))


def load_backbone(backbone: nn.Module, name: str, path: str) -> None:
    """Load a file of classifier weights for RGB, all keys and shapes equal.

    Args:
        backbone: the whole timm classifier.
        name: of its architecture, for messages.
        path: of a file for `read_weights`, with the names of timm or torchvision.

    Raises:
        ValueError: if keys are missing, extra or misshaped; lists at most ten.
    """
    weights = _timm_names(read_weights(path), name)
    wanted = backbone.state_dict()
    problems = misfits(wanted, weights)
    if problems:
        raise ValueError(f"{path}: the weights do not fit {name}: {listed(problems)}")
    backbone.load_state_dict(weights, strict=True)


def _timm_names(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Rename torchvision's VGG16; its ResNets are named as timm's."""
    if name != "vgg16":
        return dict(weights)
    renamed = {}
    for key, value in weights.items():
        layer, _, kind = key.rpartition(".")
        new = f"{VGG16_CLASSIFIER.get(layer, layer)}.{kind}"
        if kind == "weight" and new.startswith("pre_logits") and value.ndim == 2:
            shape = VGG16_MAP if new.startswith("pre_logits.fc1") else (value.shape[1], 1, 1)
            fits = value.shape[1] == shape[0] * shape[1] * shape[2]
            value = value.reshape(len(value), *shape) if fits else value
        renamed[new] = value
    return renamed


class ClassifierTrunk(nn.Module):
    """The first stages of an ImageNet classifier, on a grey picture, for fine-tuning.

    Args:
        name: one of `TRUNKS`.
        reduction: 8 or 16, how much smaller than the input the output is.
        inputs: 3 repeats the grey for each colour; 1 has a first convolution whose kernels are
            the sums over RGB, with the mean of the three normalizations.
        weights: a file for `load_backbone`; None leaves it random.

    Attributes:
        channels: of the output.
        pretrained_cfg: what timm says of the classifier's own weights.
    """

    def __init__(
        self, name: str, reduction: Literal[8, 16], inputs: int = 3, weights: str | None = None
    ) -> None:
        super().__init__()
        if name not in TRUNKS:
            raise ValueError(f"no backbone named {name!r}; there are: {', '.join(TRUNKS)}")
        if inputs not in (1, 3):
            raise ValueError(f"inputs must be 1 or 3 channels, got {inputs}")
        # Random residual branches must not start at zero: nothing would reach their convolutions.
        options: dict[str, Any] = {} if name == "vgg16" else {"zero_init_last": False}
        whole: Any = timm.create_model(name, **options)
        if weights is not None:
            load_backbone(whole, name, weights)
        if name == "vgg16":
            layers = list(whole.features.named_children())[: VGG16_LAYERS[reduction]]
            stem = whole.features[0]
            self.channels = max(getattr(layer, "out_channels", 0) for _, layer in layers)
        else:
            steps = ("conv1", "bn1", "act1", "maxpool", *RESNET_STAGES[reduction])
            layers = [(step, getattr(whole, step)) for step in steps]
            stem = whole.conv1
            last = RESNET_STAGES[reduction][-1]
            self.channels = next(i["num_chs"] for i in whole.feature_info if i["module"] == last)
        if inputs == 1:
            stem.weight = nn.Parameter(stem.weight.detach().sum(dim=1, keepdim=True))
            stem.in_channels = 1
        for step, layer in layers:
            self.add_module(step, layer)
        self.inputs = inputs
        self.pretrained_cfg = whole.pretrained_cfg  # as timm's models have it: name and licence
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        if inputs == 1:
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)

    mean: Tensor
    std: Tensor

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, channels, H / reduction, W / reduction)."""
        x = (grey - self.mean) / self.std  # (B, inputs, H, W)
        for layer in self.children():
            x = layer(x)
        return x


class WholeMap(nn.Conv2d):
    """A convolution as large as its input, as timm has VGG's first dense layer: (B, C, 1, 1).

    A matrix product says the same without the copy of its weights that a convolution makes on
    CPUs, 411 MB in VGG16.
    """

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> "WholeMap":
        """The same layer, holding the same parameters."""
        side = convolution.kernel_size[0]
        made = cls(convolution.in_channels, convolution.out_channels, side, device="meta")
        made.weight, made.bias = convolution.weight, convolution.bias
        return made

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, side, side) -> (B, outputs, 1, 1)."""
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[..., None, None]


class GlobalFeatures(nn.Module):
    """A frozen classifier's answer to a grey picture: one vector, of its centre square.

    Never trained and always in evaluation mode, whatever mode the model around it is in.

    Args:
        name: a timm classifier.
        side: that the centre square of pictures is brought to, in pixels.
        answer: "features", what the last layer reads, or "logits", before softmax.
        mean: subtracted from each of the three channels of the grey times `scale`.
        std: divides them afterwards.
        scale: 1 or 255, the white of the classifier's input.
        classes: of the classifier.
        weights: a file for `load_backbone`; None leaves it random.

    Attributes:
        tag: tells how vectors were made: architecture, answer, side and preprocessing. Vectors
            of another tag, or of other weights, are not interchangeable.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        side: int,
        answer: Literal["features", "logits"],
        mean: Sequence[float],
        std: Sequence[float] = (1.0, 1.0, 1.0),
        scale: float = 1.0,
        classes: int = 1000,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        backbone: Any = timm.create_model(name, num_classes=classes)
        if weights is not None:
            load_backbone(backbone, name, weights)
        if answer == "features":
            backbone.reset_classifier(0)
        if name == "vgg16":
            backbone.pre_logits.fc1 = WholeMap.of(backbone.pre_logits.fc1)
        self.backbone: nn.Module = backbone
        self.side = side
        self.scale = scale
        self.tag = f"{name} {answer} {side} scale={scale:g} mean={[*mean]} std={[*std]}"
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "GlobalFeatures":
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] of any size, of which the centre square is seen -> (B, width)."""
        height, width = grey.shape[-2:]
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        grey = F.interpolate(
            grey[..., top : top + square, left : left + square],
            size=(self.side, self.side), mode="bilinear", align_corners=False, antialias=True,
        )  # fmt: skip
        vector: Tensor = self.backbone((self.scale * grey - self.mean) / self.std)
        return vector
