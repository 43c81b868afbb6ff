"""The models, in one literal table."""

from typing import Any

from deepcolor.models.base import Colorizer
from deepcolor.models.eccv16 import ECCV16, ECCV16L2
from deepcolor.models.lite import Lite
from deepcolor.models.siggraph17 import SIGGRAPH17
from deepcolor.models.vanilla_autoencoder import VanillaAutoencoder

__all__ = ["MODELS", "Colorizer", "create_model", "list_models"]

MODELS: dict[str, type[Colorizer]] = {
    "eccv16": ECCV16,
    "eccv16_l2": ECCV16L2,
    "lite": Lite,
    "siggraph17": SIGGRAPH17,
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
