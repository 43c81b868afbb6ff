"""Files are written whole or not at all, with the umask's rights, and leave nothing behind."""

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deepcolor.files import write_beside

OLD = time.time() - 2 * 86400


def rights(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the umask of this process, until the test ends."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o027])
def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path, umask, mask):
    umask(mask)
    write_beside(tmp_path / "a.bin", lambda file: None)
    assert rights(tmp_path / "a.bin") == 0o666 & ~mask


def test_the_umask_is_never_touched(tmp_path, umask, monkeypatch):
    umask(0o027)
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("another thread would see it"))
    write_beside(tmp_path / "a.bin", lambda file: None)
    monkeypatch.undo()
    assert os.umask(0o027) == 0o027


def test_many_threads_write_many_files_of_the_same_rights(tmp_path, umask):
    umask(0o077)
    paths = [tmp_path / f"{number}.bin" for number in range(300)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda path: write_beside(path, lambda file: None), paths))
    assert {rights(path) for path in paths} == {0o600}
    assert os.umask(0o077) == 0o077


def test_the_longest_names_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".png")
    write_beside(path, lambda file: file.write(b"whole"))
    assert path.read_bytes() == b"whole"


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def broken(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_beside(path, broken)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_told_by_the_name_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/a\.bin'$"):
        write_beside(tmp_path / "none" / "a.bin", lambda file: None)


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(tmp_path):
    victim, link = tmp_path / "victim", tmp_path / "a.bin"
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    write_beside(link, lambda file: file.write(b"new"))
    assert victim.read_bytes() == b"precious"
    assert not link.is_symlink()


def test_what_a_killed_process_left_is_swept_after_a_day_and_nothing_else_is(tmp_path):
    killed = tmp_path / ".deepcolor-0123456789abcdef.tmp"
    running = tmp_path / ".deepcolor-fedcba9876543210.tmp"
    photo, other = tmp_path / "old.jpg", tmp_path / ".other.tmp"
    for path in (killed, running, photo, other):
        path.write_bytes(b"some")
    for path in (killed, photo, other):
        os.utime(path, (OLD, OLD))
    write_beside(tmp_path / "new.bin", lambda file: None)
    assert set(tmp_path.iterdir()) == {running, photo, other, tmp_path / "new.bin"}


def test_names_in_progress_are_those_that_are_swept(tmp_path):
    def leave(file):
        (name,) = (entry.name for entry in tmp_path.iterdir())
        os.link(tmp_path / name, tmp_path / f"{name[:-5]}x.tmp")  # as if the process had died
        os.utime(tmp_path / name, (OLD, OLD))

    write_beside(tmp_path / "a.bin", leave)
    assert len(list(tmp_path.iterdir())) == 2
    from deepcolor.files import _sweep

    _sweep.cache_clear()  # another day
    write_beside(tmp_path / "a.bin", lambda file: None)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
