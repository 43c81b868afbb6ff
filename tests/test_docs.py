"""The pages that are made from tables have what is in the tables."""

import importlib.util
import re
from pathlib import Path

import pytest

from deepcolor.models import MODELS, create_model, list_models
from deepcolor.weights import list_checkpoints

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "models.md").read_text(encoding="utf-8")
AGAIN = "run: python docs/zoo.py > docs/models.md"


@pytest.fixture(scope="module")
def zoo():
    spec = importlib.util.spec_from_file_location("zoo", DOCS / "zoo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_zoo_names_every_model_and_no_other():
    named = re.findall(r"^\| `(\w+)` \|", section("Models"), flags=re.MULTILINE)
    assert named == list_models(), AGAIN


def test_the_zoo_tells_of_every_checkpoint_what_its_entry_does(zoo):
    named = re.findall(r"^### ([\w.]+)", section("Checkpoints"), flags=re.MULTILINE)
    assert named == list_checkpoints(), AGAIN
    assert zoo.checkpoints() in PAGE, AGAIN


@pytest.mark.parametrize("name", ["lite", "eccv16", "resnet34_classification"])
def test_the_zoo_has_the_rows_that_its_script_makes(zoo, name):
    assert f"| {' | '.join(zoo.model_row(name))} |" in PAGE, AGAIN


def test_a_backbone_that_is_cut_up_is_named_with_its_licence(zoo):
    for name, backbone in (("resnet34_classification", "resnet34"), ("lite", "tf_efficientnet")):
        assert zoo.model_row(name)[-1].startswith(backbone)
        assert "Apache-2.0" in zoo.model_row(name)[-1]
    told = zoo.backbone_licenses(create_model("resnet34_regression", backbone="vgg16").network)
    assert told == {"vgg16": "BSD-3-Clause"}


def test_the_page_of_systems_has_every_model_and_names_what_is_missing():
    page = (DOCS / "systems.md").read_text(encoding="utf-8")
    here, missing = page.split("\n## What is missing\n")
    headed = {name for heading in re.findall(r"^## \d+\. (.+)$", here, re.M)
              for name in heading.split(", ")}  # fmt: skip
    assert headed | {"lite"} == set(MODELS)
    named = set(re.findall(r"^- `(\w+)`", missing, re.M))
    assert named == {"cnn_lstm", "levin04", "welsh02", "pix2pix", "deoldify", "ddcolor"}
    assert not named & set(MODELS)
