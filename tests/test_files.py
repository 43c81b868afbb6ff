"""Files appear whole or not at all, under any name the file system takes, and leave nothing."""

import os
import time

import pytest

from deepcolor import files
from deepcolor.files import UNFINISHED, shown, write_beside


def content(data: bytes):
    return lambda file: file.write(data)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("length", [1, 244, 251])
def test_names_as_long_as_the_file_system_takes_can_be_written(length, tmp_path):
    name = "x" * length + ".png"
    write_beside(tmp_path / name, content(b"whole"))
    assert names(tmp_path) == [name]


def test_what_fails_leaves_the_older_file_and_nothing_beside(tmp_path):
    write_beside(tmp_path / "a.png", content(b"old"))
    with pytest.raises(TypeError):
        write_beside(tmp_path / "a.png", content(None))
    assert names(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_what_killed_processes_left_is_swept_after_a_day_and_nothing_else_is(tmp_path):
    old, young, other = (tmp_path / f"{UNFINISHED}{n}.png" for n in ("old", "young", "folder"))
    named = tmp_path / ".deepcolorful.png"
    for path in (old, young, named):
        path.write_bytes(b"half")
    other.mkdir()
    link = tmp_path / f"{UNFINISHED}link.png"
    link.symlink_to(named)
    for path in (old, named, other):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    files._sweep.cache_clear()
    write_beside(tmp_path / "a.png", content(b"whole"))
    assert names(tmp_path) == sorted(["a.png", *(p.name for p in (young, named, other, link))])


SEEN = {
    "plain.jpg": "plain.jpg",
    "Großmutter 1931 写真\u3000一.jpg": "Großmutter 1931 写真\u3000一.jpg",
    "a\x1b[2Jb.jpg": r"a\x1b[2Jb.jpg",
    "two\nlines\r.jpg": r"two\nlines\r.jpg",
    "gpj\u202e.exe": r"gpj\u202e.exe",
    "no utf8 \udcff.jpg": r"no utf8 \udcff.jpg",
    "\u2028": r"\u2028",
    "\x9b31m": r"\x9b31m",
}


@pytest.mark.parametrize("name", SEEN)
def test_names_are_shown_without_what_acts_on_a_terminal(name):
    assert shown(name) == SEEN[name]
