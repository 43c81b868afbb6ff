"""The models, in one literal table."""

from typing import Any

from deepcolor.models.base import Colorizer
from deepcolor.models.dahl16 import Dahl16
from deepcolor.models.eccv16 import ECCV16, ECCV16L2
from deepcolor.models.hwang_zhou16 import HwangZhou16
from deepcolor.models.iizuka16 import Iizuka16
from deepcolor.models.koalarization import Koalarization
from deepcolor.models.lite import Lite
from deepcolor.models.merged_vgg16 import MergedVGG16
from deepcolor.models.resnet34_classification import ResNet34Classification
from deepcolor.models.resnet34_regression import ResNet34Regression
from deepcolor.models.siggraph17 import SIGGRAPH17
from deepcolor.models.simple_cnn import SimpleCNN
from deepcolor.models.som_mlp import SOMMLP
from deepcolor.models.vanilla_autoencoder import VanillaAutoencoder

__all__ = ["MODELS", "Colorizer", "create_model", "list_models"]

MODELS: dict[str, type[Colorizer]] = {
    "dahl16": Dahl16,
    "eccv16": ECCV16,
    "eccv16_l2": ECCV16L2,
    "hwang_zhou16": HwangZhou16,
    "iizuka16": Iizuka16,
    "koalarization": Koalarization,
    "lite": Lite,
    "merged_vgg16": MergedVGG16,
    "resnet34_classification": ResNet34Classification,
    "resnet34_regression": ResNet34Regression,
    "siggraph17": SIGGRAPH17,
    "simple_cnn": SimpleCNN,
    "som_mlp": SOMMLP,
    "vanilla_autoencoder": VanillaAutoencoder,
}


def list_models() -> list[str]:
    """Names that `create_model` takes, sorted."""
    return sorted(MODELS)


def create_model(name: str, **hparams: Any) -> Colorizer:
    """Make a model with random weights: a plain LightningModule, ready for Trainer.fit.

    Args:
        name: one of `list_models()`.
        **hparams: arguments of that model's class.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: for an argument that the class does not take.
    """
    if name not in MODELS:
        raise ValueError(f"no model named {name!r}; there are: {', '.join(list_models())}")
    return MODELS[name](**hparams)
