import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import deepcolor as library
from deepcolor import images
from deepcolor.cli import colorize as work
from deepcolor.cli import report
from deepcolor.cli.main import app
from deepcolor.jobs import batch
from deepcolor.jobs.naming import Task
from deepcolor.models import list_models
from deepcolor.weights import CHECKPOINTS, load_model

SHELL = CliRunner()


@pytest.fixture
def photo(tmp_path, photograph) -> Path:
    path = tmp_path / "old.jpg"
    Image.fromarray(photograph).convert("L").save(path)
    return path


@pytest.fixture
def album(tmp_path, photograph, monkeypatch) -> Path:
    """Photographs in a folder, in one below it, and what else lies about; the shell is beside."""
    grey = Image.fromarray(photograph).convert("L").resize((60, 40))
    for name in ("a.jpg", "b.png", "older/c.webp", "older/a.jpg", ".trash/d.jpg", "a.color.png"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grey.save(path)
    (tmp_path / "album" / "notes.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return Path("album")


def deepcolor(*arguments) -> tuple[int, str, str]:
    result = SHELL.invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def colorize(*arguments) -> tuple[int, str, str]:
    return deepcolor("colorize", "--device", "cpu", *arguments)


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_colorize_writes_beside_the_photograph_and_says_so(photo):
    code, out, _ = deepcolor("colorize", photo)
    assert code == 0
    assert names(photo.parent) == ["old.color.png", "old.jpg"]
    assert "old.color.png (" in out
    assert " s on cpu)" in out or " s on cuda" in out
    result = np.asarray(Image.open(photo.parent / "old.color.png")).astype(int)
    assert np.ptp(result, axis=2).mean() > 5  # it has colour


def test_output_names_a_file_or_a_folder(photo, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    assert deepcolor("colorize", photo, "-o", folder / "new.webp")[0] == 0
    assert deepcolor("colorize", photo, "-o", folder)[0] == 0
    second = shutil.copy(photo, tmp_path / "second.jpg")
    assert deepcolor("colorize", photo, second, "-o", folder)[0] == 0
    assert names(folder) == ["new.webp", "old.color.png", "second.color.png"]


def test_results_of_the_command_and_of_the_call_are_the_same(photo):
    deepcolor("colorize", photo)
    with Image.open(photo.parent / "old.color.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(library.colorize(photo)))


def test_results_replace_older_ones(photo):
    (photo.parent / "old.color.png").write_text("older")
    assert colorize(photo)[0] == 0
    assert pixels(photo.parent / "old.color.png").shape == (256, 256, 3)


def test_auto_says_on_stderr_which_device_it_chose(photo):
    assert deepcolor("colorize", photo)[2].startswith("deepcolor: device c")
    assert colorize(photo)[2] == ""


MISTAKES = {
    "missing file": (["none.jpg"], r"none.jpg: no such file"),
    "empty folder": (["folder"], "folder: no photographs in it; --recursive looks deeper"),
    "pattern for nothing": (["*.gif"], "*.gif: no photograph matches"),
    "unknown model": (["old.jpg", "-m", "magic"], "'magic'; there are: "),
    "unknown device": (["old.jpg", "--device", "gpu"], "use auto or cpu"),
    "unknown format": (["old.jpg", "--format", "xyz"], "png, jpg, tif, webp, avif, same"),
    "two formats": (["old.jpg", "-o", "new.png", "--format", "jpg"], "new.png is not jpg"),
    "unknown quality": (["old.jpg", "--quality", "90"], "--file-quality takes numbers"),
    "quality of PNG": (["old.jpg", "--file-quality", "90"], "is for jpg, webp and avif"),
    "endless saturation": (["old.jpg", "--saturation", "inf"], "saturation must be 0 (grey)"),
    "unwritable suffix": (["old.jpg", "-o", "new.xyz"], "cannot write .xyz"),
    "missing folder": (["old.jpg", "-o", "no/new.png"], "no such folder"),
    "several into one file": (["old.jpg", "cut.jpg", "-o", "new.png"], "need a folder"),
    "several into a file there": (["old.jpg", "cut.jpg", "-o", "text.jpg"], "need a folder"),
    "folder that is a file": (["old.jpg", "-o", "text.jpg/"], "text.jpg/ is a file"),
    "overwriting the input": (["old.jpg", "-o", "old.jpg"], "is one of the photographs"),
    "the same by a link": (["old.jpg", "-o", "link.jpg"], "is one of the photographs"),
    "the same from two folders": (
        ["old.jpg", "folder/../deep/old.jpg", "-o", "folder"],
        "old.jpg.color.png would be written twice, for old.jpg and for folder/../deep/old.jpg",
    ),
    "a name of unknown parts": (["old.jpg", "--name", "{who}{ext}"], "nothing is known of 'who'"),
    "a name of parts set out": (["old.jpg", "--name", "{stem:>9}{ext}"], "known of '>9'"),
    "a name for all": (["old.jpg", "--name", "new{ext}"], "needs {stem} or {name}"),
    "a name without suffix": (["old.jpg", "--name", "{stem}.new"], "{ext} at its end"),
    "a broken name": (["old.jpg", "--name", "{stem"], "--name '{stem': "),
    "a name elsewhere": (["old.jpg", "--name", "../{stem}{ext}"], "folders go to -o"),
    "a name and a file": (
        ["old.jpg", "-o", "new.png", "--name", "{stem}_color{ext}"], "leave out --name",
    ),
    "its own name": (
        ["old.jpg", "--name", "{stem}{ext}", "--format", "same"], "is one of the photographs",
    ),
    "loud and quiet": (["old.jpg", "-q", "-v"], "--quiet and --verbose: choose one"),
    "several to standard output": (["old.jpg", "-o", "-", "--samples", "2"], "takes one picture"),
    "a comparison to it": (["old.jpg", "-o", "-", "--compare"], "takes one picture"),
    "- and others": (["-", "old.jpg"], "- stands for one photograph"),
    "several to -": (["old.jpg", "cut.jpg", "-o", "-"], "- stands for one photograph"),
    "missing file to -": (["none.jpg", "-o", "-"], "none.jpg: no such file"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line_with_exit_code_2_before_any_work(mistake, photo, monkeypatch):
    arguments, message = MISTAKES[mistake]
    monkeypatch.chdir(photo.parent)
    Path("text.jpg").write_text("no picture")
    Path("cut.jpg").write_bytes(photo.read_bytes()[:2000])
    Path("folder").mkdir()
    Path("deep").mkdir()
    Path("link.jpg").symlink_to("old.jpg")
    shutil.copy(photo, "deep/old.jpg")
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    code, _, err = deepcolor("colorize", *arguments)
    assert code == 2
    assert message in err
    assert err.startswith("deepcolor: ")
    assert err.count("\n") == 1
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before


BAD_FILES = {
    "not an image": ("text.jpg", "text.jpg is not an image"),
    "truncated": ("cut.jpg", "cut.jpg is damaged or truncated"),
    "empty": ("empty.jpg", "empty.jpg is empty"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_photograph_ends_in_one_line_with_exit_code_1(kind, photo, monkeypatch):
    name, message = BAD_FILES[kind]
    monkeypatch.chdir(photo.parent)
    Path("text.jpg").write_text("no picture")
    Path("cut.jpg").write_bytes(photo.read_bytes()[:2000])
    Path("empty.jpg").touch()
    before = names(Path())
    code, out, err = colorize(name, "-o", "results/")
    assert (code, out) == (1, "")
    assert err.startswith(f"deepcolor: {message}")
    assert err.count("\n") == 1
    assert names(Path()) == before  # nor a folder for results that never came


def test_one_bad_file_does_not_stop_the_rest_and_is_listed_at_the_end(album):
    (album / "a0.jpg").write_text("no picture")
    code, out, err = colorize(album, "none.jpg", "-o", "out")
    assert code == 1
    assert names(Path("out")) == ["a.color.png", "b.color.png"]
    assert "a0.jpg: failed, see the end" in out
    summary, *errors = err.splitlines()
    assert summary.startswith("deepcolor: 2 of 4 photographs coloured in ")
    assert summary.endswith(", 2 failed")
    assert [line.split()[1] for line in errors] == ["none.jpg:", str(album / "a0.jpg")]


def test_even_an_unforeseen_error_stops_one_photograph_only(album, monkeypatch):
    real = images.read

    def read(photo, max_pixels):
        if photo.name == "a.jpg":
            raise RuntimeError("a bug,\nof two lines")
        return real(photo, max_pixels)

    monkeypatch.setattr(images, "read", read)
    code, _, err = colorize(album, "-o", "out")
    assert code == 1
    assert names(Path("out")) == ["b.color.png"]
    assert f"deepcolor: {album / 'a.jpg'}: RuntimeError: a bug, of two lines" in err.splitlines()


def test_a_folder_gives_its_photographs_and_nothing_else(album):
    assert colorize(album, "-o", "out")[0] == 0  # which is created
    assert tree(Path("out")) == ["a.color.png", "b.color.png"]


def test_recursive_mirrors_the_folders_below(album):
    assert colorize(album, "--recursive", "-o", "out/deep")[0] == 0
    mirrored = ["a.color.png", "b.color.png", "older/a.color.png", "older/c.color.png"]
    assert tree(Path("out/deep")) == mirrored
    before = tree(album)
    assert colorize(album, "-r")[0] == 0
    assert sorted({*tree(album)} - {*before}) == mirrored[1:]  # beside each


def test_quoted_patterns_name_photographs_too(album):
    assert colorize("album/*", "-o", "out")[0] == 0
    assert tree(Path("out")) == ["a.color.png", "b.color.png"]
    assert colorize("album/**/*.[jw]*", "-o", "mirrored")[0] == 0
    assert tree(Path("mirrored")) == ["a.color.png", "older/a.color.png", "older/c.color.png"]


def test_a_file_with_a_name_like_a_pattern_is_a_file(album):
    shutil.copy(album / "a.jpg", "scan[1].jpg")
    assert colorize("scan[1].jpg")[0] == 0
    assert Path("scan[1].color.png").is_file()


def test_photographs_named_twice_are_coloured_once(album):
    out = colorize(album, album / "a.jpg", album / "*.jpg", "-o", "out")[1]
    assert out.count("a.color.png") == 1


def test_results_are_not_coloured_again(album):
    pngs = [album / "b.png", album / "b.color.png"]  # what the shell makes of *.png
    assert colorize(album / "b.png")[0] == 0
    code, out, err = colorize(*pngs)
    assert (code, out.count("\n")) == (0, 1)
    assert "1 result of an earlier run is not coloured again" in err
    assert colorize(pngs[1])[0] == 0  # unless nothing else is meant
    assert (album / "b.color.color.png").is_file()


@pytest.mark.parametrize(
    ("name", "kind"), [("jpg", "JPEG"), ("tiff", "TIFF"), ("webp", "WEBP"), ("avif", "AVIF")]
)
def test_format_says_what_is_written(name, kind, album):
    suffix = "tif" if name == "tiff" else name
    assert colorize(album / "a.jpg", "--format", name)[0] == 0
    with Image.open(album / f"a.color.{suffix}") as image:
        assert image.format == kind


def test_file_quality_trades_size(photo):
    sizes = []
    for quality in (30, 95):
        assert colorize(photo, "--format", "jpg", "--file-quality", quality)[0] == 0
        sizes.append((photo.parent / "old.color.jpg").stat().st_size)
    assert sizes[0] * 2 < sizes[1]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_stay_sixteen(suffix, tmp_path, photograph):
    deep = photograph[..., 1].astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert colorize(tmp_path / "deep.png", "--format", suffix)[0] == 0
    result = library.images.read(tmp_path / f"deep.color.{suffix}")
    assert result.depth == torch.uint16
    assert result.pixels.shape == (1, 3, 256, 256)


def test_the_pages_of_a_tiff_stay_pages_or_a_warning_says_so_once(tmp_path, photograph):
    grey = Image.fromarray(photograph).convert("L").resize((50, 30))
    pages = [grey, grey.rotate(180), grey.resize((20, 30))]
    path = tmp_path / "book.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    code, _, err = colorize(path, "--format", "tif")
    assert (code, err) == (0, "")
    with Image.open(tmp_path / "book.color.tif") as book:
        assert book.n_frames == 3
        book.seek(2)
        assert (book.size, book.mode) == ((20, 30), "RGB")
    code, _, err = colorize(path)
    assert code == 0
    assert err == f"deepcolor: {path} holds 3 pictures; the first is coloured\n"


def test_the_controls_are_those_of_the_call(photo):
    flags = "--saturation 0.5 --temperature 1 --size 128 --quality fast"
    assert colorize(photo, *flags.split())[0] == 0
    call = library.colorize(
        photo, device="cpu", saturation=0.5, temperature=1, size=128, quality="fast"
    )
    assert np.array_equal(pixels(photo.parent / "old.color.png"), np.asarray(call))


def test_sample_draws_the_colouring_of_that_seed(photo):
    drawn = []
    for seed in (0, 3):
        assert colorize(photo, "--sample", seed)[0] == 0
        drawn.append(pixels(photo.parent / "old.color.png"))
        (call,) = library.Predictor(device="cpu").samples(photo, 1, seed=seed)
        assert np.array_equal(drawn[-1], np.asarray(call))
    assert not np.array_equal(*drawn)
    code, out, err = colorize(photo, "--sample", 0, "--temperature", 0)
    assert (code, out) == (2, "")
    assert err == "deepcolor: samples differ by temperature: it must be above 0, up to 1\n"


def test_max_pixels_refuses_larger_photographs(photo):
    code, _, err = colorize(photo, "--max-pixels", 1000)
    assert code == 1
    assert "too large" in err
    assert "--max-pixels raises it" in err
    assert colorize(photo, "--max-pixels", 0)[0] == 0


def test_skip_existing_resumes(album, monkeypatch):
    assert colorize(album / "a.jpg", "-o", "out/")[0] == 0
    first = Path("out/a.color.png").stat().st_mtime_ns
    code, out, err = colorize(album, "-o", "out", "--skip-existing")
    assert code == 0
    assert "a.jpg: skipped, " in out
    assert "1 of 2 photographs coloured in " in err
    assert Path("out/a.color.png").stat().st_mtime_ns == first
    monkeypatch.setattr(work, "Predictor", None)  # with nothing to do, no model is loaded
    assert colorize(album, "-o", "out", "--skip-existing")[0] == 0


def test_bytes_in_bytes_out_with_messages_on_stderr(photo):
    for arguments, kind in ((["-"], "JPEG"), (["-", "-o", "-", "--format", "png"], "PNG")):
        result = SHELL.invoke(app, ["colorize", *arguments], input=photo.read_bytes())
        assert result.exit_code == 0
        assert result.stderr.splitlines()[1].startswith("standard input -> standard output (")
        (photo.parent / "piped").write_bytes(result.stdout_bytes)
        with Image.open(photo.parent / "piped") as image:
            assert image.format == kind
    assert np.array_equal(pixels(photo.parent / "piped"), np.asarray(library.colorize(photo)))


def test_a_file_goes_to_standard_output_and_standard_input_to_a_file(photo):
    result = SHELL.invoke(app, ["colorize", str(photo), "-o", "-"])
    assert result.stdout_bytes[:3] == b"\xff\xd8\xff"  # JPEG, as it came
    target = photo.parent / "new.png"
    result = SHELL.invoke(app, ["colorize", "-", "-o", str(target)], input=photo.read_bytes())
    assert "standard input -> " in result.stdout
    assert pixels(target).shape == (256, 256, 3)
    assert names(photo.parent) == ["new.png", "old.jpg"]


def test_a_damaged_stream_gives_no_bytes(photo):
    command = ["colorize", "-", "--device", "cpu"]
    for data, message in ((photo.read_bytes()[:900], "is damaged or "), (b"", "is empty\n")):
        result = SHELL.invoke(app, command, input=data)
        assert (result.exit_code, result.stdout_bytes) == (1, b"")
        assert result.stderr.startswith(f"deepcolor: standard input {message}")
        assert result.stderr.count("\n") == 1


def test_a_terminal_gets_no_bytes(photo, monkeypatch):
    monkeypatch.setattr(work, "on_terminal", lambda stream: True)
    code, out, err = colorize(photo, "-o", "-")
    assert (code, out) == (2, "")
    assert "standard output is a terminal" in err


def test_json_tells_machines_about_each_photograph_and_the_whole(album):
    (album / "bad.jpg").write_text("no picture")
    assert colorize(album / "b.png", "-o", "out/")[0] == 0
    code, out, _ = colorize(album, "-o", "out", "--skip-existing", "--json")
    *lines, last = map(json.loads, out.splitlines())
    assert code == 1
    by_name = {Path(line["input"]).name: line for line in lines}
    done, bad, skipped = (by_name[name] for name in ("a.jpg", "bad.jpg", "b.png"))
    assert done.pop("seconds") > 0
    assert done == {
        "input": str(album / "a.jpg"), "output": str(Path("out/a.color.png")), "status": "done",
        "size": [60, 40], "device": "cpu", "error": None,
    }  # fmt: skip
    assert (bad["status"], bad["output"], bad["size"]) == ("failed", None, None)
    assert "is not an image" in bad["error"] or "damaged" in bad["error"]
    assert (skipped["status"], skipped["error"]) == ("skipped", None)
    assert last["summary"].pop("seconds") > 0
    assert last["summary"] == {
        "done": 1, "skipped": 1, "failed": 1, "total": 3, "device": "cpu", "interrupted": False,
    }  # fmt: skip


def test_json_goes_to_stderr_when_stdout_takes_the_picture(photo):
    result = SHELL.invoke(app, ["colorize", "-", "--device", "cpu", "--json"], photo.read_bytes())
    line, summary = map(json.loads, result.stderr.splitlines())
    assert (line["input"], line["output"], line["size"]) == ("-", "-", [256, 256])
    assert summary["summary"]["done"] == 1


def test_a_terminal_sees_a_bar_and_no_lines(album, monkeypatch):
    (album / "bad.jpg").write_text("no picture")
    monkeypatch.setattr(report, "on_terminal", lambda stream: True)
    _, out, err = colorize(album)
    assert out == ""
    assert "3/3 [" in err
    assert "failed=1" in err
    assert "bad.jpg" in err.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_names_that_are_no_utf8_can_be_told(album):
    path = os.fsdecode(b"\xff.jpg")
    shutil.copy(album / "a.jpg", path)
    code, out, _ = colorize(path)
    assert code == 0
    assert "\\udcff.jpg -> " in out
    (line, _) = map(json.loads, colorize(path, "--json")[1].splitlines())
    assert line["input"] == path


def test_any_number_of_jobs_gives_the_same_results(photo_folder, tmp_path):
    for jobs in (1, 3):
        assert colorize(photo_folder, "-r", "-o", tmp_path / f"{jobs}", "--jobs", jobs)[0] == 0
    one, three = tree(tmp_path / "1"), tree(tmp_path / "3")
    assert len(one) == 12
    assert one == three
    for name in one:
        first, second = (pixels(tmp_path / jobs / name).astype(int) for jobs in "13")
        assert np.abs(first - second).max() <= 1  # torch rounds by the number of its threads
        assert np.mean(first != second) < 1e-3


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_photographs_are_in_memory_than_jobs(jobs, tmp_path, monkeypatch):
    lock, held, most = threading.Lock(), set(), 0

    def read(photo, max_pixels):
        nonlocal most
        with lock:
            held.add(photo.name)
            most = max(most, len(held))
        time.sleep(0.02)
        return photo

    def save(image, target, quality):
        time.sleep(0.02)
        with lock:
            held.remove(image.filename)

    class Quick:
        device = torch.device("cpu")

        def colour(self, photo, _, guidance):
            image = Image.new("RGB", (1, 1))
            image.filename = photo.name
            return image

    monkeypatch.setattr(images, "read", read)
    monkeypatch.setattr(images, "save", save)
    tasks = [Task(tmp_path / f"{n}.jpg", (tmp_path / f"{n}.png",), "", "") for n in range(12)]
    done = list(batch.colour_all(Quick(), tasks, batch.Settings(), jobs, threading.Event()))
    assert [outcome.error for outcome in done] == [None] * 12
    assert most == jobs
    if jobs == 1:
        assert [outcome.task for outcome in done] == tasks


def test_ctrl_c_leaves_only_whole_files(tmp_path, photo):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(300):
        shutil.copy(photo, folder / f"{number:03}.jpg")
    command = Path(sys.executable).with_name("deepcolor")
    with subprocess.Popen(
        [command, "colorize", folder, "--jobs", "3", "-o", tmp_path / "out"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 130
    results = list((tmp_path / "out").iterdir())
    done = len(lines) + len(rest.splitlines())
    assert 3 <= len(results) == done < 300
    assert f"deepcolor: stopped; {done} of 300 photographs are done and whole" in err
    assert "Traceback" not in err
    for result in results:
        assert result.name[3:] == ".color.png"  # none half written beside
        assert pixels(result).shape == (256, 256, 3)


@pytest.mark.parametrize("arguments", [["colorize"], ["colorise", "x"], ["colorize", "--what"]])
def test_wrong_usage_has_exit_code_2(arguments):
    assert deepcolor(*arguments)[0] == 2


def test_models_lists_checkpoints_and_architectures():
    code, out, _ = deepcolor("models")
    assert code == 0
    assert "lite.photos (default): trained on" in out
    assert f"models to train: {', '.join(list_models())}" in out


def test_models_long_tells_licences_files_and_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCOLOR_HOME", str(tmp_path))
    out = deepcolor("models", "--long")[1]
    assert "licence: Apache-2.0 (allows commercial use); some of the training photographs" in out
    assert out.count("licence: BSD-2-Clause (allows commercial use)") == 2
    expected = CHECKPOINTS["lite.photos"].expected["auc_rebalanced"]
    assert f"auc_rebalanced {expected:g}" in out
    file = CHECKPOINTS["siggraph17.caffe"].file
    assert f"{file}, on first use to {tmp_path / file}" in out
    assert "figures: not measured" in out


def test_a_checkpoint_that_cannot_be_fetched_ends_in_one_line(photo, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCOLOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = deepcolor("colorize", photo, "-m", "eccv16.caffe")
    assert code == 2
    assert err.count("\n") == 1
    assert f"put colorization_release_v2-9b330a0b.pth into {tmp_path / 'home'}" in err


def test_help_teaches_by_example():
    assert "deepcolor colorize old.jpg" in deepcolor("--help")[1]
    assert "album/*.jpg -o coloured/" in deepcolor("colorize", "--help")[1]


def test_the_installed_command_runs_and_hides_tracebacks(tmp_path):
    command = Path(sys.executable).with_name("deepcolor")
    done = subprocess.run(
        [command, "colorize", tmp_path / "none.jpg"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"deepcolor: {tmp_path / 'none.jpg'}: no such file\n"


@pytest.mark.slow
def test_train_fit_ends_with_a_weights_file_that_colorizes(photo_folder, photo, tmp_path):
    command = Path(sys.executable).with_name("deepcolor")
    recipe = Path(__file__).parents[1] / "recipes" / "lite.photos.yaml"
    small = (
        f"--data.path {photo_folder} --data.shares null --data.size 64 --data.batch_size 3"
        " --data.workers 0 --data.held_out 3 --trainer.max_steps 4 --trainer.val_check_interval 2"
        " --data.grey_below 0"
    )
    done = subprocess.run(
        [command, "train", "fit", "--config", recipe, *small.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = tmp_path.rglob("model.safetensors")
    assert deepcolor("colorize", photo, "-m", path)[0] == 0
    still = f"--warm_start {path} --model.lr 0 --model.weight_decay 0 --trainer.max_steps 1"
    done = subprocess.run(
        [command, "train", "fit", "--config", recipe, *small.split(), *still.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (load_model(p) for p in sorted(tmp_path.rglob("model.safetensors")))
    assert torch.equal(first.network.head.weight, second.network.head.weight)


def test_training_without_photographs_says_so(tmp_path):
    command = Path(sys.executable).with_name("deepcolor")
    done = subprocess.run(
        [command, "train", "fit", "--model", "Lite", "--data.path", tmp_path / "none"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "none: neither a folder nor a tar archive" in done.stderr.splitlines()[-1]
