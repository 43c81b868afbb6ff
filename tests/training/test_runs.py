"""Runs of the installed command: cut off and resumed, shared by two processes, refused."""

import os
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

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("deepcolor")
FIGURES = {
    "val/loss", "val/psnr", "val/auc", "val/auc_rebalanced", "val/ciede2000",
    "val/colourfulness_share",
}  # fmt: skip
KILLER = """
import os, signal
from lightning import Callback

class Killer(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 8:
            os.kill(os.getpid(), signal.SIGKILL)
"""


# Nine photographs in batches of two: four steps an epoch, checkpoints at steps 3, 6, 9, 12.
RUN = (
    "--seed_everything 5 --ema 0.9 --trainer.max_steps 12 --trainer.val_check_interval 3"
    " --trainer.check_val_every_n_epoch null"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Where the runs of this file are written."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "killer.py").write_text(KILLER)
    return folder


@pytest.fixture(scope="module")
def common(same_photos) -> list[str]:
    """The arguments of all runs."""
    said = (
        f"--model Lite --data.path {same_photos} --data.size 32 --data.batch_size 2"
        " --data.workers 1 --data.held_out 3 --data.grey_below 0 --trainer.accelerator cpu"
        " --trainer.enable_progress_bar false"
    )
    return said.split()


@pytest.fixture(scope="module")
def train(home, common):
    """Run deepcolor train as a process of its own."""
    path = os.pathsep.join([str(home), str(ROOT / "src")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}

    def run(stage: str, arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "train", stage, *common, *arguments.split()],
            cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=200,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def unbroken(train, home) -> Path:
    """The folder of a run that nothing disturbed."""
    done = train("fit", f"{RUN} --name unbroken")
    assert done.returncode == 0, done.stderr[-2000:]
    return home / "runs" / "unbroken" / "version_0"


@pytest.mark.slow
def test_a_run_killed_within_an_epoch_and_resumed_ends_as_the_unbroken_one(train, unbroken, home):
    killed = train("fit", f"{RUN} --name killed --trainer.callbacks killer.Killer")
    assert killed.returncode == -9, killed.stderr[-2000:]
    folder = home / "runs" / "killed" / "version_0"
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 6
    assert not (folder / "model.safetensors").exists()
    resumed = train("fit", f"{RUN} --name killed --ckpt_path last")
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert list(folder.parent.iterdir()) == [folder]
    first, second = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
        for run in (unbroken, folder)
    )
    assert first["global_step"] == second["global_step"] == 12
    for part in ("state_dict", "current_model_state"):  # the average, and the weights in training
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), f"{part} {name}"
    model, other = (load_model(run / "model.safetensors") for run in (unbroken, folder))
    for value, same in zip(model.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(value, same)


def figures(output: str) -> dict[str, float]:
    """The table that validate and test print."""
    return {k: float(v) for k, v in re.findall(r"((?:val|test)/\w+)\s+[│|]\s+([-\d.e]+)", output)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The 'val_dataloader' does not have many workers")
def test_two_processes_give_the_figures_of_one(train, unbroken, home, common, monkeypatch, capfd):
    again = f"--ckpt_path {unbroken}/checkpoints/best.ckpt --seed_everything 5"
    two = train("validate", f"{again} --trainer.strategy ddp --trainer.devices 2")
    assert two.returncode == 0, two.stderr[-2000:]
    assert "Starting with 2 processes" in two.stderr
    monkeypatch.chdir(home)
    start(["validate", *common, *again.split()])
    single, double = figures(capfd.readouterr().out), figures(two.stdout)
    assert set(single) == FIGURES
    # Three photographs: two for one process, one for the other; float32 sums differ in order.
    for name, value in single.items():
        assert double[name] == pytest.approx(value, rel=1e-5), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_a_run_can_be_tested_and_used_by_its_config(
    unbroken, home, same_photos, monkeypatch, capfd
):
    monkeypatch.chdir(home)
    parts = ["--config", str(unbroken / "config.yaml"), "--data.held_out", "null"]
    start(["test", *parts, "--ckpt_path", "best"])
    assert set(figures(capfd.readouterr().out)) == {n.replace("val", "test") for n in FIGURES}
    start(["predict", *parts, "--ckpt_path", "best", "--output", "coloured"])
    (file,) = (home / "coloured").iterdir()
    photograph = file.stem.removeprefix("000000-")
    assert photograph in {path.stem for path in same_photos.rglob("*")}
    with Image.open(file) as image:
        assert image.size == (32, 32)


@pytest.mark.slow
def test_the_best_weights_of_a_run_can_be_used_from_the_shell(unbroken, tmp_path):
    by_file = load_model(unbroken / "best.safetensors").network.state_dict()
    by_checkpoint = load_model(unbroken / "checkpoints" / "best.ckpt").network.state_dict()
    assert all(torch.equal(value, by_checkpoint[key]) for key, value in by_file.items())
    Image.new("L", (40, 40), 99).save(tmp_path / "old.png")
    for new, weights in (("a.png", "best.safetensors"), ("b.png", "checkpoints/best.ckpt")):
        photo, place = tmp_path / "old.png", tmp_path / new
        done = subprocess.run(
            [COMMAND, "colorize", photo, "-m", unbroken / weights, "-o", place],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
            check=False, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


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


def documented() -> list[str]:
    """The commands that begin a fit, in the pages that people read."""
    pages = [ROOT / "README.md", ROOT / "docs" / "training.md"]
    text = "\n".join(page.read_text() for page in pages)
    found = re.findall(r"^ *deepcolor train (.*)$", text.replace("\\\n", " "), flags=re.MULTILINE)
    return sorted({" ".join(line.split("#")[0].split()) for line in found if " runs/" not in line})


@pytest.mark.parametrize("command", documented())
def test_documented_commands_are_understood(command, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as end:
        start([*command.split(), "--print_config"])
    assert not end.value.code
    assert "class_path: deepcolor.models." in capsys.readouterr().out
