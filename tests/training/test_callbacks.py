import copy
from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.v2.functional import pil_to_tensor

from deepcolor.data import open_photos
from deepcolor.data.parts import PhotoPart
from deepcolor.models.cnn_lstm import CNNLSTM
from deepcolor.models.simple_cnn import SimpleCNN
from deepcolor.models.vanilla_autoencoder import VanillaAutoencoder
from deepcolor.training import PictureGrid, PictureWriter, StepSeeds, WeightEMA, blend

STEPS = 6


def loader(count: int = 4) -> DataLoader:
    torch.manual_seed(1)
    return DataLoader(TensorDataset(torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)), 2)


def fit(model, folder, *callbacks, steps=STEPS, ckpt_path=None, logger=False, **options):
    trainer = Trainer(
        max_steps=steps, callbacks=list(callbacks), logger=logger, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, accelerator="cpu",
        log_every_n_steps=1, default_root_dir=folder, **options,
    )  # fmt: skip
    trainer.fit(model, loader(), loader(), ckpt_path=ckpt_path)
    return trainer


class Weights(Callback):
    """The weights after each step, before any average."""

    def __init__(self) -> None:
        self.seen: list[list[torch.Tensor]] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append([p.detach().clone() for p in pl_module.parameters()])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SimpleCNN(lr=1e-2)


def test_the_average_is_the_exponential_one_with_a_decay_that_warms_up(model, tmp_path):
    weights = Weights()
    fit(model, tmp_path, weights, WeightEMA(0.5))
    expected = weights.seen[0]
    for count, current in enumerate(weights.seen[1:], start=1):
        kept = min(0.5, (1 + count) / (10 + count))
        expected = [kept * e + (1 - kept) * c for e, c in zip(expected, current, strict=True)]
    for parameter, value in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter, value, atol=1e-6)  # lerp rounds otherwise


def test_a_decay_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\), got 1"):
        WeightEMA(1.0)


def test_blending_lies_between_the_tuned_model_and_its_start(model):
    torch.manual_seed(3)
    start, tuned = SimpleCNN(), copy.deepcopy(model)
    blend(tuned, start, 0.25)
    for mixed, mine, old in zip(*(m.parameters() for m in (tuned, model, start)), strict=True):
        assert torch.allclose(mixed, 0.75 * mine + 0.25 * old, atol=1e-6)  # lerp rounds otherwise
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\], got 2"):
        blend(tuned, start, 2)
    with pytest.raises(
        ValueError, match="a SimpleCNN and a VanillaAutoencoder whose layers differ"
    ):
        blend(tuned, VanillaAutoencoder())


class Judge(Callback):
    """The first weight that validation sees."""

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen = next(pl_module.parameters()).detach().clone()


