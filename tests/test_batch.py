"""A batch is made of whatever loaders give."""

from typing import NamedTuple

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from deepcolor.batch import Batch
from deepcolor.color import rgb_to_lab
from deepcolor.data import Degraded

RGB = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
VECTOR, LABEL = torch.rand(2, 5), torch.tensor([1, 0])


class Clips(NamedTuple):
    rgb: torch.Tensor
    seen: torch.Tensor
    flow: torch.Tensor


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (RGB, set()),
        ([RGB], set()),
        ((RGB, VECTOR), {"vector"}),
        ([RGB, LABEL], {"label"}),
        ([RGB, LABEL, VECTOR], {"label", "vector"}),
        ([RGB, ["a.jpg", "b.jpg"]], set()),  # names, as some data sets give them
        (Degraded(RGB, 255 - RGB), {"seen"}),
        (Batch(rgb=RGB, reference=RGB), {"reference"}),
        (Clips(RGB[None], RGB[None], torch.zeros(1, 2, 2, 8, 8)), {"seen", "flow"}),
    ],
)
def test_a_batch_is_what_a_loader_gave(given, fields):
    batch = Batch.of(given)
    assert batch.rgb is (given if isinstance(given, torch.Tensor) else batch.rgb)
    assert torch.equal(batch.rgb.view(2, 3, 8, 8), RGB)
    names = ("seen", "vector", "label", "reference", "flow", "visible")
    assert set(batch.known(*names)) == fields
    assert batch.is_clips == (batch.rgb.ndim == 5)
    assert all(torch.equal(batch.vector, VECTOR) for name in fields if name == "vector")
    assert all(torch.equal(batch.label, LABEL) for name in fields if name == "label")


def test_the_network_sees_other_pictures_than_it_answers_for():
    luminance, ab = Batch.of(Degraded(RGB, 255 - RGB)).lab()
    assert torch.equal(luminance, rgb_to_lab((255 - RGB).float() / 255)[:, :1])
    assert torch.equal(ab, rgb_to_lab(RGB.float() / 255)[:, 1:])
    clips = Batch.of(RGB[None])
    assert [tuple(x.shape) for x in clips.lab()] == [(1, 2, 1, 8, 8), (1, 2, 2, 8, 8)]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("photos", TypeError, "begins with RGB.*got str"),
        ({"image": RGB}, TypeError, "got dict"),
        ([], TypeError, "got list"),
        (RGB[:, :1], ValueError, r"\(B, 3, H, W\), or clips .*got \(2, 1, 8, 8\)"),
        (RGB[0], ValueError, r"got \(3, 8, 8\)"),
        (Degraded(RGB, RGB[:1]), ValueError, r"seen, \(1, 3, 8, 8\), has not the shape"),
    ],
)
def test_what_is_no_batch_is_refused_in_words(given, error, said):
    with pytest.raises(error, match=said):
        Batch.of(given)


class Keeping(LightningModule):
    def validation_step(self, batch, batch_idx):
        self.given = batch


def test_lightning_moves_a_batch_that_a_loader_makes_itself(tmp_path):
    moved = Batch(rgb=RGB, vector=VECTOR).to("meta")
    assert moved.rgb.is_meta
    assert moved.vector.is_meta
    assert moved.label is None
    loader = DataLoader(RGB, 2, collate_fn=lambda items: Batch(rgb=torch.stack(items)))
    model = Keeping()
    Trainer(
        logger=False, enable_progress_bar=False, accelerator="cpu", enable_checkpointing=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    ).validate(model, loader, verbose=False)  # fmt: skip
    assert torch.equal(model.given.rgb, RGB)
