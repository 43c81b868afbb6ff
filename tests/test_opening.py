import os
import socket
import sys

import pytest

from deepcolor.opening import NoFileError, open_file

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders"),
    pytest.mark.timeout(20),
]


def test_files_are_opened_through_links_too(tmp_path):
    (tmp_path / "file").write_bytes(b"\r\nbytes\x1a")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for path in (tmp_path / "file", str(tmp_path / "link")):
        with open_file(path) as file:
            assert file.read() == b"\r\nbytes\x1a"
            assert file.name == str(path)


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(NoFileError, match=r"x\.png is a named pipe, not a file"):
        open_file(tmp_path / "x.png")


def test_what_becomes_a_pipe_after_it_was_looked_at_is_refused_at_once(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    before, open_files = (tmp_path / "file").stat(), len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr("pathlib.Path.stat", lambda *_, **__: before)
    with pytest.raises(NoFileError, match="named pipe"):
        open_file(tmp_path / "pipe")
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_devices_sockets_and_folders_are_refused_in_words(tmp_path, monkeypatch):
    with pytest.raises(NoFileError, match="/dev/zero is a device"):
        open_file("/dev/zero")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("door.png")
        with pytest.raises(NoFileError, match=r"door\.png is a socket"):
            open_file("door.png")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        open_file(tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such file"):
        open_file(tmp_path / "none.png")