def test_validation_and_checkpoints_hold_the_average(model, tmp_path):
    judge, weights = Judge(), Weights()
    trainer = fit(model, tmp_path, judge, weights, WeightEMA(0.9), val_check_interval=STEPS // 3)
    final = next(model.parameters())
    assert torch.equal(judge.seen, final)
    assert not torch.equal(judge.seen, weights.seen[-1][0])
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    kept = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(next(v for k, v in kept.items() if k.startswith("network.")), final)


class Dropping(SimpleCNN):
    """Draws random numbers in each step, as dropout and simulated hints do."""

    def loss(self, luminance, ab):
        return super().loss(nn.functional.dropout(luminance, 0.5), ab)


class Stop(Callback):
    """Saves at a step, as a run that is killed after it leaves it."""

    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("step", [2, 4])
def test_a_resumed_run_ends_as_the_unbroken_one(step, tmp_path):
    """Steps 2 and 4 end an epoch of two batches; those within are the data module's matter."""
    torch.manual_seed(0)
    model = Dropping(lr=1e-2)
    start = copy.deepcopy(model.state_dict())
    path = tmp_path / "cut.ckpt"
    seed_everything(7)
    fit(model, tmp_path, StepSeeds(7), WeightEMA(0.9), Stop(path, step))
    resumed = Dropping(lr=1e-2)
    resumed.load_state_dict(start)
    torch.manual_seed(1234)  # another state of the generators
    fit(resumed, tmp_path, StepSeeds(99), WeightEMA(0.9), ckpt_path=path)
    for name, value in model.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_another_seed_draws_otherwise(tmp_path):
    ends = []
    for seed in (1, 2):
        torch.manual_seed(0)
        model = Dropping(lr=1e-2)
        fit(model, tmp_path, StepSeeds(seed), steps=2)
        ends.append(next(model.parameters()).detach().clone())
    assert not torch.equal(*ends)


def events(folder) -> EventAccumulator:
    (file,) = folder.rglob("events.*")
    return EventAccumulator(str(file)).Reload()


def test_each_validation_adds_a_grid_of_grey_coloured_and_true_pictures(model, tmp_path):
    logger = TensorBoardLogger(tmp_path, "run")
    fit(model, tmp_path, PictureGrid(3), logger=logger)
    seen = events(tmp_path)
    grids = seen.Images("val/pictures")
    assert [grid.step for grid in grids] == [2, 4, 6]
    margin = 2
    side = 32 + margin
    assert (grids[0].width, grids[0].height) == (3 * side + margin, 3 * side + margin)
    assert {"train/loss", "val/loss", "val/psnr", "val/auc_rebalanced"} <= set(
        seen.Tags()["scalars"]
    )


def test_a_grid_shows_truth_below_and_grey_above(model, tmp_path):
    grid = PictureGrid(2)
    trainer = fit(model, tmp_path, logger=TensorBoardLogger(tmp_path, "run"), steps=1)
    (batch,) = next(iter(loader()))
    grid.on_validation_batch_end(trainer, model, None, batch, 0)
    (grey, coloured, truth), _ = grid.triples
    assert torch.equal(truth, batch[0] / 255)
    assert (grey.amax(0) - grey.amin(0)).max() < 1e-4
    assert (coloured.amax(0) - coloured.amin(0)).max() > 1e-3


def test_a_grid_shows_the_last_frames_of_clips(tmp_path):
    model, grid = CNNLSTM(hidden=8), PictureGrid(2)
    trainer = fit(model, tmp_path, logger=TensorBoardLogger(tmp_path, "run"), steps=1)
    clips = torch.randint(256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    grid.on_validation_batch_end(trainer, model, None, clips, 0)
    assert torch.equal(grid.triples[1][2], clips[1, -1] / 255)
    grid.on_validation_epoch_end(trainer, model)


def test_without_tensorboard_no_grid_is_drawn(model, tmp_path):
    grid = PictureGrid()
    fit(model, tmp_path, grid, steps=2)
    assert grid.triples == []


def test_frames_of_a_clip_are_written_side_by_side(tmp_path):
    trainer = Trainer(
        logger=False, enable_progress_bar=False, accelerator="cpu",
        callbacks=PictureWriter(tmp_path),
    )  # fmt: skip
    clips = TensorDataset(torch.randint(256, (2, 3, 3, 32, 32), dtype=torch.uint8))
    trainer.predict(CNNLSTM(hidden=8), DataLoader(clips, 2))
    for number in range(2):
        with Image.open(tmp_path / f"{number:06}.png") as image:
            assert image.size == (96, 32)


def test_predictions_are_written_as_pictures(model, tmp_path):
    writer = PictureWriter(tmp_path / "out")
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu", callbacks=writer)
    (coloured, *_) = trainer.predict(model, loader(4))
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [f"{i:06}.png" for i in range(4)]
    with Image.open(files[1]) as image:
        assert image.size == (32, 32)
        shown = torch.tensor(image.getpixel((5, 7)))
    assert (shown - 255 * coloured[1, :, 7, 5]).abs().max() <= 1  # rounded to bytes


def test_predictions_have_the_names_of_their_photographs(model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    long = "l" * 240
    for name in ("grandma.png", "harbour at dusk.png", "Zoë.png", f"{long}.png"):
        Image.new("RGB", (32, 32), (len(name), 90, 60)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    photos = open_photos(folder)
    damaged = torch.zeros(5, dtype=torch.uint8)
    part = PhotoPart(photos, [4, 3, 2, 1, 0], pil_to_tensor, damaged)
    writer = PictureWriter(tmp_path / "out")
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu", callbacks=writer)
    coloured = torch.cat(trainer.predict(model, DataLoader(part, 2)))
    wanted = {
        f"{place:06}-{Path(photos.names[index]).stem[:200]}.png": coloured[place]
        for place, index in enumerate(part.indices)
        if "broken" not in photos.names[index]  # another was coloured in its place
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(wanted)
    for name, rgb in wanted.items():
        with Image.open(tmp_path / "out" / name) as image:
            shown = torch.tensor(image.getpixel((5, 7)))
        assert (shown - 255 * rgb[:, 7, 5]).abs().max() <= 1  # rounded to bytes
