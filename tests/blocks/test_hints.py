import functools
import operator

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from deepcolor.blocks import hints as hints_module
from deepcolor.blocks.hints import KERNELS, NOISE, HintSpread
from deepcolor.guidance import Hints
from deepcolor.quantize import AbQuantizer

SIDES = (12, 20)  # squares
SQUARE = 4  # pixels


def hints_at(batch: int, *places: tuple[int, int], ab=(60.0, -40.0), picture: int = 0) -> Hints:
    """Hints of one colour that fill squares of one picture."""
    mask = torch.zeros(batch, 1, SIDES[0] * SQUARE, SIDES[1] * SQUARE)
    for row, column in places:
        block = (slice(row * SQUARE, (row + 1) * SQUARE), slice(column * SQUARE, None))
        mask[picture, 0][block][:, :SQUARE] = 1
    return Hints(mask * torch.tensor(ab).view(1, 2, 1, 1), mask)


def scene(batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """A predicted ab, and a dark half beside a light one."""
    ab = 10 * torch.randn(batch, 2, *SIDES)
    luminance = torch.full((batch, 1, *SIDES), 30.0)
    luminance[..., SIDES[1] // 2 :] = 80
    return ab, luminance


@torch.no_grad()
def test_without_hints_nothing_changes_to_the_bit():
    spread = HintSpread(5)
    ab, luminance = scene(2)
    places = spread.places(luminance, torch.randn(2, 5, *SIDES))
    assert torch.equal(spread(ab, hints_at(2), places), ab)
    one = spread(ab, hints_at(2, (3, 3), picture=1), places)
    assert torch.equal(one[0], ab[0])
    assert not torch.equal(one[1], ab[1])


@torch.no_grad()
def test_it_is_gaussian_process_regression_of_the_errors():
    """Mean and variance as scikit-learn has them."""
    spread = HintSpread()
    ab, luminance = scene()
    hints = hints_at(1, (2, 3), (9, 4), (5, 15))
    rows, columns = np.mgrid[: SIDES[0], : SIDES[1]] / np.sqrt(SIDES[0] * SIDES[1])
    points = np.stack([rows, columns, luminance[0, 0].numpy()], -1).reshape(-1, 3)
    parts = [ConstantKernel(w) * RBF([p, p, light]) for w, p, light in KERNELS]
    kernel = functools.reduce(operator.add, parts)
    index = [2 * SIDES[1] + 3, 9 * SIDES[1] + 4, 5 * SIDES[1] + 15]
    errors = (torch.tensor([60.0, -40.0]) - ab[0].flatten(1).T[index]).numpy()
    reference = GaussianProcessRegressor(kernel, alpha=NOISE, optimizer=None)
    mean, deviation = reference.fit(points[index], errors).predict(points, return_std=True)
    places = spread.places(luminance)
    added = (spread(ab, hints, places) - ab)[0].flatten(1).T
    assert np.allclose(added.numpy(), mean, atol=0.02)  # float32, keys of up to 8 widths
    left = spread.unexplained(SIDES, hints, places).flatten()
    assert np.allclose(left.numpy(), deviation[:, 0] ** 2 / sum(w for w, *_ in KERNELS), atol=1e-3)


@torch.no_grad()
def test_a_hint_is_met_and_reaches_like_places_most():
    spread = HintSpread()
    _, luminance = scene()
    ab = torch.zeros(1, 2, *SIDES)
    result = spread(ab, hints_at(1, (6, 5)), spread.places(luminance))[0, 0]
    assert 0.9 * 60 < result[6, 5] <= 60
    assert result[6, 5] == result.max()
    assert result[6, 8] > 2 * result[6, 11]  # as light; and, beyond the edge, lighter
    assert result[6, 0] > 0


@torch.no_grad()
def test_hints_that_say_the_same_count_once():
    spread = HintSpread()
    _, luminance = scene()
    ab = torch.zeros(1, 2, *SIDES)
    places = spread.places(luminance)
    one = spread(ab, hints_at(1, (6, 5)), places)
    nine = spread(ab, hints_at(1, *((r, c) for r in (5, 6, 7) for c in (4, 5, 6))), places)
    assert nine.abs().max() <= 62  # not nine times as much, nor beyond the colour told
    assert nine[0, 0, 0, 0] < 2 * one[0, 0, 0, 0]


@torch.no_grad()
def test_a_weak_hint_is_heeded_less():
    spread = HintSpread()
    ab, luminance = torch.zeros(1, 2, *SIDES), scene()[1]
    strong = hints_at(1, (6, 5))
    weak = Hints(strong.ab, 0.1 * strong.mask)
    places = spread.places(luminance)
    assert 5 < spread(ab, weak, places)[0, 0, 6, 5] < spread(ab, strong, places)[0, 0, 6, 5] - 5


@torch.no_grad()
def test_of_very_many_hints_none_is_lost(monkeypatch):
    monkeypatch.setattr(hints_module, "MOST", 50)
    monkeypatch.setattr(hints_module, "ROWS", 37)
    spread = HintSpread()
    ab, luminance = scene()
    truth = 30 * torch.randn(1, 2, *SIDES)
    hints = Hints(truth, torch.ones(1, 1, *SIDES))
    assert (spread(ab, hints, spread.places(luminance)) - truth).abs().max() < 1e-4


def test_features_learn_what_is_alike():
    """Two objects of one lightness; the features tell them apart, the start does not know."""
    spread = HintSpread(2)
    luminance = torch.full((1, 1, *SIDES), 50.0)
    which = torch.zeros(1, 2, *SIDES)
    which[:, 0, ::2], which[:, 1, 1::2] = 1, 1  # rows in turn
    truth = 40 * (which[:, :1] - which[:, 1:]).expand(-1, 2, -1, -1)
    mask = torch.zeros(1, 1, *SIDES)
    mask[..., 4, 3], mask[..., 7, 15] = 1, 1
    hints = Hints(truth * mask, mask)
    optimizer = torch.optim.Adam(spread.parameters(), 0.05)
    losses = []
    for _ in range(60):
        result = spread(torch.zeros_like(truth), hints, spread.places(luminance, which))
        loss = (result - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


@torch.no_grad()
def test_what_is_likely_narrows_at_a_hint_and_only_where_it_reaches():
    spread = HintSpread()
    _, luminance = scene()
    centres = AbQuantizer.gamut313().centres
    probability = torch.softmax(torch.randn(1, 313, *SIDES), dim=1)
    places = spread.places(luminance)
    same = spread.condition(probability, centres, hints_at(1), places)
    assert torch.allclose(same, probability, atol=1e-6)
    known = spread.condition(probability, centres, hints_at(1, (6, 2)), places)
    assert torch.allclose(known.sum(dim=1), torch.ones(1, *SIDES), atol=1e-5)
    before, after = (torch.special.entr(p).sum(dim=1)[0] for p in (probability, known))
    assert after[6, 2] < before[6, 2] - 2
    assert after[0, 19] == pytest.approx(float(before[0, 19]), abs=0.3)
    mean = torch.einsum("bqhw,qc->bchw", known, centres)[0, :, 6, 2]
    assert torch.allclose(mean, torch.tensor([60.0, -40.0]), atol=6)  # bins are 10 apart


@torch.no_grad()
def test_autocast_leaves_hints_in_full_precision():
    spread = HintSpread(5)
    ab, luminance = scene()
    features = torch.randn(1, 5, *SIDES)
    hints = hints_at(1, (3, 3), (8, 17))
    plain = spread(ab, hints, spread.places(luminance, features))
    with torch.autocast("cpu", torch.bfloat16):
        cast = spread(ab, hints, spread.places(luminance, features))
    assert torch.equal(cast, plain)
