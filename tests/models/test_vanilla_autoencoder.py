from itertools import pairwise

import pytest
import torch
from torch import nn

from deepcolor.blocks.autoencoder import SameConv2d, conv_encoder
from deepcolor.color import rgb_to_lab, rgb_to_ycbcr, split_lab
from deepcolor.models.vanilla_autoencoder import VanillaAutoencoder

SIZES = {("lab", "code"): 6_219_410, ("ycbcr", "code"): 6_220_562, ("lab", "table"): 6_252_002}
VARIANTS = [
    {"space": "lab"}, {"space": "ycbcr"}, {"space": "ycbcr", "center": True},
]  # fmt: skip


def lab_of(rgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return split_lab(rgb_to_lab(rgb))


def colours(batch: int = 2, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    return lab_of(torch.randint(0, 256, (batch, 3, side, side)) / 255)


@pytest.mark.parametrize(("space", "decoder"), SIZES)
def test_parameters_are_those_of_the_notebook(space, decoder):
    network = VanillaAutoencoder(space, decoder).network
    assert sum(p.numel() for p in network.parameters()) == SIZES[space, decoder]


def layout(stack: nn.Module) -> list[object]:
    steps: list[object] = []
    for layer in stack:
        if isinstance(layer, nn.Conv2d):
            assert layer.kernel_size == (3, 3)
            steps.append(layer.out_channels)
            steps += ["s2"] if layer.stride == (2, 2) else []
        elif isinstance(layer, nn.Upsample):
            assert layer.mode == "nearest"
            steps.append("up")
        else:
            steps.append(type(layer).__name__)
    return [step for step in steps if step != "ReLU"]


def test_layers_are_those_of_the_notebook():
    network = VanillaAutoencoder().network
    assert layout(network.encoder) == [64, "s2", 128, 128, "s2", 256, 256, "s2", 512, 512, 256]
    assert layout(network.decoder) == [128, "up", 64, "up", 32, 16, 2, "Tanh", "up"]
    tabled = VanillaAutoencoder(decoder="table").network
    assert layout(tabled.decoder) == [128, "up", 64, 64, "up", 32, 2, "Tanh", "up"]


def test_every_convolution_but_the_last_is_rectified():
    network = VanillaAutoencoder().network
    for stack, last in ((network.encoder, nn.ReLU), (network.decoder, nn.Tanh)):
        after = [type(b) for a, b in pairwise(stack) if isinstance(a, nn.Conv2d)]
        assert after == [nn.ReLU] * (len(after) - 1) + [last]


@torch.no_grad()
def test_the_code_in_between_is_an_eighth_of_the_size():
    assert VanillaAutoencoder().network.encoder(torch.rand(1, 1, 224, 224)).shape[1:] == (
        256,
        28,
        28,
    )


def test_initial_weights_are_keras():
    for layer in VanillaAutoencoder().network.encoder:
        if isinstance(layer, nn.Conv2d):
            bound = (6 / (9 * (layer.in_channels + layer.out_channels))) ** 0.5
            assert 0.95 * bound < layer.weight.abs().max() <= bound
            assert not layer.bias.any()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_what_is_encoded_decodes_to_itself(variant):
    model = VanillaAutoencoder(**variant)
    luminance, ab = colours()
    encoded = model.encode_target(luminance, ab)
    assert (model.decode(encoded, luminance) - ab).abs().max() < 0.01


def test_lab_targets_are_signed_and_over_128():
    model = VanillaAutoencoder("lab")
    luminance, ab = colours()
    assert torch.equal(model.encode_target(luminance, ab), ab / 128)
    assert torch.equal(model.code.grey(luminance), luminance / 100)


def test_ycbcr_targets_are_bytes_over_255():
    rgb = torch.rand(1, 3, 8, 8)
    target = VanillaAutoencoder("ycbcr").encode_target(*lab_of(rgb))
    assert torch.allclose(target, rgb_to_ycbcr(rgb)[:, 1:] / 255, atol=1e-4)
    centred = VanillaAutoencoder("ycbcr", center=True).encode_target(*lab_of(rgb))
    assert torch.allclose(centred, (rgb_to_ycbcr(rgb)[:, 1:] - 128) / 128, atol=1e-4)


def test_the_ycbcr_network_sees_luma_three_times():
    model = VanillaAutoencoder("ycbcr")
    level = torch.rand(1, 1, 64, 64)
    seen = []
    model.network.encoder.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad():
        model(lab_of(level.expand(-1, 3, -1, -1))[0])
    assert torch.allclose(seen[0], level.expand(-1, 3, -1, -1), atol=1e-5)


def test_truncation_lowers_a_quarter_of_the_greys_by_one():
    model = VanillaAutoencoder("ycbcr", legacy_truncate=True)
    level = torch.arange(256.0).reshape(1, 1, 16, 16)
    luminance = lab_of((level / 255).expand(-1, 3, -1, -1))[0]
    lowered = level - 255 * model.code.grey(luminance)
    assert set(lowered.round().flatten().tolist()) == {0.0, 1.0}
    # Red, green and blue summed in the order written, in float64; a matrix product of NumPy gives
    # 65, 70 or 75, as it happens to order the sum.
    assert int(lowered.round().sum()) == 65
    plain = VanillaAutoencoder("ycbcr").code.grey(luminance)
    assert torch.allclose(255 * plain, level, atol=1e-2)


def test_truncated_targets_are_whole_numbers_below_the_exact_ones():
    luminance, ab = colours()
    legacy = 255 * VanillaAutoencoder("ycbcr", legacy_truncate=True).encode_target(luminance, ab)
    exact = 255 * VanillaAutoencoder("ycbcr").encode_target(luminance, ab)
    assert torch.allclose(legacy, legacy.round(), atol=1e-4)
    gap = exact - legacy
    assert gap.min() > -0.02  # the matrix is printed with four digits
    assert gap.max() < 1.02
    assert gap.mean() == pytest.approx(0.5, abs=0.05)


def test_keras_pads_right_and_below():
    layer = SameConv2d(1, 1, 2, keras_padding=True)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert layer(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]
    assert conv_encoder(1, keras_padding=True)(torch.rand(1, 1, 32, 48)).shape == (1, 256, 4, 6)


def test_adam_is_keras():
    optimizer = VanillaAutoencoder().configure_optimizers()
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.defaults["lr"] == 1e-3
    assert optimizer.defaults["betas"] == (0.9, 0.999)
    assert optimizer.defaults["eps"] == 1e-7


@torch.no_grad()
def test_the_loss_is_the_mean_squared_error_in_the_networks_units():
    model = VanillaAutoencoder()
    luminance, ab = torch.rand(1, 1, 16, 16) * 100, torch.randn(1, 2, 16, 16) * 30
    want = (model.network(luminance / 100) - ab / 128).square().mean()
    assert model.loss(luminance, ab)["mse"] == pytest.approx(float(want))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "rgb"}, "ycbcr or lab"),
        ({"decoder": "notebook"}, "code or table"),
        ({"center": True}, "center is an option of"),
        ({"legacy_truncate": True}, "legacy_truncate is an option of"),
    ],
)
def test_options_that_say_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        VanillaAutoencoder(**options)


def test_ab_from_ycbcr_stays_displayable():
    model = VanillaAutoencoder("ycbcr")
    ab = model.decode(torch.rand(1, 2, 8, 8) * 4 - 2, torch.rand(1, 1, 8, 8) * 100)
    assert ab.abs().max() < 108
