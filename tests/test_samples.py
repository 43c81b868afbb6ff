"""Samples, uncertainty and suggestions: what a predicted distribution is good for."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image

import deepcolor
from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.guidance import Hints
from deepcolor.inference import calls, painter, suggest
from deepcolor.losses.chroma import soft_cross_entropy
from deepcolor.models.combined import MirroredPrediction
from deepcolor.models.lite import Lite
from deepcolor.models.siggraph17 import SIGGRAPH17
from deepcolor.pixels import shrink

SAMPLES = 4


@pytest.fixture(scope="module")
def predictor(lite):
    return deepcolor.Predictor(lite, "cpu")


@pytest.fixture(scope="module")
def drawn(predictor, photograph):
    return predictor.samples(photograph, SAMPLES)


def ab_of(rgb: np.ndarray) -> np.ndarray:
    return skimage.color.rgb2lab(rgb)[..., 1:]


def roughness(ab: np.ndarray) -> float:
    """Mean change from a pixel to the next, over the spread of colours: vivid is not rough."""
    steps = np.abs(np.diff(ab, axis=0)).mean() + np.abs(np.diff(ab, axis=1)).mean()
    return float(steps / ab.std(axis=(0, 1)).mean())


def test_samples_are_distinct(drawn):
    assert len(drawn) == SAMPLES
    for i in range(SAMPLES):
        for j in range(i):
            apart = np.hypot(*np.moveaxis(ab_of(drawn[i]) - ab_of(drawn[j]), -1, 0)).mean()
            assert apart > 5  # CIELAB units; 2 can just be seen


def test_samples_repeat_by_seed(predictor, drawn, photograph):
    again = predictor.samples(photograph, 2)
    assert len(again) == 2
    # Not strict: fewer samples are the first of more.
    assert all(np.array_equal(a, b) for a, b in zip(again, drawn, strict=False))
    (other,) = predictor.samples(photograph, 1, seed=1)
    assert np.abs(ab_of(other) - ab_of(drawn[0])).mean() > 2


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_samples_are_coherent_and_plausible(predictor, lite, name):
    source = getattr(skimage.data, name)()
    photo = np.array(Image.fromarray(source).resize((192, 192)))
    calm = 0.38  # the paper's; the higher the temperature, the rougher the draws
    plain = predictor(photo, temperature=calm)
    samples = predictor.samples(photo, SAMPLES, temperature=calm)
    luminance, _ = split_lab(rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None] / 255))
    with torch.no_grad():
        logits = lite.core(luminance)

    def surprise(ab: np.ndarray) -> float:
        small = torch.nn.functional.avg_pool2d(torch.from_numpy(ab).permute(2, 0, 1)[None], 4)
        return float(soft_cross_entropy(logits, lite.quantizer.soft_encode(small.float())))

    # In the mean 0.9 to 1.2 times as rough; with noise of a quarter of the widths 1.3 and 1.5 on
    # two of the four, which fails. A single sample has up to 1.5.
    rough = [roughness(ab_of(sample)) for sample in samples]
    assert np.mean(rough) < 1.25 * roughness(ab_of(plain))
    assert max(rough) < 1.6 * roughness(ab_of(plain))
    for sample in samples:
        # nats; a colouring by chance is 3 to 5 worse
        assert surprise(ab_of(sample)) < surprise(ab_of(plain)) + 0.5


def test_samples_keep_lightness(drawn, photograph):
    want = skimage.color.rgb2lab(photograph)[..., 0]
    for sample in drawn:
        moved = np.abs(skimage.color.rgb2lab(sample)[..., 0] - want)
        assert moved.mean() <= 0.2
        assert moved.max() <= 1.0


def test_samples_come_back_in_the_kind_of_the_picture(predictor, photograph):
    rgba = np.dstack([photograph, photograph[..., :1]])[:60, :80]
    for result in predictor.samples(rgba, 2):
        assert np.array_equal(result[..., 3], rgba[..., 3])
    for result in predictor.samples(Image.fromarray(rgba), 2):
        assert result.mode == "RGBA"
        assert result.getchannel("A").tobytes() == rgba[..., 3].tobytes()
    batch = torch.from_numpy(photograph[:64, :64].copy()).permute(2, 0, 1)[None].repeat(3, 1, 1, 1)
    assert [tuple(r.shape) for r in predictor.samples(batch, 2)] == [(3, 3, 64, 64)] * 2
    assert [r.shape for r in predictor.samples(photograph[:0], 2)] == [(0, 256, 3)] * 2


def test_samples_leave_the_picture_given_as_it_was(predictor, photograph, tmp_path):
    Image.fromarray(photograph).save(tmp_path / "old.png")
    before = photograph.copy()
    from_file = predictor.samples(tmp_path / "old.png", 2)
    from_array = predictor.samples(photograph, 2)
    assert np.array_equal(photograph, before)
    for one, other in zip(from_file, from_array, strict=True):
        assert np.array_equal(np.asarray(one), other)


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_flips_and_sizes_are_averaged_of_the_same_draw(predictor, drawn, photograph, quality):
    """Averages of different draws would be alike and dull."""
    other = predictor.samples(photograph, 2, quality=quality)
    same = np.abs(ab_of(other[0]) - ab_of(drawn[0])).mean()
    assert same < 0.7 * np.abs(ab_of(drawn[1]) - ab_of(drawn[0])).mean()
    assert np.abs(ab_of(other[0]) - ab_of(other[1])).mean() > 3


@torch.no_grad()
def test_noise_of_a_mirrored_picture_lies_at_mirrored_positions(lite):
    x = torch.rand(1, 1, 64, 96) * 100
    seen = []

    def noise(places):
        seen.append(places)
        return places.new_zeros(1, 313, *places.shape[-2:])

    plain = lite.predict(x)
    plain.sample(noise)
    MirroredPrediction.of(plain).sample(noise)
    positions, mirrored = (places[:, :2] for places in seen)
    assert torch.allclose(mirrored, positions.flip(-1), atol=1e-6)
    assert float(positions[0, 0, -1, 0] * positions[0, 1, 0, -1]) == pytest.approx(
        15.5 * 23.5 / (16 * 24)
    )


def test_temperature_says_how_far_samples_go(predictor, photograph):
    def spread(temperature: float) -> float:
        one, two = predictor.samples(photograph, 2, temperature=temperature)
        return float(np.abs(ab_of(one) - ab_of(two)).mean())

    assert spread(0.1) < spread(0.38) < spread(0.8)
    with pytest.raises(ValueError, match="above 0"):
        predictor.samples(photograph, 2, temperature=0)


def test_wrong_samples_and_models_are_refused_in_words(predictor, photograph):
    with pytest.raises(ValueError, match="n must be at least 1"):
        predictor.samples(photograph, 0)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        predictor.samples(photograph, 1, seed=-1)
    other = deepcolor.Predictor(SIGGRAPH17(), "cpu")
    for ask in (lambda: other.samples(photograph, 2), lambda: other.uncertainty(photograph)):
        with pytest.raises(TypeError, match=r"SIGGRAPH17 predicts no distribution.*eccv16, lite"):
            ask()
    with pytest.raises(TypeError, match=r"no distribution.*suggest.*lite"):
        deepcolor.suggest_hints(photograph, 3, SIGGRAPH17())


def test_uncertainty_is_the_entropy_of_each_pixel(predictor, photograph):
    unsure = predictor.uncertainty(photograph)
    assert unsure.shape == photograph.shape[:2]
    assert unsure.dtype == np.float32
    assert 0 <= unsure.min() < unsure.max() <= np.log(313) + 1e-4


def test_a_flat_distribution_is_as_unsure_as_can_be():
    model = Lite().eval()
    torch.nn.init.zeros_(model.network.head.weight)
    torch.nn.init.zeros_(model.network.head.bias)
    predictor = deepcolor.Predictor(model, "cpu")
    flat = predictor.uncertainty(np.zeros((40, 50), np.uint8))
    assert np.allclose(flat, np.log(313), atol=1e-4)
    model.network.head.bias.data[7] = 50
    sure = predictor.uncertainty(np.zeros((40, 50), np.uint8))
    assert np.allclose(sure, 0, atol=1e-3)


def test_uncertainty_has_the_size_of_every_kind_of_picture(predictor, photograph):
    assert predictor.uncertainty(Image.fromarray(photograph)).shape == (256, 256)
    batch = torch.from_numpy(photograph[:64, :64].copy()).permute(2, 0, 1)[None]
    for count in (1, 3):
        assert predictor.uncertainty(batch.repeat(count, 1, 1, 1)).shape == (count, 64, 64)
    assert predictor.uncertainty(photograph[:0]).shape == (0, 256)


@pytest.fixture(scope="module")
def hinted(lite):
    """The default's colours, with hints spread as they are before any training."""
    torch.manual_seed(0)
    model = Lite(temperature=lite.temperature)
    untrained = {key: value.clone() for key, value in model.network.hints.state_dict().items()}
    model.start_from(lite)
    model.network.hints.load_state_dict(untrained)
    return model.eval()


