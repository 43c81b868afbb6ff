"""Films as training data: files that PyAV reads, and folders of numbered frames."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from deepcolor.data import ColorizationDataModule, DamagedPhotoError, Films
from deepcolor.data.films import holds_films

av = pytest.importorskip("av")
COUNT = 25


def level(number: int) -> int:
    """Grey level of a frame, by which it is known."""
    return 20 + 8 * number


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5", "g": "7", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            picture = np.full((48, 64, 3), level(number), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "films" / "walk"
    place.mkdir(parents=True)
    for number in range(9, 16):  # in order of the numbers, not of the letters
        Image.new("RGB", (40, 32), (level(number),) * 3).save(place / f"frame{number}.png")
    return place


def levels(frames: list[Image.Image]) -> list[int]:
    return [round((np.asarray(frame).mean() - 20) / 8) for frame in frames]


@pytest.mark.parametrize(("frames", "every"), [(4, 1), (5, 2), (12, 2), (25, 1)])
def test_stretches_of_a_file_are_its_frames_in_order(film, frames, every):
    films = Films(film, frames, every)
    assert len(films) == (COUNT - (frames - 1) * every - 1) // (frames * every) + 1
    for number in range(len(films)):
        first = number * frames * every
        assert levels(films.stretch(number)) == [first + every * i for i in range(frames)]
    assert films.keys[0] == "film.mp4#0"
    assert levels([films.picture(len(films) - 1)]) == [(len(films) - 1) * frames * every]


def test_stretches_of_a_folder_go_by_number(folder):
    films = Films(folder.parent, 3)
    assert films.keys == ["walk#0", "walk#3"]
    assert levels(films.stretch(0)) == [9, 10, 11]
    assert levels(films.stretch(1)) == [12, 13, 14]


def test_photographs_are_no_film(tmp_path):
    for name in ("1.png", "2.png", "cat.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert not holds_films(tmp_path)
    with pytest.raises(ValueError, match="no film"):
        Films(tmp_path, 3)


def test_a_film_that_is_too_short_is_named_so(film):
    with pytest.raises(ValueError, match="1 films of fewer than 26 frames"):
        Films(film, 26)


def test_a_file_that_is_no_film_is_refused(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(ValueError, match=r"x\.mp4.*no film that can be read"):
        Films(tmp_path, 3)


def test_a_damaged_frame_is_named(folder):
    (folder / "frame10.png").write_bytes(b"x")
    with pytest.raises(DamagedPhotoError, match="walk#0"):
        Films(folder.parent, 3).stretch(0)


def test_without_pyav_it_is_said_what_to_install(film, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="pip install av"):
        Films(film, 3)


def test_the_data_module_gives_films_cropped_alike(film, tmp_path):
    data = ColorizationDataModule(
        film, size=32, batch_size=2, workers=0, held_out=1, grey_below=0, frames=4
    )
    data.setup()
    clips = next(iter(data.train_dataloader()))
    assert clips.shape == (2, 4, 3, 32, 32)
    steps = clips.float().mean(dim=(2, 3, 4)).diff(dim=1)
    assert torch.allclose(steps, torch.tensor(8.0), atol=1.5)


def test_frames_of_a_folder_are_turned_and_mirrored_alike(tmp_path):
    place = tmp_path / "films" / "one"
    place.mkdir(parents=True)
    torch.manual_seed(0)
    picture = Image.fromarray((255 * torch.rand(60, 80, 3)).byte().numpy())
    for number in range(12):
        picture.save(place / f"{number:04d}.png")
    data = ColorizationDataModule(
        tmp_path / "films", size=32, batch_size=3, workers=0, held_out=1, grey_below=0, frames=3
    )
    data.setup()
    for clip in next(iter(data.train_dataloader())):
        assert torch.equal(clip[0], clip[1])
        assert torch.equal(clip[0], clip[2])
