"""Recipes name what exists: classes, arguments, settings of the data."""

import ast
import importlib
import inspect
import os
import shutil
import subprocess
import sys
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
from deepcolor.models import MODELS, Colorizer, GlobalVectorColorizer, iizuka16
from deepcolor.models._classical import ClassicalColorizer

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


STEPS = {"lite.hints": 60}  # a few thousand parameters, at a low rate
STEPS_ELSE = 20  # the slowest, siggraph17-b, has lost 4.7 % of its loss by then
COMPARED = 5  # of them, at either end
SIDE = 32  # pixels; the recipes say 128 to 224


def build(recipe: dict[str, Any]) -> Colorizer:
    """The model of a recipe, its files left out."""
    module, name = recipe["model"]["class_path"].rsplit(".", 1)
    kind = getattr(importlib.import_module(module), name)
    arguments = recipe["model"]["init_args"]
    files = [key for key in arguments if key.endswith("_weights")]
    return kind(**arguments | dict.fromkeys(files))


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
    recipe = yaml.safe_load(path.read_text())
    model = build(recipe)
    pictures = [photographs]
    if recipe["data"].get("frames", 1) > 1:  # clips whose exposure jitters
        levels = torch.tensor([1.0, 0.9, 0.95]).view(3, 1, 1, 1)
        pictures = [(photographs[:, None] * levels).byte()]
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
        name
        for name, kind in MODELS.items()
        if f"{kind.__module__}.{kind.__name__}" not in built
        and not issubclass(kind, ClassicalColorizer)
    ]
    assert not missing


# Trains as the script needs it: refuses weights that are not there, or says FAIL; else writes a new
# version of the run that holds its words.
FAKE_TRAINING = """\
import pathlib, sys
words = sys.argv[3:]
said = dict(zip(words[::2], words[1::2]))
start = said.get("--warm_start")
if start is not None and not pathlib.Path(start).is_file():
    sys.exit(f"{start}: no such weights")
name = said.get("--name", pathlib.Path(said["--config"]).stem)  # recipes name runs as their files
run = pathlib.Path(said.get("--trainer.default_root_dir", "runs"), name)
version = run / f"version_{len(list(run.glob('*')))}"
version.mkdir(parents=True)
if said.get(name) == "FAIL":
    sys.exit("failed as told")
(version / "model.safetensors").write_text(repr(sys.argv[1:]) + "\\n")
"""
# Release puts together what it was given.
FAKE_RELEASE = "cp $2 $4; echo $3 >> $4\n"


class Script:
    """A script of recipes/ among commands that only pretend to train."""

    def __init__(self, folder: Path, name: str = "lite.photos.sh") -> None:
        self.folder, self.name = folder, name
        commands = folder / "commands"
        commands.mkdir()
        (commands / "deepcolor").write_text(f"#!{sys.executable}\n{FAKE_TRAINING}")
        (commands / "python").write_text(f"#!/bin/sh\n{FAKE_RELEASE}")
        for command in commands.iterdir():
            command.chmod(0o755)
        self.path = f"{commands}{os.pathsep}{os.environ['PATH']}"

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", RECIPES[0].with_name(self.name), *arguments],
            env={**os.environ, "PATH": self.path}, cwd=self.folder,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def history(self) -> list[list[str]]:
        """Words of the trainings that led to the released weights, the first first."""
        words, photos = (self.folder / "lite.photos.safetensors").read_text().splitlines()
        assert photos == "PHOTOS"
        told: list[list[str]] = []
        while words is not None:
            told.insert(0, ast.literal_eval(words))
            start = dict(zip(told[0][2::2], told[0][3::2], strict=True)).get("--warm_start")
            words = None if start is None else (self.folder / start).read_text()
        return told


@pytest.fixture
def script(tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    return Script(tmp_path)


def test_every_part_of_the_recipe_of_lite_photos_goes_on_from_the_one_before(script):
    done = script("PHOTOS", "--data.shares", "null")
    assert done.returncode == 0, done.stderr
    parts = script.history()
    assert len(parts) == 6
    for words in parts:
        assert words[:2] == ["train", "fit"]
        settings = dict(zip(words[2::2], words[3::2], strict=True))
        assert settings["--data.path"] == "PHOTOS"
        assert settings["--data.shares"] == "null"
        config = Path(settings["--config"])
        assert config in RECIPES
        assert yaml.safe_load(config.read_text())["name"] == settings["--name"]


def test_a_second_run_of_the_recipe_ends_with_weights_of_its_own(script):
    assert script("PHOTOS", "--seed_everything", "1").returncode == 0
    assert script("PHOTOS", "--seed_everything", "2").returncode == 0
    seeds = [words[words.index("--seed_everything") + 1] for words in script.history()]
    assert seeds == ["2"] * 6


@pytest.mark.parametrize("part", ["lite.photos", "lite.photos-small"])
def test_the_recipe_stops_at_a_part_that_fails_and_can_be_run_again(part, script):
    failed = script("PHOTOS", part, "FAIL")
    assert failed.returncode == 1
    assert failed.stderr == "failed as told\n"
    assert not (script.folder / "lite.photos.safetensors").exists()
    again = script("PHOTOS")
    assert again.returncode == 0, again.stderr
    assert not any("FAIL" in words for words in script.history())


def test_the_recipe_without_photographs_says_what_it_wants(script):
    done = script()
    assert done.returncode != 0
    assert "say which photographs: recipes/lite.photos.sh PHOTOS" in done.stderr
    assert not (script.folder / "runs").exists()


@pytest.fixture
def deoldify(tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    return Script(tmp_path, "deoldify.sh")


def test_the_four_parts_of_deoldify_go_on_from_each_other(deoldify):
    done = deoldify("PHOTOS", "--model.init_args.variant", "stable")
    assert done.returncode == 0, done.stderr
    told = []
    last = done.stdout.strip()
    while last is not None:
        words = ast.literal_eval((deoldify.folder / last).read_text())
        said = dict(zip(words[2::2], words[3::2], strict=True))
        told.insert(0, said)
        last = said.get("--warm_start")
    assert [said["--data.size"] for said in told] == ["64", "64", "128", "192"]
    assert [said["--model.init_args.lr"] for said in told] == ["1e-3", "3e-4", "1e-4", "5e-5"]
    frozen = [said["--model.init_args.freeze_body"] for said in told]
    assert frozen == ["true", "false", "false", "false"]
    assert all(said["--model.init_args.variant"] == "stable" for said in told)
    assert all(Path(said["--config"]) in RECIPES for said in told)


def test_deoldify_stops_at_a_part_that_fails(deoldify):
    failed = deoldify("PHOTOS", "128", "FAIL")
    assert failed.returncode == 1
    assert not list(deoldify.folder.glob("runs/*/192"))
