"""Runs of the installed command: cut off and resumed, shared by two processes, refused."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from deepcolor.cli.train import BAD_ARGUMENTS
from deepcolor.cli.train import train as start
from deepcolor.weights import load_model

COMMAND = Path(sys.executable).with_name("deepcolor")
KILLER = """
import os, signal
from lightning import Callback

class Killer(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 8:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def train(tmp_path, photo_folder, monkeypatch):
    """Run deepcolor train in a folder of its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = f"{tmp_path}:{':'.join(sys.path[:1] if sys.path[0] else [])}"
    monkeypatch.setenv("PYTHONPATH", f"{path}:{Path(__file__).parents[2] / 'src'}")

    def run(stage: str, arguments: str) -> subprocess.CompletedProcess[str]:
        data = (
            f"--data.path {photo_folder} --data.size 32 --data.batch_size 2 --data.workers 1"
            " --data.held_out 3 --data.grey_below 0"
        )
        return subprocess.run(
            [COMMAND, "train", stage, *data.split(), *arguments.split()],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip

    return run


# Nine photographs in batches of two: four steps an epoch, checkpoints at steps 3, 6, 9, 12.
RUN = (
    "--model Lite --seed_everything 5 --ema 0.9 --trainer.max_steps 12 --trainer.val_check_interval"
    " 3 --trainer.check_val_every_n_epoch null --trainer.enable_progress_bar false"
    " --trainer.accelerator cpu"
)


def test_a_run_killed_within_an_epoch_and_resumed_ends_as_the_unbroken_one(train, tmp_path):
    unbroken = train("fit", f"{RUN} --name unbroken")
    assert unbroken.returncode == 0, unbroken.stderr[-2000:]
    (tmp_path / "killer.py").write_text(KILLER)
    killed = train("fit", f"{RUN} --name killed --trainer.callbacks killer.Killer")
    assert killed.returncode == -9, killed.stderr[-2000:]
    folder = tmp_path / "runs" / "killed" / "version_0"
    assert not (folder / "model.safetensors").exists()
    resumed = train("fit", f"{RUN} --name killed --ckpt_path last")
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert [p.name for p in (tmp_path / "runs" / "killed").iterdir()] == ["version_0"]
    first, second = (
        torch.load(tmp_path / "runs" / name / "version_0/checkpoints/last.ckpt", weights_only=True)
        for name in ("unbroken", "killed")
    )
    assert first["global_step"] == second["global_step"] == 12
    for part in ("state_dict", "current_model_state"):  # the average, and the weights in training
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), f"{part} {name}"
    model, other = (
        load_model(tmp_path / "runs" / name / "version_0" / "model.safetensors")
        for name in ("unbroken", "killed")
    )
    for value, same in zip(model.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(value, same)


def figures(output: str) -> dict[str, float]:
    """The table that validate and test print."""
    return {k: float(v) for k, v in re.findall(r"((?:val|test)/\w+)\s+[│|]\s+([-\d.e]+)", output)}


def test_two_processes_give_the_figures_of_one_and_results_can_be_used(train, tmp_path):
    fitted = train("fit", RUN.replace("max_steps 12", "max_steps 3"))
    assert fitted.returncode == 0, fitted.stderr[-2000:]
    again = (
        "--model Lite --ckpt_path best --seed_everything 5 --trainer.accelerator cpu"
        " --trainer.enable_progress_bar false"
    )
    one = train("validate", again)
    two = train("validate", f"{again} --trainer.strategy ddp --trainer.devices 2")
    assert two.returncode == 0, two.stderr[-2000:]
    single, double = figures(one.stdout), figures(two.stdout)
    assert set(single) == {
        "val/loss", "val/psnr", "val/auc", "val/auc_rebalanced", "val/ciede2000",
        "val/colourfulness_share",
    }  # fmt: skip
    # Three photographs: two for one process, one for the other; float32 sums differ in order.
    for name, value in single.items():
        assert double[name] == pytest.approx(value, rel=1e-5), name

    config = tmp_path / "runs" / "lite" / "version_0" / "config.yaml"
    parts = f"--config {config} --data.held_out null --trainer.logger false"
    tested = train("test", f"{parts} --ckpt_path best")
    assert tested.returncode == 0, tested.stderr[-2000:]
    assert set(figures(tested.stdout)) == {name.replace("val", "test") for name in single}
    predicted = train("predict", f"{parts} --ckpt_path best --output coloured")
    assert predicted.returncode == 0, predicted.stderr[-2000:]
    (file,) = (tmp_path / "coloured").iterdir()
    with Image.open(file) as image:
        assert image.size == (32, 32)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--model Lite --model.mixx 1", "mixx"),
        ("--model Lite --trainer.max_stepz 1", r"trainer\.max_stepz"),
        ("--model Lite --data.siz 3", r"data\.siz"),
        ("--config recipe.yaml", "Option 'mixx' is not accepted"),
        ("--model Lite --best_by psnr", "--best_by psnr: must be one of val/auc_rebalanced"),
        ("--model Lite --ckpt_path last", "--ckpt_path last: no last.ckpt below runs/lite"),
        ("--model Lite --ckpt_path none.ckpt", r"none\.ckpt: no such checkpoint"),
        ("--model Lite --ckpt_path other.ckpt", "is of SimpleCNN, the model here is Lite"),
    ],
)
def test_mistakes_are_refused_by_name(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(
        "model:\n  class_path: deepcolor.models.lite.Lite\n  init_args:\n    mixx: 0.5\n"
    )
    made_of = {"_class_path": "deepcolor.models.simple_cnn.SimpleCNN"}
    torch.save({"state_dict": {}, "hyper_parameters": made_of}, tmp_path / "other.ckpt")
    with pytest.raises(BAD_ARGUMENTS, match=said):
        start(["fit", "--data.path", "photos", *arguments.split()])


def test_an_unknown_key_of_a_recipe_is_one_line_without_a_traceback(train, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: Lite\ntrainer:\n  max_stepz: 3\n")
    done = train("fit", f"--config {recipe}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("deepcolor: ")
    assert "trainer.max_stepz" in line
