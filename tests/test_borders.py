"""Uniform borders, mounts, album pages and grey cards stay without colour; nothing else does."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image

import deepcolor
from deepcolor.inference.borders import BorderedField, colour_shares
from deepcolor.pixels import tiles
from deepcolor.upsample import ChromaField

CPU = torch.device("cpu")
PHOTOS = ("coffee", "chelsea", "astronaut", "rocket")


def page(height, width, level, places, fall=8.0, tilt=0.0, seed=0):
    """Photographs on paper that is grainy and not quite even, and where they lie."""
    row, column = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    paper = level - fall * (0.3 * row + 0.5 * column + 0.2 * (row**2 + column**2))
    shown = np.zeros((height, width), bool)
    for number, (top, left, tall, wide) in enumerate(places):
        photo = Image.fromarray(getattr(skimage.data, PHOTOS[number % 4])()).convert("L")
        photo = photo.resize((wide, tall)).rotate(tilt, Image.Resampling.BICUBIC, expand=True)
        mask = Image.new("L", (wide, tall), 255).rotate(tilt, expand=True)
        inside = np.asarray(mask) > 127
        area = (slice(top, top + inside.shape[0]), slice(left, left + inside.shape[1]))
        paper[area] = np.where(inside, np.asarray(photo), paper[area])
        shown[area] |= inside
    noise = np.random.default_rng(seed).normal(0, 4, paper.shape)
    return np.clip(paper + noise, 0, 255).astype(np.uint8), shown


def chroma(rgb: np.ndarray) -> np.ndarray:
    return np.hypot(*np.moveaxis(skimage.color.rgb2lab(rgb)[..., 1:], -1, 0))


ONE = [(75, 100, 250, 375)]
FOUR = [(60, 60, 250, 380), (70, 540, 240, 400), (380, 80, 260, 350), (380, 520, 250, 420)]
PAGES = {
    "grey page": page(450, 600, 120, ONE),
    "brown page": page(450, 600, 60, ONE),
    "white page": page(450, 600, 240, ONE, fall=3),
    "white border": page(450, 600, 245, [(18, 18, 414, 564)], fall=2),
    "slide mount": page(450, 600, 10, ONE, fall=2),
    "instant picture": page(600, 500, 235, [(35, 35, 430, 430)]),
    "four on a page": page(700, 1000, 100, FOUR),
    "tilted": page(600, 800, 110, [(100, 120, 350, 500)], tilt=2.5),
    "tilted the other way": page(600, 800, 200, [(100, 120, 350, 500)], tilt=-1.5),
    "cut off at the right": page(450, 600, 120, [(70, 200, 300, 400)]),
    "bars above and below": page(450, 600, 30, [(70, 0, 310, 600)], fall=2),
}


@pytest.mark.parametrize("name", PAGES)
def test_borders_lose_their_colour_and_photographs_keep_theirs(name):
    picture, shown = PAGES[name]
    predictor = deepcolor.Predictor(device="cpu")
    plain, neutral = (chroma(predictor(picture, borders=on)) for on in (False, True))
    assert neutral[~shown].mean() < 0.5
    assert neutral[~shown].mean() < 0.2 * plain[~shown].mean()
    assert neutral[shown].mean() > 0.98 * plain[shown].mean()


@pytest.mark.parametrize("level", [30, 118, 210])
@pytest.mark.parametrize("size", [(90, 120), (450, 600)])
def test_a_flat_grey_card_stays_grey(level, size):
    card, _ = page(*size, level, [], fall=3)
    predictor = deepcolor.Predictor(device="cpu")
    assert chroma(predictor(card, borders=False)).mean() > 3
    assert chroma(predictor(card)).max() < 0.5  # grey levels of sRGB
    assert np.array_equal(predictor(np.full(size, level, np.uint8))[..., 0], np.full(size, level))


def scene(kind: str) -> np.ndarray:
    """What is even along its sides, too, and no border."""
    row, column = np.mgrid[:450, :600]
    sky = 190 - row / 30 - column / 60
    if kind == "bird":
        sky[(np.abs(column - 300) < 100) & (np.abs(row - 220) < 8 + 0.1 * (column - 300))] = 60
    elif kind == "moon":
        sky[(column - 300) ** 2 + (row - 225) ** 2 < 150**2] = 245
    elif kind == "horizon":
        sky[300:] = 80 + 30 * np.sin(column[300:] / 9) * np.cos(row[300:] / 7)
    elif kind == "mountain":
        sky[row > 150 + np.abs(column - 300) / 2] = 70
    elif kind == "portrait":
        sky[(column - 300) ** 2 / 2 + (row - 200) ** 2 < 110**2] = 120
        sky[(row > 330) & (np.abs(column - 300) < 180)] = 50
    elif kind == "gradient":
        sky = 120 + row / 4.0
    return np.clip(sky + np.random.default_rng(0).normal(0, 3, sky.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["bird", "moon", "horizon", "mountain", "portrait", "gradient"])
def test_skies_and_backdrops_are_no_borders(kind):
    assert colour_shares(torch.from_numpy(scene(kind))[None, None], None, CPU) == [None]


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_photographs_without_borders_are_what_they_were(name):
    photo = getattr(skimage.data, name)()
    assert np.array_equal(deepcolor.colorize(photo), deepcolor.colorize(photo, borders=False))


def dot(sides: tuple[int, int], row: int, column: int) -> deepcolor.Hints:
    mask = np.zeros((1, 1, *sides), np.float32)
    mask[..., row - 2 : row + 3, column - 2 : column + 3] = 1
    return deepcolor.Hints(np.concatenate([40 * mask, 30 * mask], axis=1), mask)


def test_who_gives_a_border_colour_by_hints_gets_it():
    picture, shown = PAGES["grey page"]
    in_the_border = deepcolor.colorize(picture, guidance=dot(picture.shape, 30, 300))
    assert chroma(in_the_border)[28:33, 295:305].mean() > 20
    in_the_photo = chroma(deepcolor.colorize(picture, guidance=dot(picture.shape, 200, 300)))
    assert in_the_photo[~shown].mean() < 0.5


def test_each_of_a_batch_has_its_own_border():
    with_border, without = PAGES["grey page"][0], scene("horizon")
    batch = torch.from_numpy(np.stack([with_border, without]))[:, None]
    shares = colour_shares(batch, None, CPU)
    assert shares[0] is not None
    assert shares[1] is None
    for one, result in zip(batch, deepcolor.colorize(batch), strict=True):
        assert (deepcolor.colorize(one).int() - result.int()).abs().max() <= 1


@pytest.mark.parametrize("size", [(41, 53), (1, 200), (200, 1), (1, 1), (0, 5)])
def test_pictures_of_any_size_are_looked_at(size):
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    assert deepcolor.colorize(noise).shape == (*size, 3)


def test_shares_are_enlarged_alike_whatever_the_tiles(monkeypatch):
    from deepcolor.pixels import workers

    monkeypatch.setattr(workers, "TILE_PIXELS", 500)
    monkeypatch.setattr(workers, "TILE_WIDTH", 37)
    ab, luminance, share = torch.rand(2, 5, 6), torch.rand(1, 5, 6), torch.rand(7, 9)
    field = BorderedField(ab, luminance, (80, 110), True, share)
    want = torch.nn.functional.interpolate(share[None, None], (80, 110), mode="bilinear")[0, 0]
    whole = ChromaField(ab, luminance, (80, 110)).read(slice(0, 80), slice(0, 110)) * want
    for rows, columns in tiles(slice(0, 80), 110, CPU):
        assert torch.allclose(field.read(rows, columns), whole[:, rows, columns], atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_lightness_is_kept_in_borders_too(dtype):
    picture = PAGES["white border"][0]
    scale = {np.uint8: 1, np.uint16: 257, np.float32: np.float32(1 / 255)}[dtype]
    stored = (picture.astype(dtype) * scale).astype(dtype)
    result = deepcolor.colorize(stored, saturation=2.0)
    before = skimage.color.rgb2lab(np.stack([stored] * 3, -1))[..., 0]
    moved = np.abs(skimage.color.rgb2lab(result)[..., 0] - before)
    assert moved.max() <= (1.0 if dtype == np.uint8 else 0.01)