def true_hints(photo: np.ndarray, points: list[tuple[int, int]]) -> Hints:
    """The true colours of 6 x 6 pixels around points."""
    ab = torch.from_numpy(ab_of(photo)).float().permute(2, 0, 1)[None]
    told, mask = torch.zeros_like(ab), torch.zeros_like(ab[:, :1])
    for row, column in points:
        patch = (..., slice(max(0, row - 3), row + 3), slice(max(0, column - 3), column + 3))
        told[patch], mask[patch] = ab[patch].mean(dim=(2, 3), keepdim=True), 1
    return Hints(told, mask)


def remaining_error(hinted, choose) -> float:
    """Of three photographs, as a share of that without hints; `choose` gives each its points."""
    shares = []
    for name in ("astronaut", "coffee", "chelsea"):
        photo = np.array(Image.fromarray(getattr(skimage.data, name)()).resize((192, 192)))
        results = (
            deepcolor.colorize(photo, hinted, guidance=guidance)
            for guidance in (None, true_hints(photo, choose(photo)))
        )
        without, told = (np.square(ab_of(result) - ab_of(photo)).mean() for result in results)
        shares.append(told / without)
    return float(np.mean(shares))


def test_true_hints_lower_the_error_the_more_there_are(hinted):
    points = np.random.default_rng(0).integers(0, 192, (100, 2)).tolist()
    shares = [remaining_error(hinted, lambda _, n=n: points[:n]) for n in (1, 4, 12, 100)]
    assert [*sorted(shares, reverse=True)] == shares
    assert shares[0] < 1
    assert shares[-1] < 0.35


