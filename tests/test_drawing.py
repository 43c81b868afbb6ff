"""Hints from points, lines, overlays and painted copies lie where they were put."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import deepcolor
from deepcolor.color import rgb_to_lab
from deepcolor.guidance import Hints

QUICK = settings(max_examples=40, deadline=None)
SIDES = st.integers(1, 40)
COLORS = st.sampled_from(["#aa3344", "#080", "teal", (12, 200, 90), "#ffffff", "#000"])


def places(hints: Hints) -> set[tuple[int, int]]:
    """(x, y) of what is hinted."""
    rows, columns = hints.mask[0, 0].nonzero(as_tuple=True)
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


def lab_of(red: int, green: int, blue: int) -> torch.Tensor:
    return rgb_to_lab(torch.tensor([red, green, blue]).view(3, 1, 1) / 255)[1:, 0, 0]


@st.composite
def drawings(draw):
    """Points of one picture, none twice, and its height and width."""
    height, width = draw(SIDES), draw(SIDES)
    spots = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    found = draw(st.lists(spots, min_size=1, max_size=5, unique=True))
    return [(x, y, draw(COLORS)) for x, y in found], (height, width)


@pytest.mark.parametrize(
    "color",
    ["#aa3344", "  #AA3344 ", (170, 51, 68), [170, 51, 68], np.array([170, 51, 68], np.uint8)],
)
def test_a_hint_has_the_ab_of_its_colour_at_its_own_lightness(color):
    hints = Hints.from_points([(2, 1, color)], (3, 4))
    assert places(hints) == {(2, 1)}
    assert torch.allclose(hints.ab[0, :, 1, 2], lab_of(0xAA, 0x33, 0x44), atol=1e-3)
    assert hints.ab.abs().sum() == hints.ab[0, :, 1, 2].abs().sum()


def test_names_of_css_are_colours():
    hints = Hints.from_points([(0, 0, "teal")], (1, 1))
    assert torch.allclose(hints.ab[0, :, 0, 0], lab_of(0, 128, 128), atol=1e-3)


def test_a_radius_draws_a_disc_that_ends_at_the_border():
    disc = places(Hints.from_points([(5, 5, "red", 2)], (11, 11)))
    assert disc == {
        (x, y) for x in range(11) for y in range(11) if (x - 5) ** 2 + (y - 5) ** 2 <= 4
    }
    assert places(Hints.from_points([(0, 0, "red", 1)], (9, 9))) == {(0, 0), (1, 0), (0, 1)}
    assert len(places(Hints.from_points([(0, 0, "red", 1e9)], (3, 4)))) == 12


def test_lines_join_their_points():
    hints = Hints.from_lines([([(1, 1), (6, 1), (6, 4)], "red")], (8, 8))
    assert places(hints) == {(x, 1) for x in range(1, 7)} | {(6, y) for y in range(1, 5)}
    wide = Hints.from_lines([([(1, 3), (6, 3)], "red", 3)], (8, 8))
    assert {(x, y) for x in range(1, 7) for y in (2, 3, 4)} <= places(wide)
    assert places(Hints.from_lines([([(2, 3)], "red")], (8, 8))) == {(2, 3)}
    diagonal = places(Hints.from_lines([([(0, 0), (7, 7)], "red")], (8, 8)))
    assert diagonal == {(n, n) for n in range(8)}


@QUICK
@given(drawings())
def test_mirroring_mirrors_the_places(drawing):
    points, size = drawing
    across = [(size[1] - 1 - x, y, color) for x, y, color in points]
    mirrored, expected = Hints.from_points(points, size).mirrored(), Hints.from_points(across, size)
    assert torch.equal(mirrored.ab, expected.ab)
    assert torch.equal(mirrored.mask, expected.mask)


@QUICK
@given(
    SIDES, SIDES, st.lists(st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)), min_size=1),
    st.floats(1, 9),
)  # fmt: skip
def test_mirrored_lines_draw_mirrored_pixels(height, width, spots, thick):
    path = [(int(x * width), int(y * height)) for x, y in spots]
    across = [(width - 1 - x, y) for x, y in path]
    one = Hints.from_lines([(path, "red", thick)], (height, width)).mirrored()
    other = Hints.from_lines([(across, "red", thick)], (height, width))
    assert torch.equal(one.mask, other.mask)
    assert set(path) <= places(one.mirrored())


@QUICK
@given(drawings(), st.integers(1, 5), st.integers(1, 5))
def test_enlarging_keeps_each_pixel_a_block_and_shrinking_gives_it_back(drawing, down, right):
    points, (height, width) = drawing
    hints = Hints.from_points(points, (height, width))
    large = hints.resized((height * down, width * right))
    blocks = {
        (x * right + i, y * down + j) for x, y, _ in points for i in range(right)
        for j in range(down)
    }  # fmt: skip
    assert places(large) == blocks
    back = large.resized((height, width))
    assert torch.equal(back.mask, hints.mask)
    assert torch.allclose(back.ab, hints.ab, atol=1e-4)


@QUICK
@given(SIDES, SIDES, SIDES, SIDES, st.floats(0, 0.99), st.floats(0, 0.99))
def test_resizing_loses_no_single_pixel_and_keeps_its_colour(h, w, h2, w2, across, down):
    x, y = int(across * w), int(down * h)
    small = Hints.from_points([(x, y, "#aa3344")], (h, w)).resized((h2, w2))
    assert small.mask.any()
    for column, row in places(small):
        assert abs((column + 0.5) / w2 - (x + 0.5) / w) <= 0.5 / w + 0.5 / w2 + 1e-6
        assert abs((row + 0.5) / h2 - (y + 0.5) / h) <= 0.5 / h + 0.5 / h2 + 1e-6
        assert torch.allclose(small.ab[0, :, row, column], lab_of(0xAA, 0x33, 0x44), atol=1e-3)


@QUICK
@given(drawings(), st.integers(0, 7), st.integers(0, 7))
def test_padding_keeps_the_places(drawing, bottom, right):
    points, (height, width) = drawing
    hints = Hints.from_points(points, (height, width))
    padded = hints.padded(bottom, right)
    assert padded.mask.shape[-2:] == (height + bottom, width + right)
    assert torch.equal(padded.mask[..., :height, :width], hints.mask)
    assert torch.equal(padded.ab[..., :height, :width], hints.ab)


@QUICK
@given(drawings(), drawings(), SIDES, SIDES)
def test_a_batch_is_its_pictures(one, other, height, width):
    size = one[1]
    moved = [(x % size[1], y % size[0], "teal") for x, y, _ in other[0]]
    both = [Hints.from_points(one[0], size), Hints.from_points(moved, size)]
    batch = Hints(*(torch.cat([getattr(h, n) for h in both]) for n in ("ab", "mask")))
    together = batch.resized((height, width))
    for number, alone in enumerate(both):
        apart = alone.resized((height, width))
        assert torch.equal(together.mask[number : number + 1], apart.mask)
        assert torch.allclose(together.ab[number : number + 1], apart.ab, atol=1e-4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_places_are_those_of_the_picture_as_it_is_shown(lite, photograph, orientation):
    stored = Image.fromarray(photograph[:120, :160]).convert("L")
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.info["exif"] = exif.tobytes()
    upright = ImageOps.exif_transpose(stored)
    x, y = upright.width // 4, upright.height // 3
    hints = Hints.from_points([(x, y, "#c02020", 4)], (upright.height, upright.width))
    told = np.asarray(deepcolor.colorize(stored, lite, guidance=hints)).astype(int)
    assert told.shape[:2] == (upright.height, upright.width)
    assert told[y, x, 0] - told[y, x, 2] > 40
    assert np.array_equal(told, np.asarray(deepcolor.colorize(upright, lite, guidance=hints)))


def overlay(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """Transparent, but for a red box (left, top, right, bottom); its edge is half transparent."""
    array = np.zeros((*size, 4), np.uint8)
    left, top, right, bottom = box
    array[top - 1 : bottom + 1, left - 1 : right + 1] = (0, 0, 255, 100)
    array[top:bottom, left:right] = (200, 30, 40, 255)
    return Image.fromarray(array)


@pytest.mark.parametrize("kind", ["pil", "path", "array", "deep", "tensor"])
def test_an_overlay_is_read_where_it_is_opaque(tmp_path, kind):
    image = overlay((12, 16), (3, 4, 6, 9))
    array = np.asarray(image)
    image.save(tmp_path / "over.png")
    given = {
        "pil": image, "path": tmp_path / "over.png", "array": array,
        "deep": array.astype(np.uint16) * 257, "tensor": torch.tensor(array).permute(2, 0, 1),
    }[kind]  # fmt: skip
    hints = Hints.from_strokes(given)
    assert places(hints) == {(x, y) for x in range(3, 6) for y in range(4, 9)}
    assert torch.allclose(hints.ab[0, :, 5, 4], lab_of(200, 30, 40), atol=1e-3)


def test_an_overlay_of_another_size_is_resized_to_the_photograph():
    photograph = Image.new("L", (32, 24), 90)
    hints = Hints.from_strokes(overlay((12, 16), (3, 4, 6, 9)), photograph)
    assert places(hints) == {(x, y) for x in range(6, 12) for y in range(8, 18)}
    small = Hints.from_strokes(overlay((48, 64), (20, 20, 21, 21)), Image.new("L", (16, 12)))
    assert places(small) == {(5, 5)}


def test_a_painted_copy_is_compared_with_the_photograph(photograph):
    grey = Image.fromarray(photograph[:60, :80]).convert("L").convert("RGB")
    painted = np.array(grey)
    painted[20:30, 40:50] = (200, 30, 40)
    painted[0, 0] += 10  # less than JPEG may change
    hints = Hints.from_strokes(painted, grey)
    inside = {(x, y) for x in range(40, 50) for y in range(20, 30)}
    assert places(hints) == inside
    assert torch.allclose(hints.ab[0, :, 25, 45], lab_of(200, 30, 40), atol=1e-3)


@pytest.mark.parametrize(
    ("image", "photograph", "words"),
    [
        (Image.new("RGB", (8, 8)), None, "no transparent pixels.*give the photograph too"),
        (Image.new("RGBA", (8, 8)), None, "holds no strokes: nothing is opaque"),
        (Image.new("RGB", (8, 8)), Image.new("L", (8, 8)), "holds no strokes: it nowhere differs"),
        (overlay((8, 8), (2, 2, 4, 4)), Image.new("L", (8, 12)), "8 x 8, the photograph 8 x 12"),
        (Image.new("RGB", (8, 8), "red"), Image.new("L", (16, 16)), "compared pixel by pixel"),
        (np.zeros((0, 4, 3), np.uint8), None, "one picture, with pixels"),
    ],
)
def test_strokes_that_cannot_be_read_are_refused_in_words(image, photograph, words):
    with pytest.raises(deepcolor.ImageError, match=words):
        Hints.from_strokes(image, photograph)


@pytest.mark.parametrize(
    ("points", "error", "words"),
    [
        ([(1, 1, "red"), (640, 2, "red")], ValueError,
         "point 2 at x = 640, y = 2 lies outside the picture, which is 640 x 480.*0 to 639"),
        ([(-1, 2, "red")], ValueError, "point 1 at x = -1, y = 2 lies outside"),
        ([], ValueError, "no hints"),
        ([(1, 2, "#12345")], ValueError, "no colour: '#12345'; colours are written as #rgb"),
        ([(1, 2, "#11223344")], ValueError, "has an alpha"),
        ([(1, 2, (300, 0, 0))], ValueError, "leaves 0 to 255"),
        ([(1, 2, (0.5, 0, 0))], TypeError, "no colour"),
        ([(1, 2, 7)], TypeError, "no colour: 7"),
        ([(1, 2)], TypeError, "point 1 must be"),
        ([(float("nan"), 2, "red")], TypeError, "point 1 needs x and y"),
        ([(1, 2, "red", -1)], ValueError, "radius of point 1 must be 0 pixels or more"),
    ],
)  # fmt: skip
def test_points_that_cannot_be_are_refused_in_words(points, error, words):
    with pytest.raises(error, match=words):
        Hints.from_points(points, (480, 640))


@pytest.mark.parametrize("size", [640, (0, 4), (1.5, 2), None, (1, 2, 3)])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(TypeError, match="size must be height and width"):
        Hints.from_points([(0, 0, "red")], size)


def test_lines_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="line 1 has no points"):
        Hints.from_lines([([], "red")], (4, 4))
    with pytest.raises(ValueError, match="line 1 at x = 4, y = 1 lies outside"):
        Hints.from_lines([([(0, 0), (4, 1)], "red")], (4, 4))
    with pytest.raises(ValueError, match="width of line 1 must be 1 pixel"):
        Hints.from_lines([([(0, 0)], "red", 0)], (4, 4))


def test_the_later_of_two_colours_at_one_pixel_wins_and_it_is_said():
    with pytest.warns(UserWarning, match="point 1 and point 2 give 1 pixel different colours"):
        hints = Hints.from_points([(1, 1, "red"), (1, 1, "blue")], (3, 3))
    assert torch.allclose(hints.ab[0, :, 1, 1], lab_of(0, 0, 255), atol=1e-3)
    Hints.from_points([(1, 1, "red"), (1, 1, "#f00", 1)], (3, 3))  # the same: nothing to say


def test_hints_over_others_win():
    one, other = (Hints.from_points([(1, 1, c, r)], (5, 5)) for c, r in (("red", 0), ("blue", 1)))
    both = one.over(other)
    assert places(both) == places(other)
    assert torch.equal(both.ab[0, :, 1, 1], one.ab[0, :, 1, 1])
    assert torch.equal(both.ab[0, :, 1, 0], other.ab[0, :, 1, 0])


def test_a_long_stroke_costs_what_its_segments_do():
    """Of 400 points on 12 megapixels; whole windows for each segment would take a minute."""
    path = [(i * 10, i * 7) for i in range(400)]
    began = time.perf_counter()
    hints = Hints.from_lines([(path, "teal", 20)], (3000, 4000))
    assert time.perf_counter() - began < 15
    assert all(hints.mask[0, 0, y, x] for x, y in path)
