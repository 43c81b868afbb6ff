import copy

import pytest
import torch
from torch import nn

from deepcolor.blocks.normed import Enlarge, SpectralConv, WeightNormConv


def hooked(ours: SpectralConv, kind: type[nn.Module], kernel: int) -> nn.Module:
    """The same layer by torch's own hook, in its state."""
    outputs, inputs = ours.weight_orig.shape[:2]
    theirs = kind(inputs, outputs, kernel, padding=kernel // 2, bias=ours.bias is not None)
    theirs = nn.utils.spectral_norm(theirs)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return theirs


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("dimensions", "kind", "shape"), [(1, nn.Conv1d, (2, 5, 9)), (2, nn.Conv2d, (2, 5, 6, 7))]
)
def test_spectral_norm_is_torchs_in_state_answers_and_gradients(dimensions, kind, shape, bias):
    ours = SpectralConv(5, 8, 3, bias=bias, dimensions=dimensions)
    theirs = hooked(ours, kind, 3)
    x = torch.randn(shape)
    for mode in (True, True, False):  # twice in training: the power iteration goes on
        ours.train(mode)
        theirs.train(mode)
        mine, other = ours(x), theirs(x)
        assert torch.allclose(mine, other, atol=1e-6)
        mine.square().sum().backward()
        other.square().sum().backward()
        assert torch.allclose(ours.weight_orig.grad, theirs.weight_orig.grad, atol=1e-4)
    for key, value in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[key], value, atol=1e-6), key


def test_no_answer_is_longer_than_its_input_allows():
    layer = SpectralConv(16, 32).eval()
    largest = torch.linalg.matrix_norm(layer.kernel().flatten(1), ord=2)
    assert float(largest.detach()) == pytest.approx(1, abs=0.05)


def test_evaluation_leaves_the_state_alone():
    layer = SpectralConv(3, 4).eval()
    before = copy.deepcopy(layer.state_dict())
    layer(torch.randn(1, 3, 4, 4))
    assert all(torch.equal(layer.state_dict()[key], value) for key, value in before.items())


def test_layers_can_be_copied_in_the_middle_of_training():
    for layer in (SpectralConv(3, 4), WeightNormConv(3, 4)):
        answer = layer(torch.randn(1, 3, 4, 4))
        copy.deepcopy(layer)
        answer.sum().backward()


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_weight_norm_is_torchs_in_state_and_answers():
    ours = WeightNormConv(3, 5)
    with torch.no_grad():
        ours.weight_g.uniform_(0.5, 2)
        ours.bias.normal_()
    theirs = nn.utils.weight_norm(nn.Conv2d(3, 5, 1))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 3, 4, 4)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


@torch.no_grad()
def test_shuffling_first_repeats_each_pixel():
    """All four places of a pixel are the same at first (Aitken et al. 2017)."""
    conv = SpectralConv(3, 8, shuffle=2).eval()
    large = nn.functional.pixel_shuffle(conv(torch.randn(1, 3, 4, 5)), 2)
    assert torch.equal(large[..., ::2, ::2], large[..., 1::2, 1::2])


@torch.no_grad()
def test_the_blur_is_over_a_pixel_and_those_above_and_left_of_it():
    layer = Enlarge(nn.Sequential(nn.Identity()), 2)
    x = torch.rand(1, 4, 2, 3)
    large = nn.functional.pixel_shuffle(x, 2)[0, 0]  # (4, 6)
    blurred = layer(x.clone())[0, 0]
    assert blurred.shape == large.shape
    for row, column in ((0, 0), (0, 3), (2, 0), (3, 5)):
        above, left = max(row - 1, 0), max(column - 1, 0)
        mean = large[[above, above, row, row], [left, column, left, column]].mean()
        assert blurred[row, column] == pytest.approx(float(mean), abs=1e-6)
