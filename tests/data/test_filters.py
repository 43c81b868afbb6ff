import os

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from deepcolor.data import open_photos
from deepcolor.data.filters import (
    GREY_BELOW,
    cached_scan,
    home,
    scan,
    small_colourfulness,
)
from deepcolor.metrics import colourfulness

PHOTOS = ["astronaut", "coffee", "chelsea", "rocket"]


def photo(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)())


@pytest.mark.parametrize("name", PHOTOS)
def test_colourfulness_is_that_of_the_metrics(name):
    small = photo(name).resize((64, 64), Image.Resampling.BOX)
    rgb = torch.from_numpy(np.asarray(small).copy()).movedim(-1, 0)[None] / 255
    assert small_colourfulness(small) == pytest.approx(float(colourfulness(rgb)), abs=1e-3)


@pytest.mark.parametrize("name", PHOTOS)
def test_colour_photographs_pass_and_their_grey_prints_do_not(name):
    assert small_colourfulness(photo(name)) > GREY_BELOW
    assert small_colourfulness(photo(name).convert("L").convert("RGB")) < 0.01


def test_noise_is_no_colour(photograph):
    grey = np.asarray(Image.fromarray(photograph).convert("L"))[..., None].repeat(3, -1)
    noise = np.random.default_rng(0).normal(0, 15, grey.shape)
    noisy = Image.fromarray((grey + noise).clip(0, 255).astype(np.uint8))
    assert small_colourfulness(noisy) < GREY_BELOW


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2)])
def test_pictures_of_hardly_any_pixels_have_figures(size):
    assert np.isfinite(small_colourfulness(Image.new("RGB", size, (200, 30, 90))))


class Counted:
    """A folder that counts how often it is decoded."""

    def __init__(self, folder):
        self.photos = open_photos(folder)
        self.looks = 0
        decode = self.photos.picture

        def picture(index, least=None):
            self.looks += 1
            return decode(index, least)

        self.photos.picture = picture

    def scan(self):
        self.looks = 0
        return cached_scan(self.photos)


def test_photographs_are_looked_at_again_only_when_they_change(photo_folder):
    counted = Counted(photo_folder)
    first = counted.scan()
    assert counted.looks == 12
    assert not (first < GREY_BELOW).any()
    assert np.array_equal(counted.scan(), first)
    assert counted.looks == 0
    victim = photo_folder / "cat" / "02.jpg"
    with Image.open(victim) as image:
        image.convert("L").save(victim)
    os.utime(victim, (1, 1))  # whatever the file system's clock
    assert (counted.scan() < GREY_BELOW).nonzero()[0].tolist() == [1]
    assert counted.looks == 1


def test_damaged_photographs_are_remembered_too(photo_folder):
    (photo_folder / "cat" / "00.jpg").write_bytes(b"nothing")
    counted = Counted(photo_folder)
    assert np.isnan(counted.scan()).nonzero()[0].tolist() == [0]
    assert np.isnan(counted.scan()).nonzero()[0].tolist() == [0]
    assert counted.looks == 0


def test_a_damaged_cache_is_made_anew_and_an_impossible_one_does_without(
    photo_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("DEEPCOLOR_HOME", str(tmp_path / "home"))
    photos = open_photos(photo_folder)
    figures = cached_scan(photos)
    (file,) = home().iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="is damaged .* made anew"):
        again = cached_scan(photos)
    assert np.array_equal(again, figures)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEEPCOLOR_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot keep the figures"):
        again = cached_scan(photos)
    assert np.array_equal(again, figures)


def test_scanning_some_gives_the_figures_of_those(photo_folder):
    photos = open_photos(photo_folder)
    some = scan(photos, np.array([3, 7]))
    assert np.array_equal(some, scan(photos)[[3, 7]])
