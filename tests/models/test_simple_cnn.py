from itertools import combinations

import pytest
import torch
from torch import nn

from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.models.simple_cnn import SimpleCNN


@pytest.mark.parametrize(("inputs", "count"), [(3, 3_279), (1, 3_063)])
def test_parameters(inputs, count):
    assert sum(p.numel() for p in SimpleCNN(inputs=inputs).network.parameters()) == count


@torch.no_grad()
def test_sizes_shrink_and_grow_as_in_the_report():
    x, sides = torch.zeros(1, 3, 224, 224), []
    for layer in SimpleCNN().network.layers:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            sides.append(tuple(x.shape[1:]))
    assert sides == [(12, 222, 222), (12, 220, 220), (12, 222, 222), (3, 224, 224)]


def test_biases_start_uniform_within_a_twentieth():
    torch.manual_seed(0)
    biases = torch.cat([p for k, p in SimpleCNN().network.named_parameters() if "bias" in k])
    assert 0.03 < biases.abs().max() <= 0.05
    assert biases.detach().std().item() == pytest.approx(0.1 / 12**0.5, rel=0.3)


@pytest.mark.parametrize(("last", "kind"), [("relu", nn.ReLU), ("tanh", nn.Tanh)])
def test_the_last_activation_is_chosen(last, kind):
    assert isinstance(SimpleCNN(last=last).network.layers[-1], kind)


@torch.no_grad()
def test_grey_is_l_as_a_byte_scaled_to_one():
    model, seen = SimpleCNN().eval(), []
    model.network.layers.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(torch.tensor([0.0, 50, 100]).repeat(8, 3)[None, None, :, :8])
    assert seen[0].shape == (1, 3, 8, 8)
    assert seen[0][0, :, 0, :3].tolist() == [[-1, 0, 1]] * 3


def test_targets_are_rgb_and_decode_to_the_same_ab():
    rgb = torch.rand(2, 3, 16, 16)
    luminance, ab = split_lab(rgb_to_lab(rgb))
    model = SimpleCNN()
    target = model.encode_target(luminance, ab)
    assert (target - (2 * rgb - 1)).abs().max() < 1e-3
    assert (model.decode(target, luminance) - ab).abs().max() < 0.05


@torch.no_grad()
def test_outputs_beyond_rgb_are_clipped():
    ab = SimpleCNN().decode(torch.randn(1, 3, 8, 8) * 10, torch.full((1, 1, 8, 8), 50.0))
    assert torch.isfinite(ab).all()
    assert ab.abs().max() < 110


def test_the_literal_relu_cannot_reach_dark_targets_and_tanh_can(photograph):
    """The report's loss stands still at .33: a floor that no training removes."""
    rgb = torch.from_numpy(photograph[::4, ::4].copy()).permute(2, 0, 1)[None] / 255
    luminance, ab = split_lab(rgb_to_lab(rgb))
    floor = (2 * rgb - 1).clamp(max=0).square().mean()  # of any output that is not negative
    final = {}
    for last in ("relu", "tanh"):
        torch.manual_seed(0)
        model = SimpleCNN(last=last)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(150):
            loss = model.loss(luminance, ab)["mse"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        final[last] = float(loss.detach())
    assert final["relu"] > floor > 0.1
    assert final["tanh"] < 0.05


@torch.no_grad()
def test_the_pairwise_loss_is_that_of_all_pairs_of_values():
    model = SimpleCNN(regression="pairwise").eval()
    luminance, ab = split_lab(rgb_to_lab(torch.rand(2, 3, 5, 6)))
    output = torch.randn(2, 3, 5, 6)
    want = 0.0
    for have, truth in zip(output, model.encode_target(luminance, ab), strict=True):
        pairs = [
            ((a - b) - (c - d)).square()
            for (a, c), (b, d) in combinations(zip(have.flatten(), truth.flatten(), strict=True), 2)
        ]
        want += float(sum(pairs)) / len(pairs) / 2
    loss = model.regression_loss(output, luminance, ab)
    assert float(loss["pairwise"]) == pytest.approx(want, rel=1e-4)
    lighter = model.regression_loss(output + 0.3, luminance, ab)["pairwise"]
    assert torch.allclose(lighter, loss["pairwise"], rtol=1e-4)
    terms = model.loss(torch.full((1, 1, 8, 8), 50.0), torch.zeros(1, 2, 8, 8))
    assert set(terms) == {"pairwise"}


@pytest.mark.parametrize("wrong", [{"last": "sigmoid"}, {"inputs": 2}, {"regression": "l1"}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimpleCNN(**wrong)
