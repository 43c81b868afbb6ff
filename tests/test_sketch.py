"""What a person said is kept in hints.json as it was said; palettes and references are made."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepcolor import ImageError
from deepcolor.color import lab_to_rgb, rgb_to_lab
from deepcolor.guidance import Guidance, Hints, Palette, Point, Reference, Sketch, Stroke

COLORS = st.sampled_from(["#aa3344", "teal", "#080"])
NUMBERS = st.integers(0, 99) | st.floats(0, 99)
POINTS = st.builds(Point, NUMBERS, NUMBERS, COLORS, NUMBERS)
PLACES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4).map(tuple)
STROKES = st.builds(Stroke, PLACES, COLORS, st.integers(1, 20))
SKETCHES = st.builds(
    Sketch,
    points=st.lists(POINTS, max_size=3).map(tuple),
    strokes=st.lists(STROKES, max_size=3).map(tuple),
    palette=st.lists(COLORS, max_size=3).map(tuple),
    reference=st.none() | st.just("ä ref.jpg"),
    size=st.none() | st.tuples(st.integers(1, 99), st.integers(1, 99)),
)


@settings(max_examples=50, deadline=None)
@given(SKETCHES)
def test_what_is_saved_is_loaded(tmp_path_factory, sketch):
    path = tmp_path_factory.getbasetemp() / "hints.json"
    assert Sketch.load(sketch.save(path)) == sketch


@pytest.fixture
def desk(tmp_path, photograph):
    Image.fromarray(photograph).save(tmp_path / "ref.png")
    said = {
        "version": 1,
        "size": [12, 9],
        "points": [{"x": 1, "y": 2, "color": "#aa3344"}],
        "strokes": [{"points": [[4, 4], [8, 4]], "color": "teal", "width": 2}],
        "palette": ["#aa3344", "teal"],
        "strength": 0.5,
        "reference": "ref.png",
    }
    (tmp_path / "hints.json").write_text(json.dumps(said))
    return tmp_path


def test_a_file_becomes_guidance(desk):
    given = Guidance.load(desk / "hints.json", (9, 12))
    assert given.kinds == {"hints", "palette", "reference"}
    dots = Hints.from_points([(1, 2, "#aa3344")], (9, 12))
    lines = Hints.from_lines([([(4, 4), (8, 4)], "teal", 2)], (9, 12))
    assert torch.equal(given.hints.mask, dots.over(lines).mask)
    assert torch.equal(given.hints.ab, dots.over(lines).ab)
    assert given.palette.ab.shape == (1, 2, 2)
    assert given.palette.strength == 0.5
    assert given.reference.lab.shape == (1, 3, 256, 256)


def test_a_file_for_another_size_is_refused(desk):
    with pytest.raises(ValueError, match="for a picture of 12 x 9 pixels, this one has 9 x 12"):
        Guidance.load(desk / "hints.json", (12, 9))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("\xff", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", 'a JSON object with "version": 1'),
        ("{}", 'a JSON object with "version": 1'),
        ('{"version": 2}', "version 2 of hints is unknown; this deepcolor reads 1"),
        ('{"version": true}', "version True of hints is unknown"),
        ('{"version": 1, "colours": []}', 'unknown field "colours"; there are: version, size'),
        ('{"version": 1, "points": {}}', '"points" of hints must be a list'),
        ('{"version": 1, "points": [3]}', "point 1 must be an object with x, y, color, radius"),
        ('{"version": 1, "points": [{"x": 1, "y": 2}]}', 'point 1 lacks "color"'),
        ('{"version": 1, "points": [{"x": 1, "y": 2, "colour": "red"}]}',
         'point 1 has an unknown field "colour"'),
        ('{"version": 1, "points": [{"x": NaN, "y": 2, "color": "red"}]}', "x of point 1 must be"),
        ('{"version": 1, "points": [{"x": 1%s, "y": 2, "color": "red"}]}' % ("0" * 400),
         "x of point 1 must be"),
        ('{"version": 1, "points": [{"x": true, "y": 2, "color": "red"}]}', "x of point 1 must be"),
        ('{"version": 1, "points": [{"x": 1, "y": 2, "color": "reddish"}]}', "no colour: 'redd"),
        ('{"version": 1, "points": [{"x": 1, "y": 2, "color": [1, 2, 3]}]}', "no colour"),
        ('{"version": 1, "points": [{"x": 1, "y": 2, "color": "red", "radius": -1}]}',
         "radius of point 1 must be 0"),
        ('{"version": 1, "strokes": [{"points": [], "color": "red"}]}', "stroke 1 has no points"),
        ('{"version": 1, "strokes": [{"points": [[1]], "color": "red"}]}', r"\[x, y\] each"),
        ('{"version": 1, "palette": [3]}', "no colour: 3"),
        ('{"version": 1, "reference": 3}', '"reference" must be the name'),
        ('{"version": 1, "size": [0, 3]}', r'"size" must be \[width, height\]'),
        ('{"version": 1, "size": 3}', r'"size" must be \[width, height\]'),
    ],
)  # fmt: skip
def test_files_that_are_none_are_refused_in_words(tmp_path, text, words):
    path = tmp_path / "hints.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"hints.json: .*{words}"):
        Sketch.load(path)


def test_what_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="no colour"):
        Sketch(points=(Point(1, 2, "reddish"),)).save(tmp_path / "hints.json")
    assert not (tmp_path / "hints.json").exists()


def test_a_palette_has_the_ab_of_its_colours():
    palette = Palette.from_colors(["#aa3344", (0, 128, 128)], weights=[1, 3])
    rgb = torch.tensor([[0xAA, 0x33, 0x44], [0, 128, 128]]) / 255
    assert torch.allclose(palette.ab[0], rgb_to_lab(rgb.T[:, None])[1:, 0].T, atol=1e-3)
    assert palette.weights.tolist() == [[0.25, 0.75]]
    assert torch.equal(Palette.from_colors("#aa3344, teal").ab, palette.ab)


def test_a_palette_of_a_picture_has_its_colours_and_their_shares():
    wanted = torch.tensor([[50.0, 40.0, 30.0], [60.0, -30.0, 20.0], [40.0, 0.0, -40.0]])
    lab = wanted.T[:, :, None].repeat_interleave(10, 1).expand(3, 30, 40).clone()
    lab[:, :5] = wanted[1][:, None, None]
    rgb = (lab_to_rgb(lab) * 255).round().to(torch.uint8)
    palette = Palette.from_picture(rgb.permute(1, 2, 0).numpy(), 3)
    assert torch.allclose(palette.ab[0], wanted[[1, 2, 0], 1:], atol=1)
    assert torch.allclose(palette.weights[0], torch.tensor([15, 10, 5]) / 30)
    assert Palette.from_picture(rgb, 8).ab.shape[1] == 3  # there are no more


def test_more_colours_of_a_photograph_err_less(photograph):
    ab = rgb_to_lab(torch.tensor(photograph).permute(2, 0, 1) / 255)[1:].flatten(1).T
    errors = []
    for n in (1, 2, 4, 16):
        palette = Palette.from_picture(photograph, n)
        assert palette.ab.shape[1] <= n
        assert float(palette.weights.sum()) == pytest.approx(1)
        errors.append(float(torch.cdist(ab, palette.ab[0]).amin(1).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]
    assert torch.allclose(Palette.from_picture(photograph, 1).ab[0, 0], ab.mean(0), atol=0.1)


def test_a_palette_of_a_histogram_has_the_bins_that_it_has():
    histogram = np.zeros(313)
    histogram[[3, 200]] = 1, 4
    palette = Palette.from_histogram(histogram)
    assert palette.ab[0, 0].tolist() == [-90.0, 80.0]
    assert palette.weights[0].tolist() == pytest.approx([0.2, 0.8])
    own = Palette.from_histogram([0, 2], centres=[[5, 5], [7, 8]])
    assert own.ab.tolist() == [[[7.0, 8.0]]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Palette.from_colors([]), "empty palette"),
        (lambda: Palette.from_colors(" , "), "empty palette"),
        (lambda: Palette.from_colors(["#12"]), "no colour: '#12'"),
        (lambda: Palette.from_colors(["red"], [1, 2]), "1 colours need as many weights, got 2"),
        (lambda: Palette.from_colors(["red"], [-1]), "must be 0 or more each"),
        (lambda: Palette.from_colors(["red"], strength=-1), "strength of a palette must be 0"),
        (lambda: Palette.from_picture(np.zeros((4, 4)), 0), "1 to 256 colours, got n = 0"),
        (lambda: Palette.from_histogram([0.0] * 313), "not all 0"),
        (lambda: Palette.from_histogram([1.0, 2.0]), "2 bins needs their centres"),
    ],
)
def test_palettes_that_cannot_be_are_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_reference_is_any_picture_in_colour(tmp_path, photograph):
    Image.fromarray(photograph).save(tmp_path / "ref.png")
    lab = Reference.from_picture(tmp_path / "ref.png").lab
    assert torch.allclose(lab[0], rgb_to_lab(torch.tensor(photograph).permute(2, 0, 1) / 255))
    assert max(Reference.from_picture(np.tile(photograph, (8, 5, 1))).lab.shape[-2:]) == 1024
    Image.fromarray(photograph).convert("L").save(tmp_path / "grey.png")
    with pytest.raises(ImageError, match=r"grey.png: .*is grey"):
        Reference.from_picture(tmp_path / "grey.png")
