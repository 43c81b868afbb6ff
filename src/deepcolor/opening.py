"""Opening files that somebody else named: regular files only, and never waiting for one."""

import os
import stat
from pathlib import Path
from typing import IO

from deepcolor.files import shown

__all__ = ["NoFileError", "open_file"]

# Neither wait for a pipe's other end nor take a terminal over; Windows has neither.
FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NoFileError(OSError):
    """A path that leads to something else than a file: a pipe, a socket, a device."""


def open_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a regular file for reading in binary, or say at once why not.

    A named pipe would keep `open` waiting for a writer, beyond Ctrl-C; opening a device may do
    something to it. Symbolic links are followed.

    Raises:
        FileNotFoundError: if there is nothing.
        IsADirectoryError: for a folder.
        NoFileError: for a pipe, a socket or a device; all three are OSErrors.
        OSError: as `open`, as PermissionError.
    """
    path = Path(path)
    try:
        _check(path, path.stat())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{shown(path)}: no such file") from error
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115
    try:
        _check(path, os.fstat(file.fileno()))  # it may have been replaced since
    except BaseException:
        file.close()
        raise
    return file


def _at_once(name: str, flags: int) -> int:
    return os.open(name, flags | FLAGS)


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(f"{shown(path)} is a folder; give the photographs in it")
    kind = next((words for test, words in KINDS if test(found.st_mode)), "no regular file")
    raise NoFileError(
        f"{shown(path)} is {kind}, not a file; read it yourself and give what it holds"
    )
