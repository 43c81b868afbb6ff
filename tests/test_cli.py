import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from deepcolor.cli.main import app
from deepcolor.models import list_models
from deepcolor.weights import CHECKPOINTS, load_model

SHELL = CliRunner()


@pytest.fixture
def photo(tmp_path, photograph) -> Path:
    path = tmp_path / "old.jpg"
    Image.fromarray(photograph).convert("L").save(path)
    return path


def deepcolor(*arguments) -> tuple[int, str, str]:
    result = SHELL.invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_colorize_writes_beside_the_photograph_and_says_so(photo):
    code, out, _ = deepcolor("colorize", photo)
    assert code == 0
    assert names(photo.parent) == ["old.color.png", "old.jpg"]
    assert "old.color.png (" in out
    assert " s on cpu)" in out or " s on cuda" in out
    result = np.asarray(Image.open(photo.parent / "old.color.png")).astype(int)
    assert np.ptp(result, axis=2).mean() > 5  # it has colour


def test_output_names_a_file_or_a_folder(photo, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    assert deepcolor("colorize", photo, "-o", folder / "new.webp")[0] == 0
    assert deepcolor("colorize", photo, "-o", folder)[0] == 0
    second = shutil.copy(photo, tmp_path / "second.jpg")
    assert deepcolor("colorize", photo, second, "-o", folder)[0] == 0
    assert names(folder) == ["new.webp", "old.color.png", "second.color.png"]


def test_results_of_the_command_and_of_the_call_are_the_same(photo):
    import deepcolor as library

    deepcolor("colorize", photo)
    with Image.open(photo.parent / "old.color.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(library.colorize(photo)))


MISTAKES = {
    "missing file": (["none.jpg"], r"none.jpg: no such file"),
    "folder": (["."], "is a folder"),
    "not an image": (["text.jpg"], "text.jpg is not an image"),
    "truncated": (["cut.jpg"], "cut.jpg is damaged or truncated"),
    "unknown model": (["old.jpg", "-m", "magic"], "'magic'; there are: "),
    "unknown device": (["old.jpg", "--device", "gpu"], "use auto or cpu"),
    "unwritable suffix": (["old.jpg", "-o", "new.xyz"], "cannot write .xyz"),
    "missing folder": (["old.jpg", "-o", "no/new.png"], "no such folder"),
    "several into one file": (["old.jpg", "cut.jpg", "-o", "new.png"], "an existing folder"),
    "overwriting the input": (["old.jpg", "-o", "old.jpg"], "is one of the photographs"),
    "same name twice": (["old.jpg", "old.png", "-o", "folder"], "would be written twice"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line_with_exit_code_2(mistake, photo, monkeypatch):
    arguments, message = MISTAKES[mistake]
    monkeypatch.chdir(photo.parent)
    Path("text.jpg").write_text("no picture")
    Path("cut.jpg").write_bytes(photo.read_bytes()[:2000])
    Path("folder").mkdir()
    shutil.copy(photo, "old.png")
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    code, _, err = deepcolor("colorize", *arguments)
    assert code == 2
    assert message in err
    assert err.startswith("deepcolor: ")
    assert err.count("\n") == 1
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("arguments", [["colorize"], ["colorise", "x"], ["colorize", "--what"]])
def test_wrong_usage_has_exit_code_2(arguments):
    assert deepcolor(*arguments)[0] == 2


def test_models_lists_checkpoints_and_architectures():
    code, out, _ = deepcolor("models")
    assert code == 0
    assert "lite.photos (default): trained on" in out
    assert f"models to train: {', '.join(list_models())}" in out


def test_models_long_tells_licences_files_and_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCOLOR_HOME", str(tmp_path))
    out = deepcolor("models", "--long")[1]
    assert "licence: Apache-2.0 (allows commercial use); some of the training photographs" in out
    assert out.count("licence: BSD-2-Clause (allows commercial use)") == 2
    assert "auc_rebalanced 75.31" in out
    file = CHECKPOINTS["siggraph17.caffe"].file
    assert f"{file}, on first use to {tmp_path / file}" in out
    assert "figures: not measured" in out


def test_a_checkpoint_that_cannot_be_fetched_ends_in_one_line(photo, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCOLOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = deepcolor("colorize", photo, "-m", "eccv16.caffe")
    assert code == 2
    assert err.count("\n") == 1
    assert f"put colorization_release_v2-9b330a0b.pth into {tmp_path / 'home'}" in err


def test_help_teaches_by_example():
    assert "deepcolor colorize old.jpg" in deepcolor("--help")[1]
    assert "album/*.jpg -o coloured/" in deepcolor("colorize", "--help")[1]


def test_the_installed_command_runs_and_hides_tracebacks(tmp_path):
    command = Path(sys.executable).with_name("deepcolor")
    done = subprocess.run(
        [command, "colorize", tmp_path / "none.jpg"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"deepcolor: {tmp_path / 'none.jpg'}: no such file\n"


@pytest.mark.slow
def test_train_fit_ends_with_a_weights_file_that_colorizes(photo_folder, photo, tmp_path):
    command = Path(sys.executable).with_name("deepcolor")
    recipe = Path(__file__).parents[1] / "recipes" / "lite.photos.yaml"
    small = (
        f"--data.path {photo_folder} --data.shares null --data.size 64 --data.batch_size 3"
        " --data.workers 0 --data.held_out 3 --trainer.max_steps 4 --trainer.val_check_interval 2"
        " --trainer.callbacks null --trainer.logger.init_args.save_dir runs"
    )
    done = subprocess.run(
        [command, "train", "fit", "--config", recipe, *small.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = tmp_path.rglob("model.safetensors")
    assert deepcolor("colorize", photo, "-m", path)[0] == 0
    still = f"--warm_start {path} --model.lr 0 --model.weight_decay 0 --trainer.max_steps 1"
    done = subprocess.run(
        [command, "train", "fit", "--config", recipe, *small.split(), *still.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (load_model(p) for p in sorted(tmp_path.rglob("model.safetensors")))
    assert torch.equal(first.network.head.weight, second.network.head.weight)


def test_training_without_photographs_says_so(tmp_path):
    command = Path(sys.executable).with_name("deepcolor")
    done = subprocess.run(
        [command, "train", "fit", "--model", "Lite", "--data.path", tmp_path / "none"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "none: neither a folder nor a tar archive of photographs"
    )
