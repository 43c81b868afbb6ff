import math

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from deepcolor.blocks.colour_queries import sine_positions
from deepcolor.blocks.convnext import CONVNEXTS, ConvNeXt
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.losses import colourfulness_loss
from deepcolor.models.ddcolor import DDColor, DDColorNetwork

PLAIN = {"weight", "bias"}
BN = PLAIN | {"running_mean", "running_var", "num_batches_tracked"}
SPECTRAL = {"weight_orig", "weight_u", "weight_v"}
ATTENTION = {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}
LAYOUTS = {  # parameters, entries; blocks, channels of the encoder; channels joined on the way up
    "tiny": (55_006_640, 440, (3, 3, 9, 3), (96, 192, 384, 768), (896, 704, 352)),
    "large": (227_869_328, 602, (3, 3, 27, 3), (192, 384, 768, 1536), (1280, 896, 448)),
}


def laid_out(name: str) -> DDColorNetwork:
    with torch.device("meta"):
        return DDColorNetwork(name, 256, 100)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return DDColor("atto", width=32, queries=10).eval()


@pytest.mark.parametrize("name", LAYOUTS)
def test_parameters_and_entries_are_those_of_the_release(name):
    network = laid_out(name)
    assert sum(p.numel() for p in network.parameters()) == LAYOUTS[name][0]
    assert len(network.state_dict()) == LAYOUTS[name][1]


def named(prefix: str, kinds: set[str]) -> set[str]:
    return {f"{prefix}.{kind}" for kind in kinds}


@pytest.mark.parametrize("name", LAYOUTS)
def test_keys_are_those_of_the_release(name):
    depths = LAYOUTS[name][2]
    want = {"mean", "std"}
    arch = "encoder.arch"
    for i, depth in enumerate(depths):
        want |= named(f"{arch}.downsample_layers.{i}.0", PLAIN)
        want |= named(f"{arch}.downsample_layers.{i}.1", PLAIN)
        want |= named(f"{arch}.norm{i}", PLAIN)
        for j in range(depth):
            block = f"{arch}.stages.{i}.{j}"
            want.add(f"{block}.gamma")
            for layer in ("dwconv", "norm", "pwconv1", "pwconv2"):
                want |= named(f"{block}.{layer}", PLAIN)
    want |= named(f"{arch}.norm", PLAIN)
    for i in range(3):
        layer = f"decoder.layers.{i}"
        want |= named(f"{layer}.shuf.conv.0", SPECTRAL) | named(f"{layer}.shuf.conv.1", BN)
        want |= named(f"{layer}.bn", BN)
        want |= named(f"{layer}.conv.0", SPECTRAL) | named(f"{layer}.conv.2", BN)
    want |= named("decoder.last_shuf.conv.0", {"bias"} | SPECTRAL)
    colour = "decoder.color_decoder"
    want |= {f"{colour}.{kind}.weight" for kind in ("query_feat", "query_embed", "level_embed")}
    for i in range(3):
        want |= named(f"{colour}.input_proj.{i}", PLAIN)
        want |= named(f"{colour}.color_embed.layers.{i}", PLAIN)
    for i in range(9):
        own = f"{colour}.transformer_self_attention_layers.{i}"
        cross = f"{colour}.transformer_cross_attention_layers.{i}"
        want |= named(f"{own}.self_attn", ATTENTION) | named(f"{own}.norm", PLAIN)
        want |= named(f"{cross}.multihead_attn", ATTENTION) | named(f"{cross}.norm", PLAIN)
        for layer in ("linear1", "linear2", "norm"):
            want |= named(f"{colour}.transformer_ffn_layers.{i}.{layer}", PLAIN)
    want |= named(f"{colour}.decoder_norm", PLAIN)
    want |= named("refine_net.0.0", {"bias"} | SPECTRAL)
    assert set(laid_out(name).state_dict()) == want


