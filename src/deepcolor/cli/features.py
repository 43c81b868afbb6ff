"""The work of `deepcolor features`: global vectors of photographs, once and for all."""

from pathlib import Path

import timm
import yaml

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.data import cache_vectors, open_photos
from deepcolor.inference import choose_device
from deepcolor.models import GlobalVectorColorizer, models

__all__ = ["features"]


def classifier(recipe: str | None, backbone: str | None, weights: str) -> GlobalFeatures:
    """The frozen classifier that a recipe's model is told by, or one of timm's.

    Raises:
        ValueError: unless exactly one of the two is given, if the recipe's model takes no vectors,
            if timm has no such classifier, or if the weights do not fit.
        FileNotFoundError: for a recipe or weights that do not exist.
    """
    if (recipe is None) == (backbone is None):
        raise ValueError("say either --recipe, of the model to train, or --backbone, a timm name")
    if recipe is not None:
        return recipe_model(recipe).make_classifier(weights)
    assert backbone is not None
    if not timm.is_model(backbone):
        raise ValueError(f"timm has no classifier named {backbone}")
    asks = timm.get_pretrained_cfg(backbone)  # what timm's own weights expect
    assert asks is not None  # it is a model
    return GlobalFeatures(
        backbone, asks.input_size[-1], "features", asks.mean, asks.std, weights=weights
    )


def recipe_model(recipe: str) -> GlobalVectorColorizer:
    """The model of a recipe, without its classifier."""
    if not Path(recipe).is_file():
        raise FileNotFoundError(f"{recipe}: no such recipe")
    try:
        model = yaml.safe_load(Path(recipe).read_text())["model"]
        name = model["class_path"].rpartition(".")[2]
        arguments = {**model.get("init_args", {}), "features": "given", "encoder_weights": None}
    except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{recipe}: no recipe, which has model: class_path:") from error
    kinds = {kind.__name__: kind for kind in models().values()}
    told = [k for k, kind in kinds.items() if issubclass(kind, GlobalVectorColorizer)]
    if name not in told:
        raise ValueError(f"{recipe}: {name} takes no vectors; models that do: {', '.join(told)}")
    made = kinds[name](**arguments)
    assert isinstance(made, GlobalVectorColorizer)
    return made


def features(
    photos: str,
    output: str,
    recipe: str | None,
    backbone: str | None,
    weights: str,
    batch_size: int,
    workers: int,
    device: str,
) -> Path:
    """Compute the vectors and write the cache; the arguments are those of the command."""
    if not output.endswith(".safetensors"):
        raise ValueError(f"{output}: caches of vectors end in .safetensors")
    where = choose_device(device)
    found = open_photos(photos)
    made_by = classifier(recipe, backbone, weights).to(where)
    return cache_vectors(
        found, made_by, output, batch_size=batch_size, workers=workers, progress=True
    )
