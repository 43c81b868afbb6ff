import numpy as np
import pytest
import skimage.color
import skimage.metrics
import torch
import torchvision
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.image import FrechetInceptionDistance, LearnedPerceptualImagePatchSimilarity

from deepcolor.color import lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.metrics import (
    CIEDE2000,
    FID,
    GREY_CHROMA,
    LPIPS,
    PSNR,
    SSIM,
    AbAuC,
    AlexNetDistance,
    BinAccuracy,
    Colourfulness,
    ColourfulnessDelta,
    FrozenClassifier,
    GreyShare,
    HueInvariantFID,
    Recognisability,
    ciede2000,
    colourfulness,
    grey_share,
    match_colourfulness,
    psnr,
)
from deepcolor.quantize import AbQuantizer

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


def test_large_pictures_are_measured_in_strips_to_the_same_figures(photograph, monkeypatch):
    rgb = as_rgb(photograph)
    pair = torch.cat([greyed(rgb), rgb]), torch.cat([rgb, rgb.flip(1)])

    def figures() -> list[float]:
        area, difference, similarity = AbAuC(), CIEDE2000(), SSIM()
        for metric in (area, difference, similarity):
            metric.update(*pair)
        single = [float(metric.compute()) for metric in (difference, similarity)]
        return [*map(float, area.compute().values()), *single]

    want = figures()
    monkeypatch.setattr("deepcolor.metrics.difference.STRIP", 3000)
    monkeypatch.setattr("deepcolor.metrics.fidelity.SSIM_STRIP", 3000)
    assert figures() == pytest.approx(want, rel=1e-6)
    with pytest.raises(ValueError, match=r"pictures differ: .*256\) and .*255\)"):
        AbAuC().update(rgb, rgb[..., 1:])


def test_psnr_of_one_grey_level_is_48_13_db():
    truth = torch.full((2, 3, 4, 4), 0.5)
    assert psnr(truth + 1 / 255, truth).tolist() == pytest.approx([48.1308] * 2, abs=1e-3)
    assert torch.isinf(psnr(truth, truth)).all()


def as_array(rgb: torch.Tensor) -> np.ndarray:
    return rgb[0].permute(1, 2, 0).numpy()


def test_psnr_agrees_with_scikit_image_and_averages_pictures(photograph):
    rgb = as_rgb(photograph)
    grey = greyed(rgb)
    want = skimage.metrics.peak_signal_noise_ratio(as_array(rgb), as_array(grey), data_range=1)
    assert float(psnr(grey, rgb)) == pytest.approx(want, abs=1e-4)
    metric = PSNR()
    metric.update(grey, rgb)
    metric.update(rgb[..., :90] * 0.9, rgb[..., :90])  # of another size: counts as one, too
    other = float(psnr(rgb[..., :90] * 0.9, rgb[..., :90]))
    assert float(metric.compute()) == pytest.approx((want + other) / 2, abs=1e-4)