@pytest.mark.parametrize("name", LAYOUTS)
def test_shapes_are_those_of_the_release(name):
    _, _, _, channels, joined = LAYOUTS[name]
    shapes = {key: tuple(value.shape) for key, value in laid_out(name).state_dict().items()}
    assert shapes["encoder.arch.downsample_layers.0.0.weight"] == (channels[0], 3, 4, 4)
    assert shapes["encoder.arch.stages.3.0.pwconv1.weight"] == (4 * channels[3], channels[3])
    assert shapes["encoder.arch.stages.0.0.dwconv.weight"] == (channels[0], 1, 7, 7)
    inputs = channels[3]
    for i, (both, out) in enumerate(zip(joined, (512, 512, 256), strict=True)):
        assert shapes[f"decoder.layers.{i}.shuf.conv.0.weight_orig"] == (4 * out, inputs, 1, 1)
        assert shapes[f"decoder.layers.{i}.bn.weight"] == (channels[2 - i],)
        assert shapes[f"decoder.layers.{i}.conv.0.weight_orig"] == (out, both, 3, 3)
        inputs = out
    assert shapes["decoder.last_shuf.conv.0.weight_orig"] == (4096, 256, 1, 1)
    colour = "decoder.color_decoder"
    assert shapes[f"{colour}.query_feat.weight"] == (100, 256)
    assert shapes[f"{colour}.query_embed.weight"] == (100, 256)
    assert shapes[f"{colour}.level_embed.weight"] == (3, 256)
    assert shapes[f"{colour}.transformer_ffn_layers.0.linear1.weight"] == (2048, 256)
    assert shapes["refine_net.0.0.weight_orig"] == (2, 103, 1, 1)
    assert shapes["mean"] == shapes["std"] == (1, 3, 1, 1)


