"""Hyperparameters that a file brings: which ones it may set, to what, and what they would build.

A header is a stranger's. It may name arguments that a class takes, but for those in the class's
`unsaved`; values must be of the kind that the signature says; and the network that they ask for is
laid out without memory and held against the tensors of the file before it is built.
"""

import math
import re
import types
from collections.abc import Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch.overrides import TorchFunctionMode

from deepcolor.blocks.fitting import listed, misfits
from deepcolor.models import Colorizer
from deepcolor.tensors import WeightsError, in_words

__all__ = ["check_fits", "check_settings", "settings_of"]

LARGEST = 2**31  # magnitude of a number; what makes layers is held against the file besides
LONGEST = 1000  # entries of a list
WORD = re.compile(r"[A-Za-z0-9_][\w.+-]{0,99}")  # a name, which no path with folders is
SMALL = 1 << 22  # numbers that a constructor may make for real while it is laid out
LAYERS = 10_000  # tensors that a constructor may ask for besides four for each in the file
PLAIN = (bool, int, float, str, type(None))  # of a JSON file's values; others only within lists
FACTORIES = frozenset({torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})


def settings_of(kind: type[Colorizer]) -> set[str]:
    """The arguments of a model's class that weights files keep and may set."""
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    takes = {p.name for p in signature(kind).parameters.values() if p.kind in named}
    return takes - set(kind.unsaved)


def check_settings(
    kind: type[Colorizer], hparams: Mapping[str, Any], source: object
) -> dict[str, Any]:
    """The hyperparameters of a file, as the class takes them.

    Args:
        kind: the model's class.
        hparams: from the file, unchecked.
        source: for messages: the file.

    Raises:
        WeightsError: for an argument that a file may not set, or a value of another kind than the
            class's signature says.
    """
    closed = sorted(set(hparams) & set(kind.unsaved))
    if closed:
        raise WeightsError(
            f"{source} sets {', '.join(closed)} of {kind.__name__}, which only code on this machine"
            " may: it can name any file here. The file is not by save_model()"
        )
    unknown = sorted(repr(name)[:100] for name in set(hparams) - settings_of(kind))
    if unknown:
        raise WeightsError(
            f"{source} was made with settings of {kind.__name__} that this version of deepcolor"
            f" does not have: {listed(unknown)}; a newer version reads it"
        )
    hints = get_type_hints(kind.__init__)
    checked = {}
    for name, value in hparams.items():
        try:
            checked[name] = _as(value, hints.get(name, Any))
        except ValueError as error:
            raise WeightsError(f"{source}: {name} of {kind.__name__} {error}") from None
    return checked


def check_fits(
    kind: type[Colorizer],
    hparams: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    source: object,
) -> None:
    """Lay the network out without memory, and refuse it if the file's tensors are not its own.

    Raises:
        WeightsError: if it cannot be built so, or a tensor is missing, extra or misshaped.
    """
    try:
        with _Outline(4 * len(shapes) + LAYERS):
            network = kind(**hparams).network
    except Exception as error:  # a constructor that is given a stranger's numbers may raise any
        raise WeightsError(
            f"{source}: {kind.__name__} cannot be built with the settings in it: {in_words(error)}"
        ) from error
    given = {key: torch.empty(tuple(shape), device="meta") for key, shape in shapes.items()}
    problems = misfits(network.state_dict(), given)
    if problems:
        name = type(network).__name__
        raise WeightsError(f"{source}: the weights do not fit {name}: {listed(problems)}")


class _Outline(TorchFunctionMode):
    """Within it, layers take no memory: what they make empty to fill later is on the meta device.

    Other tensors are real while they are small, so that constructors can compute with their own.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty or (func in FACTORIES and _count(args, kwargs) > SMALL):
            self.left -= 1
            if self.left < 0:
                raise ValueError("it would have many more layers than the file has tensors")
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def _count(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Numbers in what a factory of torch would make."""
    size = kwargs.get("size", args[0] if args and isinstance(args[0], Sequence) else args)
    return math.prod(side for side in size if isinstance(side, int))


def _as(value: Any, kind: Any) -> Any:
    """A plain value as an annotation wants it.

    Raises:
        ValueError: for another kind, or one out of bounds, in words that go after a name.
    """
    origin, among = get_origin(kind), get_args(kind)
    if origin is Literal:
        if not any(type(value) is type(one) and value == one for one in among):
            raise ValueError(f"must be one of {', '.join(map(repr, among))}, got {_short(value)}")
        return value
    if origin in (Union, types.UnionType):
        for one in among:
            try:
                return _as(value, one)
            except ValueError:
                continue
        raise ValueError(f"must be {' or '.join(map(_named, among))}, got {_short(value)}")
    if origin in (tuple, list, Sequence) or kind in (tuple, list):
        return _sequence(value, origin or kind, among)
    plain: dict[Any, Any] = {
        bool: bool,
        int: int,
        float: (int, float),
        str: str,
        type(None): type(None),
    }
    wanted = plain.get(kind, (bool, int, float, str, type(None)))
    if not isinstance(value, wanted) or (kind in (int, float) and isinstance(value, bool)):
        raise ValueError(f"must be {_named(kind)}, got {_short(value)}")
    if isinstance(value, str) and WORD.fullmatch(value) is None:
        raise ValueError(f"must be a name of letters, digits and _ . + -, got {_short(value)}")
    if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:  # NaN is not either
        raise ValueError(f"must be a number of at most {LARGEST:,}, got {_short(value)}")
    return float(value) if kind is float else value


def _sequence(value: Any, kind: Any, among: tuple[Any, ...]) -> Any:
    if not isinstance(value, list | tuple) or len(value) > LONGEST:
        raise ValueError(f"must be a list of at most {LONGEST}, got {_short(value)}")
    if kind is tuple and among and among[-1] is not Ellipsis:
        if len(value) != len(among):
            raise ValueError(f"must be a list of {len(among)}, got {_short(value)}")
        return tuple(_as(one, wanted) for one, wanted in zip(value, among, strict=True))
    items = [_as(one, among[0] if among else Any) for one in value]
    return tuple(items) if kind is tuple else items


def _named(kind: Any) -> str:
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))


def _short(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value) if not isinstance(value, int) or abs(value) < 1e30 else "a longer number"
    return text if len(text) <= 60 else f"{text[:60]}..."
