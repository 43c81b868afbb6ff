"""The README's Python runs as it stands."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import deepcolor

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_the_readme_has_its_three_examples():
    assert len(BLOCKS) == 3


def test_names_are_in_the_modules_that_the_readme_says():
    text = README.read_text()
    found = re.findall(r"`deepcolor\.(\w+)`(?:\s+\(([^)]*)\))?", text)
    assert len(found) > 5
    for name, listed in found:
        for inside in re.findall(r"`([A-Za-z_]+)`", listed):
            assert hasattr(importlib.import_module(f"deepcolor.{name}"), inside), inside
        if not hasattr(deepcolor, name):
            importlib.import_module(f"deepcolor.{name}")


@pytest.mark.parametrize("block", BLOCKS, ids=["first_call", "predictor", "fine_tuning"])
def test_examples_run(block, tmp_path, photo_folder, photograph):
    Image.fromarray(photograph).convert("L").save(tmp_path / "old.jpg")
    here = "import deepcolor\npaths = ['old.jpg']\n" + block.replace('"cuda"', '"cpu"')
    done = subprocess.run(
        [sys.executable, "-c", here], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    if "new.png" in block:
        with Image.open(tmp_path / "new.png") as image:
            assert image.size == (256, 256)
    if "mine.safetensors" in block:
        assert (tmp_path / "mine.safetensors").exists()
