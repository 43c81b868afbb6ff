"""Trained weights: one literal table, verified reading, strict loading.

A weights file is a safetensors file that holds a model's `network` and, in its header, the
model's name and hyperparameters: it says itself what to build.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor, nn

from deepcolor.models import MODELS, Colorizer, create_model

__all__ = [
    "CHECKPOINTS",
    "DEFAULT",
    "Checkpoint",
    "WeightsError",
    "list_checkpoints",
    "load_model",
    "save_model",
]

DEFAULT = "lite.photos"
PACKAGE = "package:"  # location of a file that the wheel carries
LISTED_KEYS = 10  # of a state dict that does not fit
FORMAT = "deepcolor"  # key of the safetensors header


class WeightsError(ValueError):
    """Weights that are damaged, or that do not fit the model."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is known of published weights."""

    location: str
    """"package:NAME" for a file in the wheel."""
    sha256: str
    model: str
    """Key of MODELS."""
    hparams: Mapping[str, Any]
    trained_on: str
    license: str
    source: str
    """Paper, repository or recipe that the weights come from."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Figures that the stated protocol must reproduce."""


CHECKPOINTS: Mapping[str, Checkpoint] = MappingProxyType(
    {
        "lite.photos": Checkpoint(
            location="package:lite.photos.safetensors",
            sha256="1f3a98258c9b9b08f4db07ec4631a56d4675a75ba89f7a127685a4804ae32b23",
            model="lite",
            hparams={"temperature": 0.38, "mix": 0.85},
            trained_on="35,221 photographs from 13 public sets, in docs/lite.md",
            license=(
                "Apache-2.0; some of the training photographs are for research use only, see"
                " docs/lite.md"
            ),
            source="recipes/lite.photos.sh, from the ImageNet weights of EfficientNet-Lite0",
            # benchmarks/figures.py on the 300 photographs of BSDS500's train and val parts
            expected={
                "psnr": 22.93,
                "auc": 89.06,
                "auc_rebalanced": 75.31,
                "ciede2000": 12.04,
                "colourfulness_share": 0.81,
            },
        ),
    }
)


def list_checkpoints() -> list[str]:
    """Names that `load_model` takes, sorted."""
    return sorted(CHECKPOINTS)


def load_model(name: str | Path = DEFAULT, **hparams: Any) -> Colorizer:
    """Load a trained model: a plain LightningModule in evaluation mode.

    Args:
        name: one of `list_checkpoints()`, or the path of a .safetensors file by `save_model`.
        **hparams: hyperparameters to change, such as lr=1e-5 or temperature=0.2.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        FileNotFoundError: for a path that does not exist.
        WeightsError: if the file is damaged (its hash is checked) or does not fit the model.
    """
    if isinstance(name, str) and name in CHECKPOINTS:
        checkpoint = CHECKPOINTS[name]
        blob = _read_verified(name, checkpoint)
        model = create_model(checkpoint.model, **{**checkpoint.hparams, **hparams})
    else:
        path = Path(name)
        if path.suffix != ".safetensors":
            raise ValueError(
                f"no checkpoint named {str(name)!r}; there are: {', '.join(list_checkpoints())};"
                " or give the path of a .safetensors file"
            )
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such weights file")
        blob = path.read_bytes()
        made_of = _header(blob, path)
        model = create_model(made_of["model"], **{**made_of["hparams"], **hparams})
    _load_network(model.network, _tensors(blob, str(name)), str(name))
    return model.eval()


def save_model(model: Colorizer, path: str | Path, *, half: bool = False) -> Path:
    """Write a model's network as a weights file that `load_model` takes.

    Args:
        model: one of the classes in MODELS.
        path: a file that ends in .safetensors; written beside, then renamed.
        half: store float16, half the size; loading makes float32 of it again.

    Returns:
        The path.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights files end in .safetensors")
    names = [name for name, kind in MODELS.items() if kind is type(model)]
    if not names:
        raise TypeError(
            f"{type(model).__name__} is not in MODELS: {', '.join(sorted(MODELS))}; a file could"
            " not say what to build"
        )
    tensors = {
        key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.network.state_dict().items()
    }
    # LightningCLI adds entries of its own, such as _instantiator.
    hparams = {k: v for k, v in model.hparams.items() if k in signature(type(model)).parameters}
    header = {FORMAT: json.dumps({"model": names[0], "hparams": hparams})}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file(tensors, beside, metadata=header)
        os.chmod(beside, 0o644)  # mkstemp's files are private
        os.replace(beside, path)
    finally:
        Path(beside).unlink(missing_ok=True)
    return path


def _read_verified(name: str, checkpoint: Checkpoint) -> bytes:
    if not checkpoint.location.startswith(PACKAGE):
        raise ValueError(f"{name}: location {checkpoint.location!r} does not begin with {PACKAGE}")
    file = resources.files(__name__) / checkpoint.location.removeprefix(PACKAGE)
    if not file.is_file():
        raise WeightsError(f"{name}: {file} is missing; install deepcolor-lightning again")
    blob = file.read_bytes()
    found = hashlib.sha256(blob).hexdigest()
    if found != checkpoint.sha256:
        raise WeightsError(
            f"{name}: {file} is damaged: sha256 {found[:16]}..., expected"
            f" {checkpoint.sha256[:16]}...; install deepcolor-lightning again"
        )
    return blob


def _tensors(blob: bytes, name: str) -> dict[str, Tensor]:
    try:
        return load_tensors(blob)
    except SafetensorError as error:
        raise WeightsError(f"{name}: not a readable safetensors file: {error}") from error


def _header(blob: bytes, path: Path) -> dict[str, Any]:
    """The model's name and hyperparameters, from a safetensors header."""
    try:
        length = int.from_bytes(blob[:8], "little")
        made_of: dict[str, Any] = json.loads(
            json.loads(blob[8 : 8 + length])["__metadata__"][FORMAT]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: no deepcolor header in it; save_model() writes one") from error
    return made_of


def _load_network(network: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Load strictly, and name what does not fit."""
    wanted = network.state_dict()
    problems = [f"missing {key}" for key in wanted if key not in tensors]
    problems += [f"extra {key}" for key in tensors if key not in wanted]
    problems += [
        f"{key} is {tuple(tensors[key].shape)}, needs {tuple(wanted[key].shape)}"
        for key in wanted
        if key in tensors and tensors[key].shape != wanted[key].shape
    ]
    if problems:
        more = len(problems) - LISTED_KEYS
        raise WeightsError(
            f"{name}: the weights do not fit {type(network).__name__}: "
            + "; ".join(problems[:LISTED_KEYS])
            + (f"; and {more} more" if more > 0 else "")
        )
    with torch.no_grad():
        network.load_state_dict(tensors, strict=True)