def test_a_hint_makes_its_surroundings_surer(hinted, photograph):
    predictor = deepcolor.Predictor(hinted, "cpu")
    before = predictor.uncertainty(photograph)
    told = true_hints(photograph, [(180, 60)])
    after = predictor.uncertainty(photograph, told)
    assert after[180, 60] < before[180, 60] - 0.5
    assert after.mean() < before.mean()


def test_suggested_points_are_distinct_pixels_and_repeat(lite, photograph):
    photo = photograph[:200, :140]
    points = deepcolor.suggest_hints(photo, 12, lite)
    assert len(set(points)) == 12
    assert all(0 <= row < 200 and 0 <= column < 140 for row, column in points)
    assert points[:5] == deepcolor.suggest_hints(Image.fromarray(photo), 5, lite, "cpu")


def test_each_suggestion_is_the_one_that_lowers_the_expected_error_most():
    """By brute force, with the conditional covariance of Gaussians as the textbook has it."""
    square = torch.randn(40, 25)
    covariance, heard = square @ square.T / 25, torch.rand(40) + 0.1

    def left(known: list[int]) -> float:
        """Sum of the variances once some places are known."""
        inner = covariance[known][:, known] + torch.diag(heard[known])
        explained = covariance[:, known] @ torch.linalg.solve(inner, covariance[known])
        return float((covariance - explained).trace())

    found = suggest._greedy(covariance.clone(), heard, torch.arange(40), 6)
    for number in range(6):
        best = min(left([*found[:number], i]) for i in range(40) if i not in found[:number])
        assert left(found[: number + 1]) == pytest.approx(best, rel=1e-4)


