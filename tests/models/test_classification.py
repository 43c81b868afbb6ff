"""What the models share that predict distributions over bins of ab."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import deepcolor.models._classification as family
from deepcolor.batch import Batch
from deepcolor.models import create_model

SIDE = 64


@pytest.fixture
def pictures(photograph) -> torch.Tensor:
    """Crops of a photograph, sharp, and a grey one: (5, 3, SIDE, SIDE) uint8."""
    rgb = torch.from_numpy(photograph).permute(2, 0, 1)
    crops = [rgb[:, top : top + SIDE, top : top + SIDE] for top in (0, 60, 110, 180)]
    return torch.stack([*crops, crops[0].float().mean(0, keepdim=True).byte().expand(3, -1, -1)])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lite", {}),
        ("eccv16", {}),
        ("eccv16", {"neighbours": 10, "mix": 0.0}),
        ("resnet34_classification", {"mix": 0.5}),
        ("resnet34_classification", {"mix": 0.5, "loss_every": 2}),
    ],
)
def test_the_mean_weight_over_the_targets_of_the_loss_is_one(monkeypatch, pictures, name, options):
    given = {}

    def noting(logits, target, class_weights, picture_weights):
        given.update(target=target, classes=class_weights, pictures=picture_weights)
        return logits.mean()

    monkeypatch.setattr(family, "soft_cross_entropy", noting)
    model = create_model(name, **options).eval()
    model.prior.copy_(model.measure_prior(DataLoader(TensorDataset(pictures), 2)))
    with torch.no_grad():
        model.terms(Batch.of(pictures))
    counted = given["pictures"].bool()
    assert counted.tolist() == [True] * 4 + [name == "resnet34_classification"]
    target = given["target"]
    weights = given["classes"][target.bins[counted]] * target.weights[counted]
    assert float(weights.sum(dim=1).mean()) == pytest.approx(1, abs=1e-3)


def test_the_prior_of_hard_targets_is_smoothed_before_it_is_inverted():
    model = create_model("resnet34_classification", mix=0.5)
    grey = int(model.quantizer.hard_encode(torch.zeros(1, 2, 1, 1)))
    beside = int(model.quantizer.hard_encode(torch.full((1, 2, 1, 1), 10.0)))
    model.prior.zero_()
    model.prior[grey] = 1
    weights = model.class_weights()
    assert float(weights[grey]) == pytest.approx(1, abs=1e-5)
    assert weights[beside] < 0.2 * weights.max()  # like grey, though it never occurs
