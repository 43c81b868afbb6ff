import pytest
import torch
from torch import nn

from deepcolor.models import create_model
from deepcolor.models.eccv16 import ECCV16
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
    assert model.eval().logits(torch.full((1, 1, 64, 96), 50.0)).shape == (1, 313, 16, 24)


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
