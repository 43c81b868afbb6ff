"""What a training step does: precision, accumulation, memory, the cache of vectors."""

import re
from pathlib import Path

import pytest
import timm
import torch
from lightning import Callback, Trainer
from safetensors.torch import save_file
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.data import DataLoader, TensorDataset
from typer.testing import CliRunner

from deepcolor.batch import Batch
from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.cli.main import app
from deepcolor.data import (
    CacheError,
    ColorizationDataModule,
    VectorCache,
    cache_vectors,
    open_photos,
)
from deepcolor.losses import soft_cross_entropy
from deepcolor.metrics.figures import Figures
from deepcolor.models import create_model
from deepcolor.models.koalarization import Koalarization
from deepcolor.models.simple_cnn import SimpleCNN
from deepcolor.quantize import AbQuantizer

SIDE = 32


def pictures(count: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randint(256, (count, 3, SIDE, SIDE), dtype=torch.uint8)


def fit(model, data, *callbacks, **options) -> Trainer:
    trainer = Trainer(
        callbacks=list(callbacks), logger=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, enable_checkpointing=False, limit_val_batches=0,
        log_every_n_steps=1, **({"max_epochs": 1} | options),
    )  # fmt: skip
    if isinstance(data, ColorizationDataModule):
        trainer.fit(model, data)
    else:
        trainer.fit(model, data, data)
    return trainer


def test_two_accumulated_batches_train_as_one_of_twice_the_size():
    ends = []
    for size, accumulated in ((4, 1), (2, 2)):
        torch.manual_seed(0)
        model = SimpleCNN(lr=1e-2)  # no batch statistics, which would differ
        loader = DataLoader(TensorDataset(pictures(8)), size)
        trainer = fit(model, loader, accumulate_grad_batches=accumulated)
        assert trainer.global_step == 2
        ends.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.allclose(*ends, atol=1e-5)  # Adam divides by gradients near 0


class Seen(Callback):
    """The luminance and ab that a model's loss is given, and the loss."""

    def setup(self, trainer, pl_module, stage):
        loss = pl_module.loss

        def noting(luminance, ab, **extras):
            self.given = luminance, ab
            return loss(luminance, ab, **extras)

        pl_module.loss = noting

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.loss = outputs["loss"]


@pytest.mark.parametrize("name", ["simple_cnn", "lite", "siggraph17", "vanilla_autoencoder"])
def test_mixed_precision_trains_on_the_same_colours(name):
    given = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(0)
        seen = Seen()
        model = create_model(name)
        fit(model, DataLoader(TensorDataset(pictures(2)), 2), seen, precision=precision)
        given[precision] = seen.given
        assert torch.isfinite(seen.loss)
        assert all(torch.isfinite(p).all() for p in model.parameters())
    for exact, mixed in zip(*given.values(), strict=True):
        assert mixed.dtype == torch.float32
        assert torch.equal(exact, mixed)


def test_the_loss_over_313_bins_keeps_no_dense_target():
    logits = torch.randn(4, 313, 16, 16, requires_grad=True)
    ab = 40 * torch.randn(4, 2, 16, 16)
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        soft_cross_entropy(logits, AbQuantizer.gamut313().soft_encode(ab)).backward()
    own = logits.untyped_storage()
    assert kept.pop(own.data_ptr()) == own.nbytes()
    assert sum(kept.values()) < 0.1 * own.nbytes()  # five bins and weights a pixel, of 313


class Small(Koalarization):
    """Told by a small classifier, so that a test can afford it."""

    def make_classifier(self, weights: str | None) -> GlobalFeatures:
        return GlobalFeatures("resnet10t", 64, "logits", (0.5,) * 3, weights=weights)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet10t.safetensors"
    save_file(timm.create_model("resnet10t").state_dict(), path)
    return str(path)


def features(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["features", *map(str, arguments)])
    return done.exit_code, done.output


def told(photos: Path, vectors: Path) -> ColorizationDataModule:
    return ColorizationDataModule(
        photos, size=SIDE, batch_size=3, workers=0, held_out=3, vectors=str(vectors), grey_below=0
    )


def test_a_model_trains_from_the_cache_of_its_classifier_and_no_other(
    photo_folder, tmp_path, weights
):
    model = Small(features="given")
    file = tmp_path / "vectors.safetensors"
    cache_vectors(open_photos(photo_folder), model.make_classifier(weights), file)
    data = told(photo_folder, file)
    seen = Seen()
    fit(model, data, seen)
    assert torch.isfinite(seen.loss)
    rgb, vectors = next(iter(data.val_dataloader()))
    key = data.photos.keys[data.val_set.indices[0]]
    assert rgb.shape == (3, 3, SIDE, SIDE)
    assert torch.equal(vectors[0], VectorCache(file).vector(key))

    data = told(photo_folder, file)
    with pytest.raises(CacheError, match="another classifier or preprocessing: resnet10t"):
        fit(Koalarization(features="given"), data)


def test_the_command_caches_vectors_of_any_timm_backbone(photo_folder, tmp_path, weights):
    file = tmp_path / "vectors.safetensors"
    code, said = features(
        photo_folder, "-o", file, "--backbone", "resnet10t", "--weights", weights, "--workers", 0
    )
    assert code == 0, said
    cache = VectorCache(file)
    assert cache.width == 512
    assert re.match(r"resnet10t features 176 scale=1 mean=\[0\.485", cache.tag)
    cache.check(open_photos(photo_folder))


def test_the_command_works_where_other_commands_would(photo_folder, tmp_path, weights, monkeypatch):
    chosen = []
    monkeypatch.setattr(
        "deepcolor.cli.features.choose_device", lambda name: chosen.append(name) or "cpu"
    )
    file = tmp_path / "vectors.safetensors"
    start = (photo_folder, "-o", file, "--backbone", "resnet10t", "--weights", weights)
    code, said = features(*start, "--workers", 0)
    assert code == 0, said
    assert chosen == ["auto"]
    monkeypatch.undo()
    code, said = features(*start, "--device", "abacus")
    assert code == 2
    assert "device 'abacus' is not available here" in said


def test_the_command_says_what_it_cannot_cache(photo_folder, tmp_path, weights):
    recipes = {"lite": "deepcolor.models.lite.Lite", "none": ""}
    for name, kind in recipes.items():
        (tmp_path / f"{name}.yaml").write_text(f"model:\n  class_path: {kind}\n" if kind else "[]")
    start = (photo_folder, "-o", tmp_path / "v.safetensors", "--weights", weights)
    for arguments, expected in (
        ((), "either --recipe"),
        (("--backbone", "resnet1"), "timm has no classifier named resnet1"),
        (("--backbone", "resnet18"), "the weights do not fit resnet18"),
        (("--recipe", tmp_path / "lite.yaml"), "Lite takes no vectors; models that do: Koalari"),
        (("--recipe", tmp_path / "none.yaml"), "no recipe"),
        (("--recipe", tmp_path / "gone.yaml"), "no such recipe"),
    ):
        code, said = features(*start, *arguments)
        assert code == 2
        assert expected in said
        assert said.count("\n") == 1


def test_the_tag_is_known_without_a_classifier():
    model = Small(features="given")
    assert model.network.features is None
    assert model.vector_tag() == Small().network.features.tag


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lite", {}),
        ("eccv16", {}),
        ("simple_cnn", {}),
        ("som_mlp", {}),
        ("resnet34_classification", {}),
        ("resnet34_classification", {"head_k": 3}),
        ("hwang_zhou16", {"mode": "classification"}),
    ],
)
def test_validation_runs_the_network_once(name, options):
    model = create_model(name, **options).eval()
    batch = pictures(2)
    with torch.no_grad():
        alone = sum(model.terms(Batch.of(batch)).values())
    runs = []
    model.network.register_forward_hook(lambda *_: runs.append(1))
    with torch.no_grad():
        model.validation_step(batch, 0)
    assert len(runs) == 1
    assert torch.allclose(model.figures.loss.compute(), alone, rtol=1e-5)
    with torch.no_grad():
        model.predict_step(batch, 0)
        model.predict_step(batch, 0)
    assert len(runs) == 3  # nothing is kept


def test_validation_asks_the_classifier_once():
    model = Small().eval()
    runs = []
    for network in (model.network, model.network.features):
        network.register_forward_hook(lambda network, *_: runs.append(type(network).__name__))
    with torch.no_grad():
        model.validation_step(pictures(2), 0)
    assert sorted(runs) == ["GlobalFeatures", "KoalarizationNetwork"]


def test_no_float64_travels_to_a_device_that_has_none():
    model = create_model("lite")
    with torch.no_grad():
        model.eval().validation_step(pictures(2), 0)  # what counts is not in the model
    kinds: set[torch.dtype] = set()
    model._apply(lambda tensor: kinds.add(tensor.dtype) or tensor)
    assert torch.float32 in kinds
    assert torch.float64 not in kinds
    assert not [key for key in model.state_dict() if not key.startswith(("network.", "prior"))]


def test_figures_beside_mps_count_on_the_cpu():
    figures = Figures("mps")  # torch would refuse float64 there
    rgb = torch.rand(2, 3, 8, 8)
    figures.update(rgb, rgb, torch.tensor(0.5))
    assert figures.compute()["loss"] == 0.5
    assert {state.device.type for state in (figures.auc.histogram, figures.psnr.total)} == {"cpu"}