def test_ssim_agrees_with_scikit_image(photograph):
    rgb = as_rgb(photograph)
    grey = greyed(rgb)
    metric = SSIM()
    metric.update(grey, rgb)
    want = skimage.metrics.structural_similarity(
        as_array(grey), as_array(rgb), data_range=1, channel_axis=2,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert float(metric.compute()) == pytest.approx(want, abs=2e-5)


def test_ssim_and_lpips_refuse_pictures_smaller_than_their_windows():
    tiny = torch.rand(1, 3, 10, 40)
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, got 40 x 10"):
        SSIM().update(tiny, tiny)
    with pytest.raises(ValueError, match="at least 64 x 64"):
        LPIPS(AlexNetDistance()).update(tiny, tiny)


def test_lpips_agrees_with_torchmetrics_on_the_same_alexnet(photograph, monkeypatch):
    alexnet = torchvision.models.alexnet(weights=None)
    monkeypatch.setattr(torchvision.models, "alexnet", lambda weights: alexnet)
    reference = LearnedPerceptualImagePatchSimilarity("alex", normalize=True)
    metric = LPIPS(AlexNetDistance(alexnet.state_dict()))
    rgb = as_rgb(photograph)
    pairs = [(greyed(rgb), rgb), (rgb.flip(-1), rgb)]
    for pair in pairs:
        metric.update(*pair)
        reference.update(*pair)
    assert float(metric.compute()) == pytest.approx(float(reference.compute()), rel=1e-4)
    assert float(metric.compute()) > 1e-4  # random kernels see the difference as well
    same = LPIPS(AlexNetDistance(alexnet.state_dict()))
    same.update(rgb, rgb)
    assert float(same.compute()) == 0


def test_lpips_refuses_the_weights_of_another_network():
    with pytest.raises(ValueError, match="no weights of torchvision's AlexNet"):
        AlexNetDistance({"features.0.weight": torch.zeros(3)})


class Averages(nn.Module):
    """Twelve features: means over a 2 x 2 grid."""

    num_features = 12

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(rgb, 2).flatten(1)


def pictures(count: int, seed: int) -> torch.Tensor:
    noise = torch.rand(count, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    return (noise + 0.1 * seed) / 1.5


def test_fid_agrees_with_torchmetrics_and_with_the_formula():
    coloured, true = pictures(40, 1), pictures(40, 2)
    metric, reference = FID(Averages()), FrechetInceptionDistance(Averages())
    for part in (slice(0, 15), slice(15, 40)):
        metric.update(coloured[part], true[part])
        reference.update(coloured[part], real=False)
        reference.update(true[part], real=True)
    one, other = (Averages()(x).double().numpy() for x in (coloured, true))
    c1, c2 = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    means = np.square(one.mean(0) - other.mean(0)).sum()
    want = means + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert float(metric.compute()) == pytest.approx(want, rel=1e-4)
    assert float(metric.compute()) == pytest.approx(float(reference.compute()), rel=1e-3)
    metric.reset()
    metric.update(true, true)
    assert float(metric.compute()) == pytest.approx(0, abs=1e-6)


def test_fid_of_fewer_pictures_than_features_is_finite_and_of_one_is_refused():
    metric = FID(Averages())
    metric.update(pictures(1, 1), pictures(1, 2))
    with pytest.raises(ValueError, match="at least two pictures, it saw 1"):
        metric.compute()
    metric.update(pictures(2, 3), pictures(2, 4))
    assert 0 < float(metric.compute()) < 10


def test_hue_invariant_fid_forgives_saturation_and_nothing_else(photograph):
    rgb = as_rgb(photograph)
    crops = torch.cat([rgb[..., i : i + 128, j : j + 128] for i in (0, 128) for j in (0, 64, 128)])
    lab = rgb_to_lab(crops)
    lab[:, 1:] *= 0.6
    dull = lab_to_rgb(lab)
    lab[:, 1:] = -lab[:, 1:]
    wrong = lab_to_rgb(lab).clamp(0, 1)

    def distances(coloured):
        both = FID(Averages()), HueInvariantFID(Averages())
        for metric in both:
            metric.update(coloured, crops)
        return [float(metric.compute()) for metric in both]

    plain, invariant = distances(dull)
    assert invariant < plain / 50
    assert distances(wrong)[1] > plain


def test_matching_colourfulness_reaches_the_truths_and_moves_chroma_only(photograph):
    truth = as_rgb(photograph)
    lab = rgb_to_lab(truth)
    lab[:, 1:] *= 0.5
    dull = lab_to_rgb(lab)
    matched = match_colourfulness(dull, truth)
    assert float(colourfulness(matched)) == pytest.approx(float(colourfulness(truth)), rel=2e-3)
    assert (rgb_to_lab(matched)[:, 0] - lab[:, 0]).abs().max() < 0.05
    vivid = match_colourfulness(truth, dull)
    assert float(colourfulness(vivid)) == pytest.approx(float(colourfulness(dull)), rel=2e-3)


def test_matching_cannot_colour_a_grey_picture(photograph):
    truth = as_rgb(photograph)
    matched = match_colourfulness(greyed(truth), truth)
    assert torch.isfinite(matched).all()
    assert float(colourfulness(matched)) < 3  # rounding errors, multiplied


def test_colourfulness_delta_is_between_the_means_of_sets():
    coloured, true = pictures(5, 1), pictures(5, 2)
    for absolute in (False, True):
        metric = ColourfulnessDelta(absolute)
        metric.update(coloured, true)
        means = [float(colourfulness(x, absolute=absolute).mean()) for x in (coloured, true)]
        assert float(metric.compute()) == pytest.approx(abs(means[0] - means[1]), rel=1e-4)


def test_grey_share_counts_pixels_of_little_chroma(photograph):
    rgb = as_rgb(photograph)
    chroma = np.hypot(*np.moveaxis(skimage.color.rgb2lab(photograph), -1, 0)[1:])
    want = (chroma < GREY_CHROMA).mean()
    assert 0 < want < 1
    assert float(grey_share(rgb)) == pytest.approx(want, abs=1e-3)  # pixels next to the border
    metric = GreyShare()
    metric.update(rgb)
    metric.update(greyed(rgb)[..., :50])
    assert float(metric.compute()) == pytest.approx((want + 1) / 2, abs=1e-3)


def test_bin_accuracy_finds_the_true_bin_among_the_likeliest(photograph):
    quantizer = AbQuantizer.gamut313()
    _, ab = split_lab(rgb_to_lab(as_rgb(photograph)))
    small = ab.unflatten(2, (64, 4)).unflatten(4, (64, 4)).mean(dim=(3, 5))
    centres = quantizer.centres.numpy()
    distance = np.linalg.norm(small[0].permute(1, 2, 0).numpy()[:, :, None] - centres, axis=-1)
    true = distance.argmin(-1)  # (64, 64), by brute force
    logits = torch.randn(1, 313, 64, 64)
    logits[0, :, :16].scatter_(0, torch.from_numpy(true[:16])[None], 50.0)  # right in a quarter
    metric = BinAccuracy(quantizer)
    metric.update(logits, ab)
    order = logits[0].argsort(dim=0, descending=True).numpy()
    want = {f"top{k}": 100 * (order[:k] == true).any(0).mean() for k in (1, 5)}
    figures = {key: float(value) for key, value in metric.compute().items()}
    assert figures == pytest.approx(want, abs=0.05)  # ties between two bins
    assert 25 <= figures["top1"] < figures["top5"] < 35


class Brightest(nn.Module):
    """Says which channel is brightest in the middle of what it is shown."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-2:] == (32, 32)
        return x.mean(dim=(2, 3))


def test_recognisability_is_the_share_of_right_answers():
    classifier = FrozenClassifier(Brightest(), 32, 40, (0.5,) * 3, (0.5,) * 3)
    rgb = torch.zeros(3, 3, 50, 90)
    for channel in range(3):
        rgb[channel, channel] = 0.8
    metric = Recognisability(classifier)
    assert metric.classes(rgb).tolist() == [0, 1, 2]
    metric.update(rgb, torch.tensor([0, 1, 1]))
    assert float(metric.compute()) == pytest.approx(200 / 3)


def test_the_classifier_sees_the_middle_at_its_size():
    seen = []

    class Keep(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.mean(dim=(2, 3))

    classifier = FrozenClassifier(Keep(), 224, 256, (0.5,) * 3, (0.5,) * 3)
    ramp = torch.linspace(0, 1, 400).expand(1, 3, 256, 400)
    classifier(ramp)
    want = (2 * ramp - 1)[..., 16:240, 88:312]  # 256 is its short side: nothing is resized
    assert torch.allclose(seen[0], want, atol=1e-5)
    assert not classifier.train().training
