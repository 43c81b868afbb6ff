"""Recipes name what exists: classes, arguments, settings of the data."""

import importlib
import inspect
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
import yaml
from lightning import Callback, Trainer
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.data import ColorizationDataModule
from deepcolor.models import MODELS, Colorizer, iizuka16
from deepcolor.models.families import GlobalVectorColorizer

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


STEPS = {"lite.hints": 150}  # a few thousand parameters, at a low rate
STEPS_ELSE = 50
COMPARED = 5  # of them, at either end
SIDE = 32  # pixels; the recipes say 128 to 224


def build(recipe: dict[str, Any]) -> Colorizer:
    """The model of a recipe, its encoder random."""
    module, name = recipe["model"]["class_path"].rsplit(".", 1)
    kind = getattr(importlib.import_module(module), name)
    arguments = recipe["model"]["init_args"]
    if "encoder_weights" in arguments:
        arguments = {**arguments, "encoder_weights": None}
    return kind(**arguments)


class Losses(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(len(self.seen) % COMPARED)  # simulated hints: the first draws come again

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(float(outputs["loss"]))


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """Two real colour photographs, (2, 3, SIDE, SIDE) uint8."""
    sources = (skimage.data.astronaut(), skimage.data.coffee())
    small = [np.array(Image.fromarray(s[:300, :300]).resize((SIDE, SIDE))) for s in sources]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode")  # frozen ones, as is meant
@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_few_steps_of_a_recipe_lower_its_loss(path, photographs, tmp_path, monkeypatch):
    steps = STEPS.get(path.stem, STEPS_ELSE)
    monkeypatch.setattr(iizuka16, "GLOBAL_SIDE", 2 * SIDE)  # instead of 224, also whatever the size
    model = build(yaml.safe_load(path.read_text()))
    pictures = [photographs]
    if isinstance(
        model, GlobalVectorColorizer
    ):  # as with a cache on disk: seen once, not each time
        luminance, _ = split_lab(rgb_to_lab(unit_rgb(photographs)))
        pictures.append(model.global_vector(luminance))
    losses = Losses()
    loader = DataLoader(TensorDataset(*pictures), batch_size=len(photographs))
    Trainer(
        max_steps=steps,
        limit_val_batches=0,
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        log_every_n_steps=1,
        default_root_dir=tmp_path,
    ).fit(model, loader, loader)
    first, last = np.mean(losses.seen[:COMPARED]), np.mean(losses.seen[-COMPARED:])
    assert len(losses.seen) == steps
    assert last < 0.98 * first, losses.seen


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_builds_its_model(path):
    recipe = yaml.safe_load(path.read_text())
    kind = type(build(recipe))
    assert kind in MODELS.values()
    arguments = recipe["model"]["init_args"]
    assert set(arguments) <= set(inspect.signature(kind).parameters)
    assert set(recipe["data"]) <= set(inspect.signature(ColorizationDataModule).parameters)
    assert recipe["data"]["size"] % kind.stride == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_says_nothing_that_the_command_does_not_know(path):
    recipe = yaml.safe_load(path.read_text())
    assert set(recipe) <= {"seed_everything", "name", "ema", "best_by", "model", "data", "trainer"}
    assert set(recipe["trainer"]) <= set(inspect.signature(Trainer).parameters)
    # Logger and checkpoints are the command's, alike for all.
    assert not {"logger", "callbacks"} & set(recipe["trainer"])


def test_every_model_that_trains_has_a_recipe():
    built = {yaml.safe_load(path.read_text())["model"]["class_path"] for path in RECIPES}
    missing = [
        name for name, kind in MODELS.items() if f"{kind.__module__}.{kind.__name__}" not in built
    ]
    assert not missing


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_every_part_of_the_recipe_of_lite_photos_goes_on_from_the_one_before(tmp_path):
    for command in ("deepcolor", "python"):
        fake = tmp_path / command
        fake.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\t" "$word"; done; echo\n')
        fake.chmod(0o755)
    script = RECIPES[0].with_name("lite.photos.sh")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    said = subprocess.run(
        ["bash", script, "PHOTOS", "--data.shares", "null"],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    *parts, release = [line.split("\t")[:-1] for line in said.splitlines()]
    trained = None
    for words in parts:
        settings = dict(zip(words[2::2], words[3::2], strict=True))
        assert settings["--data.path"] == "PHOTOS"
        assert settings["--data.shares"] == "null"
        config = Path(settings["--config"])
        assert config in RECIPES
        assert settings.get("--warm_start") == trained
        name = yaml.safe_load(config.read_text())["name"]
        trained = f"runs/{name}/version_0/model.safetensors"
    assert len(parts) == 6
    assert release[1:] == [trained, "PHOTOS", "lite.photos.safetensors"]
