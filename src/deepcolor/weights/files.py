"""Weights files: strict loading, writing whole or not at all.

A file of ours is a safetensors file that holds a model's `network` and, in its header, the model's
name and hyperparameters: it says itself what to build. So does a checkpoint of Lightning. Foreign
files (.pth) are state dicts.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor, nn

from deepcolor.blocks.fitting import listed, misfits
from deepcolor.files import write_beside
from deepcolor.models import Colorizer, create_model, models, name_of
from deepcolor.tensors import (
    FORMAT,
    WeightsError,
    plain_tensors,
    read_layout,
    read_pickle,
    read_tensors,
)
from deepcolor.weights.settings import check_fits, check_settings, settings_of

__all__ = [
    "WeightsError",
    "class_of",
    "load_checkpoint",
    "load_file",
    "load_network",
    "load_weights",
    "save_model",
]

NETWORK = "network."  # before the keys of a checkpoint that a weights file holds
STATE = "state_dict"
WRAPPED = ("model", "params")  # where fastai and BasicSR put a state dict, beside other things
FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
BY_HAND = "load_weights(create_model(...), path) loads it into a model that you name"
Source = str | Path


def save_model(model: Colorizer, path: str | Path, *, half: bool = False) -> Path:
    """Write a model's network as a weights file that `load_model` takes.

    Args:
        model: of a built-in or a registered class.
        path: a file that ends in .safetensors; written beside, then renamed, with the rights that
            the umask leaves.
        half: store float16, half the size; loading makes float32 of it again.

    Returns:
        The path.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights files end in .safetensors")
    name = name_of(type(model))
    tensors = {
        key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.network.state_dict().items()
    }
    # LightningCLI adds entries of its own, such as _instantiator.
    kept = settings_of(type(model))
    hparams = {key: value for key, value in model.hparams.items() if key in kept}
    header = {FORMAT: json.dumps({"model": name, "hparams": hparams})}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_beside(path, lambda file: file.write(tensors_as_bytes(tensors, metadata=header)))
    return path


def load_file(path: str | Path, **hparams: Any) -> Colorizer:
    """Build and load the model that a file by `save_model` describes.

    The file may be a stranger's: of the model's arguments it sets only those that are not in the
    class's `unsaved`, and nothing is built before its tensors are known to be that model's.

    Args:
        path: a .safetensors file.
        **hparams: hyperparameters to change.

    Raises:
        FileNotFoundError: for a path that does not exist.
        WeightsError: if the file is damaged, says nothing of a model, or does not fit it.
    """
    path = Path(path)
    layout = read_layout(path)
    if layout.model is None:
        raise WeightsError(f"{path}: no deepcolor header in it; save_model() writes one")
    known = models()
    if layout.model not in known:
        raise WeightsError(
            f"{path} holds weights of {layout.model[:100]!r}, which this version of deepcolor does"
            f" not have; it has {', '.join(sorted(known))}, and register_model() adds others"
        )
    kind = known[layout.model]
    said = check_settings(kind, layout.hparams, path)
    check_fits(kind, said, layout.shapes, path)
    model = create_model(layout.model, **{**said, **hparams})
    load_network(model.network, read_tensors(path, layout), path)
    return model


def load_checkpoint(path: str | Path, **hparams: Any) -> Colorizer:
    """Build and load the model of a checkpoint by Lightning, such as a run's best.ckpt.

    Averaged weights are taken where the run averaged. No code in the file is run or imported: the
    class is found among the known ones, by its name.

    Args:
        path: a .ckpt file.
        **hparams: hyperparameters to change.

    Raises:
        FileNotFoundError: for a path that does not exist.
        WeightsError: if the file is damaged, no checkpoint, of another version's model, or does not
            fit it.
    """
    path = Path(path)
    checkpoint = read_pickle(path)
    if not _is_checkpoint(checkpoint):
        raise WeightsError(f"{path}: no checkpoint of Lightning; {BY_HAND}")
    tensors = _network_of(path, checkpoint)
    said = checkpoint.get("hyper_parameters")
    said = dict(said) if isinstance(said, Mapping) else {}
    wanted = class_of(checkpoint).rpartition(".")[2]
    known = models()
    found = [name for name, kind in known.items() if kind.__name__ == wanted]
    if not found:
        raise WeightsError(
            f"{path} does not say of which model it is; {BY_HAND}"
            if not wanted
            else f"{path} is of {wanted[:100]!r}, which is none of {', '.join(sorted(known))}"
        )
    kind = known[found[0]]
    # Lightning keeps all arguments of a run: what was of that machine or that fit stays behind.
    kept = settings_of(kind)
    said = check_settings(kind, {key: said[key] for key in said if key in kept}, path)
    check_fits(kind, said, {key: value.shape for key, value in tensors.items()}, path)
    model = create_model(found[0], **{**said, **hparams})
    load_network(model.network, tensors, path)
    return model


