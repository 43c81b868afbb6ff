"""The pages that are made from tables have what is in the tables."""

import importlib.util
import re
from pathlib import Path

import pytest

from deepcolor.models import list_models
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


@pytest.mark.parametrize("name", ["lite", "eccv16"])
def test_the_zoo_has_the_rows_that_its_script_makes(zoo, name):
    assert f"| {' | '.join(zoo.model_row(name))} |" in PAGE, AGAIN
