import copy

import pytest
import torch
from torch import nn

from deepcolor.guidance import Guidance, Hints, Statistics
from deepcolor.models.siggraph17 import SIGGRAPH17

BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@pytest.fixture(scope="module")
def model():
    return SIGGRAPH17().eval()


@pytest.fixture(scope="module")
def guided():
    return SIGGRAPH17(global_hints=True).eval()


def luminance(batch: int = 1, side: int = 32) -> torch.Tensor:
    return torch.rand(batch, 1, side, side) * 100


def chroma(batch: int = 1, side: int = 32) -> torch.Tensor:
    return torch.randn(batch, 2, side, side) * 20


def empty_hints(batch: int = 1, side: int = 32) -> Hints:
    return Hints(torch.zeros(batch, 2, side, side), torch.zeros(batch, 1, side, side))


def test_parameters_and_entries_are_those_of_the_release(model):
    assert sum(p.numel() for p in model.network.parameters()) == 34_187_027
    assert len(model.network.state_dict()) == 107


def test_keys_are_the_slots_of_the_release(model):
    convolutions = {"model1": (0, 2), "model2": (0, 2), "model8": (1, 3), "model9": (1,)}
    convolutions |= {f"model{block}": (0, 2, 4) for block in (3, 4, 5, 6, 7)}
    convolutions["model10"] = (1,)
    single = ("8up", "3short8", "9up", "2short9", "10up", "1short10", "_class", "_out")
    convolutions |= {f"model{name}": (0,) for name in single}
    norms = {"model1": 4, "model2": 4, "model8": 5, "model9": 3}
    norms |= {f"model{block}": 6 for block in (3, 4, 5, 6, 7)}
    want = {
        f"{block}.{slot}.{kind}"
        for block, slots in convolutions.items()
        for slot in slots
        for kind in ("weight", "bias")
    }
    want |= {f"{block}.{slot}.{kind}" for block, slot in norms.items() for kind in BN}
    assert set(model.network.state_dict()) == want


def test_layers_are_the_releases(model):
    shapes = {key: tuple(value.shape) for key, value in model.network.state_dict().items()}
    assert shapes["model1.0.weight"] == (64, 4, 3, 3)
    assert shapes["model8up.0.weight"] == (512, 256, 4, 4)
    assert shapes["model10up.0.weight"] == (128, 128, 4, 4)
    assert shapes["model1short10.0.weight"] == (128, 64, 3, 3)
    assert shapes["model_class.0.weight"] == (529, 256, 1, 1)
    assert shapes["model_out.0.weight"] == (2, 128, 1, 1)
    dilated = [k for k, m in model.network.named_modules() if getattr(m, "dilation", 1) == (2, 2)]
    assert dilated == [f"model{block}.{slot}" for block in (5, 6) for slot in (0, 2, 4)]
    leaky = [m for m in model.network.modules() if isinstance(m, nn.LeakyReLU)]
    assert [m.negative_slope for m in leaky] == [0.2]
    strided = [
        m for m in model.network.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)
    ]
    assert not strided  # halved by slicing


@torch.no_grad()
def test_forward_follows_the_published_graph(model):
    """Step by step from the state dict alone, without our modules."""
    weights = model.network.state_dict()
    x = torch.randn(1, 4, 16, 24)

    def conv(x, key, dilation=1):
        weight, bias = weights[f"{key}.weight"], weights[f"{key}.bias"]
        pad = dilation if weight.shape[-1] == 3 else 0
        return nn.functional.conv2d(x, weight, bias, padding=pad, dilation=dilation)

    def norm(x, key):
        w = [weights[f"{key}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")]
        return nn.functional.batch_norm(x, *w)

    def up(x, key):
        w, b = weights[f"{key}.0.weight"], weights[f"{key}.0.bias"]
        return nn.functional.conv_transpose2d(x, w, b, stride=2, padding=1)

    def block(x, number, count, dilation=1):
        for i in range(count):
            x = conv(x, f"model{number}.{2 * i}", dilation).relu()
        return norm(x, f"model{number}.{2 * count}")

    one = block(x, 1, 2)
    two = block(one[:, :, ::2, ::2], 2, 2)
    three = block(two[:, :, ::2, ::2], 3, 3)
    seven = block(block(block(block(three[:, :, ::2, ::2], 4, 3), 5, 3, 2), 6, 3, 2), 7, 3)
    y = (up(seven, "model8up") + conv(three, "model3short8.0")).relu()
    y = conv(conv(y, "model8.1").relu(), "model8.3").relu()
    y = norm(y, "model8.5")
    y = (up(y, "model9up") + conv(two, "model2short9.0")).relu()
    y = norm(conv(y, "model9.1").relu(), "model9.3")
    y = (up(y, "model10up") + conv(one, "model1short10.0")).relu()
    y = nn.functional.leaky_relu(conv(y, "model10.1"), 0.2)
    want = conv(y, "model_out.0").tanh()
    assert torch.allclose(model.network(x), want, atol=1e-5)


