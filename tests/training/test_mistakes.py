"""What users of `deepcolor train` get wrong is one line, exit code 2, and no folder left behind."""

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deepcolor.cli.main import app
from deepcolor.cli.mistakes import in_plain_words
from deepcolor.cli.recipes import class_paths, with_class_paths
from deepcolor.cli.train import train as start
from deepcolor.cli.train_help import GROUPS
from deepcolor.models import MODELS, list_models

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("deepcolor")
SMALL = (
    "--data.size 32 --data.batch_size 2 --data.workers 0 --data.grey_below 0"
    " --trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.max_steps 1"
)


def said(arguments: str, photos: Path) -> str:
    """The line on stderr for arguments of which one is wrong."""
    words = ["train", "fit", "--data.path", str(photos), *SMALL.split(), *arguments.split("|")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("deepcolor: ")]
    assert "Traceback" not in result.stderr
    assert not list(Path().rglob("version_*"))
    assert not Path("runs/lite").exists()
    return line


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--data.held_out|300", "at least 1 to train on, got 300 of 12 photographs"),
        ("--data.shares|{tiny_imagenet: 0.4}", "shares names tiny_imagenet; the sources in "),
        ("--data.path|none", "none: neither a folder nor a tar archive"),
        ("--data.zoom|[2, 3]", "zoom must be two shares"),
        ("--data.size|banana", "--data.size banana: must be of type int"),
        ("--data.size|33", "Lite takes heights and widths that are multiples of 32, got 33 x 33"),
        ("--data.batch_size|0", "batch_size should be a positive integer value"),
        ("--data.degrade.share|3", "deepcolor: share is a share and lies in [0, 1], got 3.0"),
        ("--data.siz|3", "data.siz"),
        ("--trainer.max_steps|-5", "`max_steps` must be a non-negative integer or -1"),
        ("--trainer.strategy|nosuch", "invalid strategy name: `strategy='nosuch'`"),
        ("--trainer.devices|0", "`Trainer(devices='0')` value is not a valid input"),
        ("--trainer.precision|7", "--trainer.precision 7: not among what it takes; --help-all"),
        ("--trainer.val_check_interval|100", "`val_check_interval` (100) must be less than"),
        ("--trainer.callbacks|nosuch.Cls", "--trainer.callbacks: nosuch.Cls: No module named"),
        ("--model.mix|7", "deepcolor: mix must lie in [0, 1], got 7.0"),
        ("--model.mix|a", "--model.mix a: must be of type float"),
        ("--model.encoder_weights|nosuch", "encoder weights 'nosuch': no such file"),
        ("--model|nosuch", f"--model nosuch: no such model; there are: {', '.join(list_models())}"),
        ("--model|lite.photos", "is a checkpoint: --model lite --warm_start lite.photos goes on"),
        ("--ema|3", "decay must lie in [0, 1), got 3.0"),
        ("--warm_start|nosuch", "no checkpoint named 'nosuch'; there are: cnn_lstm.lite"),
        ("--config|none.yaml", "none.yaml"),
        ("--config|recipe.yaml", "trainer.max_stepz"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_leave_no_folder(
    arguments, line, same_photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text("model: lite\ntrainer:\n  max_stepz: 3\n")
    assert line in said(f"--model|lite|{arguments}", same_photos)


def run(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "train", *map(str, arguments)], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=False,
    )  # fmt: skip


def test_nothing_else_is_on_stderr(same_photos, tmp_path):
    asked = ["fit", "--model", "lite", "--data.path", same_photos, *SMALL.split()]
    asked += ["--data.held_out", "300"]
    done = run(*asked, folder=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"deepcolor: {same_photos}: held_out must be at least 1 and leave")
    assert not list(tmp_path.rglob("*lite*"))


def test_a_variable_shows_where_in_the_code(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPCOLOR_TRACEBACK", "1")
    asked = "train fit --model lite --data.path photos --data.zoom [2,3]"
    result = CliRunner().invoke(app, asked.split())
    assert result.exit_code == 1  # of an exception that nobody catches
    frames = traceback.extract_tb(result.exception.__traceback__)
    assert any(frame.name == "training_transform" for frame in frames)


BREAKS = """
from lightning import Callback

class Breaks(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == {step}:
            raise {error}("no such thing")
"""


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.parametrize(
    ("step", "error", "raised", "kept"),
    [
        (0, "ValueError", ValueError, False),
        (0, "KeyError", KeyError, False),  # a bug: as it is, and no folder either
        (1, "ValueError", RuntimeError, True),  # a bug, most likely: with its place
        (1, "OSError", OSError, True),
    ],
)
def test_only_a_run_that_made_a_step_keeps_its_folder(
    step, error, raised, kept, same_photos, tmp_path, monkeypatch
):
    name = f"breaks_{step}_{error}"
    (tmp_path / f"{name}.py").write_text(BREAKS.format(step=step, error=error))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = f"fit --model simple_cnn --data.path {same_photos} {SMALL}".split()
    asked += ["--trainer.callbacks", f"{name}.Breaks", "--trainer.max_steps", "2"]
    with pytest.raises(raised) as caught:
        start(asked)
    if raised is RuntimeError:
        assert str(caught.value) == "training broke off after step 1"
        assert isinstance(caught.value.__cause__, ValueError)
    assert (tmp_path / "runs" / "simple_cnn" / "version_0" / "config.yaml").exists() == kept
    assert (tmp_path / "runs" / "simple_cnn").exists() == kept


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_the_versions_before_a_failed_run_stay(same_photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = tmp_path / "runs" / "lite" / "version_0"
    old.mkdir(parents=True)
    (old / "model.safetensors").write_bytes(b"of an earlier run")
    with pytest.raises(ValueError, match="held_out"):
        start(f"fit --model lite --data.path {same_photos} {SMALL} --data.held_out 300".split())
    assert [file.name for file in old.parent.iterdir()] == ["version_0"]
    assert [file.name for file in old.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("name", list_models())
def test_models_go_by_the_names_that_models_lists(name):
    path = f"{MODELS[name].__module__}.{MODELS[name].__name__}"
    assert class_paths(["fit", "--model", name]) == ["fit", "--model", path]
    assert class_paths([f"--model={name}", "--name", name]) == ["--model", path, "--name", name]
    assert class_paths(["fit", "--model.help", name]) == ["fit", "--model.help", path]
    assert with_class_paths({"model": name, "name": name}) == {"model": path, "name": name}
    settings = {"class_path": name, "init_args": {"lr": 1}}
    settled = with_class_paths({"fit": {"model": settings}})
    assert settled == {"fit": {"model": {"class_path": path, "init_args": {"lr": 1}}}}
    assert class_paths(["--model", path]) == ["--model", path]


@pytest.mark.parametrize("model", ["eccv16", "ECCV16", "deepcolor.models.eccv16.ECCV16"])
@pytest.mark.parametrize("place", ["option", "recipe", "class_path"])
def test_a_model_is_found_by_name_and_by_class(model, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    holds = model if place == "recipe" else {"class_path": model, "init_args": {"lr": 0.5}}
    Path("recipe.yaml").write_text(yaml.safe_dump({"model": holds, "data": {"path": "photos"}}))
    asked = ["--config", "recipe.yaml"]
    if place == "option":
        asked = ["--model", model, "--model.lr", "0.5", "--data.path", "photos"]
    with pytest.raises(SystemExit) as end:
        start(["fit", *asked, "--print_config"])
    assert not end.value.code
    settings = yaml.safe_load(capsys.readouterr().out)["model"]
    assert settings["class_path"].endswith(".ECCV16")
    assert settings["init_args"]["lr"] == (0.5 if place != "recipe" else pytest.approx(3.16e-5))


def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_of_train_names_the_stages_and_fits_a_screen(arguments):
    text = help_of(*arguments)
    assert text.startswith("usage: deepcolor train {fit,validate,test,predict}")
    assert "Lightning Trainer command line tool" not in text
    assert text.count("\n") < 24
    assert ", ".join(list_models()) in " ".join(text.split())
    assert "--help-all" in text


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_help_of_a_stage_is_short_and_the_long_one_has_all(stage):
    short, long = help_of(stage, "--help"), help_of(stage, "--help-all")
    assert short.count("\n") <= 50
    assert max(map(len, short.splitlines())) <= 100
    for title in ("Run:", "Photographs:", "Trainer:"):
        assert f"\n{title}\n" in short
    assert "--data.size PIXELS" in short
    assert "side of the training pictures (128)" in short
    assert ("--warm_start" in short) == (stage == "fit")
    assert ("--output" in short) == (stage == "predict")
    assert long.count("\n") > 400
    for rows in GROUPS.values():
        for name in rows:
            assert f"--{name.removesuffix('.share')} " in long, name


def test_the_help_of_a_model_lists_its_arguments():
    text = help_of("fit", "--model.help", "lite")
    assert "--model.mix MIX" in text
    assert "lambda of class rebalancing" in text


def test_errors_of_this_house_are_said_as_they_are():
    assert in_plain_words(ValueError("Given value: none is as good")) == (
        "Given value: none is as good"
    )
