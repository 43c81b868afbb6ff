import pytest
import torch
from torch import nn

from deepcolor.models import create_model
from deepcolor.models.eccv16 import ECCV16, ECCV16L2
from deepcolor.quantize import AbQuantizer


@pytest.fixture(scope="module")
def model():
    return ECCV16()


def test_parameters_and_entries_are_those_of_the_release(model):
    assert sum(p.numel() for p in model.network.parameters()) == 32_236_011
    assert len(model.network.state_dict()) == 82


def test_keys_are_the_slots_of_the_release(model):
    convolutions = {1: (0, 2), 2: (0, 2), 8: (0, 2, 4, 6)}
    convolutions |= {block: (0, 2, 4) for block in (3, 4, 5, 6, 7)}
    norms = {1: 4, 2: 4, 3: 6, 4: 6, 5: 6, 6: 6, 7: 6}
    want = {"model_out.weight"}
    for block, slots in convolutions.items():
        want |= {f"model{block}.{slot}.{kind}" for slot in slots for kind in ("weight", "bias")}
    for block, slot in norms.items():
        kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        want |= {f"model{block}.{slot}.{kind}" for kind in kinds}
    assert set(model.network.state_dict()) == want


def test_strides_and_dilations_are_the_papers(model):
    convolutions = [m for m in model.network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.stride[0] for m in convolutions if m.stride[0] != 1] == [2, 2, 2]
    assert [m.dilation[0] for m in convolutions if m.dilation[0] != 1] == [2] * 6
    assert all(m.padding == m.dilation for m in convolutions if m.kernel_size == (3, 3))


@torch.no_grad()
def test_logits_come_at_a_quarter_of_the_size(model):
    assert model.eval().core(torch.full((1, 1, 64, 96), 50.0)).shape == (1, 313, 16, 24)


@torch.no_grad()
def test_the_last_layer_decodes_as_the_annealed_mean(model):
    logits = torch.randn(2, 313, 4, 4) * 3
    want = AbQuantizer.gamut313().annealed_mean(logits, 0.38)
    assert torch.allclose(model.decode(logits), want, atol=1e-3)


def test_the_bin_table_is_not_trained(model):
    frozen = [key for key, p in model.network.named_parameters() if not p.requires_grad]
    assert frozen == ["model_out.weight"]


def test_targets_are_every_fourth_pixel(model):
    ab = torch.randn(1, 2, 16, 16)
    assert torch.equal(model.reduce(ab, (4, 4)), ab[:, :, ::4, ::4])


def test_defaults_are_the_papers():
    model = create_model("eccv16")
    assert dict(model.hparams) == {
        "temperature": 0.38, "mix": 0.5, "neighbours": 5, "lr": 3.16e-5, "weight_decay": 1e-3,
    }  # fmt: skip
    settings = model.configure_optimizers()
    assert settings["optimizer"].defaults["betas"] == (0.9, 0.99)


@pytest.mark.parametrize("mix", [-0.1, 1.1])
def test_impossible_mixes_are_refused(mix):
    with pytest.raises(ValueError, match="mix"):
        ECCV16(mix=mix)


@torch.no_grad()
def test_temperature_one_decodes_as_the_published_forward():
    model = ECCV16(temperature=1.0).eval()
    x = torch.rand(1, 1, 32, 32) * 100
    logits = model.network((x - 50) / 100)
    small = 110 * model.network.model_out(logits.softmax(dim=1))
    want = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=False)(small)
    assert torch.allclose(model(x), want, atol=1e-4)


def test_weights_of_another_codebook_are_refused(model):
    state = model.network.state_dict()
    model.network.load_state_dict({key: value.half() for key, value in state.items()})
    other = {**state, "model_out.weight": state["model_out.weight"].flip(1)}
    with pytest.raises(ValueError, match="not the table of the 313 ab bins"):
        model.network.load_state_dict(other)


@torch.no_grad()
def test_rebalancing_weighs_the_same_logits_by_rarity():
    x, ab = torch.rand(2, 1, 32, 32) * 100, torch.zeros(2, 2, 32, 32)
    ab[:, 0, 8:12] = 60.0  # a rare red
    prior = torch.full((313,), 0.05 / 312)
    prior[AbQuantizer.gamut313().hard_encode(torch.zeros(1, 2, 1, 1)).item()] = 0.95
    losses = {}
    for mix in (0.5, 1.0):
        torch.manual_seed(0)
        model = ECCV16(mix=mix).eval()
        model.prior.copy_(prior)
        losses[mix] = model.loss(x, ab)["cross_entropy"]
    assert losses[0.5] > 1.2 * losses[1.0]


@torch.no_grad()
def test_classification_loss_is_the_sum_over_a_picture():
    model = ECCV16(mix=1.0, neighbours=1).eval()
    x, ab = torch.rand(2, 1, 32, 32) * 100, torch.randn(2, 2, 32, 32) * 30
    bins = model.quantizer.hard_encode(ab[:, :, ::4, ::4])
    want = nn.functional.cross_entropy(model.core(x), bins, reduction="sum") / 2
    assert torch.allclose(model.loss(x, ab)["cross_entropy"], want, rtol=1e-4)


@torch.no_grad()
def test_grey_pictures_weigh_nothing():
    model = ECCV16().eval()
    loss = model.loss(torch.rand(1, 1, 32, 32) * 100, torch.full((1, 2, 32, 32), 4.0))
    assert float(loss["cross_entropy"]) == 0


def test_regression_shares_the_trunk():
    model = ECCV16L2()
    trunk = {k: v.shape for k, v in model.network.state_dict().items() if "model8.6" not in k}
    full = {k: v.shape for k, v in ECCV16().network.state_dict().items()}
    assert set(full) - set(trunk) == {"model8.6.weight", "model8.6.bias", "model_out.weight"}
    assert all(full[key] == shape for key, shape in trunk.items())
    assert sum(p.numel() for p in model.network.parameters()) == 32_155_458


@torch.no_grad()
def test_regression_loss_is_half_the_squared_distance_over_a_picture():
    model = ECCV16L2().eval()
    model.network = nn.Sequential(nn.Conv2d(1, 2, 1, stride=4))
    nn.init.zeros_(model.network[0].weight)
    nn.init.zeros_(model.network[0].bias)
    ab = torch.randn(1, 2, 16, 16) * 30
    want = 0.5 * (ab[:, :, ::4, ::4] / 110).square().sum()  # of one picture
    assert torch.allclose(model.loss(torch.zeros(1, 1, 16, 16), ab)["mse"], want)