@torch.no_grad()
def test_the_decoder_runs_once_and_the_class_head_not_at_all(model):
    calls: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, module in model.network.named_children()
    ]
    model(luminance())
    for hook in hooks:
        hook.remove()
    assert sorted(calls) == sorted(set(calls))
    assert "model_class" not in calls
    assert {"model9", "model10", "model_out"} <= set(calls)


@torch.no_grad()
def test_input_is_normalized_luminance_hints_and_mask():
    for offset in (0.0, -0.5):
        model = SIGGRAPH17(mask_offset=offset).eval()
        seen = []
        hook = model.network.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args))
        ab, mask = torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)
        ab[..., 2, 3], mask[..., 2, 3] = 55.0, 1
        model(torch.full((1, 1, 8, 8), 75.0), Hints(ab, mask))
        model(torch.full((1, 1, 8, 8), 75.0))
        hook.remove()
        assert seen[0][0][0, :, 2, 3].tolist() == [0.25, 0.5, 0.5, 1 + offset]
        assert seen[1][0][0, :, 2, 3].tolist() == [0.25, 0, 0, offset]


@torch.no_grad()
def test_no_guidance_is_an_empty_mask(model):
    x = luminance()
    assert torch.equal(model(x), model(x, empty_hints()))


@torch.no_grad()
def test_output_is_tanh_times_110(model):
    assert model(luminance()).abs().max() <= 110


@pytest.mark.parametrize("stage", ["A", "B"])
def test_only_the_stages_own_branch_trains_the_trunk(stage):
    model = SIGGRAPH17(stage=stage).train()
    terms = model.loss(luminance(2), chroma(2))
    trains, looks_on = ("cross_entropy", "l1") if stage == "A" else ("l1", "cross_entropy")
    trunk, head = model.network.model4[0].weight, model.network.model_class[0].weight
    out = model.network.model_out[0].weight
    (reached,) = torch.autograd.grad(terms[trains], trunk, retain_graph=True)
    assert reached.any()
    assert torch.autograd.grad(terms[looks_on], trunk, retain_graph=True, allow_unused=True) == (
        None,
    )
    assert torch.autograd.grad(terms["cross_entropy"], head, retain_graph=True)[0].any()
    assert torch.autograd.grad(terms["l1"], out)[0].any()


@torch.no_grad()
def test_class_targets_are_the_nearest_of_the_full_grid_at_every_fourth_pixel():
    model = SIGGRAPH17().eval()
    ab = torch.zeros(1, 2, 8, 8)
    ab[:, 0, ::4, ::4], ab[:, 1, ::4, ::4] = 34.0, -26.0
    logits = torch.zeros(1, 529, 2, 2)
    logits[:, 23 * (3 + 11) + (-3 + 11)] = 20.0
    model.network.classify = lambda _: logits
    assert model.loss(luminance(side=8), ab)["cross_entropy"] < 1e-3


@torch.no_grad()
def test_regression_terms_sum_over_ab_and_average_over_pixels():
    predicted, ab = torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), 0.5)
    l1 = SIGGRAPH17(regression="l1")._distance(predicted, ab)
    assert float(l1) == pytest.approx(10 * (0.5 + 0.5))
    huber = SIGGRAPH17(regression="huber")._distance(predicted, ab)
    assert float(huber) == pytest.approx(10 * 2 * (0.5 - 0.5 / 110))


@torch.no_grad()
def test_dull_pictures_are_not_trained_on():
    torch.manual_seed(1)
    model = SIGGRAPH17().eval()
    colourful, dull = chroma(), torch.full((1, 2, 32, 32), 40.0)
    x = luminance(2)
    both = model.loss(x, torch.cat([colourful, dull]))
    alone = model.loss(x[:1], colourful)
    for name, value in alone.items():
        assert torch.allclose(both[name], value, rtol=1e-4)
    assert all(float(v) == 0 for v in model.loss(x[1:], dull).values())


def test_each_stage_has_its_own_settings():
    first, second = SIGGRAPH17(), SIGGRAPH17(stage="B")
    assert (first.stage, first.hint_stop, first.reveal_all, first.lr) == ("A", 1, 0, 1e-4)
    assert (second.hint_stop, second.reveal_all, second.lr) == (0.125, 0.01, 1e-5)
    assert first.mask_offset == second.mask_offset == 0
    adam = first.configure_optimizers()
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["betas"] == (0.9, 0.999)
    (optimizer,), (schedule,) = second.configure_optimizers()
    assert (optimizer.defaults["lr"], schedule.step_size, schedule.gamma) == (1e-5, 10, 0.1)


@torch.no_grad()
def test_distribution_is_spread_for_suggestions(model):
    x = luminance()
    spread, sharp = model.distribution(x), model.distribution(x, temperature=1.0)
    assert spread.shape == (1, 529, 8, 8)
    assert torch.allclose(spread.sum(dim=1), torch.ones(1, 8, 8), atol=1e-5)
    assert spread.amax() < sharp.amax()
    with pytest.raises(ValueError, match="temperature"):
        model.distribution(x, temperature=0)


