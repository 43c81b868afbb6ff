import pytest
import scipy.signal
import torch
from torch import nn

from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.models.dahl16 import Dahl16, HyperNetwork


@pytest.fixture(scope="module")
def model():
    return Dahl16().eval()


def photograph(side: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rgb = torch.rand(2, 3, side, side)
    luminance, ab = split_lab(rgb_to_lab(rgb))
    return rgb, luminance, ab


def test_parameters(model):
    norms = 2 * (3 + 64 + 128 + 256 + 512)
    kernels = 512 * 256 + 9 * (256 * 128 + 128 * 64 + 64 * 3 + 3 * 3 + 3 * 2)
    after = 2 * (128 + 64 + 3 + 3 + 2)
    trained = sum(p.numel() for p in model.network.parameters() if p.requires_grad)
    assert trained == norms + kernels + after == 503_901
    assert sum(p.numel() for p in model.network.vgg.parameters()) == 7_635_264


def test_vgg_is_fixed_and_stays_in_evaluation_mode(model):
    model.train()
    assert not any(p.requires_grad for p in model.network.vgg.parameters())
    assert not model.network.vgg.training
    assert model.network.norms.training
    model.eval()


def test_decoder_has_no_bias_and_starts_small():
    convolutions = [
        m
        for k, m in Dahl16().network.named_modules()
        if isinstance(m, nn.Conv2d) and "vgg" not in k
    ]
    assert len(convolutions) == 6
    assert all(m.bias is None for m in convolutions)
    assert all(m.weight.abs().max() <= 0.02 for m in convolutions)
    assert convolutions[0].weight.std().item() == pytest.approx(0.0088, abs=3e-4)  # cut normal .01


@torch.no_grad()
def test_each_scale_is_normalized_and_added(model):
    n = model.network
    for norm in n.modules():  # so that every normalization shows
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
    grey = torch.rand(1, 1, 16, 24)
    zero, one, two, three, four = (
        norm(x) for norm, x in zip(n.norms, [grey.expand(-1, 3, -1, -1), *n.vgg(grey)], strict=True)
    )

    def up(y):
        return nn.functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)

    y = up(n.top(four).relu()) + three
    y = up(n.up3.norm(n.up3.conv(y)).relu()) + two
    y = up(n.up2.norm(n.up2.conv(y)).relu()) + one
    y = n.up1.norm(n.up1.conv(y)).relu() + zero
    y = n.last.norm(n.last.conv(y)).relu()
    want = n.out_norm(n.out(y)).sigmoid()
    assert torch.allclose(n(grey), want, atol=1e-5)


@torch.no_grad()
def test_hypercolumns_are_963_channels_enlarged_and_mixed():
    network = Dahl16(mode="hyper").eval().network
    assert isinstance(network, HyperNetwork)
    grey = torch.rand(1, 1, 16, 24)
    columns = torch.cat(
        [
            nn.functional.interpolate(norm(x), size=(16, 24), mode="bilinear", align_corners=False)
            for norm, x in zip(
                network.norms, [grey.expand(-1, 3, -1, -1), *network.vgg(grey)], strict=True
            )
        ],
        dim=1,
    )
    assert columns.shape[1] == 963
    kernel = torch.cat([conv.weight for conv in network.out], dim=1)
    want = network.out_norm(nn.functional.conv2d(columns, kernel)).sigmoid()
    assert torch.allclose(network(grey), want, atol=1e-5)


def test_targets_are_uv_over_their_range(model):
    rgb, luminance, ab = photograph()
    red, green, blue = rgb.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = 0.492 * (blue - luma), 0.877 * (red - luma)
    want = torch.stack([u / (2 * 0.435912) + 0.5, v / (2 * 0.614777) + 0.5], dim=1)
    target = model.encode_target(luminance, ab)
    assert (target - want).abs().max() < 1e-4
    assert 0 <= target.min() <= target.max() <= 1
    assert (model.decode(target, luminance) - ab).abs().max() < 0.1


@torch.no_grad()
def test_half_is_grey(model):
    luminance = torch.linspace(0, 100, 16).reshape(1, 1, 4, 4)
    assert model.decode(torch.full((1, 2, 4, 4), 0.5), luminance).abs().max() < 0.05


@torch.no_grad()
def test_loss_is_the_mean_of_three_blurs(model):
    _, luminance, ab = photograph(16)
    target = model.encode_target(luminance, ab)
    output = torch.rand_like(target)
    difference = (output - target).double().numpy()
    terms = model.regression_loss(output, luminance, ab)
    for width, row in ((1, [1]), (3, [1, 2, 1]), (5, [1, 4, 6, 4, 1])):
        line = torch.tensor(row).double()
        kernel = (torch.outer(line, line) / line.sum() ** 2).numpy()
        total = sum(
            (scipy.signal.convolve2d(channel, kernel, mode="same") ** 2).sum()
            for picture in difference
            for channel in picture
        )
        assert float(terms[f"blur{width}"]) == pytest.approx(total / 2 / 3, rel=1e-4)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adadelta", "Adadelta")])
def test_the_optimizer_is_chosen(name, kind):
    optimizer = Dahl16(optimizer=name, lr=0.5).configure_optimizers()
    assert type(optimizer).__name__ == kind
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("wrong", [{"mode": "dense"}, {"optimizer": "sgd"}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Dahl16(**wrong)
