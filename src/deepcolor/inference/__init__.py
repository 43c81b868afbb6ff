"""From a picture to a coloured picture: the one inference path that serves every model."""

from deepcolor.inference.devices import choose_device
from deepcolor.inference.network import (
    QUALITIES,
    Quality,
    predict_ab,
    predict_lab,
    predict_logits,
)
from deepcolor.inference.predictor import Predictor, colorize
from deepcolor.inference.suggest import suggest_hints
from deepcolor.inference.transfer import transfer_chroma

__all__ = [
    "QUALITIES",
    "Predictor",
    "Quality",
    "choose_device",
    "colorize",
    "predict_ab",
    "predict_lab",
    "predict_logits",
    "suggest_hints",
    "transfer_chroma",
]
