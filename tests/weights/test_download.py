import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pooch
import pytest

from deepcolor.weights import CHECKPOINTS, DownloadError, WeightsError, download, weights_folder
from deepcolor.weights.download import BLOCK, fetch

FILE = "weights-00000000.pth"
BLOB = bytes(range(256)) * 5000  # 1.28 MB: several blocks
DIGEST = hashlib.sha256(BLOB).hexdigest()


def at(address: str, file: str = FILE):
    entry = CHECKPOINTS["eccv16.caffe"]
    return replace(entry, location=f"{address}/{file}", sha256=DIGEST, size=len(BLOB))


@pytest.fixture
def checkpoint(server):
    server.files[FILE] = BLOB
    return at(server.address)


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if p.suffix != ".lock"}


def test_a_file_is_downloaded_once(server, checkpoint, home):
    path = fetch("x.y", checkpoint)
    assert path == home / FILE
    assert path.read_bytes() == BLOB
    assert fetch("x.y", checkpoint) == path
    assert server.requests == [(f"/{FILE}", None)]
    assert names(home) == {FILE}


def test_the_folder_is_deepcolor_home_or_the_platforms_cache(home, monkeypatch):
    assert weights_folder() == home
    monkeypatch.delenv("DEEPCOLOR_HOME")
    assert weights_folder() == Path(pooch.os_cache("deepcolor"))
    monkeypatch.setenv("DEEPCOLOR_HOME", "")
    assert weights_folder() == Path(pooch.os_cache("deepcolor"))
    monkeypatch.setenv("DEEPCOLOR_HOME", "~/weights")
    assert weights_folder() == Path.home() / "weights"


def test_another_file_under_that_address_is_refused_and_deleted(server, checkpoint, home):
    server.files[FILE] = BLOB[::-1]
    with pytest.raises(WeightsError, match=r"x\.y: http.* another file.*sha256.*expected"):
        fetch("x.y", checkpoint)
    assert names(home) == set()


def test_a_file_that_was_damaged_since_is_refused_and_kept(server, checkpoint, home):
    path = fetch("x.y", checkpoint)
    path.write_bytes(BLOB[:-1])
    with pytest.raises(WeightsError, match=rf"{FILE} is damaged.*delete it"):
        fetch("x.y", checkpoint)
    assert names(home) == {FILE}
    assert len(server.requests) == 1


def test_a_cut_connection_is_continued_where_it_broke(server, checkpoint, home):
    server.cuts = [5 * BLOCK + 100, 3 * BLOCK]
    assert fetch("x.y", checkpoint).read_bytes() == BLOB
    wanted = [wanted for _, wanted in server.requests]
    assert wanted == [None, f"bytes={5 * BLOCK}-", f"bytes={8 * BLOCK}-"]
    assert names(home) == {FILE}


def test_a_download_that_was_given_up_is_continued_by_the_next_call(server, checkpoint, home):
    server.cuts = [5 * BLOCK, 0, 0]
    with pytest.raises(DownloadError, match=rf"x\.y needs {FILE}, which could not be downloaded"):
        fetch("x.y", checkpoint)
    assert names(home) == {f"{FILE}.part"}
    server.requests.clear()
    assert fetch("x.y", checkpoint).read_bytes() == BLOB
    assert server.requests == [(f"/{FILE}", f"bytes={5 * BLOCK}-")]


def test_a_server_that_cannot_continue_starts_over(server, checkpoint, home):
    server.ranges = False
    server.cuts = [400_000]
    assert fetch("x.y", checkpoint).read_bytes() == BLOB


def test_a_part_of_another_file_is_thrown_away(server, checkpoint, home):
    home.mkdir()
    (home / f"{FILE}.part").write_bytes(bytes(1000))
    assert fetch("x.y", checkpoint).read_bytes() == BLOB
    assert [wanted for _, wanted in server.requests] == ["bytes=1000-", None]


@pytest.mark.parametrize("extra", [b"", b"and more"])
def test_a_part_that_is_whole_needs_no_more_bytes(server, checkpoint, home, extra):
    home.mkdir()
    (home / f"{FILE}.part").write_bytes(BLOB + extra)
    assert fetch("x.y", checkpoint).read_bytes() == BLOB
    assert len(server.requests) == (1 if extra else 0)


def test_a_missing_file_is_asked_for_once_and_named(server, home):
    checkpoint = at(server.address)
    with pytest.raises(DownloadError) as error:
        fetch("x.y", checkpoint)
    assert "404" in str(error.value)
    assert f"put {FILE} into {home}" in str(error.value)
    assert len(server.requests) == 1
    assert names(home) == set()


def test_without_a_network_the_error_says_what_to_put_where(home):
    with socket.socket() as free:  # bound, but nobody listens
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(DownloadError) as error:
            fetch("x.y", at(address))
    assert f"fetch {address}/{FILE} by other means and put {FILE} into {home}" in str(error.value)


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_offline_nothing_is_asked_and_a_file_put_there_by_hand_is_taken(
    server, checkpoint, home, monkeypatch, value
):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE forbids") as error:
        fetch("x.y", checkpoint)
    assert f"put {FILE} into {home}" in str(error.value)
    assert not home.exists()
    home.mkdir()
    (home / FILE).write_bytes(BLOB)
    assert fetch("x.y", checkpoint) == home / FILE
    assert not server.requests


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is full")
def test_a_full_disk_is_reported_and_leaves_no_file(server, checkpoint, home, monkeypatch):
    with monkeypatch.context() as patched:
        full = partial(open, "/dev/full", "wb", buffering=0)
        patched.setattr(download, "_open_part", lambda *_: full())
        with pytest.raises(DownloadError, match=r"No space left on device.*DEEPCOLOR_HOME"):
            fetch("x.y", checkpoint)
    assert names(home) == set()
    assert fetch("x.y", checkpoint).read_bytes() == BLOB


