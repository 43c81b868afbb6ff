"""Samples, before and after, the place, pages one at a time, and how much is said."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import deepcolor as library
from deepcolor import images
from deepcolor.cli import report
from deepcolor.cli.main import app
from deepcolor.images import metadata
from deepcolor.jobs import batch

SHELL = CliRunner()


@pytest.fixture
def photo(tmp_path, photograph, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photograph).convert("L").resize((90, 60)).save("old.png")
    return Path("old.png")


def colorize(*arguments) -> tuple[int, str, str]:
    result = SHELL.invoke(app, ["colorize", "--device", "cpu", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_samples_are_those_of_the_call_each_in_a_file(photo):
    code, out, _ = colorize(photo, "--samples", 3, "--sample", 5)
    assert code == 0
    results = [f"old.color.{n}.png" for n in (1, 2, 3)]
    assert out.startswith(f"old.png -> {', '.join(results)} (")
    want = library.Predictor(device="cpu").samples(photo, 3, seed=5)
    for name, one in zip(results, want, strict=True):
        assert np.array_equal(pixels(name), np.asarray(one))
    assert names() == [*results, "old.png"]
    _, out, _ = colorize(photo, "--samples", 3, "--skip-existing", "--json")
    assert json.loads(out.splitlines()[0])["output"] == results
    assert json.loads(out.splitlines()[0])["status"] == "skipped"


def test_samples_of_one_file_are_numbered(photo):
    assert colorize(photo, "--samples", 2, "-o", "new.jpg")[0] == 0
    assert names() == ["new.1.jpg", "new.2.jpg", "old.png"]


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (2700, 1800)])
def test_compare_shows_before_and_after(size, photo):
    with Image.open(photo) as image:
        image.resize(size).save(photo)
    assert colorize(photo, "--compare")[0] == 0
    assert names() == ["old.color.compare.jpg", "old.color.png", "old.png"]
    sheet = pixels("old.color.compare.jpg").astype(float)
    width, height = (min(size[0], 1200), min(size[1], 1200 * size[1] // size[0]))
    gap = round(0.02 * max(width, height))
    if width > height:
        assert sheet.shape == (2 * height + gap, width, 3)
        before, after = sheet[:height], sheet[height + gap :]
    else:
        assert sheet.shape == (height, 2 * width + gap, 3)
        before, after = sheet[:, :width], sheet[:, width + gap :]
    for part, whole in ((before, photo), (after, "old.color.png")):
        with Image.open(whole) as image:
            small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        assert np.abs(part - np.asarray(small)).mean() < 3  # JPEG
    assert np.ptp(before, axis=2).mean() < 2  # JPEG again
    assert np.ptp(after, axis=2).mean() > 5


@pytest.mark.parametrize("kind", ["deep", "owned"])
def test_compare_shows_the_photograph_though_colouring_wrote_over_its_pixels(kind, photo):
    with Image.open(photo) as image:
        grey = np.asarray(image)
    if kind == "deep":
        Image.fromarray(grey.astype(np.uint16) * 257).save(photo)
    else:
        Image.fromarray(np.stack([grey] * 3, -1)).save(photo)
    assert colorize(photo, "--compare", "--samples", 2)[0] == 0
    sheet = pixels("old.color.1.compare.jpg").astype(float)
    assert sheet.shape == (60 * 3 + 2 * 2, 90, 3)  # before, and both samples
    assert np.abs(sheet[:60] - grey[..., None]).mean() < 3


def located() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x010E] = "grandmother, 1931"
    exif[33922] = (0.0, 0.0, 0.0, 13.4, 52.5, 0.0)
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 7.0)})
    exif[0x8825] = exif.get_ifd(0x8825)
    exif[0x8769] = {0x9003: "1931:06:01 12:00:00", 0x927C: b"Panasonic\0Berlin"}
    return {"exif": exif.tobytes(), "xmp": b"<x exif:GPSLatitude='52,31N'/>"}


LOCATION = (b"Berlin", b"GPSLatitude")


def has_location(path: Path) -> bool:
    data = path.read_bytes()
    with Image.open(path) as image:
        exif = image.getexif()
        tags = [*exif, *exif.get_ifd(0x8825)]
    return bool({0x8825, 33922, 2} & {*tags}) or any(word in data for word in LOCATION)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_the_place_is_left_out_where_that_is_asked_and_nowhere_else(suffix, photo):
    with Image.open(photo) as image:
        image.save("place.jpg", **located())
    assert colorize("place.jpg", "-o", f"with.{suffix}")[0] == 0
    assert has_location(Path(f"with.{suffix}"))
    assert colorize("place.jpg", "-o", f"without.{suffix}", "--strip-location")[0] == 0
    assert not has_location(Path(f"without.{suffix}"))
    with Image.open(f"without.{suffix}") as image:
        assert image.getexif()[0x010E] == "grandmother, 1931"
        assert image.getexif().get_ifd(0x8769)[0x9003] == "1931:06:01 12:00:00"
    assert np.array_equal(pixels(f"with.{suffix}"), pixels(f"without.{suffix}"))


def test_a_comparison_says_no_place(photo):
    with Image.open(photo) as image:
        image.save("place.jpg", **located())
    assert colorize("place.jpg", "--compare")[0] == 0
    assert not has_location(Path("place.color.compare.jpg"))


def test_the_call_leaves_the_place_out_of_one_and_of_many(photo):
    with Image.open(photo) as image:
        image.save("place.jpg", **located())
        (one,) = library.colorize(["place.jpg"], device="cpu", strip_location=True)
        two = library.Predictor(device="cpu").samples("place.jpg", 2, strip_location=True)
        array = library.colorize(np.asarray(image), device="cpu", strip_location=True)
    assert array.dtype == np.uint8
    for result in (one, *two):
        result.save("new.jpg")
        assert not has_location(Path("new.jpg"))
        assert 0x8825 not in result.getexif()
    assert metadata.without_location({"dpi": (300.0, 300.0)}) == {"dpi": (300.0, 300.0)}


def test_on_error_skip_gives_none_for_what_cannot_be_read(photo):
    Path("bad.png").write_text("no picture")
    several = ["bad.png", photo, "none.png"]
    with pytest.warns(UserWarning, match="of the list is skipped") as heard:
        results = library.colorize(several, device="cpu", on_error="skip")
    assert [result is None for result in results] == [True, False, True]
    said = [str(one.message) for one in heard]
    assert said[0].startswith("picture 0 of the list is skipped: bad.png is not an image")
    assert said[1].startswith("picture 2 of the list is skipped: none.png: no such file")
    assert heard[0].filename == __file__
    with pytest.raises(library.ImageError, match=r"bad\.png"):
        library.colorize(several, device="cpu")
    with pytest.raises(library.ImageError, match=r"bad\.png"):
        library.colorize("bad.png", device="cpu", on_error="skip")


def test_on_error_skips_pictures_and_no_mistakes_of_the_caller(photo):
    with pytest.raises(ValueError, match="on_error must be one of raise, skip, got 'ignore'"):
        library.colorize([photo], device="cpu", on_error="ignore")
    with pytest.raises(ValueError, match="saturation must be"):
        library.colorize([photo], device="cpu", on_error="skip", saturation=-1)


def test_pages_are_coloured_one_at_a_time(photo, monkeypatch):
    with Image.open(photo) as page:
        page.save("book.tif", save_all=True, append_images=[page.rotate(90), page.rotate(180)])
    events = []
    read_pages, colour = images.read_pages, batch.Settings.colour

    def reading(*arguments):
        for number, picture in enumerate(read_pages(*arguments)):
            events.append(f"read {number}")
            yield picture

    def colouring(*arguments):
        events.append("colour")
        return colour(*arguments)

    monkeypatch.setattr(images, "read_pages", reading)
    monkeypatch.setattr(batch.Settings, "colour", colouring)
    assert colorize("book.tif", "-o", "new.tif")[0] == 0
    assert events == ["read 0", "colour", "read 1", "colour", "read 2", "colour"]
    with Image.open("new.tif") as book:
        assert book.n_frames == 3


def test_a_damaged_page_leaves_nothing(photo):
    with Image.open(photo) as page:
        page.save("book.tif", save_all=True, append_images=[page, page], compression="tiff_deflate")
    with Image.open("book.tif") as book:
        book.seek(2)
        start = book.tag_v2[273][0]
    data = bytearray(Path("book.tif").read_bytes())
    data[start : start + 50] = bytes(50)
    Path("book.tif").write_bytes(data)
    code, _, err = colorize("book.tif", "-o", "new.tif")
    assert code == 1
    assert "book.tif page 3" in err
    assert names() == ["book.tif", "old.png"]


def test_quiet_says_only_what_failed(photo):
    Path("bad.png").write_text("no picture")
    Image.new("L", (9, 9)).save("second.png")
    assert colorize(photo, "second.png", "--quiet", "--device", "auto") == (0, "", "")
    code, out, err = colorize(photo, "bad.png", "second.png", "-q")
    assert (code, out) == (1, "")
    assert err.startswith("deepcolor: bad.png is not an image")
    assert err.count("\n") == 1


def test_quiet_shows_no_bar(photo, monkeypatch):
    monkeypatch.setattr(report, "on_terminal", lambda stream: True)
    Image.new("L", (9, 9)).save("second.png")
    assert colorize(photo, "second.png", "-q") == (0, "", "")


def test_verbose_says_sizes_the_model_and_where_bugs_arose(photo, monkeypatch):
    _, out, err = colorize(photo, "-v")
    assert "(90 x 60 pixels, " in out
    assert "deepcolor: 1 to colour by lite.photos on cpu, 1 at once\n" in err

    def buggy(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(images, "read", buggy)
    assert "Traceback" not in colorize(photo)[2]
    err = colorize(photo, "-v")[2]
    assert "in buggy" in err
    assert err.splitlines()[-1] == "deepcolor: old.png: RuntimeError: a bug"


def test_the_version_can_be_asked():
    result = SHELL.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"deepcolor {version('deepcolor-lightning')}\n")


def test_python_m_deepcolor_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "deepcolor", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"deepcolor {version('deepcolor-lightning')}\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("deepcolor co", "colorize"),
        ("deepcolor colorize --strip", "--strip-location"),
        ("deepcolor colorize --quality b", "balanced"),
        ("deepcolor colorize --format w", "webp"),
    ],
)
def test_shells_complete_commands_and_options(words, offered):
    asked = {
        "_DEEPCOLOR_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    code = "from deepcolor.cli.main import app; app(prog_name='deepcolor')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert offered in done.stdout.split(), done.stderr


def test_the_completion_of_a_shell_can_be_shown():
    done = subprocess.run(
        [sys.executable, "-m", "deepcolor", "--show-completion", "bash"],
        # Not the shell that the tests were started from, which there may not be.
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "complete " in done.stdout


@pytest.mark.parametrize(
    ("flags", "asked"), [([], True), (["--borders"], True), (["--no-borders"], False)]
)
def test_borders_are_left_neutral_unless_that_is_not_wanted(flags, asked, photo, monkeypatch):
    told = []
    real = library.Predictor.colour

    def colour(self, picture, options, guidance=None):
        told.append(options.borders)
        return real(self, picture, options, guidance)

    monkeypatch.setattr(library.Predictor, "colour", colour)
    assert colorize(photo, *flags)[0] == 0
    assert told == [asked]
