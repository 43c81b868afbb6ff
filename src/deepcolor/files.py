"""Files written whole or not at all, and their names as they may be shown."""

import os
import secrets
import stat
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

__all__ = ["UNFINISHED", "is_abandoned", "shown", "write_beside", "write_path_beside"]

UNFINISHED = ".deepcolor-"  # how the names of files begin that are being written
ABANDONED = 24 * 3600  # seconds; whoever began a file so long ago was killed
# Characters that act instead of being seen: control codes, half characters, breaks of lines, and
# those that turn the direction of what follows. Joiners are parts of words, and of emoji.
UNSEEN = ("Cc", "Cs", "Zl", "Zp", "Cf")
JOINERS = "\u200c\u200d"


def shown(name: object) -> str:
    r"""A name of a file as it may go to a terminal, a message or a page: one line, all visible.

    >>> shown("a\x1b[2Jb.jpg")
    'a\\x1b[2Jb.jpg'
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in UNSEEN and character not in JOINERS
        else character
        for character in text
    )


def write_beside(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all: beside its place, then renamed.

    What killed processes left behind in the folder a day ago or earlier is removed.

    Args:
        path: of the file, in a folder that exists; a file that is there is replaced.
        write: given the open file, readable and seekable.

    Raises:
        OSError: if the folder cannot be written to, or what `write` raises; the file that was
            there is then as it was.
    """
    _sweep(path.parent)
    # A short name: one made from the file's own could be longer than file systems take.
    beside = path.parent / f"{UNFINISHED}{secrets.token_hex(8)}.tmp"
    try:
        # New, so that no link of that name is followed, and with the rights that the umask leaves:
        # asking for the umask would change it, for all threads.
        file = open(beside, "x+b")  # noqa: SIM115 (closed below)
    except OSError as error:  # says the name that was asked for
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with file:
            write(file)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_path_beside(path: Path, write: Callable[[Path], object]) -> None:
    """As `write_beside`, for who needs a name instead of an open file.

    Args:
        path: as for `write_beside`.
        write: given the name of an empty file, which it may replace.
    """

    def through(file: IO[bytes]) -> None:
        write(Path(file.name))

    write_beside(path, through)


@lru_cache(maxsize=1024)  # once a process: looking through a large folder takes a while
def _sweep(folder: Path) -> None:
    """Remove one's own files that were begun here and never finished, a day ago or earlier."""
    with suppress(OSError), os.scandir(folder) as entries:  # tidying must not stop the work
        for entry in entries:
            if not entry.name.startswith(UNFINISHED):
                continue
            state = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(state.st_mode) and is_abandoned(state):
                os.unlink(entry.path)


def is_abandoned(state: os.stat_result) -> bool:
    """Whether it is a file or folder of one's own that nobody has written to for a day."""
    own = not hasattr(os, "geteuid") or state.st_uid == os.geteuid()
    return own and state.st_mtime < time.time() - ABANDONED
