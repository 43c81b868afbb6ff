"""Weights files: reading without running code, strict loading, writing whole or not at all.

A file of ours is a safetensors file that holds a model's `network` and, in its header, the model's
name and hyperparameters: it says itself what to build. Foreign files (.pth) are state dicts.
"""

import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor, nn

from deepcolor.blocks.fitting import misfits, told
from deepcolor.models import MODELS, Colorizer, create_model

__all__ = [
    "WeightsError",
    "load_file",
    "load_network",
    "load_weights",
    "model_name",
    "read_pickle",
    "save_model",
]

FORMAT = "deepcolor"  # key of the safetensors header
Source = str | Path


class WeightsError(ValueError):
    """Weights that are damaged, or that do not fit the model."""


def model_name(model: Colorizer) -> str:
    """The key of MODELS that the model's class has.

    Raises:
        TypeError: for a class that is not in MODELS.
    """
    names = [name for name, kind in MODELS.items() if kind is type(model)]
    if not names:
        raise TypeError(
            f"{type(model).__name__} is not in MODELS: {', '.join(sorted(MODELS))}; a file could"
            " not say what to build"
        )
    return names[0]


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
    name = model_name(model)
    tensors = {
        key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.network.state_dict().items()
    }
    # LightningCLI adds entries of its own, such as _instantiator.
    hparams = {k: v for k, v in model.hparams.items() if k in signature(type(model)).parameters}
    header = {FORMAT: json.dumps({"model": name, "hparams": hparams})}
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


def load_file(path: str | Path, **hparams: Any) -> Colorizer:
    """Build and load the model that a file by `save_model` describes.

    Args:
        path: a .safetensors file.
        **hparams: hyperparameters to change.

    Raises:
        FileNotFoundError: for a path that does not exist.
        WeightsError: if the file is damaged, says nothing of a model, or does not fit it.
    """
    blob = _blob(Path(path))
    made_of = _header(blob)
    if made_of is None:
        raise WeightsError(f"{path}: no deepcolor header in it; save_model() writes one")
    if made_of["model"] not in MODELS:
        raise WeightsError(
            f"{path} holds weights of {made_of['model']!r}, which this version of deepcolor does"
            f" not have; it has {', '.join(sorted(MODELS))}"
        )
    unknown = set(made_of["hparams"]) - set(signature(MODELS[made_of["model"]]).parameters)
    if unknown:
        raise WeightsError(
            f"{path} was made with settings of {made_of['model']!r} that this version of deepcolor"
            f" does not have: {', '.join(sorted(unknown))}; a newer version reads it"
        )
    model = create_model(made_of["model"], **{**made_of["hparams"], **hparams})
    load_network(model.network, _tensors(blob, path), path)
    return model


def load_weights(model: Colorizer, path: str | Path) -> None:
    """Load a file into a model at hand, strictly: every key and every shape.

    Args:
        model: any colorizer; only its network is changed.
        path: a .safetensors file, or the .pth file of a public release, which is read without
            running any code in it. Keys of a release that differ from ours are renamed by the
            function `convert_state_dict` of the model's own file.

    Raises:
        FileNotFoundError: for a path that does not exist.
        WeightsError: if the file is damaged, would run code, is of another model, or does not fit;
            at most ten keys are listed.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        blob = _blob(path)
        made_of = _header(blob)
        if made_of is not None and MODELS.get(made_of["model"]) is not type(model):
            raise WeightsError(
                f"{path} holds weights of {made_of['model']!r}, not of {type(model).__name__};"
                " load_model() builds the model that a file is of"
            )
        tensors = _tensors(blob, path)
        converted = made_of is not None
    else:
        tensors, converted = read_pickle(path), False
    if not converted:
        module = sys.modules[type(model).__module__]
        convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = getattr(
            module, "convert_state_dict", None
        )
        try:
            tensors = tensors if convert is None else convert(tensors)
        except (KeyError, ValueError) as error:
            raise WeightsError(f"{path}: no weights of {type(model).__name__}: {error}") from error
    load_network(model.network, tensors, path)


def load_network(network: nn.Module, tensors: Mapping[str, Tensor], source: Source) -> None:
    """Load strictly, and name what does not fit.

    Raises:
        WeightsError: for missing, extra and misshaped keys, ten of them at most; for numbers that
            are not finite.
    """
    wanted = network.state_dict()
    problems = misfits(wanted, tensors) or [
        f"{key} holds numbers that are not finite"
        for key, value in tensors.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if problems:
        name = type(network).__name__
        raise WeightsError(f"{source}: the weights do not fit {name}: {told(problems)}")
    try:
        network.load_state_dict(tensors, strict=True)
    except ValueError as error:  # a network may check more than shapes, such as its codebook
        raise WeightsError(f"{source}: {error}") from error


def _blob(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    return path.read_bytes()


def _tensors(blob: bytes, source: Source) -> dict[str, Tensor]:
    try:
        return load_tensors(blob)
    except SafetensorError as error:
        raise WeightsError(f"{source}: not a readable safetensors file: {error}") from error


def _header(blob: bytes) -> dict[str, Any] | None:
    """The model's name and hyperparameters from a safetensors header; None if it has none."""
    try:
        length = int.from_bytes(blob[:8], "little")
        made_of = json.loads(json.loads(blob[8 : 8 + length])["__metadata__"][FORMAT])
        return {"model": str(made_of["model"]), "hparams": dict(made_of["hparams"])}
    except (ValueError, KeyError, TypeError):
        return None


def read_pickle(path: Path) -> dict[str, Tensor]:
    """A state dict from PyTorch's own format, without running what a pickle may hold."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors, which may be code, and is not read; ask its authors"
            " for the state dict alone"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"{path}: not a readable PyTorch file: {reason}") from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"{path}: a state dict maps names to tensors, this does not")
    return dict(state)
