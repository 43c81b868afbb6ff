"""Trained weights: one literal table, verified reading, strict loading, the Hugging Face Hub."""

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from deepcolor.models import Colorizer, create_model, models
from deepcolor.models._classical import ClassicalColorizer
from deepcolor.weights.download import DownloadError, fetch, weights_folder
from deepcolor.weights.files import (
    WeightsError,
    load_checkpoint,
    load_file,
    load_weights,
    save_model,
)
from deepcolor.weights.hub import HUB, from_pretrained, push_to_hub, save_pretrained
from deepcolor.weights.judges import EXTRACTORS, load_classifier, load_extractor, load_lpips
from deepcolor.weights.names import unknown_name
from deepcolor.weights.table import CHECKPOINTS, DEFAULT, About, Checkpoint

__all__ = [
    "CHECKPOINTS",
    "DEFAULT",
    "EXTRACTORS",
    "About",
    "Checkpoint",
    "DownloadError",
    "WeightsError",
    "from_pretrained",
    "list_checkpoints",
    "load_classifier",
    "load_extractor",
    "load_lpips",
    "load_model",
    "load_weights",
    "push_to_hub",
    "save_model",
    "save_pretrained",
    "weights_folder",
]


def list_checkpoints() -> list[str]:
    """Names that `load_model` takes, sorted."""
    return sorted(CHECKPOINTS)


def load_model(name: str | Path = DEFAULT, **hparams: Any) -> Colorizer:
    """Load a trained model: a plain LightningModule in evaluation mode.

    Args:
        name: one of `list_checkpoints()`, or of an algorithm that needs no weights, such as
            "levin04"; the path of a .safetensors file by `save_model`, of a
            folder by `save_pretrained`, or of a checkpoint of Lightning (.ckpt); or
            "hf-hub:OWNER/NAME" for a repository by `push_to_hub`. Published checkpoints are
            downloaded on first use, into the folder DEEPCOLOR_HOME or the platform's cache.
        **hparams: hyperparameters to change, such as lr=1e-5 or temperature=0.2.

    Raises:
        ValueError: for an unknown name; the message says what may have been meant.
        FileNotFoundError: for a path that does not exist, or a folder without weights.
        WeightsError: if the file is damaged (its hash is checked) or does not fit the model.
        DownloadError: if a file to download cannot be; the message says how to get it by hand.
    """
    if isinstance(name, str) and name in CHECKPOINTS:
        return _load_checkpoint(name, CHECKPOINTS[name], hparams).eval()
    if isinstance(name, str) and name.startswith(HUB):
        return from_pretrained(name, **hparams)
    kind = models().get(str(name))
    if kind is not None and issubclass(kind, ClassicalColorizer):
        return create_model(str(name), **hparams).eval()
    path = Path(name)
    if path.suffix == ".safetensors":
        return load_file(path, **hparams).eval()
    if path.suffix == ".ckpt":
        return load_checkpoint(path, **hparams).eval()
    if str(name).strip() and path.is_dir():
        return from_pretrained(path, **hparams)
    raise ValueError(unknown_name(str(name), list_checkpoints()))


def _load_checkpoint(name: str, checkpoint: Checkpoint, hparams: dict[str, Any]) -> Colorizer:
    path = fetch(name, checkpoint) if checkpoint.downloaded else _embedded(name, checkpoint)
    model = create_model(checkpoint.model, **{**checkpoint.hparams, **hparams})
    load_weights(model, path)
    return model


def _embedded(name: str, checkpoint: Checkpoint) -> Path:
    """The file of that checkpoint in the installed package, verified."""
    path = Path(str(resources.files(__name__) / checkpoint.file))
    if not path.is_file():
        raise WeightsError(f"{name}: {path} is missing; install deepcolor-lightning again")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != checkpoint.sha256:
        raise WeightsError(
            f"{name}: {path} is damaged: sha256 {found[:16]}..., expected"
            f" {checkpoint.sha256[:16]}...; install deepcolor-lightning again"
        )
    return path
