"""Palettes are obeyed: by another distribution, or by hints."""

import numpy as np
import pytest
import torch

import deepcolor
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Guidance, Hints, Palette
from deepcolor.inference import predict_ab
from deepcolor.inference.palettes import hints_of_palette
from deepcolor.models import ClassificationColorizer, models

CLASSIFIERS = sorted(
    name for name, kind in models().items() if issubclass(kind, ClassificationColorizer)
)


def apart(ab: torch.Tensor, palette: Palette) -> torch.Tensor:
    """How far each pixel's chroma is from the nearest colour of the palette: (N,)."""
    return torch.cdist(ab[0].flatten(1).T, palette.ab[0]).amin(dim=1)


@pytest.fixture(scope="module")
def luminance(photograph):
    return rgb_to_lab(torch.tensor(photograph).permute(2, 0, 1)[None] / 255)[:, :1]


@pytest.mark.parametrize(
    ("colors", "mean"),
    [(["#aa3344", "teal"], 12), (["#808080", "#c08040", "#4060a0"], 3), (["#40a040"], 8)],
)
def test_colours_lie_near_the_palettes(lite, luminance, colors, mean):
    palette = Palette.from_colors(colors)
    before = apart(predict_ab(lite, luminance), palette).mean()
    after = apart(predict_ab(lite, luminance, guidance=palette), palette).mean()
    assert after < mean  # CIELAB units; 33, 13 and 66 before
    assert after < 0.4 * before


def test_both_of_two_far_colours_are_used_and_their_mean_is_not(lite, luminance):
    """Red and teal: what lies between them is grey."""
    palette = Palette.from_colors(["#aa3344", "teal"])
    ab = predict_ab(lite, luminance, guidance=palette)
    nearest = torch.cdist(ab[0].flatten(1).T, palette.ab[0]).argmin(dim=1)
    assert 0.2 < nearest.float().mean() < 0.8
    assert (apart(ab, palette) < 20).float().mean() > 0.75


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_obeys_a_palette(small_model, luminance, name):
    model, small = small_model(name).eval(), luminance[..., :64, :64]
    palette = Palette.from_colors(["#c02060"])
    before = apart(predict_ab(model, small, size=64), palette)
    after = apart(predict_ab(model, small, size=64, guidance=palette), palette)
    assert after.mean() < 0.3 * before.mean()


def test_strength_bends_by_degrees_and_none_changes_nothing(lite, luminance):
    plain = predict_ab(lite, luminance)
    found = [
        predict_ab(lite, luminance, guidance=Palette.from_colors(["#40a040"], strength=strength))
        for strength in (0.0, 0.1, 0.3, 1.0, 3.0)
    ]
    assert torch.equal(found[0], plain)
    distances = [float(apart(ab, Palette.from_colors(["#40a040"])).mean()) for ab in found]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 5


def test_a_weight_of_nothing_is_no_colour(lite, luminance):
    one = predict_ab(lite, luminance, guidance=Palette.from_colors(["teal"]))
    other = predict_ab(lite, luminance, guidance=Palette.from_colors(["teal", "red"], [1, 0]))
    assert torch.allclose(one, other, atol=0.1)


def test_hints_beside_a_palette_win(lite, luminance):
    palette = Palette.from_colors(["#40a040"])
    hints = Hints.from_points([(128, 128, "#c02060", 6)], (256, 256))
    alone = predict_ab(lite, luminance, guidance=palette)
    both = predict_ab(lite, luminance, guidance=Guidance(palette=palette, hints=hints))
    wanted = hints.ab[0, :, 128, 128]
    assert (both[0, :, 128, 128] - wanted).norm() < 12
    assert (alone[0, :, 128, 128] - wanted).norm() > 60


def test_each_picture_of_a_batch_has_its_palette(lite, luminance):
    one, other = (Palette.from_colors([color]) for color in ("teal", "#aa3344"))
    both = Palette(torch.cat([one.ab, other.ab]))
    ab = predict_ab(lite, luminance.expand(2, -1, -1, -1), guidance=both)
    for number, palette in enumerate((one, other)):
        alone = predict_ab(lite, luminance, guidance=palette)
        assert torch.allclose(ab[number], alone[0], atol=0.05)


def test_pictures_samples_and_best_quality_obey(lite, photograph):
    palette = Palette.from_colors(["#40a040"])
    predictor = deepcolor.Predictor(lite, "cpu")
    drawn = predictor.samples(photograph, 2, palette)
    results = [predictor(photograph, palette, quality="best"), *drawn]
    for result in results:
        ab = rgb_to_lab(torch.tensor(result).permute(2, 0, 1)[None] / 255)[:, 1:]
        assert apart(ab, palette).mean() < 25  # sRGB has no such green in light and dark


def test_a_palette_is_said_by_hints_where_a_person_said_nothing():
    palette = Palette.from_colors(["#aa3344", "teal"])
    ab = torch.zeros(1, 2, 32, 48)
    ab[:, 0, :, :24], ab[:, 0, :, 24:] = 20, -20
    given = Hints.from_points([(10, 10, "#ffff00", 30)], (300, 450))
    hints = hints_of_palette(palette, ab, (300, 450), given)
    hints.check_values()
    said = hints.mask[0, 0] > 0
    assert torch.equal(hints.ab[..., given.mask[0, 0] > 0], given.ab[..., given.mask[0, 0] > 0])
    rows = said[:, :225].nonzero()
    assert len(rows) > 80
    left = [tuple(hints.ab[0, :, r, c].tolist()) for r, c in rows.tolist() if r > 60]
    assert set(left) == {tuple(palette.ab[0, 0].tolist())}
    others = said[:, 225:].nonzero().tolist()
    right = [tuple(hints.ab[0, :, r, c + 225].tolist()) for r, c in others]
    assert set(right) == {tuple(palette.ab[0, 1].tolist())}


def test_a_model_that_takes_hints_is_told_a_palette_by_them(luminance, monkeypatch):
    torch.manual_seed(0)
    model = deepcolor.create_model("siggraph17").eval()
    seen = []
    predict = type(model).predict
    monkeypatch.setattr(
        type(model), "predict", lambda m, x, g=None, k=None: seen.append(g) or predict(m, x, g, k)
    )
    predict_ab(model, luminance, size=64, guidance=Palette.from_colors(["teal"]))
    assert seen[0].hints is None
    assert seen[-1].palette is None
    wanted = Palette.from_colors(["teal"]).ab[0, 0]
    mask = seen[-1].hints.mask[0, 0] > 0
    assert mask.sum() > 100
    assert torch.allclose(seen[-1].hints.ab[0][:, mask].T, wanted.expand(int(mask.sum()), 2))


@pytest.mark.parametrize("name", ["welsh02", "levin04", "simple_cnn"])
def test_models_that_can_be_told_no_palette_say_which_can(luminance, name):
    model = deepcolor.create_model(name).eval()
    with pytest.raises(TypeError, match=r"takes no palette; models that do .*lite.*siggraph17"):
        predict_ab(model, luminance, guidance=Palette.from_colors(["teal"]))


def test_palettes_of_another_batch_are_refused(lite, luminance):
    with pytest.raises(ValueError, match="3 palettes do not fit a batch of 1"):
        predict_ab(lite, luminance, guidance=Palette(torch.zeros(3, 2, 2)))
    with pytest.raises(ValueError, match="CIELAB units"):
        predict_ab(lite, luminance, guidance=Palette(torch.full((1, 2, 2), np.nan)))
