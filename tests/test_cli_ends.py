"""How `deepcolor` runs end: endless input, signals, films, huge members; nothing is left behind."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from deepcolor.cli import colorize as work
from deepcolor.cli import pipes
from deepcolor.cli.main import app
from deepcolor.data import DamagedPhotoError, open_photos, shards
from deepcolor.evaluation import find_photographs

SHELL = CliRunner()
COMMAND = [sys.executable, "-m", "deepcolor"]


@pytest.fixture
def photo(tmp_path, photograph, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photograph).convert("L").resize((60, 40)).save("old.jpg")
    return Path("old.jpg")


@pytest.fixture
def between(tmp_path, monkeypatch) -> Path:
    """The folder for what is in between, of this process and those it starts."""
    folder = tmp_path / "between"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_endless_standard_input_is_refused_and_removed(photo, between, monkeypatch):
    monkeypatch.setattr(work, "MAX_INPUT", 3)
    result = SHELL.invoke(app, ["colorize", "-"], input=bytes(3_000_001))
    assert (result.exit_code, result.stdout_bytes) == (2, b"")
    said = "deepcolor: standard input goes on after 3 MB; --max-input MB takes more\n"
    assert result.stderr == said
    assert list(between.iterdir()) == []


def test_the_limit_of_standard_input_can_be_set(photo, monkeypatch):
    data = photo.read_bytes() + bytes(2_000_000)
    for limit, code in ((1, 2), (3, 0), (0, 0)):
        monkeypatch.setattr(work, "MAX_INPUT", 1)
        command = ["colorize", "-", "--device", "cpu", "--max-input", str(limit)]
        assert SHELL.invoke(app, command, input=data).exit_code == code


def as_in_a_terminal() -> None:
    """Whoever runs the tests may ignore signals, as nohup and background jobs do."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_while_reading_standard_input_it_leaves_nothing(number, between):
    with subprocess.Popen(
        [*COMMAND, "colorize", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=as_in_a_terminal,
    ) as process:  # fmt: skip
        process.stdin.write(bytes(3_000_000))
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(between.rglob("standard input")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(between.rglob("standard input"))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert list(between.iterdir()) == []
    assert b"Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_closed_terminal_leaves_only_whole_files(photo):
    Path("many").mkdir()
    for n in range(300):
        Path("many", f"{n:03}.jpg").write_bytes(photo.read_bytes())
    with subprocess.Popen(
        [*COMMAND, "colorize", "many", "-o", "out", "--jobs", "2"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=as_in_a_terminal,
    ) as process:  # fmt: skip
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    done = sorted(path.name for path in Path("out").iterdir())
    assert 1 <= len(done) < 300
    assert all(name.endswith(".color.png") and not name.startswith(".") for name in done)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_what_ignores_hanging_up_goes_on(photo):
    """As under nohup."""
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from deepcolor.cli.signals import ending, stoppable\n"
        "with ending(), stoppable() as (stop, caught):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "assert not stop.is_set() and not caught\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_folders_that_killed_processes_left_are_swept_after_a_day(photo, between):
    old, young, full = (between / f"{pipes.PREFIX}{n}" for n in ("old", "young", "full"))
    for folder in (old, young, full):
        folder.mkdir()
        (folder / "standard input").write_bytes(b"x")
    (full / "letter.txt").write_text("of somebody")
    for folder in (old, full):
        os.utime(folder, (time.time() - 2 * 24 * 3600,) * 2)
    command = ["colorize", "-", "--device", "cpu"]
    assert SHELL.invoke(app, command, input=photo.read_bytes()).exit_code == 0
    assert sorted(between.iterdir()) == [full, young]
    assert (full / "letter.txt").is_file()


FILMS = {
    "mp4": b"\0\0\0\x20ftypisom" + bytes(100),
    "mov": b"\0\0\0\x14ftypqt  " + bytes(100),
    "mkv": b"\x1a\x45\xdf\xa3" + bytes(100),
    "avi": b"RIFF\0\0\0\0AVI LIST" + bytes(100),
    "webm": b"damaged by now",
    "jpg": b"\0\0\0\x20ftypmp42" + bytes(100),  # by what is in it
}


@pytest.mark.parametrize("suffix", FILMS)
def test_a_film_is_called_a_film(suffix, photo):
    Path(f"wedding.{suffix}").write_bytes(FILMS[suffix])
    result = SHELL.invoke(app, ["colorize", f"wedding.{suffix}", str(photo), "--device", "cpu"])
    assert result.exit_code == 1
    said = f"wedding.{suffix} is a film; this command colours photographs, and deepcolor video"
    assert said in result.stderr
    assert Path("old.color.png").is_file()


def test_a_damaged_photograph_is_no_film(photo):
    Path("bad.avif").write_bytes(b"\0\0\0\x20ftypavif" + bytes(100))
    result = SHELL.invoke(app, ["colorize", "bad.avif", "--device", "cpu"])
    assert "film" not in result.stderr


class Endless(io.RawIOBase):
    """So many zero bytes, none of them stored."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_huge_member_of_an_archive_is_refused_in_words(mode, photo, monkeypatch):
    monkeypatch.setattr(shards, "LARGEST", 3_000_000)
    name = "all.tar" if mode == "w" else "all.tar.gz"
    with tarfile.open(name, mode) as archive:
        archive.add(photo)
        huge = tarfile.TarInfo("huge.jpg")
        huge.size = 3_000_001
        archive.addfile(huge, Endless(huge.size))
    photos = {photo.name: photo for photo in find_photographs([name])}
    assert photos["old.jpg"].read() == photo.read_bytes()
    with pytest.raises(ValueError, match=rf"{name}:huge.jpg has 0.0 GB; members of archives may"):
        photos["huge.jpg"].read()
    with pytest.raises(DamagedPhotoError, match=r"huge\.jpg has"):
        open_photos(name).picture(1)
    result = SHELL.invoke(app, ["compare", name, "-o", "out", "--device", "cpu"])
    assert result.exit_code == 1
    assert "huge.jpg has" in result.stderr


def test_a_photograph_that_memory_cannot_hold_is_listed(photo, monkeypatch):
    class Short(type(photo)):
        def read_bytes(self):
            raise MemoryError

    monkeypatch.setattr("deepcolor.evaluation.photos.Path", Short)
    with pytest.raises(ValueError, match=r"old\.jpg needs more memory than there is"):
        find_photographs([photo])[0].read()