def test_the_global_branch_adds_its_own_layers_only(model, guided):
    extra = set(guided.network.state_dict()) - set(model.network.state_dict())
    assert all(key.startswith("global_branch.") for key in extra)
    count = sum(p.numel() for p in guided.network.global_branch.parameters())
    assert count == 314 * 512 + 512 + 2 * 512 + 512 + 3 * (512 * 512 + 512) + 4 * 2 * 512


@torch.no_grad()
def test_global_hints_are_added_alike_at_every_place_after_conv4(guided):
    x, seen = luminance(2), []
    hook = guided.network.model5.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    statistics = guided.statistics(x, chroma(2))
    guided(x)
    guided(x, statistics)
    hook.remove()
    shift = seen[1] - seen[0]  # (B, 512, h, w)
    assert shift.abs().amax() > 1e-3
    assert torch.allclose(shift, shift[..., :1, :1].expand_as(shift), atol=1e-6)


@torch.no_grad()
def test_global_hints_go_with_local_ones(guided):
    x = luminance(2)
    plain = guided(x)
    assert torch.equal(guided(x, Statistics()), plain)
    local = Hints(torch.full((2, 2, 32, 32), 30.0), torch.ones(2, 1, 32, 32))
    assert torch.equal(guided(x, Guidance(hints=local, statistics=Statistics())), guided(x, local))
    assert not torch.equal(guided(x, local), plain)


@torch.no_grad()
def test_statistics_are_those_of_the_picture(guided):
    ab = torch.tensor([20.0, 30.0])[None, :, None, None].expand(1, 2, 32, 32)
    statistics = guided.statistics(torch.full((1, 1, 32, 32), 50.0), ab)
    centres = guided.histogram_bins.centres
    assert centres[statistics.histogram.argmax()].tolist() == [20.0, 30.0]
    assert torch.allclose(statistics.histogram.sum(1), torch.ones(1), atol=1e-5)
    assert (statistics.saturation > 0.2).all()  # a brown


@torch.no_grad()
def test_unknown_statistics_may_differ_picture_by_picture(guided):
    x = luminance(2)
    statistics = guided.statistics(x, chroma(2))
    half = statistics.saturation.clone()
    half[1] = float("nan")
    mixed = guided(x, Statistics(saturation=half))
    assert torch.allclose(mixed[0], guided(x, Statistics(saturation=statistics.saturation))[0])
    assert torch.allclose(mixed[1], guided(x)[1], atol=1e-4)


def test_global_training_reveals_both_either_or_neither(guided):
    torch.manual_seed(0)
    drawn = copy.deepcopy(guided).train().simulate(luminance(64, 8), chroma(64, 8)).statistics
    shown = torch.stack([~drawn.histogram.isnan().any(1), ~drawn.saturation.isnan()[:, 0]])
    assert {tuple(pair) for pair in shown.T.tolist()} == {
        (False, False), (False, True), (True, False), (True, True),
    }  # fmt: skip


def test_evaluation_shows_all_statistics_and_the_same_hints_whatever_the_batch(guided):
    x, ab = luminance(3), chroma(3)
    shown, alone = guided.simulate(x, ab), guided.simulate(x[1:2], ab[1:2])
    assert not shown.statistics.histogram.isnan().any()
    assert not shown.statistics.saturation.isnan().any()
    assert torch.equal(shown.hints.ab[1:2], alone.hints.ab)
    assert torch.equal(shown.statistics.histogram[1:2], alone.statistics.histogram)


def test_every_parameter_of_the_global_branch_is_trained():
    torch.manual_seed(0)
    model = SIGGRAPH17(global_hints=True).train()
    torch.stack(list(model.loss(luminance(4), chroma(4)).values())).sum().backward()
    # The convolutions' biases stand before batch normalization but behind a ReLU: no zeros here.
    assert all(p.grad.any() for p in model.network.global_branch.parameters())


def test_guidance_that_does_not_fit_is_refused(model, guided):
    x = luminance(2)
    with pytest.raises(ValueError, match=r"mask \(2, 1, 32, 32\), got \(1, 1, 32, 32\)"):
        model(x, empty_hints(1))
    with pytest.raises(ValueError, match=r"mask \(2, 1, 32, 32\), got \(2, 1, 16, 16\)"):
        model(x, empty_hints(2, 16))
    with pytest.raises(TypeError, match=r"takes no statistics.*global_hints=True"):
        model(x, Statistics())
    with pytest.raises(ValueError, match=r"histogram must be \(B, 313\)"):
        guided(x, Statistics(histogram=torch.zeros(2, 529)))
    with pytest.raises(ValueError, match="saturation is for 1 pictures"):
        guided(x, Statistics(saturation=torch.zeros(1, 1)))
    with pytest.raises(ValueError, match="global_hints=True"):
        model.statistics(x, chroma(2))


@pytest.mark.parametrize(
    "wrong",
    [{"stage": "C"}, {"hint_stop": 0.0}, {"mask_offset": 0.5}, {"regression": "l2"},
     {"reveal_all": 2.0}],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SIGGRAPH17(**wrong)
