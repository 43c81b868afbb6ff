import pytest
import torch

from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.quantize import AbQuantizer
from deepcolor.rebalance import AbPrior, rebalancing_weights, smooth_prior


def random_prior() -> torch.Tensor:
    prior = torch.rand(313) ** 8
    return prior / prior.sum()


def photograph_ab(photograph) -> torch.Tensor:
    rgb = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None] / 255
    return split_lab(rgb_to_lab(rgb))[1]


@pytest.mark.parametrize("mix", [0, 0.1, 0.5, 0.9, 1])
def test_weights_average_to_one_under_the_prior(mix):
    prior = random_prior()
    weights = rebalancing_weights(prior, mix)
    assert float((prior * weights).sum()) == pytest.approx(1, abs=1e-5)
    assert (weights > 0).all()


def test_mix_1_weighs_all_bins_alike():
    assert torch.allclose(rebalancing_weights(random_prior(), mix=1), torch.ones(313), atol=1e-6)


def test_weights_follow_equation_4():
    prior = random_prior()
    want = 1 / (0.5 * prior + 0.5 / 313)
    have = rebalancing_weights(prior)
    assert torch.allclose(have / have[0], want / want[0], rtol=1e-4)


def test_rarer_colours_weigh_more_and_never_infinitely():
    prior = torch.zeros(313)
    prior[:3] = torch.tensor([0.7, 0.2, 0.1])
    weights = rebalancing_weights(prior, mix=0)
    assert weights[0] < weights[1] < weights[2] < weights[3]
    assert torch.isfinite(weights).all()


def test_prior_of_a_photograph_peaks_at_grey(photograph):
    quantizer = AbQuantizer.gamut313()
    prior = AbPrior.of(quantizer, [photograph_ab(photograph)])
    assert quantizer.centres[prior.argmax()].tolist() == [0, 0]
    assert 0.15 < prior.max() < 0.4
    assert float(prior.sum()) == pytest.approx(1, abs=1e-5)


def test_prior_does_not_depend_on_batching(photograph):
    quantizer = AbQuantizer.gamut313()
    ab = photograph_ab(photograph)
    halves = AbPrior.of(quantizer, [ab[..., :100], ab[..., 100:]])
    assert torch.allclose(halves, AbPrior.of(quantizer, [ab]), atol=1e-7)


def test_smoothing_spreads_one_bin_like_the_gaussian():
    quantizer = AbQuantizer.gamut313()
    counts = torch.zeros(313)
    middle = int(quantizer.hard_encode(torch.zeros(1, 2, 1, 1)))
    counts[middle] = 7
    smoothed = smooth_prior(counts, quantizer)
    assert float(smoothed.sum()) == pytest.approx(1, abs=1e-5)
    right = int(quantizer.hard_encode(torch.tensor([10.0, 0]).reshape(1, 2, 1, 1)))
    ratio = float(smoothed[right] / smoothed[middle])
    assert ratio == pytest.approx(torch.exp(torch.tensor(-100 / 50)).item(), rel=1e-4)


def test_bad_priors_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        rebalancing_weights(torch.ones(313))
    with pytest.raises(ValueError, match="mix"):
        rebalancing_weights(random_prior(), mix=1.2)
    with pytest.raises(ValueError, match="no pixel"):
        AbPrior(AbQuantizer.gamut313()).compute()
    with pytest.raises(ValueError, match="313"):
        smooth_prior(torch.ones(312), AbQuantizer.gamut313())