@torch.no_grad()
def test_the_graph_is_as_the_source_tells_it(model):
    """Written out by hand: queries first in order, torch's own attention, positions on keys."""
    network = model.network
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.1, 0.1)
    for block in network.encoder.arch.stages.modules():
        if hasattr(block, "gamma"):
            block.gamma.uniform_(0.1, 0.5)
    grey = torch.rand(2, 1, 64, 96).expand(-1, 3, -1, -1)
    x = (grey - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / (
        torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    )
    arch, decoder = network.encoder.arch, network.decoder
    skips, trunk = [], x
    for i in range(4):
        trunk = arch.stages[i](arch.downsample_layers[i](trunk))  # goes on without norm0 to norm3
        skips.append(getattr(arch, f"norm{i}")(trunk))
    one = decoder.layers[0](skips[3], skips[2])
    two = decoder.layers[1](one, skips[1])
    three = decoder.layers[2](two, skips[0])
    pixels = decoder.last_shuf(three)
    assert pixels.shape == (2, 32, 64, 96)

    colour = decoder.color_decoder
    queries = colour.query_feat.weight.expand(2, -1, -1)
    where = colour.query_embed.weight.expand(2, -1, -1)
    for i in range(9):
        level = (one, two, three)[i % 3]
        memory = colour.input_proj[i % 3](level).flatten(2).mT + colour.level_embed.weight[i % 3]
        key = memory + sine_positions(level, 32)
        cross = colour.transformer_cross_attention_layers[i]
        found = cross.multihead_attn(queries + where, key, memory)[0]
        queries = cross.norm(queries + found)
        own = colour.transformer_self_attention_layers[i]
        found = own.self_attn(queries + where, queries + where, queries)[0]
        queries = own.norm(queries + found)
        dense = colour.transformer_ffn_layers[i]
        queries = dense.norm(queries + dense.linear2(dense.linear1(queries).relu()))
    colours = colour.color_embed(colour.decoder_norm(queries))
    shares = torch.einsum("bqc,bchw->bqhw", colours, pixels)
    want = network.refine_net(torch.cat([shares, x], 1))
    assert torch.allclose(network(grey), want, atol=1e-4)


def test_positions_are_normalized_waves():
    width = 8
    at = sine_positions(torch.zeros(1, 3, 4, 5), width).reshape(4, 5, width)
    for row, column, axis in ((0, 0, 0), (2, 1, 0), (3, 4, 1), (1, 3, 1)):
        place = (row + 1) / (4 + 1e-6) if axis == 0 else (column + 1) / (5 + 1e-6)
        for i in range(4):
            angle = 2 * math.pi * place / 10_000 ** (2 * (i // 2) / 4)
            want = math.sin(angle) if i % 2 == 0 else math.cos(angle)
            assert float(at[row, column, 4 * axis + i]) == pytest.approx(want, abs=1e-5)


@torch.no_grad()
def test_the_answer_is_ab_of_the_grey_of_the_lightness(model):
    luminance = torch.rand(1, 1, 32, 32) * 100
    grey = lab_to_rgb(join_lab(luminance, torch.zeros(1, 2, 32, 32)))  # as the release makes it
    assert (model(luminance) - model.network(grey)).abs().max() < 1e-2
    assert (model.size, model.stride) == (512, 32)


class Half(nn.Module):
    """As a frozen network of features: half the distance."""

    def forward(self, one, other):
        return (one - other).abs().mean() / 2


def test_all_but_l1_look_at_pictures_of_more_saturation(model):
    luminance, ab = split_lab(rgb_to_lab(torch.rand(2, 3, 16, 16)))
    output = 0.5 * ab

    def brighter(ab):
        rgb = lab_to_rgb(join_lab(luminance, ab))
        grey = 0.299 * rgb[:, :1] + 0.587 * rgb[:, 1:2] + 0.114 * rgb[:, 2:]
        return (1.2 * rgb - 0.2 * grey).clamp(0, 1)

    terms = model.regression_loss(output, luminance, ab)
    assert terms.keys() == {"pixels", "colourfulness"}
    assert torch.allclose(terms["pixels"], 0.1 * (output - ab).abs().mean())
    assert torch.allclose(terms["colourfulness"], 0.5 * colourfulness_loss(brighter(output)))

    other = DDColor("atto", width=8, queries=2, colourfulness=0)
    assert other.regression_loss(output, luminance, ab).keys() == {"pixels"}
    other.perceptual = Half()
    terms = other.regression_loss(output, luminance, ab)
    want = 5 * (brighter(output) - brighter(ab)).abs().mean() / 2
    assert torch.allclose(terms["features"], want, atol=1e-5)


def test_features_are_those_before_the_normalizations_of_vgg(monkeypatch):
    asked = []

    def read(name, file):
        asked.append((name, file))
        return nn.Sequential(*(nn.Identity() for _ in range(44)))

    monkeypatch.setattr("deepcolor.models.ddcolor.vgg_features", read)
    model = DDColor("atto", width=8, queries=2, perceptual_weights="vgg.pth")
    assert asked == [("vgg16_bn", "vgg.pth")]
    assert model.perceptual.layers == {0: 0.0625, 7: 0.125, 14: 0.25, 24: 0.5, 34: 1.0}
    assert "perceptual_weights" not in model.hparams
    std = model.network.std
    one, other = torch.rand(2, 1, 3, 8, 8)
    want = 1.9375 * ((one - other) / std).abs().mean()
    assert torch.allclose(model.perceptual(one, other), want)


@torch.no_grad()
@pytest.mark.parametrize("names", ["timm", "authors"])
def test_the_encoder_answers_as_timms_from_its_weights(tmp_path, names):
    torch.manual_seed(0)
    reference = timm.create_model("convnext_atto", conv_mlp=False, ls_init_value=1.0).eval()
    state = reference.state_dict()
    if names == "authors":
        from deepcolor.blocks.convnext import authors_names

        state = authors_names(state)
        assert "stages.0.0.dwconv.weight" in state
    path = tmp_path / "convnext.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    ours = ConvNeXt("atto", str(path)).eval()
    x = torch.randn(1, 3, 64, 64)
    features = x
    for part in (reference.stem, *reference.stages):
        features = part(features)
    want = F.layer_norm(features.permute(0, 2, 3, 1), (320,), eps=1e-6).permute(0, 3, 1, 2)
    assert torch.allclose(ours(x)[-1], want, atol=1e-4)


def test_weights_of_another_encoder_are_refused(tmp_path):
    path = tmp_path / "convnext.safetensors"
    save_file(timm.create_model("convnext_femto").state_dict(), path)
    with pytest.raises(ValueError, match="do not fit ConvNeXt atto"):
        ConvNeXt("atto", str(path))


@pytest.mark.parametrize("name", CONVNEXTS)
def test_the_encoders_are_timms(name):
    depths, channels = CONVNEXTS[name]
    with torch.device("meta"):
        reference = timm.create_model(f"convnext_{name}")
    assert tuple(len(stage.blocks) for stage in reference.stages) == depths
    assert tuple(level["num_chs"] for level in reference.feature_info) == channels


def test_the_rate_is_halved_after_80_000_steps_and_each_40_000_more(model):
    made = model.configure_optimizers()
    (group,) = made["optimizer"].param_groups
    assert (group["lr"], group["weight_decay"], group["betas"]) == (1e-4, 0.01, (0.9, 0.99))
    schedule = made["lr_scheduler"]["scheduler"]
    assert sorted(schedule.milestones) == [80_000 + 40_000 * i for i in range(8)]
    assert schedule.gamma == 0.5
    assert made["lr_scheduler"]["interval"] == "step"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"encoder": "giant"}, "no ConvNeXt named 'giant'; there are: atto, tiny, large"),
        ({"width": 20}, "width must be a multiple of 8"),
        ({"queries": 0}, "queries must be at least 1"),
        ({"colourfulness": -1.0}, "colourfulness must be at least 0"),
    ],
)
def test_impossible_settings_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        DDColor(**{"encoder": "atto", **wrong})