def test_sure_places_are_not_asked_about(monkeypatch, photograph):
    model = Lite().eval()

    def half_sure(luminance):
        logits = torch.zeros(len(luminance), 313, *(s // 4 for s in luminance.shape[-2:]))
        logits[:, 150, :, : logits.shape[-1] // 2] = 50
        return logits, torch.zeros(len(luminance), 64, *logits.shape[-2:])

    monkeypatch.setattr(model, "answer", half_sure)
    points = deepcolor.suggest_hints(photograph[:192, :192], 8, model)
    assert all(column >= 96 for _, column in points)


def test_what_hints_told_already_is_asked_last(hinted, photograph):
    first, *_ = deepcolor.suggest_hints(photograph, 3, hinted)
    known = true_hints(photograph, [first])
    alone = torch.zeros_like(known.mask)
    alone[..., first[0], first[1]] = 1  # one square alone is known, as in the longer list
    known = Hints(known.ab, known.mask * alone)
    again = deepcolor.suggest_hints(photograph, 3, hinted, guidance=known)
    assert first not in again
    assert again == deepcolor.suggest_hints(photograph, 4, hinted)[1:]


def test_suggestions_refuse_what_makes_no_sense(lite, photograph):
    with pytest.raises(ValueError, match="at least 1"):
        deepcolor.suggest_hints(photograph, 0, lite)
    with pytest.raises(ValueError, match="at most 6 in this picture"):
        deepcolor.suggest_hints(photograph[:2, :3], 7, lite)
    assert len(deepcolor.suggest_hints(photograph[:2, :3], 6, lite)) == 6
    batch = torch.zeros(2, 1, 8, 8)
    with pytest.raises(deepcolor.ImageError, match="one picture"):
        deepcolor.suggest_hints(batch, 1, lite)
    with pytest.raises(ValueError, match="need a mask"):
        deepcolor.suggest_hints(photograph, 1, lite, guidance=true_hints(photograph[:9], []))


def runs_of(model, monkeypatch) -> list[int]:
    runs: list[int] = []
    real = type(model.network).forward

    def forward(self, *inputs):
        runs.append(1)
        return real(self, *inputs)

    monkeypatch.setattr(type(model.network), "forward", forward)
    return runs


@pytest.mark.parametrize("hinted_by", [None, (20, 30)])
def test_uncertainty_takes_no_second_run_of_the_network(hinted, photograph, monkeypatch, hinted_by):
    guidance = None
    if hinted_by is not None:
        guidance = Hints(torch.zeros(1, 2, 256, 256), torch.zeros(1, 1, 256, 256))
        guidance.mask[0, 0, hinted_by[0], hinted_by[1]] = 1
    predictor = deepcolor.Predictor(hinted, "cpu")
    coarse = shrink(torch.from_numpy(photograph).permute(2, 0, 1), (192, 192), torch.device("cpu"))
    small = None if guidance is None else guidance.resized((192, 192))
    with torch.no_grad():
        told = hinted.predict(coarse[None], small).entropy()
    runs = runs_of(hinted, monkeypatch)
    unsure = predictor.uncertainty(photograph, guidance)
    assert len(runs) == 1
    assert unsure.mean() == pytest.approx(float(told.mean()), rel=1e-3)
    predictor.samples(photograph, 3, guidance)
    assert len(runs) == 2
    prediction = predictor.predict(photograph, guidance)
    assert prediction.entropy().mean() == pytest.approx(float(told.mean()), rel=1e-3)
    predictor.paint(photograph, prediction)
    assert len(runs) == 3  # colours and uncertainty out of one run


def test_points_are_suggested_by_the_model_that_is_loaded(photograph, monkeypatch):
    loads = []
    real = painter.load_model
    monkeypatch.setattr(painter, "load_model", lambda name: loads.append(name) or real(name))
    calls._predictor.cache_clear()
    first = deepcolor.suggest_hints(photograph, 2, device="cpu")
    assert deepcolor.suggest_hints(photograph, 2, device="cpu") == first
    deepcolor.colorize(photograph, device="cpu")
    assert loads == ["lite.photos"]
