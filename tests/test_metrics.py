import numpy as np
import pytest
import skimage.color
import torch

from deepcolor.color import lab_to_rgb, rgb_to_lab
from deepcolor.metrics import CIEDE2000, AbAuC, Colourfulness, ciede2000, colourfulness, psnr

# Pairs of Sharma, Wu and Dalal 2005, table 1: the discontinuities that implementations miss.
SHARMA = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
]


def as_rgb(photograph) -> torch.Tensor:
    return torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None] / 255


def greyed(rgb: torch.Tensor) -> torch.Tensor:
    lab = rgb_to_lab(rgb)
    lab[:, 1:] = 0
    return lab_to_rgb(lab)


@pytest.mark.parametrize(("one", "other", "difference"), SHARMA)
def test_ciede2000_gives_the_published_differences(one, other, difference):
    pair = [torch.tensor(c, dtype=torch.float64).reshape(3, 1, 1) for c in (one, other)]
    assert float(ciede2000(*pair)) == pytest.approx(difference, abs=1e-4)
    assert float(ciede2000(*pair[::-1])) == pytest.approx(difference, abs=1e-4)


def test_ciede2000_agrees_with_scikit_image():
    one, other = (rgb_to_lab(torch.rand(3, 100, 100)).double() for _ in range(2))
    want = skimage.color.deltaE_ciede2000(*(x.permute(1, 2, 0).numpy() for x in (one, other)))
    assert np.abs(ciede2000(one, other).numpy() - want).max() < 1e-3


def test_ciede2000_metric_pools_pixels(photograph):
    rgb = as_rgb(photograph)
    metric = CIEDE2000()
    metric.update(rgb, rgb)
    metric.update(greyed(rgb), rgb)
    want = ciede2000(rgb_to_lab(greyed(rgb)), rgb_to_lab(rgb)).mean() / 2
    assert float(metric.compute()) == pytest.approx(float(want), rel=1e-4)


def test_grey_has_no_colourfulness_and_the_variants_differ(photograph):
    rgb = as_rgb(photograph)
    assert float(colourfulness(greyed(rgb))) < 0.1
    signed, absolute = (float(colourfulness(rgb, absolute=flag)) for flag in (False, True))
    assert signed > 10
    assert signed != pytest.approx(absolute, rel=0.01)


def test_colourfulness_follows_its_formula(photograph):
    red, green, blue = photograph.reshape(-1, 3).astype(np.float64).T
    rg, yb = red - green, 0.5 * (red + green) - blue
    want = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert float(colourfulness(as_rgb(photograph))) == pytest.approx(want, rel=1e-5)
    metric = Colourfulness()
    metric.update(as_rgb(photograph))
    metric.update(torch.zeros(3, 3, 8, 8))
    assert float(metric.compute()) == pytest.approx(want / 4, rel=1e-5)


def test_auc_of_the_truth_is_100(photograph):
    metric = AbAuC()
    metric.update(as_rgb(photograph), as_rgb(photograph))
    figures = metric.compute()
    assert float(figures["auc"]) == pytest.approx(100)
    assert float(figures["auc_rebalanced"]) == pytest.approx(100)


def test_auc_follows_its_definition(photograph):
    rgb = as_rgb(photograph)
    grey = greyed(rgb)
    metric = AbAuC()
    metric.update(grey, rgb)
    error = (rgb_to_lab(grey)[:, 1:] - rgb_to_lab(rgb)[:, 1:]).norm(dim=1).flatten()
    accuracy = [float((error <= t).double().mean()) for t in range(151)]
    want = 100 * np.trapezoid(accuracy) / 150
    figures = metric.compute()
    assert float(figures["auc"]) == pytest.approx(want, abs=1e-3)
    assert figures["auc_rebalanced"] < figures["auc"]  # a photograph's greys are its commonest


def test_auc_pools_over_updates(photograph):
    rgb = as_rgb(photograph)
    grey = greyed(rgb)
    whole, parts = AbAuC(), AbAuC()
    whole.update(grey, rgb)
    for rows in (slice(0, 100), slice(100, None)):
        parts.update(grey[..., rows, :], rgb[..., rows, :])
    assert whole.compute() == parts.compute()


def test_psnr_of_one_grey_level_is_48_13_db():
    truth = torch.full((2, 3, 4, 4), 0.5)
    assert psnr(truth + 1 / 255, truth).tolist() == pytest.approx([48.1308] * 2, abs=1e-3)
    assert torch.isinf(psnr(truth, truth)).all()
