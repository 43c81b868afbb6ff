"""`deepcolor video`: films, folders of them, what fails, what is said."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from PIL import Image
from typer.testing import CliRunner

from deepcolor.cli.main import app
from deepcolor.cli.video import seconds_of
from deepcolor.jobs.films import films_in, plan_films

SHELL = CliRunner()


@pytest.fixture(scope="module")
def clip(make_clip, tmp_path_factory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "a.mp4", 20, (64, 96)).read_bytes()


@pytest.fixture
def film(clip, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("old.mp4").write_bytes(clip)
    return Path("old.mp4")


def video(*arguments):
    command = ["video", "--device", "cpu", "--size", "64", *map(str, arguments)]
    result = SHELL.invoke(app, command)
    return result.exit_code, result.stdout, result.stderr


def frames_of(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_film_gets_its_colour_beside_it(film):
    code, out, _ = video(film)
    assert code == 0
    assert out.startswith("old.mp4 -> old.color.mp4 (20 frames, ")
    assert frames_of("old.color.mp4") == 20
    assert sorted(os.listdir()) == ["old.color.mp4", "old.mp4"]


def test_a_machine_is_told_in_json(film):
    code, out, _ = video(film, "-o", "new.mkv", "--json", "--codec", "ffv1", "--end", "0:00.4")
    one, summary = map(json.loads, out.splitlines())
    assert code == 0
    assert one["input"] == "old.mp4"
    assert one["output"] == "new.mkv"
    assert (one["status"], one["frames"], one["error"]) == ("done", 10, None)
    assert one["fps"] == pytest.approx(10 / one["seconds"], rel=0.01)
    assert one["remarks"] == []
    assert summary["summary"]["done"] == 1
    with av.open("new.mkv") as container:
        assert container.streams.video[0].codec_context.name == "ffv1"


def test_one_bad_film_does_not_stop_the_others(film, clip):
    Path("films/deep").mkdir(parents=True)
    Path("films/a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    Path("films/deep/b.mp4").write_bytes(clip)
    code, out, err = video("films", "-r", "-o", "new", "--every", "4", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [r["status"] for r in records[:2]] == ["failed", "done"]
    assert "films/a.mp4" in records[0]["error"]
    assert records[-1]["summary"]["failed"] == 1
    assert Path("new/deep/b.color.mp4").is_file()
    assert "films/a.mp4" in err
    assert sorted(os.listdir("new")) == ["deep"]


def test_results_are_neither_replaced_nor_coloured_again(film):
    Path("old.color.mp4").write_bytes(b"mine")
    assert films_in(Path()) == [film]
    code, _, err = video(film)
    assert code == 1
    assert "old.color.mp4 is there already" in err
    code, out, _ = video(film, "--resume")
    assert code == 0
    assert "skipped" in out
    assert Path("old.color.mp4").read_bytes() == b"mine"
    code, _, _ = video(film, "--overwrite", "--every", "5")
    assert code == 0
    assert frames_of("old.color.mp4") == 4


def test_frames_go_to_folders_and_come_from_them(film):
    assert video(film, "--frames", "--end", "0.2")[0] == 0
    assert len(os.listdir("old.color")) == 5
    assert video("old.color", "-o", "again.mp4")[0] == 0
    assert frames_of("again.mp4") == 5


def test_a_preview_is_one_picture_and_nothing_else(film):
    code, out, _ = video(film, "--preview", "sheet.png")
    assert code == 0
    assert "sheet.png" in out
    assert sorted(os.listdir()) == ["old.mp4", "sheet.png"]
    with Image.open("sheet.png") as sheet:
        assert sheet.width > 4 * 300
        red, green, blue = sheet.convert("RGB").split()
    assert red.tobytes() != green.tobytes() != blue.tobytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.mp4"], "no such file"),
        (["old.mp4", "--steady", "3"], "steady"),
        (["old.mp4", "--start", "1:99"], "'1:99' is no time"),
        (["old.mp4", "--model", "nobody"], "nobody"),
        (["old.mp4", "--start", "2", "--end", "1"], "must come after"),
        (["old.mp4", "old.mp4", "none.mp4", "--preview", "a.png"], "none.mp4"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_begun(film, arguments, says):
    code, _, err = video(*arguments)
    assert code == 2
    assert says in err
    assert os.listdir() == ["old.mp4"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--codec", "divx"], "no codec named 'divx'"),
        (["--crf", "77"], "77"),
        (["-o", "new.txt"], ".txt"),
        (["-o", "old.mp4"], "one of the films"),
        (["--start", "90"], "no frame lies between"),
    ],
)
def test_what_one_film_cannot_have_is_said_of_it(film, arguments, says):
    code, _, err = video(film, *arguments)
    assert code in (1, 2)
    assert says in err
    assert os.listdir() == ["old.mp4"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90.5", 90.5), ("1:30", 90), ("01:01:30.5", 3690.5), ("0", 0)],
)
def test_times_are_read_as_people_write_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1:60", "nan"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="is no time"):
        seconds_of(text)


def test_films_of_one_name_are_kept_apart(film, clip):
    Path("old.mkv").write_bytes(clip)
    tasks, problems = plan_films(["old.mp4", "old.mkv"], "new/", suffix=".mkv")
    assert not tasks
    assert all("several times" in why for _, why in problems)


def test_ctrl_c_leaves_what_resume_goes_on_with(film, make_clip):
    make_clip(Path("long.mp4"), 500, (64, 96))
    command = [sys.executable, "-m", "deepcolor", "video", "long.mp4", "--device", "cpu"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not Path("long.color.mp4.parts/state.safetensors").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "--resume goes on" in err
    assert not Path("long.color.mp4").exists()
    names = os.listdir("long.color.mp4.parts")
    assert "000000.stretch" in names
    assert not any("next" in name for name in names)
