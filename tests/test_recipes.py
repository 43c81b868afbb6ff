"""Recipes name what exists: classes, arguments, settings of the data."""

import importlib
import inspect
from pathlib import Path

import pytest
import yaml

from deepcolor.data import ColorizationDataModule
from deepcolor.models import MODELS

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_builds_its_model(path):
    recipe = yaml.safe_load(path.read_text())
    module, name = recipe["model"]["class_path"].rsplit(".", 1)
    kind = getattr(importlib.import_module(module), name)
    assert kind in MODELS.values()
    arguments = recipe["model"]["init_args"]
    assert set(arguments) <= set(inspect.signature(kind).parameters)
    kind(**{**arguments, "encoder_weights": None} if "encoder_weights" in arguments else arguments)
    assert set(recipe["data"]) <= set(inspect.signature(ColorizationDataModule).parameters)
    assert recipe["data"]["size"] % kind.stride == 0


def test_every_model_that_trains_has_a_recipe():
    built = {yaml.safe_load(path.read_text())["model"]["class_path"] for path in RECIPES}
    missing = [
        name for name, kind in MODELS.items() if f"{kind.__module__}.{kind.__name__}" not in built
    ]
    assert not missing
