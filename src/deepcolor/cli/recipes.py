"""Models by the names of `deepcolor models`, on the command line of `train` and in recipes."""

from collections.abc import Sequence
from typing import Any

import yaml
from jsonargparse import ArgumentError, get_loader, set_loader

from deepcolor.models import models
from deepcolor.weights import CHECKPOINTS

__all__ = ["RECIPE_MODE", "class_paths"]

RECIPE_MODE = "deepcolor"  # jsonargparse's word for how a parser reads files
MODEL_OPTIONS = ("--model", "--model.class_path", "--model.help")


def class_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments whose `--model NAME` has the class path that LightningCLI wants.

    Raises:
        ArgumentError: for the name of a checkpoint.
    """
    words = [part for word in arguments for part in _parted(word)]
    for place, word in enumerate(words[1:], 1):
        if words[place - 1] in MODEL_OPTIONS:
            words[place] = class_path(word)
    return words


def _parted(word: str) -> list[str]:
    """`--model=lite` as two words, any other as one."""
    option, equals, value = word.partition("=")
    return [option, value] if equals and option in MODEL_OPTIONS else [word]


def class_path(name: str) -> str:
    """Of a model of ours, by its name; any other name comes back as it is."""
    if name in CHECKPOINTS:
        model = CHECKPOINTS[name].model
        raise ArgumentError(
            None,
            f"--model {name} is a checkpoint: --model {model} --warm_start {name} goes on from it",
        )
    kind = models().get(name)
    return name if kind is None else f"{kind.__module__}.{kind.__name__}"


def with_class_paths(config: Any) -> Any:
    """A recipe whose models have class paths, wherever it names them."""
    if not isinstance(config, dict):
        return config
    config = {key: with_class_paths(value) for key, value in config.items()}
    model = config.get("model")
    if isinstance(model, str):
        config["model"] = class_path(model)
    elif isinstance(model, dict) and isinstance(model.get("class_path"), str):
        model["class_path"] = class_path(model["class_path"])
    return config


def _read(text: str) -> Any:
    return with_class_paths(get_loader("yaml")(text))


set_loader(RECIPE_MODE, _read, (yaml.YAMLError,))