def class_of(checkpoint: Mapping[str, Any]) -> str:
    """The class path of the model that a checkpoint is of; "" if it does not say."""
    said = checkpoint.get("hyper_parameters")
    by_lightning = said.get("_class_path", "") if isinstance(said, Mapping) else ""
    return str(checkpoint.get("colorizer") or by_lightning)


def load_weights(model: Colorizer, path: str | Path) -> None:
    """Load a file into a model at hand, strictly: every key and every shape.

    Args:
        model: any colorizer; only its network is changed.
        path: a .safetensors file, a checkpoint of Lightning, or the .pth file of a public release,
            which are read without running any code in them. Keys of a release that differ from
            ours are renamed by the function `convert_state_dict` of the model's own file.

    Raises:
        FileNotFoundError: for a path that does not exist.
        WeightsError: if the file is damaged, would run code, is of another model, or does not fit;
            at most ten keys are listed.
    """
    path = Path(path)
    name = type(model).__name__
    if path.suffix == ".safetensors":
        layout = read_layout(path)
        converted = layout.model is not None
        if converted and models().get(str(layout.model)) is not type(model):
            raise WeightsError(
                f"{path} holds weights of {str(layout.model)[:100]!r}, not of {name};"
                " load_model() builds the model that a file is of"
            )
        tensors = read_tensors(path, layout)
    else:
        held = read_pickle(path)
        converted = _is_checkpoint(held)
        tensors = _network_of(path, held) if converted else plain_tensors(path, _unwrapped(held))
    if not converted:
        module = sys.modules[type(model).__module__]
        convert: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = getattr(
            module, "convert_state_dict", None
        )
        try:
            tensors = tensors if convert is None else convert(tensors)
        except (LookupError, ValueError, TypeError, RuntimeError) as error:
            raise WeightsError(f"{path}: no weights of {name}: {error}") from error
    load_network(model.network, tensors, path)


def load_network(network: nn.Module, tensors: Mapping[str, Tensor], source: Source) -> None:
    """Load strictly, and name what does not fit.

    Raises:
        WeightsError: for missing, extra and misshaped keys, ten of them at most; for numbers of
            another kind, or that are not finite.
    """
    wanted = network.state_dict()
    problems = (
        misfits(wanted, tensors)
        or [
            f"{key} holds {_kind(tensors[key])}, needs {_kind(value)}"
            for key, value in wanted.items()
            if not _alike(tensors[key].dtype, value.dtype)
        ]
        or [
            f"{key} holds numbers that are not finite"
            for key, value in tensors.items()
            if value.is_floating_point() and not bool(torch.isfinite(value).all())
        ]
    )
    if problems:
        name = type(network).__name__
        raise WeightsError(f"{source}: the weights do not fit {name}: {listed(problems)}")
    try:
        network.load_state_dict(tensors, strict=True)
    except ValueError as error:  # a network may check more than shapes, such as its codebook
        raise WeightsError(f"{source}: {error}") from error


def _alike(given: torch.dtype, wanted: torch.dtype) -> bool:
    return given == wanted or {given, wanted} <= FLOATS


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_checkpoint(held: Any) -> bool:
    return isinstance(held, Mapping) and isinstance(held.get(STATE), Mapping)


def _unwrapped(held: Any) -> Any:
    """The state dict of a release that keeps its optimizer or its settings beside it."""
    found = [held[key] for key in WRAPPED if isinstance(held, Mapping) and key in held]
    return found[0] if len(found) == 1 and isinstance(found[0], Mapping) else held


def _network_of(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a weights file would hold, of a checkpoint."""
    state = plain_tensors(path, checkpoint[STATE])
    return {k.removeprefix(NETWORK): v for k, v in state.items() if k.startswith(NETWORK)}
