"""Colour for black-and-white photographs.

>>> import deepcolor
>>> deepcolor.colorize("old.jpg").save("new.png")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepcolor import (
        color as color,
    )
    from deepcolor import (
        data as data,
    )
    from deepcolor import (
        evaluation as evaluation,
    )
    from deepcolor import (
        gamut as gamut,
    )
    from deepcolor import (
        guidance as guidance,
    )
    from deepcolor import (
        images as images,
    )
    from deepcolor import (
        inference as inference,
    )
    from deepcolor import (
        losses as losses,
    )
    from deepcolor import (
        metrics as metrics,
    )
    from deepcolor import (
        models as models,
    )
    from deepcolor import (
        pixels as pixels,
    )
    from deepcolor import (
        quantize as quantize,
    )
    from deepcolor import (
        rebalance as rebalance,
    )
    from deepcolor import (
        training as training,
    )
    from deepcolor import (
        upsample as upsample,
    )
    from deepcolor import (
        video as video,
    )
    from deepcolor import (
        weights as weights,
    )
    from deepcolor.guidance import Guidance as Guidance
    from deepcolor.guidance import Hints as Hints
    from deepcolor.images import ImageError as ImageError
    from deepcolor.inference import Predictor as Predictor
    from deepcolor.inference import colorize as colorize
    from deepcolor.inference import suggest_hints as suggest_hints
    from deepcolor.inference import transfer_chroma as transfer_chroma
    from deepcolor.models import Colorizer as Colorizer
    from deepcolor.models import create_model as create_model
    from deepcolor.models import list_models as list_models
    from deepcolor.models import register_model as register_model
    from deepcolor.video import colorize_frames as colorize_frames
    from deepcolor.video import colorize_video as colorize_video
    from deepcolor.weights import About as About
    from deepcolor.weights import from_pretrained as from_pretrained
    from deepcolor.weights import list_checkpoints as list_checkpoints
    from deepcolor.weights import load_model as load_model
    from deepcolor.weights import push_to_hub as push_to_hub
    from deepcolor.weights import save_model as save_model
    from deepcolor.weights import save_pretrained as save_pretrained

    __version__: str

__all__ = [
    "About",
    "Colorizer",
    "Guidance",
    "Hints",
    "ImageError",
    "Predictor",
    "colorize",
    "colorize_frames",
    "colorize_video",
    "create_model",
    "from_pretrained",
    "list_checkpoints",
    "list_models",
    "load_model",
    "push_to_hub",
    "register_model",
    "save_model",
    "save_pretrained",
    "suggest_hints",
    "transfer_chroma",
]

# Imported at first use: torch and its friends take seconds, and most commands need few of them.
_HOMES = {
    "About": "deepcolor.weights",
    "Colorizer": "deepcolor.models",
    "Guidance": "deepcolor.guidance",
    "Hints": "deepcolor.guidance",
    "ImageError": "deepcolor.images",
    "Predictor": "deepcolor.inference",
    "colorize": "deepcolor.inference",
    "colorize_frames": "deepcolor.video",
    "colorize_video": "deepcolor.video",
    "create_model": "deepcolor.models",
    "from_pretrained": "deepcolor.weights",
    "list_checkpoints": "deepcolor.weights",
    "list_models": "deepcolor.models",
    "load_model": "deepcolor.weights",
    "push_to_hub": "deepcolor.weights",
    "register_model": "deepcolor.models",
    "save_model": "deepcolor.weights",
    "save_pretrained": "deepcolor.weights",
    "suggest_hints": "deepcolor.inference",
    "transfer_chroma": "deepcolor.inference",
}
_ROOMS = frozenset(
    {
        "color",
        "data",
        "evaluation",
        "gamut",
        "guidance",
        "images",
        "inference",
        "losses",
        "metrics",
        "models",
        "pixels",
        "quantize",
        "rebalance",
        "training",
        "upsample",
        "video",
        "weights",
    }
)

if not TYPE_CHECKING:  # type checkers read the imports above, and refuse misspelled names

    def __getattr__(name):
        if name == "__version__":
            from importlib.metadata import version

            return version("deepcolor-lightning")
        if name in _ROOMS:
            return import_module(f"deepcolor.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'deepcolor' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, "__version__"])
