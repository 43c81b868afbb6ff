"""The Python of docs/hints.md runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from deepcolor.models.lite import Lite

PAGE = (Path(__file__).parents[1] / "docs" / "hints.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
MADE = (["new.png"], [f"new.{number}.png" for number in range(3)], [], [])


@pytest.mark.parametrize(("block", "files"), list(zip(BLOCKS, MADE, strict=True)))
def test_examples_of_the_page_run(block, files, tmp_path, photograph):
    Image.fromarray(photograph).convert("L").save(tmp_path / "old.jpg")
    done = subprocess.run(
        [sys.executable, "-c", f"import deepcolor\n{block}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for name in files:
        with Image.open(tmp_path / name) as image:
            assert image.size == (256, 256)


def test_the_page_counts_the_parameters_that_there_are():
    spread = Lite().network.hints
    count = sum(parameter.numel() for parameter in spread.parameters())
    assert f"; {count:,} parameters in all" in PAGE
