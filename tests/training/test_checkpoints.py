import os
import re
import resource
import signal
import stat
from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from deepcolor.models import Colorizer
from deepcolor.models.simple_cnn import SimpleCNN
from deepcolor.training import (
    CheckpointError,
    WeightEMA,
    WholeFileIO,
    checkpoint_of,
    find_run,
    save_best,
)
from deepcolor.weights import WeightsError, load_model, load_weights

LIMIT = 1 << 23  # bytes; far more than the file that this process may be printing to
LARGE = LIMIT // 2  # numbers of 4 bytes: twice the limit


@pytest.fixture
def full_disk():
    """No file can grow beyond 8 MB, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path, full_disk):
    path = tmp_path / "last.ckpt"
    old = {"state_dict": {"weight": torch.ones(LARGE)}}
    WholeFileIO().save_checkpoint(old, path)
    full_disk()
    with pytest.raises(OSError, match=rf"{re.escape(str(path))}: checkpoint not written .*whole"):
        WholeFileIO().save_checkpoint({"state_dict": {"weight": torch.zeros(LARGE)}}, path)
    kept = torch.load(path, weights_only=True)
    assert torch.equal(kept["state_dict"]["weight"], torch.ones(LARGE))
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_trainer_on_a_full_disk_says_what_it_could_not_write(tmp_path, full_disk):
    trainer = Trainer(
        max_steps=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        plugins=[WholeFileIO()], enable_checkpointing=False, accelerator="cpu",
        log_every_n_steps=1, default_root_dir=tmp_path,
    )  # fmt: skip
    loader = DataLoader(TensorDataset(torch.rand(2, 3, 32, 32)), 2)
    model = SimpleCNN()
    model.register_buffer("ballast", torch.zeros(LARGE))
    trainer.fit(model, loader, loader)
    path = tmp_path / "mine.ckpt"
    trainer.save_checkpoint(path)
    whole = path.read_bytes()
    full_disk()
    with pytest.raises(OSError, match=r"mine\.ckpt: checkpoint not written"):
        trainer.save_checkpoint(path)
    assert path.read_bytes() == whole


def test_what_is_no_checkpoint_is_refused_in_words(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.ckpt: no such checkpoint"):
        checkpoint_of(tmp_path / "none.ckpt")
    damaged = tmp_path / "damaged.ckpt"
    WholeFileIO().save_checkpoint({"state_dict": {"weight": torch.ones(1000)}}, damaged)
    damaged.write_bytes(damaged.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"damaged\.ckpt: damaged, or no checkpoint"):
        checkpoint_of(damaged)
    torch.save({"weight": torch.ones(2)}, damaged)
    with pytest.raises(CheckpointError, match="no checkpoint of Lightning; --warm_start"):
        checkpoint_of(damaged)


def test_the_newest_run_is_found_by_number_not_by_name(tmp_path):
    assert find_run(tmp_path / "lite", "last") is None
    for version in (2, 9, 10):
        folder = tmp_path / "lite" / f"version_{version}" / "checkpoints"
        folder.mkdir(parents=True)
        (folder / "last.ckpt").touch()
    (tmp_path / "lite" / "version_11" / "checkpoints").mkdir(parents=True)  # without one
    assert find_run(tmp_path / "lite", "last") == folder / "last.ckpt"
    assert find_run(tmp_path / "lite", "best") is None


def fitted(model: Colorizer, folder: Path, *callbacks: Callback) -> Trainer:
    """A run of four steps that is validated after each."""
    pictures = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    trainer = Trainer(
        max_steps=4, logger=False, enable_progress_bar=False, enable_model_summary=False,
        plugins=[WholeFileIO()], accelerator="cpu", log_every_n_steps=1, val_check_interval=1,
        default_root_dir=folder, callbacks=list(callbacks),
    )  # fmt: skip
    loader = DataLoader(TensorDataset(pictures), 2)
    trainer.fit(model, loader, loader)
    return trainer


def keep(folder: Path, mode: str) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "best", "val/loss", mode=mode, save_on_train_epoch_end=False)


@pytest.mark.parametrize("decay", [None, 0.5])
def test_a_checkpoint_of_a_plain_trainer_loads_by_its_path(tmp_path, decay):
    torch.manual_seed(0)
    model = SimpleCNN("relu", lr=1e-2)
    averages = [] if decay is None else [WeightEMA(decay)]
    trainer = fitted(model, tmp_path, ModelCheckpoint(tmp_path, "last"), *averages)
    assert trainer.global_step == 4
    loaded = load_model(tmp_path / "last.ckpt", lr=1e-5)
    assert type(loaded) is SimpleCNN
    assert not loaded.training
    assert loaded.hparams["last"] == "relu"
    assert loaded.hparams["lr"] == 1e-5
    for key, value in model.network.state_dict().items():  # averaged, where that was averaged
        assert torch.equal(value, loaded.network.state_dict()[key])
    again = SimpleCNN("relu")
    load_weights(again, tmp_path / "last.ckpt")
    assert torch.equal(again.network.layers[0].weight, loaded.network.layers[0].weight)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_weights_of_a_run_become_a_file(tmp_path, mode):
    torch.manual_seed(0)
    model = SimpleCNN(lr=0.3)
    trainer = fitted(model, tmp_path, keep(tmp_path, mode))
    path = save_best(trainer, tmp_path)
    assert path == tmp_path / "best.safetensors"
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    for key, value in load_model(path).network.state_dict().items():
        assert torch.equal(value, best[f"network.{key}"])


def test_the_best_weights_are_not_the_last(tmp_path):
    torch.manual_seed(0)
    model = SimpleCNN(lr=0.3)
    trainer = fitted(model, tmp_path, keep(tmp_path / "a", "min"), keep(tmp_path / "b", "max"))
    best = load_model(save_best(trainer, tmp_path)).network.state_dict()
    worst = load_model(tmp_path / "b" / "best.ckpt").network.state_dict()
    assert any(not torch.equal(best[key], worst[key]) for key in best)


def test_a_run_that_kept_no_best_has_no_best_weights(tmp_path):
    trainer = fitted(SimpleCNN(), tmp_path, ModelCheckpoint(tmp_path, "last"))
    assert save_best(trainer, tmp_path) is None
    assert not (tmp_path / "best.safetensors").exists()


class Trap:
    """Code that a pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def test_checkpoints_of_strangers_are_refused_and_nothing_in_them_runs_or_is_opened(
    tmp_path, monkeypatch
):
    path, trace = tmp_path / "best.ckpt", tmp_path / "trace"
    state = {f"network.{k}": v for k, v in SimpleCNN().network.state_dict().items()}

    def refuses(checkpoint, said):
        torch.save(checkpoint, path)
        with pytest.raises(WeightsError, match=said):
            load_model(path)
        assert not trace.exists()

    lite, cnn = "deepcolor.models.lite.Lite", "deepcolor.models.simple_cnn.SimpleCNN"
    refuses({"state_dict": state, "hyper_parameters": {"lr": Trap(trace)}}, "may be code")
    refuses({"state_dict": {"w": 3}, "colorizer": cnn}, "maps names to tensors")
    refuses([1, 2], "no checkpoint of Lightning")
    refuses({"layer.weight": torch.zeros(1)}, "no checkpoint of Lightning; load_weights")
    refuses({"state_dict": state}, r"does not say of which model it is; load_weights\(create_mod")
    refuses({"state_dict": state, "colorizer": "os.system"}, "is of 'system', which is none of")
    refuses({"state_dict": state, "colorizer": lite}, "do not fit LiteNetwork: missing")
    big = {"_class_path": "x.Iizuka16", "classes": 300_000_000}
    refuses({"state_dict": state, "hyper_parameters": big}, "do not fit Iizuka16Network")
    monkeypatch.setattr("deepcolor.models.lite.read_encoder_weights", lambda _: trace.touch())
    named = {"_class_path": lite, "encoder_weights": "/etc/passwd"}
    refuses({"state_dict": state, "hyper_parameters": named}, "do not fit LiteNetwork")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match="not a readable PyTorch file"):
        load_model(path)
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        load_model(tmp_path / "none.ckpt")


def test_checkpoints_have_the_rights_that_the_umask_leaves_and_short_names_beside(tmp_path):
    before = os.umask(0o077)
    path = tmp_path / f"{'n' * 250}.ckpt"
    try:
        WholeFileIO().save_checkpoint({"state_dict": {}}, path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert checkpoint_of(path) == ""
