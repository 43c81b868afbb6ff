"""Files of tensors, read without running code and without believing what they say of sizes.

A safetensors file is asked for its header first, which is bounded; tensors are read once the model
at hand is known to need them. PyTorch's own format goes through torch's weights-only unpickler,
once its pickle is known to be of a sane length and depth and nothing in its archive is packed.
"""

import json
import math
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

__all__ = [
    "FORMAT",
    "Layout",
    "WeightsError",
    "in_words",
    "plain_tensors",
    "read_layout",
    "read_pickle",
    "read_state",
    "read_tensors",
]

FORMAT = "deepcolor"  # key of the safetensors header
LARGEST_HEADER = 8 << 20  # bytes; a tensor takes about a hundred
LARGEST_PICKLE = 32 << 20  # bytes; a tensor takes about 150
MOST_STEPS = 2_000_000  # of a pickle; a tensor takes about thirty
DEEPEST = 100  # tuples within tuples; those of a million end Python when they are hashed
WIDTHS = {  # bytes a number takes, of the kinds that networks hold
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip
MOST_SIDES, MOST_NUMBERS = 16, 2**40  # of a tensor's shape
LONGEST_NAME = 500
ZIP = b"PK\x03\x04"  # how torch tells its archives from its older format
LEGACY_PICKLES = 5  # of the older format, one after the other


class WeightsError(ValueError):
    """Weights that are damaged, or that do not fit the model."""


@dataclass(frozen=True)
class Layout:
    """What a safetensors file says it holds.

    Attributes:
        size: of the file, in bytes; header and tensors fill it.
        shapes: of the tensors.
        model: name that `save_model` wrote; None if the header says nothing of a model.
        hparams: of that model; a stranger's until `settings.check_settings` has seen them.
        metadata: all that the header says beside the tensors.
    """

    size: int
    shapes: Mapping[str, tuple[int, ...]]
    model: str | None
    hparams: Mapping[str, Any]
    metadata: Mapping[str, Any]


def read_layout(path: Path) -> Layout:
    """Read the header of a safetensors file, and no more.

    Raises:
        FileNotFoundError: for a path that does not exist or is no file.
        WeightsError: if it is no safetensors file, or of another length than it says.
    """
    _check_file(path)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or 8 + length > size or length > LARGEST_HEADER:
            raise _unreadable(path, f"a header of {length:,} bytes in a file of {size:,}")
        header = _parsed(path, file.read(length))
    said = header.pop("__metadata__", None) or {}
    shapes, total = {}, 8 + length
    for name, entry in header.items():
        shapes[name], count = _entry(path, name, entry)
        total += count
    if total != size:
        raise _unreadable(path, f"its header speaks of {total:,} bytes, it has {size:,}")
    if not isinstance(said, dict) or FORMAT not in said:
        return Layout(size, shapes, None, {}, said if isinstance(said, dict) else {})
    made_of = _parsed(path, str(said[FORMAT]))
    model, hparams = made_of.get("model"), made_of.get("hparams")
    if not isinstance(model, str) or not isinstance(hparams, dict):
        raise _unreadable(path, "its deepcolor header names no model and settings")
    return Layout(size, shapes, model, hparams, said)


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict: of a .safetensors file, or of a file by `torch.save`, whose code is not run.

    Raises:
        FileNotFoundError: for a path that does not exist or is no file.
        WeightsError: if the file is damaged, would run code, or holds anything else.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path, read_layout(path))
    return plain_tensors(path, read_pickle(path))


def read_tensors(path: Path, layout: Layout) -> dict[str, Tensor]:
    """Read the tensors of a file whose layout is known.

    Raises:
        WeightsError: if the file is damaged, or another one by now.
    """
    with path.open("rb") as file:
        blob = file.read(layout.size + 1)
    if len(blob) != layout.size:
        raise _unreadable(path, "it changed while it was read")
    try:
        return load_tensors(blob)
    except SafetensorError as error:
        raise _unreadable(path, in_words(error)) from error


def read_pickle(path: Path) -> Any:
    """What a file by `torch.save` holds: tensors and plain values; no code in it is run.

    Raises:
        FileNotFoundError: for a path that does not exist or is no file.
        WeightsError: if it is damaged, packed, or holds what may be code.
    """
    _check_file(path)
    try:
        _check_pickles(path)
        # The one place that unpickles: of what was looked through above, tensors alone.
        return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors, which may be code, and is not read; ask its authors"
            " for the state dict alone"
        ) from error
    except Exception as error:  # torch's unpickler raises whatever a broken step makes Python raise
        raise WeightsError(f"{path}: not a readable PyTorch file: {in_words(error)}") from error


