"""What `deepcolor colorize` calls its results, and names that are odd."""

import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from deepcolor import images
from deepcolor.cli.main import app
from deepcolor.data import DamagedPhotoError, open_photos
from deepcolor.evaluation import find_photographs
from deepcolor.evaluation.compare import compare
from deepcolor.evaluation.page import as_html
from deepcolor.inference import Predictor
from deepcolor.jobs.naming import Naming

SHELL = CliRunner()
ODD = "\x1b[2J\nwiped\u202egpj.jpg"  # clears a terminal, breaks a line, turns what follows round


@pytest.fixture
def grey(photograph) -> Image.Image:
    return Image.fromarray(photograph).convert("L").resize((60, 40))


@pytest.fixture
def folder(tmp_path, grey, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("album").mkdir()
    for name in ("a.jpg", "b.webp"):
        grey.save(Path("album", name))
    return Path("album")


def colorize(*arguments) -> tuple[int, str, str]:
    command = ["colorize", "--device", "cpu", *map(str, arguments)]
    result = SHELL.invoke(app, command)
    return result.exit_code, result.stdout, result.stderr


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_name_for_two_results_keeps_the_suffixes_and_the_rest_is_coloured(folder, grey):
    grey.save(folder / "a.png")
    code, _, err = colorize(folder, "-o", "out")
    assert code == 0, err
    assert names(Path("out")) == ["a.jpg.color.png", "a.png.color.png", "b.color.png"]
    assert colorize(folder)[0] == 0
    assert colorize(folder, "--skip-existing")[1].count("skipped") == 3  # results are none


def test_results_that_have_no_place_of_their_own_are_listed_at_the_end(folder, grey):
    Path("other").mkdir()
    grey.save("other/a.jpg")
    code, _, err = colorize(folder, "other", "-o", "out")
    assert code == 1
    assert names(Path("out")) == ["b.color.png"]
    assert err.count("a.jpg.color.png would be written twice, for album/a.jpg and for other") == 2


def test_a_photograph_with_the_name_of_a_result_is_not_written_over(folder, grey):
    grey.save(folder / "a_color.png")  # no mark: it may be a scan of the coloured print
    before = (folder / "a_color.png").read_bytes()
    code, _, err = colorize(folder, "--name", "{stem}_color{ext}")
    assert code == 1
    assert "a_color.png is one of the photographs" in err
    assert (folder / "a_color.png").read_bytes() == before
    assert (folder / "b_color.png").is_file()


@pytest.mark.parametrize(
    ("template", "results"),
    [
        ("{stem}_color{ext}", ["a_color.png", "b_color.png"]),
        ("new {name}{ext}", ["new a.jpg.png", "new b.webp.png"]),
        ("{stem}-{n}{ext}", ["a-1.png", "b-1.png"]),
    ],
)
def test_results_are_named_as_asked_and_told_from_photographs(template, results, folder):
    before = names(folder)
    code, _, err = colorize(folder, "--name", template)
    assert (code, err.count("\n")) == (0, 1)  # the summary
    assert sorted({*names(folder)} - {*before}) == results
    again = colorize(folder, "--name", template)[2]
    assert "2 of 2 photographs coloured" in again
    assert [photo.name for photo in find_photographs([folder])] == before


def test_names_by_which_results_cannot_be_told_apart_are_pointed_out(folder):
    _, _, err = colorize(folder, "--name", "x{stem}x{ext}")
    assert "count as photographs later; -o FOLDER keeps them apart" in err
    assert "count as" not in colorize(folder, "--name", "x{stem}x{ext}", "-o", "out")[2]


def test_the_format_of_the_photograph_can_be_kept(folder, grey):
    grey.save(folder / "c.bmp")  # is not written
    assert colorize(folder, "--format", "same", "-o", "out")[0] == 0
    assert names(Path("out")) == ["a.color.jpg", "b.color.webp", "c.color.png"]
    for name, kind in (("a.color.jpg", "JPEG"), ("b.color.webp", "WEBP")):
        with Image.open(Path("out", name)) as image:
            assert image.format == kind
    assert colorize(folder / "a.jpg", "--format", "same", "-o", "new.png")[0] == 2


@pytest.mark.parametrize("length", [240, 244])
def test_long_names_are_no_trouble(length, folder, grey):
    name = "x" * length
    grey.save(folder / f"{name}.jpg")
    assert colorize(folder / f"{name}.jpg")[0] == 0
    assert f"{name}.color.png" in names(folder)


def test_names_too_long_for_a_result_are_said_before_any_work(folder, grey):
    grey.save(folder / f"{'x' * 250}.jpg")
    code, _, err = colorize(folder)
    assert code == 1
    assert "the name of its result would have 260 bytes, and 255 is what" in err
    assert colorize(folder / f"{'x' * 250}.jpg", "-o", "short.png")[0] == 0


@pytest.fixture
def odd(folder) -> Path:
    shutil.copy(folder / "a.jpg", folder / ODD)
    return folder


def safe(text: str) -> bool:
    return not {*"\x1b\u202e\r"} & {*text}


def test_control_characters_of_names_do_not_reach_the_terminal(odd):
    code, out, err = colorize(odd / ODD, odd / "a.jpg")
    assert code == 0
    assert safe(out + err)
    assert r"album/\x1b[2J\nwiped\u202egpj.jpg -> album/\x1b[2J\nwiped\u202egpj.color.png (" in out
    line = json.loads(colorize(odd / ODD, "--json")[1].splitlines()[0])
    assert line["input"] == str(odd / ODD)  # machines get the name itself


@pytest.mark.parametrize("problem", ["damaged", "missing", "film", "clash"])
def test_control_characters_of_names_do_not_reach_errors(problem, odd):
    path = odd / ODD
    more: list[object] = []
    if problem == "damaged":
        path.write_bytes(path.read_bytes()[:300])
    elif problem == "missing":
        path.unlink()
    elif problem == "film":
        path.write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    else:
        Path("other").mkdir()
        shutil.copy(path, Path("other", ODD))
        more = [Path("other", ODD), "-o", "out/"]
    code, out, err = colorize(path, *more)
    assert code in (1, 2)
    assert safe(out + err)
    assert r"album/\x1b[2J\nwiped\u202egpj.jpg" in err
    assert err.count("\n") == 1


def test_control_characters_of_names_do_not_reach_pages_and_sheets(odd):
    done = compare(find_photographs([odd]), {"lite.photos": Predictor("lite.photos", "cpu", 64)})
    done.problems.append((ODD, f"{ODD} is damaged"))
    page = as_html(done)
    assert safe(page)
    assert page.count(r"\x1b[2J\nwiped") >= 3
    result = SHELL.invoke(app, ["compare", str(odd), "-o", "out\x1b[2J", "--device", "cpu"])
    assert result.exit_code == 0
    assert safe(result.stdout + result.stderr)
    assert r"out\x1b[2J/index.html: 3 photographs" in result.stdout.replace(os.sep, "/")


def test_templates_say_whether_results_are_told_apart():
    apart = ["{stem}.color{ext}", "{stem}_color{ext}", "{name}-x{ext}", "new {stem}{ext}"]
    mixed = ["{stem}{ext}", "x{stem}{ext}", "{stem}x{ext}", "a-{stem}-b{ext}", "{stem}{n}{ext}"]
    assert [Naming(template=t).names_results_apart for t in apart] == [True] * 4
    assert [Naming(template=t).names_results_apart for t in mixed] == [False] * 5


def test_a_brace_in_a_photograph_s_name_is_a_brace(folder, grey):
    grey.save(folder / "{n}{who.jpg")
    assert colorize(folder / "{n}{who.jpg", "--samples", 2)[0] == 0
    assert {"{n}{who.color.1.png", "{n}{who.color.2.png"} <= {*names(folder)}
    assert images.read(folder / "{n}{who.color.2.png").pixels.shape == (1, 3, 40, 60)


def test_control_characters_of_names_do_not_reach_the_errors_of_calls(odd):
    path = odd / ODD
    with tarfile.open("all.tar", "w") as archive:
        path.write_text("no picture")
        archive.add(path, ODD)
    with path.open("rb") as file:
        for source in (path, file):
            with pytest.raises(images.ImageError) as caught:
                images.read(source)
            assert safe(str(caught.value))
            assert r"\x1b[2J\nwiped" in str(caught.value)
    for read in (lambda: images.read(f"no{ODD}"), lambda: find_photographs([f"no{ODD}"])):
        with pytest.raises(FileNotFoundError, match="no such file") as missing:
            read()
        assert safe(str(missing.value))
    with pytest.raises(DamagedPhotoError) as damaged:
        open_photos("all.tar").picture(0)
    assert safe(str(damaged.value))
    result = SHELL.invoke(app, ["evaluate", "all.tar", "--metric", "psnr", "--device", "cpu"])
    assert result.exit_code == 2
    assert safe(result.stderr)
