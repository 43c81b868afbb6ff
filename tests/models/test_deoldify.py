import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from deepcolor.blocks.unet import DynamicUnet, SelfAttention, UpBlock
from deepcolor.color import (
    join_lab,
    lab_to_rgb,
    lightness_to_grey,
    rgb_to_lab,
    split_lab,
    ycbcr_chroma_to_ab,
)
from deepcolor.models.deoldify import DeOldify

BN = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
SPECTRAL = {"weight_orig", "weight_u", "weight_v"}
LAYOUTS = {  # ResNet, deep, factor; parameters, entries; skips; channels of the steps up
    "artistic": (("resnet34", True, 1.5), 63_646_881, 378, (256, 128, 64, 64), 512,
                 (768, 768, 672, 300)),
    "stable": (("resnet101", False, 2.0), 218_222_197, 754, (1024, 512, 256, 64), 2048,
               (512, 512, 512, 256)),
}  # fmt: skip


def laid_out(name: str) -> DynamicUnet:
    with torch.device("meta"):
        return DynamicUnet(*LAYOUTS[name][0])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DeOldify(body="resnet18", factor=0.125).eval()


@pytest.mark.parametrize("name", LAYOUTS)
def test_parameters_and_entries_are_those_of_the_release(name):
    network = laid_out(name)
    assert sum(p.numel() for p in network.parameters()) == LAYOUTS[name][1]
    assert len(network.state_dict()) == LAYOUTS[name][2]


def named(prefix: str, kinds: set[str]) -> set[str]:
    return {f"{prefix}.{kind}" for kind in kinds}


@pytest.mark.parametrize("name", LAYOUTS)
def test_keys_are_those_of_the_release(name):
    (body, deep, _), *_ = LAYOUTS[name]
    resnet = timm.create_model(body).state_dict()  # named as torchvision's
    places = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    want = set()
    for key in resnet:
        first, _, rest = key.partition(".")
        if first in places:
            want.add(f"layers.0.{places[first]}.{rest}")
    want |= named("layers.1", BN)
    for number in (0, 1):
        want |= named(f"layers.3.{number}.0", SPECTRAL) | named(f"layers.3.{number}.2", BN)
    for block in (4, 5, 6, 7):
        want |= named(f"layers.{block}.shuf.conv.0", SPECTRAL)
        want |= named(f"layers.{block}.shuf.conv.1", BN) | named(f"layers.{block}.bn", BN)
        for conv in ("conv1", "conv2") if deep else ("conv",):
            want |= named(f"layers.{block}.{conv}.0", SPECTRAL)
            want |= named(f"layers.{block}.{conv}.2", BN)
    attention = f"layers.5.{'conv2' if deep else 'conv'}.3"
    want.add(f"{attention}.gamma")
    for part in ("query", "key", "value"):
        want |= named(f"{attention}.{part}", SPECTRAL)
    want |= named("layers.8.conv.0", {"bias", "weight_g", "weight_v"})
    for layer in ("layers.10.layers.0.0", "layers.10.layers.1.0", "layers.11.0"):
        want |= named(layer, {"bias"} | SPECTRAL)
    assert set(laid_out(name).state_dict()) == want