@pytest.mark.parametrize("kind", ["symlink", "link to nothing", "hard link"])
def test_a_link_in_a_shared_folder_is_replaced_and_what_it_names_is_not_touched(
    server, checkpoint, home, tmp_path, kind
):
    home.mkdir()
    victim, part = tmp_path / "victim", home / f"{FILE}.part"
    victim.write_bytes(b"precious")
    if kind == "hard link":
        os.link(victim, part)
    else:
        part.symlink_to(victim if kind == "symlink" else tmp_path / "nothing")
    assert fetch("x.y", checkpoint).read_bytes() == BLOB
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "nothing").exists()
    assert server.requests == [(f"/{FILE}", None)]


def test_a_link_that_appears_between_two_connections_is_not_followed(
    server, checkpoint, home, tmp_path, monkeypatch
):
    victim, part = tmp_path / "victim", home / f"{FILE}.part"
    victim.write_bytes(b"precious")
    server.cuts = [3 * BLOCK]
    opened = download._open_part

    def swapped(path, go_on):
        if go_on:  # it was looked at already
            part.unlink()
            part.symlink_to(victim)
        return opened(path, go_on)

    monkeypatch.setattr(download, "_open_part", swapped)
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch("x.y", checkpoint)
    assert victim.read_bytes() == b"precious"


def test_a_lock_that_is_a_link_is_not_followed(server, checkpoint, home, tmp_path):
    home.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (home / f"{FILE}.lock").symlink_to(victim)
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch("x.y", checkpoint)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("ranges", [True, False])
def test_not_a_byte_more_is_kept_than_was_published(server, checkpoint, home, ranges):
    server.files[FILE] = BLOB + bytes(100 * BLOCK)
    server.ranges = ranges
    server.cuts = [5 * BLOCK] if ranges else []
    with pytest.raises(WeightsError, match=r"more than the 1,280,000 bytes that were published"):
        fetch("x.y", checkpoint)
    assert names(home) == set()


def test_a_server_that_leads_away_from_encryption_is_not_followed(server, checkpoint, home):
    server.redirect = "http://example.org/elsewhere.pth"
    with pytest.raises(DownloadError, match=r"http://example\.org/elsewhere\.pth is not https"):
        fetch("x.y", checkpoint)
    assert names(home) == set()


@pytest.fixture
def read_only(monkeypatch):
    """A folder with a file in it that this process cannot write to, root's processes included."""
    folder = Path(tempfile.mkdtemp())  # not tmp_path: nobody may pass through that
    (folder / "there.pth").write_bytes(BLOB)
    folder.chmod(0o555)
    monkeypatch.setenv("DEEPCOLOR_HOME", str(folder))
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_a_folder_that_cannot_be_written_is_named_with_a_way_out(server, checkpoint, read_only):
    with pytest.raises(DownloadError, match=r"Permission denied.*or set DEEPCOLOR_HOME to another"):
        fetch("x.y", checkpoint)
    assert not server.requests


def test_a_file_in_a_folder_that_cannot_be_written_is_read(server, checkpoint, read_only):
    there = replace(checkpoint, location=f"{server.address}/there.pth")
    assert fetch("x.y", there) == read_only / "there.pth"
    assert {p.name for p in read_only.iterdir()} == {"there.pth"}


def test_two_processes_at_once_download_once(server, checkpoint, home):
    code = (
        "import sys; from dataclasses import replace\n"
        "from deepcolor.weights import CHECKPOINTS; from deepcolor.weights.download import fetch\n"
        "c = CHECKPOINTS['eccv16.caffe']\n"
        "c = replace(c, location=sys.argv[1], sha256=sys.argv[2], size=int(sys.argv[3]))\n"
        "print('asks', flush=True); print(fetch('x.y', c))"
    )
    known = [checkpoint.location, checkpoint.sha256, str(checkpoint.size)]
    command = [sys.executable, "-c", code, *known]
    server.gate.clear()  # until both ask
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in both:
        assert one.stdout.readline() == "asks\n"
    server.gate.set()
    for one in both:
        assert one.communicate(timeout=60)[0].strip() == str(home / FILE)
        assert one.returncode == 0
    assert len(server.requests) == 1
    assert (home / FILE).read_bytes() == BLOB
    assert names(home) == {FILE}


def test_a_terminal_sees_progress_and_a_pipe_does_not(
    server, checkpoint, home, monkeypatch, capsys
):
    fetch("x.y", checkpoint)
    assert "%" not in capsys.readouterr().err
    (home / FILE).unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fetch("x.y", checkpoint)
    shown = capsys.readouterr().err
    assert re.search(rf"{FILE}: +\d+%.*1\.28M", shown)