def plain_tensors(path: Path, state: Any) -> dict[str, Tensor]:
    """A state dict of a pickle, with tensors that are what they seem.

    Raises:
        WeightsError: if it maps anything but names to dense tensors of the size they have in it.
    """
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"{path}: a state dict maps names to tensors, this does not")
    for key, value in state.items():
        _check_name(path, key)
        dense = value.layout is torch.strided and value.device.type == "cpu"
        if not dense or value.is_quantized:
            raise WeightsError(f"{path}: {key} is sparse, quantized or empty, not a plain tensor")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise WeightsError(f"{path}: {key} claims more numbers than the file holds")
    return dict(state)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")


def _unreadable(path: Path, reason: str) -> WeightsError:
    return WeightsError(f"{path}: not a readable safetensors file: {reason}")


def _parsed(path: Path, text: bytes | str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:  # nested a thousand deep
        raise _unreadable(path, f"its header is no JSON: {in_words(error)}") from error
    if not isinstance(header, dict):
        raise _unreadable(path, "its header names no tensors")
    return header


def _entry(path: Path, name: str, entry: Any) -> tuple[tuple[int, ...], int]:
    """Shape and bytes of a tensor, by the header."""
    said = entry if isinstance(entry, dict) else {}
    kind, shape = said.get("dtype"), said.get("shape")
    _check_name(path, name)
    if not isinstance(kind, str) or kind not in WIDTHS:
        raise WeightsError(
            f"{path}: {name} is of type {repr(kind)[:20]}, which no network here holds; types that"
            f" work: {', '.join(WIDTHS)}"
        )
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise _unreadable(path, f"{name} has no shape")
    if len(shape) > MOST_SIDES or math.prod(max(side, 1) for side in shape) > MOST_NUMBERS:
        raise _unreadable(path, f"{name} has a shape that none can have")
    return tuple(shape), WIDTHS[kind] * math.prod(shape)


def _check_name(path: Path, name: str) -> None:
    """Refuse names that a message could not print."""
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise WeightsError(f"{path}: {name[:40]!r} cannot be the name of a tensor")


def in_words(error: Exception) -> str:
    """What an error says, on one line, and nothing that would command a terminal."""
    said = "".join(c if c.isprintable() else " " for c in str(error))
    return " ".join(said.split())[:300] or type(error).__name__


def _check_pickles(path: Path) -> None:
    """Refuse pickles that take for ever or end Python, and archives that grow when unpacked."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(ZIP)) != ZIP:
            file.seek(0)
            stream = BytesIO(file.read(LARGEST_PICKLE))
            for _ in range(LEGACY_PICKLES):
                if stream.tell() < stream.getbuffer().nbytes:
                    _check_steps(path, stream)
            return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise WeightsError(f"{path}: its archive is packed, as torch.save never does")
        if sum(part.file_size for part in parts) > size:
            raise WeightsError(
                f"{path}: its archive claims to hold more than the file's {size:,} B"
            )
        for part in parts:
            if part.filename.endswith(".pkl"):
                if part.file_size > LARGEST_PICKLE:
                    raise WeightsError(f"{path}: a pickle of {part.file_size:,} bytes in it")
                _check_steps(path, BytesIO(archive.read(part)))


def _check_steps(path: Path, stream: BytesIO) -> None:
    for steps, depth in enumerate(_depths(stream)):
        if steps > MOST_STEPS:
            raise WeightsError(f"{path}: its pickle takes more than {MOST_STEPS:,} steps")
        if depth > DEEPEST:
            raise WeightsError(f"{path}: its pickle nests tuples more than {DEEPEST} deep")


def _depths(stream: BytesIO) -> Iterator[int]:
    """After each step of a pickle: how deep the value on top of the stack nests tuples.

    Lists and dictionaries count as flat: only what can be hashed is hashed, tuple by tuple.
    """
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[Any, int] = {}
    for step, argument, _ in pickletools.genops(stream):
        name = step.name
        if name == "MARK":
            marks.append(len(stack))
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif "PUT" in name:
            memo[argument] = stack[-1]
        elif "GET" in name:
            stack.append(memo[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            takes = step.stack_before
            popped = []
            if pickletools.markobject in takes:
                start = marks.pop()
                popped, stack[start:] = stack[start:], []
                takes = takes[: takes.index(pickletools.markobject)]
            if takes:
                popped += stack[-len(takes) :]
                del stack[-len(takes) :]
            builds = name.startswith("TUPLE") or name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ")
            depth = 1 + max(popped, default=0) if builds else 0
            stack += [depth] * len(step.stack_after)
        yield stack[-1] if stack else 0
