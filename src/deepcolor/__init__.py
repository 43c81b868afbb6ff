"""Colour for black-and-white photographs.

>>> import deepcolor
>>> deepcolor.colorize("old.jpg").save("new.png")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepcolor.guidance import Hints
    from deepcolor.images import ImageError
    from deepcolor.inference import Predictor, colorize, suggest_hints, transfer_chroma
    from deepcolor.models import Colorizer, create_model, list_models
    from deepcolor.weights import (
        About,
        from_pretrained,
        list_checkpoints,
        load_model,
        push_to_hub,
        save_model,
        save_pretrained,
    )

__all__ = [
    "About",
    "Colorizer",
    "Hints",
    "ImageError",
    "Predictor",
    "colorize",
    "create_model",
    "from_pretrained",
    "list_checkpoints",
    "list_models",
    "load_model",
    "push_to_hub",
    "save_model",
    "save_pretrained",
    "suggest_hints",
    "transfer_chroma",
]

# Imported at first use: torch and its friends take seconds, and most commands need few of them.
_HOMES = {
    "About": "deepcolor.weights",
    "Colorizer": "deepcolor.models",
    "Hints": "deepcolor.guidance",
    "ImageError": "deepcolor.images",
    "Predictor": "deepcolor.inference",
    "colorize": "deepcolor.inference",
    "create_model": "deepcolor.models",
    "from_pretrained": "deepcolor.weights",
    "list_checkpoints": "deepcolor.weights",
    "list_models": "deepcolor.models",
    "load_model": "deepcolor.weights",
    "push_to_hub": "deepcolor.weights",
    "save_model": "deepcolor.weights",
    "save_pretrained": "deepcolor.weights",
    "suggest_hints": "deepcolor.inference",
    "transfer_chroma": "deepcolor.inference",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("deepcolor-lightning")
    if name not in _HOMES:
        raise AttributeError(f"module 'deepcolor' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
