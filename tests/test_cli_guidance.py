"""`deepcolor colorize` can be told colours: points, strokes, references, palettes, hints.json."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from deepcolor.cli.main import app
from deepcolor.color import rgb_to_lab

SHELL = CliRunner()


@pytest.fixture
def photo(tmp_path, photograph, monkeypatch) -> Path:
    """240 x 160, lying on its side in the file; the shell is beside it."""
    upright = Image.fromarray(photograph).resize((240, 160)).convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "old.jpg", exif=exif)
    monkeypatch.chdir(tmp_path)
    return Path("old.jpg")


def colorize(*arguments) -> tuple[int, str]:
    result = SHELL.invoke(app, ["colorize", "--device", "cpu", *(str(a) for a in arguments)])
    return result.exit_code, result.stdout + result.stderr


def chroma(path: str | Path) -> torch.Tensor:
    """(2, H, W)."""
    with Image.open(path) as image:
        rgb = torch.tensor(np.asarray(image.convert("RGB"))).permute(2, 0, 1) / 255
    return rgb_to_lab(rgb)[1:]


@pytest.fixture
def plain(photo) -> torch.Tensor:
    assert colorize(photo, "-o", "plain.png")[0] == 0
    return chroma("plain.png")


def test_a_hint_stands_where_it_was_put(photo, plain):
    code, said = colorize(photo, "-o", "new.png", "--hint", "60,40,#20a040,6",
                          "--hint", "200, 115, #a020a0, 6")  # fmt: skip
    assert code == 0, said
    ab = chroma("new.png")
    assert ab.shape == (2, 160, 240)
    assert ab[0, 40, 60] < plain[0, 40, 60] - 10
    assert ab[0, 115, 200] > 20
    assert ab[1, 115, 200] < -10


def test_strokes_are_read_from_an_overlay_and_from_a_painted_copy(photo, photograph, plain):
    over = np.zeros((160, 240, 4), np.uint8)
    over[100:130, 180:220] = (160, 32, 160, 255)
    Image.fromarray(over).save("over.png")
    assert colorize(photo, "-o", "new.png", "--strokes", "over.png")[0] == 0
    ab = chroma("new.png")
    assert ab[0, 115, 200] > 20
    assert ab[1, 115, 200] < -10
    Image.fromarray(photograph).convert("L").save("flat.png")
    copy = np.asarray(Image.open("flat.png").convert("RGB")).copy()
    copy[100:130, 180:220] = (160, 32, 160)
    Image.fromarray(copy).save("copy.png")
    assert colorize("flat.png", "-o", "new.png", "--strokes", "copy.png")[0] == 0
    assert chroma("new.png")[0, 115, 200] > 20


def test_a_palette_and_a_reference_are_for_all(photo, photograph):
    Image.open(photo).save("again.png")
    assert colorize(photo, "again.png", "-o", "out/", "--palette", "#40a040")[0] == 0
    for name in ("old", "again"):
        assert chroma(f"out/{name}.color.png")[0].mean() < -15
    reference = photograph.copy()
    reference[..., 0] //= 3
    Image.fromarray(reference).save("ref.png")
    assert colorize(photo, "again.png", "-o", "teal/", "--reference", "ref.png")[0] == 0
    assert chroma("teal/old.color.png")[0].mean() < 0


def test_a_file_says_all_of_it_and_options_win(photo):
    said = {
        "version": 1, "size": [240, 160], "points": [{"x": 60, "y": 40, "color": "#20a040"}],
        "strokes": [{"points": [[180, 115], [220, 115]], "color": "#a020a0", "width": 20}],
        "palette": ["#c0a030"],
    }  # fmt: skip
    Path("hints.json").write_text(json.dumps(said))
    assert colorize(photo, "-o", "new.png", "--hints", "hints.json")[0] == 0
    ab = chroma("new.png")
    assert ab[1, 115, 200] < 0
    del said["palette"]
    Path("places.json").write_text(json.dumps(said))
    assert colorize(photo, "-o", "places.png", "--hints", "places.json")[0] == 0
    assert ab[1].mean() > chroma("places.png")[1].mean() + 2
    assert colorize(
        photo, "-o", "other.png", "--hints", "hints.json", "--palette", "#3060c0",
        "--hint", "200,115,#20a040,9",
    )[0] == 0  # fmt: skip
    other = chroma("other.png")
    assert other[1].mean() < ab[1].mean() - 10
    assert other[0, 115, 200] < ab[0, 115, 200] - 10


def test_samples_are_told_too(photo):
    told = colorize(photo, "-o", "s.png", "--samples", "2", "--palette", "#40a040")
    assert told[0] == 0, told
    for number in (1, 2):
        assert chroma(f"s.{number}.png")[0].mean() < -15


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--hint", "60,40"], 2, "'60,40' cannot be read: it must be x,y,colour"),
        (["--hint", "a,40,red"], 2, "cannot be read"),
        (["--hint", "60,40,reddish"], 2, "no colour: 'reddish'"),
        (["--hint", "60,40,red,-2"], 2, "radius of --hint 60,40,red,-2 must be 0"),
        (["--hint", "240,40,red"], 1, "--hint 240,40,red at x = 240, y = 40 lies outside the"
         " picture, which is 240 x 160"),
        (["--strokes", "none.png"], 2, "--strokes none.png: no such file"),
        (["--strokes", "old.jpg"], 1, "holds no strokes: it nowhere differs"),
        (["--reference", "old.jpg"], 2, "is grey"),
        (["--reference", "none.jpg"], 2, "none.jpg"),
        (["--palette", ""], 2, "empty palette"),
        (["--hints", "none.json"], 2, "none.json"),
        (["--hints", "old.jpg"], 2, "old.jpg: no JSON"),
        (["--palette", "red", "--model", "levin04"], 2, "takes no palette; models that do"),
        (["--hint", "1,1,red", "--model", "welsh02"], 2,
         "takes no hints; guidance it takes: reference; models that take hints: .*lite"),
        (["again.png", "--hint", "1,1,red"], 2, "in one photograph; 2 are to be coloured"),
        (["again.png", "--strokes", "old.jpg"], 2, "in one photograph; 2 are to be coloured"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_words(photo, arguments, code, words):
    Image.new("L", (20, 20)).save("again.png")
    given, said = colorize(photo, *arguments, "-o", "out/")
    assert given == code, said
    assert re.search(words, " ".join(said.split())), said
    assert not Path("out").exists()
