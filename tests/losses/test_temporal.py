"""The temporal loss, by hand."""

import math

import pytest
import torch

from deepcolor.losses import temporal_loss
from deepcolor.losses.temporal import warped


def constant(*values: float, side: int = 2) -> torch.Tensor:
    return torch.tensor(values)[None, :, None, None].expand(1, len(values), side, side).clone()


def test_a_change_where_nothing_else_changed_costs_its_square():
    grey = constant(50.0)
    assert temporal_loss(constant(3.0, 4.0), constant(0.0, 0.0), grey, grey) == pytest.approx(25)
    assert temporal_loss(constant(3.0, 4.0), constant(3.0, 4.0), grey, grey) == 0


def test_a_change_of_luminance_excuses_a_change_of_colour():
    # 5 of L are one deviation: exp(-1/2)
    loss = temporal_loss(constant(3.0, 4.0), constant(0.0, 0.0), constant(50.0), constant(55.0))
    assert loss == pytest.approx(25 * math.exp(-0.5), rel=1e-5)
    cut = temporal_loss(constant(3.0, 4.0), constant(0.0, 0.0), constant(10.0), constant(90.0))
    assert cut == pytest.approx(0, abs=1e-6)


def test_what_was_hidden_costs_nothing():
    visible = torch.tensor([[[[1, 0], [0, 0]]]], dtype=torch.uint8)
    grey = constant(50.0)
    loss = temporal_loss(constant(3.0, 4.0), constant(0.0, 0.0), grey, grey, visible=visible)
    assert loss == pytest.approx(25 / 4)


def test_colours_that_move_with_things_cost_nothing():
    before = torch.zeros(1, 2, 3, 4)
    before[0, :, 1, 1] = 10  # a coloured square, which goes one place to the right
    now = before.roll(1, dims=3)
    grey = torch.full((1, 1, 3, 4), 50.0)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0] = -1
    assert temporal_loss(now, before, grey, grey, flow) == pytest.approx(0, abs=1e-6)
    assert temporal_loss(now, before, grey, grey) == pytest.approx(2 * 200 / 12)


def test_warping_follows_the_flow_and_says_what_it_does_not_know():
    before = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0], flow[:, 1] = 1, -1  # was to the right, and above
    moved, known = warped(before, flow)
    want = torch.tensor([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    assert torch.allclose(moved[0, 0, 1:, :3], want, atol=1e-5)
    assert known[0, 0].tolist() == [[False] * 4, [True] * 3 + [False], [True] * 3 + [False]]


def test_halves_of_a_place_are_interpolated():
    before = torch.tensor([[[[0.0, 10.0, 30.0]]]])
    flow = torch.zeros(1, 2, 1, 3)
    flow[:, 0] = 0.5
    moved, known = warped(before, flow)
    assert moved[0, 0, 0, :2].tolist() == pytest.approx([5, 20])
    assert known[0, 0, 0].tolist() == [True, True, False]


def test_gradients_reach_both_frames():
    now, before = (torch.rand(1, 2, 4, 4, requires_grad=True) for _ in range(2))
    grey = torch.full((1, 1, 4, 4), 50.0)
    temporal_loss(now, before, grey, grey, torch.zeros(1, 2, 4, 4)).backward()
    assert now.grad is not None
    assert torch.allclose(now.grad, -before.grad, atol=1e-6)


def test_shapes_that_do_not_fit_are_named():
    grey = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"\(1, 2, 4, 4\), \(1, 2, 4, 5\)"):
        temporal_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 5), grey, grey)
    ab = torch.zeros(1, 2, 4, 4)
    with pytest.raises(ValueError, match=r"flow for \(1, 3, 4, 4\) must be \(1, 2, 4, 4\)"):
        temporal_loss(ab, ab, grey, grey, torch.zeros(1, 2, 2, 2))
