"""What deepcolor tells to install is what pyproject.toml asks for, and can be had."""

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepcolor.cli.main import app
from deepcolor.extras import EXTRAS, needs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"test", "dev", "bench"}  # for who works on deepcolor, in a clone
PACKAGE = re.compile(r"[\w.-]+(\[[\w,]+\])?")


def packages(extra: str) -> set[str]:
    return {PACKAGE.match(line).group() for line in PROJECT["optional-dependencies"][extra]}


def test_the_extras_are_those_of_pyproject():
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - OURS


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_message_names_the_packages_of_its_extra(extra):
    missing, command = needs(extra).split(": ")
    assert command.startswith("pip install ")
    words = {word.strip("'") for word in command.removeprefix("pip install ").split()}
    assert words == packages(extra)
    for word in words:
        assert word.split("[")[0] in missing


def test_training_without_its_packages_names_them(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("deepcolor.cli.")]:
        if name not in ("deepcolor.cli.main", "deepcolor.cli.options"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    result = CliRunner().invoke(app, ["train", "fit"])
    assert (result.exit_code, result.stderr) == (2, f"deepcolor: training {needs('train')}\n")


@pytest.mark.parametrize("place", ["src", "tests", "docs", "recipes", "benchmarks", "README.md"])
def test_nothing_tells_to_install_what_is_not_published(place):
    root = ROOT / place
    files = [root] if root.is_file() else [p for p in root.rglob("*") if p.suffix != ".pyc"]
    named = [
        file
        for file in files
        if file.suffix in {".py", ".md", ".sh", ".yaml"}
        and re.search(r"deepcolor-lightning\[|pip install deepcolor", file.read_text())
        and file != Path(__file__)
    ]
    assert not named
