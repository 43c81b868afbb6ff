"""One rule says what counts as a photograph; results are none, by name or by their mark."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import deepcolor
from deepcolor import images
from deepcolor.data import open_photos
from deepcolor.evaluation import find_photographs
from deepcolor.jobs.naming import Naming
from deepcolor.jobs.plan import plan
from deepcolor.listing import MARK, photographs_in, without_results

GREY = np.linspace(0, 255, 48 * 40).reshape(40, 48).astype(np.uint8)


def album(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(GREY).save(path)
    return folder


def listed(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in photographs_in(folder))


@pytest.fixture(scope="module")
def result():
    return deepcolor.Predictor("lite.photos", device="cpu", size=32)(Image.fromarray(GREY))


def test_hidden_and_unfinished_files_and_other_files_are_no_photographs(tmp_path):
    album(
        tmp_path, "a.jpg", ".b.jpg", "._a.jpg", ".deepcolor-1.png", ".trash/c.jpg", "__MACOSX/d.jpg"
    )
    (tmp_path / "notes.txt").write_text("no picture")
    assert listed(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    "name",
    ["a.color.png", "a.COLOR.jpg", "a.color.2.webp", "a.jpg.color.png", "a.color.compare.jpg"],
)
def test_a_result_beside_its_photograph_is_told_by_its_name(name, tmp_path):
    album(tmp_path, "a.jpg", name)
    assert listed(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    "name", ["frame.color.png", "a_color.jpg", "b.jpg", "a.colors.jpg", ".color.jpg"]
)
def test_photographs_that_only_look_like_results_count(name, tmp_path):
    album(tmp_path, "a.jpg", name)
    assert listed(tmp_path) == sorted({"a.jpg", name} - {".color.jpg"})


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("name", ["a_color", "color-a", "elsewhere.color"])
def test_results_of_other_names_are_told_by_their_mark(name, suffix, result, tmp_path):
    album(tmp_path, "a.jpg")
    images.save(result, tmp_path / f"{name}{suffix}")
    assert listed(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_results_are_marked_too(suffix, tmp_path):
    album(tmp_path, "a.jpg")
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    deep = deepcolor.Predictor("lite.photos", device="cpu", size=32)(tmp_path / "deep.png")
    assert deep.deep is not None
    (tmp_path / "deep.png").unlink()
    images.save(deep, tmp_path / f"a_color{suffix}")
    assert listed(tmp_path) == ["a.jpg"]


def test_the_mark_stands_beside_what_the_photograph_says(tmp_path):
    exif = Image.Exif()
    exif[0x0131] = "a scanner's software"
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
    deepcolor.Predictor("lite.photos", device="cpu", size=32)(tmp_path / "a.jpg").save(
        tmp_path / "b.jpg"
    )
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif()[0x0131] == "a scanner's software"
        assert image.getexif()[0x000B] == MARK


def test_all_who_look_for_photographs_pass_the_same_results_over(result, tmp_path):
    album(tmp_path, "a.jpg", "b.png", "a.color.png", "older/c.jpg", "older/c.color.png")
    images.save(result, tmp_path / "b_color.png")
    want = ["a.jpg", "b.png", "older/c.jpg"]
    assert open_photos(tmp_path).keys == want
    assert [photo.name for photo in find_photographs([tmp_path])] == want
    todo = plan([str(tmp_path)], None, Naming(), True, False, images.writable)
    assert sorted(task.photo.relative_to(tmp_path).as_posix() for task in todo.tasks) == want


def test_of_files_named_one_by_one_results_are_left_out_if_their_photograph_is_named(tmp_path):
    album(tmp_path, "b.png", "b.color.png", "c.color.png")
    photo, result, other = (tmp_path / n for n in ("b.png", "b.color.png", "c.color.png"))
    assert without_results([photo, result, other]) == ([photo, other], [result])
    assert without_results([result]) == ([result], [])
    assert [p.name for p in find_photographs([photo, result])] == ["b.png"]
    assert [p.name for p in find_photographs([result])] == ["b.color.png"]
