"""The models, in one literal table."""

import re
from fnmatch import fnmatchcase
from importlib.metadata import entry_points
from typing import Any

from deepcolor.guidance import KINDS
from deepcolor.models._classification import ClassificationColorizer
from deepcolor.models._global_vector import GlobalVectorColorizer
from deepcolor.models._regression import RegressionColorizer
from deepcolor.models._training import Colorizer
from deepcolor.models.cnn_lstm import CNNLSTM
from deepcolor.models.dahl16 import Dahl16
from deepcolor.models.ddcolor import DDColor
from deepcolor.models.deoldify import DeOldify
from deepcolor.models.eccv16 import ECCV16, ECCV16L2
from deepcolor.models.hwang_zhou16 import HwangZhou16
from deepcolor.models.iizuka16 import Iizuka16
from deepcolor.models.koalarization import Koalarization
from deepcolor.models.levin04 import Levin04
from deepcolor.models.lite import Lite
from deepcolor.models.merged_vgg16 import MergedVGG16
from deepcolor.models.resnet34_classification import ResNet34Classification
from deepcolor.models.resnet34_regression import ResNet34Regression
from deepcolor.models.siggraph17 import SIGGRAPH17
from deepcolor.models.simple_cnn import SimpleCNN
from deepcolor.models.som_mlp import SOMMLP
from deepcolor.models.vanilla_autoencoder import VanillaAutoencoder
from deepcolor.models.welsh02 import Welsh02

__all__ = [
    "MODELS",
    "ClassificationColorizer",
    "Colorizer",
    "GlobalVectorColorizer",
    "RegressionColorizer",
    "create_model",
    "list_models",
    "model_class",
    "models",
    "name_of",
    "register_model",
]

GROUP = "deepcolor.models"  # of entry points

MODELS: dict[str, type[Colorizer]] = {
    "cnn_lstm": CNNLSTM,
    "dahl16": Dahl16,
    "ddcolor": DDColor,
    "deoldify": DeOldify,
    "eccv16": ECCV16,
    "eccv16_l2": ECCV16L2,
    "hwang_zhou16": HwangZhou16,
    "iizuka16": Iizuka16,
    "koalarization": Koalarization,
    "levin04": Levin04,
    "lite": Lite,
    "merged_vgg16": MergedVGG16,
    "resnet34_classification": ResNet34Classification,
    "resnet34_regression": ResNet34Regression,
    "siggraph17": SIGGRAPH17,
    "simple_cnn": SimpleCNN,
    "som_mlp": SOMMLP,
    "vanilla_autoencoder": VanillaAutoencoder,
    "welsh02": Welsh02,
}


_REGISTERED: dict[str, type[Colorizer]] = {}


def register_model(name: str, model: type[Colorizer]) -> None:
    """Give a model class of your own a name, as the built-in ones have.

    It can then be made, trained, saved, loaded, evaluated and compared by that name. Packages can
    register theirs without a call: by an entry point of the group `deepcolor.models`, whose name is
    the model's and whose object is the class.

    Args:
        name: lower case letters, digits and underscores, the first a letter.
        model: a subclass of `Colorizer`, whose `__init__` calls `save_hyperparameters()`.

    Raises:
        ValueError: for a name that is taken by another class, or is no name.
        TypeError: for a class that is no Colorizer, or leaves methods of the contract out.

    Example:
        >>> from deepcolor.models.lite import Lite
        >>> class Mine(Lite):
        ...     pass
        >>> register_model("mine", Mine)
        >>> "mine" in list_models()
        True
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"{name!r} is no name for a model: lower case letters, digits and underscores work"
        )
    if not (isinstance(model, type) and issubclass(model, Colorizer)):
        raise TypeError(f"{model!r} is no subclass of deepcolor.Colorizer")
    missing = sorted(getattr(model, "__abstractmethods__", ()))
    if missing:
        raise TypeError(f"{model.__name__} lacks what a Colorizer must have: {', '.join(missing)}")
    known = MODELS.get(name) or _REGISTERED.get(name)
    if known is not None and known is not model:
        raise ValueError(
            f"{name!r} is the name of {known.__module__}.{known.__name__}; choose another"
        )
    if known is None:
        _REGISTERED[name] = model


def models() -> dict[str, type[Colorizer]]:
    """All models by name: the built-in ones, those of installed packages, the registered ones.

    Raises:
        TypeError, ValueError: for an entry point that gives no model; the message names it.
    """
    found = {**MODELS, **_REGISTERED}
    for entry in entry_points(group=GROUP):
        if entry.name not in found:
            register_model(entry.name, entry.load())
            found[entry.name] = _REGISTERED[entry.name]
    return found


def model_class(name: str) -> type[Colorizer]:
    """The class of that name.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    known = models()
    if name not in known:
        raise ValueError(f"no model named {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]


def name_of(model: type[Colorizer]) -> str:
    """The name of a class.

    Raises:
        ValueError: for a class without a name; the message says how to give it one.
    """
    for name, kind in models().items():
        if kind is model:
            return name
    raise ValueError(
        f"{model.__name__} has no name to be found by again: deepcolor.register_model('name',"
        f" {model.__name__}) gives it one"
    )


def list_models(pattern: str = "*", guidance: str | None = None) -> list[str]:
    """Names that `create_model` takes, sorted.

    Args:
        pattern: of the names, such as "ec*".
        guidance: only of models that can take this kind, such as "hints".

    Raises:
        ValueError: for an unknown kind of guidance.
    """
    if guidance is not None and guidance not in KINDS:
        raise ValueError(f"no guidance named {guidance!r}; there are: {', '.join(KINDS)}")
    return sorted(
        name
        for name, kind in models().items()
        if fnmatchcase(name, pattern) and (guidance is None or guidance in kind.takes)
    )


def create_model(name: str, **hparams: Any) -> Colorizer:
    """Make a model with random weights: a plain LightningModule, ready for Trainer.fit.

    Args:
        name: one of `list_models()`.
        **hparams: arguments of that model's class.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
        TypeError: for an argument that the class does not take.
    """
    return model_class(name)(**hparams)