@pytest.mark.parametrize("name", LAYOUTS)
def test_shapes_are_those_of_the_release(name):
    (_, deep, _), _, _, skips, channels, outputs = LAYOUTS[name]
    shapes = {key: tuple(value.shape) for key, value in laid_out(name).state_dict().items()}
    assert shapes["layers.1.weight"] == (channels,)
    assert shapes["layers.3.0.0.weight_orig"] == (2 * channels, channels, 3, 3)
    assert shapes["layers.3.1.0.weight_orig"] == (channels, 2 * channels, 3, 3)
    inputs = channels
    for block, (skip, out) in enumerate(zip(skips, outputs, strict=True), start=4):
        up = inputs // 2 if deep else out
        assert shapes[f"layers.{block}.shuf.conv.0.weight_orig"] == (4 * up, inputs, 1, 1)
        assert shapes[f"layers.{block}.bn.weight"] == (skip,)
        first = f"layers.{block}.{'conv1' if deep else 'conv'}.0.weight_orig"
        assert shapes[first] == (out, up + skip, 3, 3)
        if deep:
            assert shapes[f"layers.{block}.conv2.0.weight_orig"] == (out, out, 3, 3)
        inputs = out
    attention = f"layers.5.{'conv2' if deep else 'conv'}.3"
    assert shapes[f"{attention}.query.weight_orig"] == (outputs[1] // 8, outputs[1], 1)
    assert shapes[f"{attention}.value.weight_orig"] == (outputs[1], outputs[1], 1)
    last = outputs[-1]
    assert shapes["layers.8.conv.0.weight_v"] == (4 * last, last, 1, 1)
    assert shapes["layers.8.conv.0.weight_g"] == (4 * last, 1, 1, 1)
    assert shapes["layers.10.layers.0.0.weight_orig"] == (last + 3, last + 3, 3, 3)
    assert shapes["layers.11.0.weight_orig"] == (3, last + 3, 1, 1)


def test_video_is_laid_out_as_stable():
    made = [DeOldify(variant, body="resnet18", factor=0.125) for variant in ("stable", "video")]
    shapes = [{k: v.shape for k, v in m.network.state_dict().items()} for m in made]
    assert shapes[0] == shapes[1]


@torch.no_grad()
def test_the_way_down_and_up_are_as_the_source_tells_them(model):
    """The graph written out by hand, with numbers that show each normalization and the factor."""
    layers = model.network.layers
    for part in model.network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.1, 0.1)
        if isinstance(part, SelfAttention):
            part.gamma.fill_(0.7)
    picture = torch.randn(1, 3, 64, 96)
    body = layers[0]
    one = body[2](body[1](body[0](picture)))
    two = body[4](body[3](one))
    three = body[5](two)
    four = body[6](three)
    x = layers[1](body[7](four)).relu()
    x = layers[3](x)

    def enlarged(shuf, x):
        x = F.pixel_shuffle(shuf.conv(x).relu(), 2)
        x = torch.cat([x[:, :, :1], x], 2)
        x = torch.cat([x[..., :1], x], 3)
        return (x[..., :-1, :-1] + x[..., :-1, 1:] + x[..., 1:, :-1] + x[..., 1:, 1:]) / 4

    for block, skip in zip(layers[4:8], (four, three, two, one), strict=True):
        joined = torch.cat([enlarged(block.shuf, x), block.bn(skip)], 1).relu()
        x = block.conv2(block.conv1(joined))
    x = torch.cat([enlarged(layers[8], x), picture], 1)
    x = x + layers[10].layers[1](layers[10].layers[0](x))
    want = layers[11](x).sigmoid() * 6 - 3
    assert torch.allclose(model.network(picture), want, atol=1e-4)


@torch.no_grad()
def test_the_softmax_of_self_attention_runs_over_what_query_reads():
    layer = SelfAttention(16).eval()
    x = torch.randn(2, 16, 3, 4)
    assert torch.equal(layer(x), x)  # it starts as nothing
    layer.gamma.fill_(0.5)
    places = x.flatten(2)
    query, key, value = layer.query(places), layer.key(places), layer.value(places)
    share = (query.transpose(1, 2) @ key).softmax(dim=1)  # (B, query's places, key's places)
    want = 0.5 * (value @ share).reshape(x.shape) + x
    assert torch.allclose(layer(x), want, atol=1e-5)


@torch.no_grad()
def test_odd_sides_are_matched_by_the_nearest_pixel():
    block = UpBlock(8, 4, 4, 4).eval()
    x = torch.randn(1, 8, 3, 3)
    skip = torch.randn(1, 4, 5, 6)
    large = F.interpolate(block.shuf(x), size=(5, 6), mode="nearest")
    want = block.conv(torch.cat([large, block.bn(skip)], 1).relu())
    assert torch.allclose(block(x, skip), want, atol=1e-6)


@torch.no_grad()
def test_sides_of_any_render_factor_are_taken_as_they_are(model):
    assert model.size == 560
    assert model(torch.rand(1, 1, 48, 80) * 100).shape == (1, 2, 48, 80)


