"""`deepcolor evaluate` and `deepcolor compare` from the shell."""

import csv
import json
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from typer.testing import CliRunner

import deepcolor as library
from deepcolor.cli.main import app
from deepcolor.evaluation import evaluate, find_photographs

SHELL = CliRunner()


@pytest.fixture
def album(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("chelsea", "coffee"):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.thumbnail((100, 100))
        image.save(folder / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return Path("album")


def deepcolor(*arguments) -> tuple[int, str, str]:
    result = SHELL.invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def second(album) -> str:
    """Another weights file."""
    library.save_model(library.load_model("lite.photos", temperature=1.0), "second.safetensors")
    return "second.safetensors"


def names(text: str) -> list[str]:
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]


def test_evaluate_prints_one_table_of_what_the_call_measures(album):
    code, out, err = deepcolor("evaluate", album, "--device", "cpu")
    assert (code, err) == (0, "")
    assert names(out) == ["", "grey", "lite.photos", "truth"]
    want = evaluate(
        find_photographs([album]), {"lite.photos": library.Predictor("lite.photos", "cpu")}
    )
    figures = want.rows["lite.photos"]
    assert f"| {figures['psnr']:.2f} |" in out
    assert f"{figures['auc_rebalanced']:.2f}" in out
    assert want.protocol.hash[:16] in out


@pytest.mark.parametrize(
    "order",
    [
        ["album", "--model", "lite.photos", "second.safetensors", "--metric", "psnr", "grey"],
        ["--metric=psnr", "--metric", "grey", "-m", "lite.photos", "-m", "second.safetensors",
         "album"],
        ["-m", "lite.photos", "album", "-m", "second.safetensors", "--metric", "grey", "psnr"],
    ],
    ids=["several", "repeated", "mixed"],
)  # fmt: skip
def test_models_and_metrics_may_follow_or_be_repeated(order, second):
    code, out, err = deepcolor("evaluate", *order)
    assert (code, err) == (0, "")
    assert names(out) == ["", "grey", "lite.photos", "second.safetensors", "truth"]
    head = out.splitlines()[0]
    assert "PSNR" in head
    assert "grey+" in head
    assert "SSIM" not in head


def test_files_are_written_whole_and_standard_output_holds_one_format(album):
    code, out, _ = deepcolor(
        "evaluate", album, "--metric", "psnr", "--json", "all.json", "--csv", "-"
    )
    assert code == 0
    rows = list(csv.DictReader(out.splitlines()))
    record = json.loads(Path("all.json").read_text())
    assert [row["model"] for row in rows] == ["grey", "lite.photos", "truth"]
    assert float(rows[1]["psnr"]) == record["rows"]["lite.photos"]["psnr"]
    assert rows[0]["protocol"] == record["protocol"]["hash"]
    assert [p.name for p in Path().iterdir() if p.name.startswith(".")] == []


def test_a_damaged_photograph_is_listed_and_the_exit_code_is_1(album):
    (album / "bad.png").write_text("no picture")
    code, out, err = deepcolor("evaluate", album, "--metric", "psnr")
    assert code == 1
    assert "2 photographs, " in out
    assert err.startswith("deepcolor: bad.png ")
    assert err.count("\n") == 1


def test_preparation_and_colouring_are_said(album):
    code, out, _ = deepcolor(
        "evaluate", album, "--metric", "psnr", "--crop", "centre", "--short-side", 48,
        "--temperature", 0.5, "--quality", "fast", "--count", 1, "--tint-from", album,
    )  # fmt: skip
    assert code == 0
    assert "1 photograph, crop centre, short side 48 px" in out
    assert "quality fast, saturation 1, temperature 0.5, size the model's" in out
    assert names(out) == ["", "grey", "tint", "lite.photos", "truth"]
    assert "tint: ab " in out


MISTAKES = {
    "missing folder": (["evaluate", "none"], "none: no such file or folder"),
    "empty folder": (["evaluate", "empty"], "no photographs below empty"),
    "grey folder": (["evaluate", "grey"], "all 1 photographs are grey"),
    "only damaged files": (["evaluate", "text.png"], "can be measured: "),
    "unknown metric": (["evaluate", "album", "--metric", "pnsr"], "there are: psnr, ssim"),
    "unknown crop": (["evaluate", "album", "--crop", "left"], "there are: none, centre"),
    "unknown model": (["evaluate", "album", "-m", "magic"], "'magic'; there are: "),
    "another's weights": (
        ["evaluate", "album", "-m", "foreign.safetensors"], "no deepcolor header",
    ),
    "a model twice": (
        ["evaluate", "album", "-m", "lite.photos", "lite.photos"], "names lite.photos twice",
    ),
    "one for FID": (
        ["evaluate", "album/coffee.png", "--metric", "fid"], "fid compare sets",
    ),
    "unknown extractor": (
        ["evaluate", "album", "--metric", "fid", "--extractor", "vgg"], "no extractor named 'vgg'",
    ),
    "offline": (["evaluate", "album", "--metric", "lpips"], "alexnet-owt-7be5be79.pth into "),
    "json into nowhere": (["evaluate", "album", "--json", "no/x.json"], "no: no such folder"),
    "csv into a folder": (["evaluate", "album", "--csv", "empty"], "empty is a folder"),
    "both to -": (["evaluate", "album", "--csv", "-", "--json", "-"], "holds one format"),
    "no temperature": (
        ["evaluate", "album", "-m", "plain.safetensors", "--temperature", "0.3"],
        "predicts no distribution",
    ),
    "unknown quality": (["compare", "album", "-o", "out", "--quality", "9"], "no quality named"),
    "output is a file": (["compare", "album", "-o", "text.png"], "text.png is a file"),
    "nothing to compare": (["compare", "text.png", "-o", "out"], "can be compared: "),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line_with_exit_code_2(mistake, album, monkeypatch):
    arguments, message = MISTAKES[mistake]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DEEPCOLOR_HOME", "home")
    Path("empty").mkdir()
    Path("grey").mkdir()
    Image.open("album/coffee.png").convert("L").save("grey/old.png")
    Path("text.png").write_text("no picture")
    if "plain.safetensors" in arguments:
        library.save_model(library.create_model("simple_cnn"), "plain.safetensors")
    if "foreign.safetensors" in arguments:
        from safetensors.torch import save_file

        save_file({"layer.weight": torch.zeros(3)}, "foreign.safetensors")
    code, out, err = deepcolor(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("deepcolor: ")
    assert err.count("\n") == 1
    assert not Path("out").exists()


def test_compare_writes_a_page_and_sheets(album, second):
    code, out, err = deepcolor("compare", album, "--model", "lite.photos", second, "-o", "deep/out")
    assert (code, err) == (0, "")
    assert out == f"{Path('deep/out/index.html')}: 2 photographs, 1 sheet beside it\n"
    assert sorted(p.name for p in Path("deep/out").iterdir()) == ["index.html", "sheet-01.png"]
    page = Path("deep/out/index.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 * 4
    with Image.open("deep/out/sheet-01.png") as sheet:
        assert sheet.mode == "RGB"


def test_compare_lists_what_it_could_not_read(album):
    (album / "bad.png").write_text("no picture")
    code, out, err = deepcolor("compare", album, "-o", "out")
    assert code == 1
    assert "2 photographs" in out
    assert err.startswith("deepcolor: bad.png ")


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_help_says_what_it_needs(command):
    code, out, _ = deepcolor(command, "--help")
    assert code == 0
    assert "Exit code" in out
