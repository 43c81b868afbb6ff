"""Models measured on photographs, by one protocol for all; and shown side by side."""

from deepcolor.evaluation.colouring import mean_ab
from deepcolor.evaluation.measures import DEFAULT_METRICS, METRICS
from deepcolor.evaluation.photos import Photograph, find_photographs
from deepcolor.evaluation.protocol import Preparation, Protocol
from deepcolor.evaluation.run import Evaluation, evaluate

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "Evaluation",
    "Photograph",
    "Preparation",
    "Protocol",
    "evaluate",
    "find_photographs",
    "mean_ab",
]