@torch.no_grad()
def test_u_and_v_of_the_answer_are_joined_to_the_grey_of_the_photograph(model):
    luminance = torch.rand(1, 1, 32, 32) * 60 + 20
    grey = lightness_to_grey(luminance)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    answer = (model.network((grey.expand(-1, 3, -1, -1) - mean) / std) * std + mean).clamp(0, 1)
    red, green, blue = answer.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cb, cr = (blue - luma) / 1.772, (red - luma) / 1.402  # U / 0.872 and V / 1.230
    want = ycbcr_chroma_to_ab(luminance, 128 + 255 * torch.stack([cb, cr], 1))
    assert (model(luminance) - want).abs().max() < 1e-2


def test_chroma_survives_its_way_to_u_and_v_and_back(model):
    luminance, ab = split_lab(rgb_to_lab(torch.rand(1, 3, 16, 16)))
    again = model.decode(model.encode_target(luminance, ab), luminance)
    assert (again - ab).abs().max() < 0.1


class Half(nn.Module):
    """As a frozen network of features: half the distance."""

    def forward(self, one, other):
        return (one - other).abs().mean() / 2


def test_the_loss_is_of_whole_normalized_pictures():
    torch.manual_seed(0)
    model = DeOldify(body="resnet18", factor=0.125).eval()
    luminance, ab = split_lab(rgb_to_lab(torch.rand(2, 3, 32, 32)))
    truth = (lab_to_rgb(join_lab(luminance, ab)) - model.mean) / model.std
    distance = (model.core(luminance) - truth).abs().mean()
    assert torch.allclose(model.loss(luminance, ab)["pixels"], distance)
    model.perceptual = Half()
    terms = model.loss(luminance, ab)
    assert terms.keys() == {"pixels", "features"}
    assert torch.allclose(terms["features"], distance / 2)


def test_a_frozen_body_still_normalizes_anew():
    model = DeOldify(body="resnet18", factor=0.125, freeze_body=True)
    trained = {k for k, p in model.network.named_parameters() if p.requires_grad}
    body = {key for key in trained if key.startswith("layers.0.")}
    assert body
    assert all(model.network.get_parameter(key).ndim == 1 for key in body)  # of normalizations
    assert len(trained) - len(body) == sum(
        not key.startswith("layers.0.") for key, _ in model.network.named_parameters()
    )


def test_the_body_learns_ten_times_slower_on_one_cycle(quick_trainer):
    model = DeOldify(body="resnet18", factor=0.125, lr=1e-3)
    rates = []
    step = model.lr_scheduler_step

    def noted(*args):
        rates.append([group["lr"] for group in model.optimizers().param_groups])
        step(*args)

    model.lr_scheduler_step = noted
    loader = torch.utils.data.DataLoader(torch.rand(6, 3, 32, 32), 2)
    quick_trainer.fit(model, loader, loader)
    assert len(rates) == 3
    assert all(rest == pytest.approx(10 * body) for body, rest in rates)
    body, rest = model.optimizers().param_groups
    assert (body["max_lr"], rest["max_lr"]) == (1e-4, 1e-3)
    assert rest["initial_lr"] == pytest.approx(1e-3 / 25)
    assert rates[-1][1] < 1e-3 / 25  # the end of the cycle


def test_features_are_read_from_a_file_that_weights_files_do_not_name(monkeypatch):
    asked = []

    def read(name, file):
        asked.append((name, file))
        return nn.Sequential(*(nn.Identity() for _ in range(43)))

    monkeypatch.setattr("deepcolor.models.deoldify.vgg_features", read)
    model = DeOldify(body="resnet18", factor=0.125, perceptual_weights="vgg.pth")
    assert asked == [("vgg16_bn", "vgg.pth")]
    assert model.perceptual.layers == {22: 20.0, 32: 70.0, 42: 10.0}
    assert "perceptual_weights" not in model.hparams
    one, other = torch.rand(2, 1, 3, 8, 8)
    distance = (one - other).abs().mean()
    assert torch.allclose(model.perceptual(one, other), 100 * distance)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"variant": "vivid"}, "variant must be one of artistic, stable, video"),
        ({"factor": 0.0}, "factor must be above 0"),
        ({"body": "vgg16"}, "no body named 'vgg16'"),
    ],
)
def test_impossible_settings_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        DeOldify(**wrong)
