"""Folders of numbered pictures as films, and films as such folders."""

import numpy as np
import pytest
import torch
from PIL import Image

import deepcolor
from deepcolor import images
from deepcolor.upsample import ChromaField
from deepcolor.video.film import Film
from deepcolor.video.folders import FrameFolder, FrameFolderWriter, film_of
from deepcolor.video.joining import check, join
from deepcolor.video.layouts import FilmError
from deepcolor.video.writing import VideoWriter
from films import make_film, picture


def folder_of(path, numbers=range(1, 6), size=(40, 56), name="{:08d}.png", deep=False):
    path.mkdir()
    for number in numbers:
        grey = picture(number, *size)
        pixels = grey.astype(np.uint16) * 257 if deep else grey
        Image.fromarray(pixels).save(path / name.format(number))
    return path


def field_of(film):
    plane = torch.tensor((40.0, 20.0)).view(2, 1, 1).expand(2, 4, 4).contiguous()
    size = (film.layout.height, film.layout.width)
    return ChromaField(plane, torch.full((1, 4, 4), 50.0), size)


@pytest.mark.parametrize("name", ["{:08d}.png", "frame{}.png", "old_film_{:04d}_grey.tif"])
def test_frames_come_in_the_order_of_their_numbers(tmp_path, name):
    film = film_of(folder_of(tmp_path / "in", range(8, 13), name=name))
    assert isinstance(film, FrameFolder)
    assert [file.name for file in film.files] == [name.format(n) for n in range(8, 13)]
    frames = list(film.frames())
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.number for frame in film.frames(3)] == [3, 4]
    assert frames[2].time == 2 * film.time_base
    expected = 16 + picture(10, 40, 56) * (219 / 255)
    assert np.abs(frames[2].y - expected).max() <= 0.501


def test_gaps_and_other_files_are_told(tmp_path):
    folder = folder_of(tmp_path / "in", [1, 2, 5])
    (folder / "notes.txt").write_text("x")
    assert film_of(folder).remarks == [
        "2 frames are missing between others: 3, 4",
        "1 other files are left out: notes.txt",
    ]


BAD = {
    "none": (lambda f: [p.unlink() for p in f.iterdir()], "no numbered pictures"),
    "two films": (lambda f: (f / "b001.png").touch(), "frames of 2 films"),
    "twice": (lambda f: (f / "1.png").touch(), "same number"),
}


@pytest.mark.parametrize("kind", BAD)
def test_folders_that_are_no_film_are_refused(tmp_path, kind):
    spoil, words = BAD[kind]
    folder = folder_of(tmp_path / "in")
    spoil(folder)
    with pytest.raises(FilmError, match=words):
        film_of(folder)


def test_a_frame_of_another_size_is_named(tmp_path):
    folder = folder_of(tmp_path / "in")
    Image.new("L", (10, 10)).save(folder / "00000003.png")
    with pytest.raises(FilmError, match=r"00000003.png has 10 x 10 pixels"):
        list(film_of(folder).frames())


@pytest.mark.parametrize("deep", [False, True])
def test_pictures_become_pictures_as_they_would_one_by_one(tmp_path, deep):
    film = film_of(folder_of(tmp_path / "in", deep=deep))
    with FrameFolderWriter(tmp_path / "out", film) as writer:
        for frame in film.frames():
            writer.write(frame, *writer.planes(frame, field_of(film)))
    for file in film.files:
        old, new = images.read(file), images.read(tmp_path / "out" / file.name)
        assert new.depth == old.depth
        grey = deepcolor.pixels.f_luminance(old.pixels[0])
        kept = deepcolor.pixels.f_luminance(new.pixels[0])
        assert float((grey - kept).abs().max()) * 116 < 0.6  # L, of 8-bit rounding
        assert not torch.equal(new.pixels[0, 0].int(), new.pixels[0, 2].int())


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_film_becomes_upright_pictures(tmp_path, rotation):
    path = tmp_path / "a.mp4"
    luma = make_film(path, frames=3, codec="libx264", rotation=rotation, options={"qp": "0"})
    film = Film(path)
    with FrameFolderWriter(tmp_path / "out", film) as writer:
        for frame in film.frames():
            writer.write(frame, *writer.planes(frame, field_of(film)))
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["00000001.png", "00000002.png", "00000003.png"]
    made = deepcolor.pixels.f_luminance(images.read(tmp_path / "out" / names[1]).pixels[0])
    expected = film.upright(film.layout.luminance(luma[1]))[0]
    assert float((116 * made - 16 - expected).abs().max()) < 0.6


@pytest.mark.parametrize("deep", [False, True])
def test_pictures_become_a_film(tmp_path, deep):
    film = film_of(folder_of(tmp_path / "in", deep=deep), rate=10)
    out = tmp_path / "b.mkv"
    assert check(out, film, "ffv1") == "ffv1"
    with VideoWriter(tmp_path / "s", film, out=out, codec="ffv1") as writer:
        for frame in film.frames():
            writer.write(frame, *writer.planes(frame, field_of(film)))
    assert join([tmp_path / "s"], film, out) == []
    new = Film(out)
    assert (new.rate, new.layout.depth) == (10, 10 if deep else 8)
    for made, came in zip(new.frames(), film.frames(), strict=True):
        assert np.array_equal(made.y, came.y)
