"""From a picture to a coloured picture: the one inference path that serves every model."""

from deepcolor.inference.calls import colorize, suggest_hints
from deepcolor.inference.devices import choose_device
from deepcolor.inference.network import predict_ab, predict_lab, predict_logits
from deepcolor.inference.options import QUALITIES, Options, Quality
from deepcolor.inference.predictor import Predictor
from deepcolor.inference.transfer import transfer_chroma

__all__ = [
    "QUALITIES",
    "Options",
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
