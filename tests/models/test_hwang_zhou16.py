import pytest
import torch
from torch import nn

from deepcolor.color import rgb_to_lab, rgb_to_luv, split_lab
from deepcolor.models.hwang_zhou16 import HwangZhou16


@pytest.fixture(scope="module")
def regressor():
    return HwangZhou16().eval()


@pytest.fixture(scope="module")
def classifier():
    return HwangZhou16(mode="classification").eval()


def photograph(side: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rgb = torch.rand(2, 3, side, side)
    luminance, ab = split_lab(rgb_to_lab(rgb))
    return luminance, ab, split_lab(rgb_to_luv(rgb))[1]


def test_parameters(regressor, classifier):
    vgg, norms = 7_635_264, 2 * (64 + 128 + 256 + 512)
    decoder = 512 * 256 + 256 + 9 * (256 * 128 + 128 * 64) + 128 + 64
    for model, outputs in ((regressor, 2), (classifier, 100)):
        want = vgg + norms + decoder + 9 * 64 * outputs + outputs
        assert sum(p.numel() for p in model.network.parameters()) == want
    assert sum(p.numel() for p in regressor.network.parameters()) == 8_138_498
    assert sum(p.numel() for p in classifier.network.parameters()) == 8_195_044


@torch.no_grad()
def test_normalized_scales_are_added_on_the_way_up(regressor):
    network = regressor.network
    x = torch.rand(1, 1, 16, 24)
    one, two, three, four = [
        nn.functional.batch_norm(f, n.running_mean, n.running_var, n.weight, n.bias)
        for f, n in zip(network.vgg(x), network.norms, strict=True)
    ]

    def up(y):
        return nn.functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)

    y = up(network.conv4(four).relu()) + three
    y = up(network.conv3(y).relu()) + two
    y = up(network.conv2(y).relu()) + one
    assert torch.allclose(network(x), network.conv1(y), atol=1e-5)
    assert [network.conv4.kernel_size, network.conv3.kernel_size] == [(1, 1), (3, 3)]


@torch.no_grad()
def test_vgg_sees_bytes_of_lightness_less_the_mean(regressor):
    seen = []
    hook = regressor.network.vgg.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    regressor(torch.full((1, 1, 8, 8), 40.0))
    hook.remove()
    want = [102 - 103.939, 102 - 116.779, 102 - 123.68]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(want, abs=1e-3)


def test_targets_are_cieluv_and_decode_to_the_same_ab(regressor):
    luminance, ab, uv = photograph()
    target = regressor.encode_target(luminance, ab)
    assert torch.allclose(target, uv / 100, atol=1e-4)
    assert (regressor.decode(target, luminance) - ab).abs().max() < 0.05  # by way of sRGB, float32


@torch.no_grad()
def test_any_answer_decodes_to_displayable_chroma(regressor):
    luminance = torch.linspace(0, 100, 64).reshape(1, 1, 8, 8)
    for answer in (-50.0, 0.0, 50.0):
        ab = regressor.decode(torch.full((1, 2, 8, 8), answer), luminance)
        assert torch.isfinite(ab).all()
        assert ab.abs().max() < 110


@torch.no_grad()
def test_regression_loss_is_half_the_squared_distance(regressor):
    luminance, ab, uv = photograph()
    have = regressor.regression_loss(torch.zeros_like(uv), luminance, ab)["mse"]
    assert torch.allclose(have, 0.5 * (uv / 100).square().sum(1).mean(), rtol=1e-4)


def test_bins_are_fifty_of_width_four(classifier):
    centres = classifier.centres()
    assert centres[[0, 1, -1]].tolist() == [-98, -94, 98]
    uv = torch.tensor([-300.0, -100, -96.1, -95.9, 0, 99.9, 100, 175])[None, None, None]
    have = classifier.encode_bins(uv.expand(1, 2, -1, -1))[0, 0, 0]
    assert have.tolist() == [0, 0, 0, 1, 25, 49, 49, 49]


def test_bounds_may_hold_all_of_srgb():
    model = HwangZhou16(mode="classification", bounds=(-100, 180))
    assert float(model.centres()[-1]) == pytest.approx(177.2)
    red = split_lab(rgb_to_luv(torch.tensor([1.0, 0, 0])[None, :, None, None]))[1]
    back = model.centres()[model.encode_bins(red)]
    assert (back - red).abs().max() <= 5.6 / 2


@torch.no_grad()
def test_mode_mean_and_annealed_mean_decode_each_axis_alone():
    logits = torch.zeros(1, 100, 1, 1)
    logits[:, 10], logits[:, 20] = 9.0, 8.0  # u: -58 likelier than -18
    logits[:, 50 + 49] = 30.0  # v: 98
    u = {}
    for temperature in (0.0, 0.3, 1.0):
        model = HwangZhou16(mode="classification", temperature=temperature)
        uv = model.decode_bins(logits)[0, :, 0, 0]
        u[temperature] = float(uv[0])
        assert float(uv[1]) == pytest.approx(98, abs=0.1)
    assert u[0.0] == -58
    share = 1 / (1 + torch.tensor(-1 / 0.3).exp())
    assert u[0.3] == pytest.approx(float(-58 * share - 18 * (1 - share)), abs=0.1)
    assert u[0.0] < u[0.3] < u[1.0]


@torch.no_grad()
def test_a_temperature_is_for_the_classifier(classifier):
    x = torch.rand(1, 1, 16, 16) * 100
    own = classifier.predict(x).ab()
    assert torch.equal(own, classifier(x))
    assert torch.equal(own, classifier.predict(x).ab(0.3))
    assert (own - classifier.predict(x).ab(0.0)).abs().max() > 1
    with pytest.raises(TypeError, match="predicts no distribution"):
        HwangZhou16().predict(x).ab(0.3)


def test_classification_loss_is_two_cross_entropies(classifier):
    luminance, ab, _ = photograph()
    terms = classifier.loss(luminance, ab)
    assert set(terms) == {"cross_entropy_u", "cross_entropy_v"}
    perfect = nn.functional.one_hot(
        classifier.encode_bins(100 * classifier.encode_target(luminance, ab)), 50
    )  # (B, 2, H, W, 50)
    logits = 40.0 * perfect.permute(0, 1, 4, 2, 3).flatten(1, 2)
    model = HwangZhou16(mode="classification")
    model.network.forward = lambda _: logits
    assert all(value < 1e-3 for value in model.loss(luminance, ab).values())


def test_the_encoder_trains_unless_frozen():
    assert all(p.requires_grad for p in HwangZhou16().parameters())
    frozen = HwangZhou16(freeze_encoder=True)
    assert not any(p.requires_grad for p in frozen.network.vgg.parameters())
    assert all(p.requires_grad for p in frozen.network.norms.parameters())


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "both"}, {"bounds": (1.0, -1.0)}, {"temperature": 2.0}, {"upsampling": "bicubic"},
     {"backbone": "resnet18"}],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HwangZhou16(**wrong)
