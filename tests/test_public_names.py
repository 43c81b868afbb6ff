import subprocess
import sys
from importlib.metadata import version

import pytest

import deepcolor

PUBLIC = [
    "About",
    "Colorizer",
    "Guidance",
    "Hints",
    "ImageError",
    "Predictor",
    "colorize",
    "colorize_frames",
    "colorize_video",
    "create_model",
    "from_pretrained",
    "list_checkpoints",
    "list_models",
    "load_model",
    "push_to_hub",
    "register_model",
    "save_model",
    "save_pretrained",
    "suggest_hints",
    "transfer_chroma",
]

ROOMS = [
    "color",
    "data",
    "evaluation",
    "gamut",
    "guidance",
    "images",
    "inference",
    "losses",
    "metrics",
    "models",
    "pixels",
    "quantize",
    "rebalance",
    "training",
    "upsample",
    "video",
    "weights",
]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_public_names_are_these():
    assert deepcolor.__all__ == PUBLIC
    assert dir(deepcolor) == sorted([*PUBLIC, *ROOMS, "__version__"])


def test_rooms_are_reached_after_import_deepcolor():
    said = run(f"import deepcolor; print([getattr(deepcolor, n).__name__ for n in {ROOMS}])")
    assert said.strip() == str([f"deepcolor.{name}" for name in ROOMS])


def test_a_misspelled_name_is_seen_by_type_checkers(tmp_path):
    pytest.importorskip("mypy")
    code = tmp_path / "mine.py"
    code.write_text(
        "import numpy as np\nimport deepcolor\n"
        "from PIL import Image\n"
        'reveal_type(deepcolor.colorize("old.jpg"))\n'
        "reveal_type(deepcolor.colorize(np.zeros((4, 4), np.uint8)))\n"
        'deepcolor.nosuch("x")\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(code)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert 'Revealed type is "deepcolor.images.result.ColorizedImage"' in done.stdout
    assert "ndarray" in done.stdout
    assert 'Module has no attribute "nosuch"' in done.stdout


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist_and_are_documented(name):
    assert getattr(deepcolor, name).__doc__


def test_version_is_that_of_the_distribution():
    assert deepcolor.__version__ == version("deepcolor-lightning")


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="colourise"):
        deepcolor.colourise  # noqa: B018


def test_importing_deepcolor_imports_no_heavy_package():
    heavy = ["torch", "lightning", "timm", "torchvision", "kornia", "numpy", "PIL"]
    code = f"import sys, deepcolor; print([m for m in {heavy} if m in sys.modules])"
    assert run(code).strip() == "[]"


def test_importing_deepcolor_takes_under_50_ms():
    code = "import time; s = time.perf_counter(); import deepcolor; print(time.perf_counter() - s)"
    assert min(float(run(code)) for _ in range(3)) < 0.05


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["colorize", "--help"],
        ["models", "--help"],
        ["evaluate", "--help"],
        ["compare", "--help"],
    ],
)
def test_help_needs_no_torch(arguments):
    code = (
        f"import sys; sys.argv = ['deepcolor', *{arguments}]\n"
        "from deepcolor.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print('torch' in sys.modules)"
    )
    assert run(code).splitlines()[-1] == "False"
