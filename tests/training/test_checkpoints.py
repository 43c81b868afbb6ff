import re
import resource
import signal

import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader, TensorDataset

from deepcolor.models.simple_cnn import SimpleCNN
from deepcolor.training import CheckpointError, WholeFileIO, checkpoint_of, find_run

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
