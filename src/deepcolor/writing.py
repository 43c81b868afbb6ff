"""Files that appear whole or not at all: written beside their place, then renamed."""

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

__all__ = ["write_beside"]

PREFIX, SUFFIX = ".deepcolor-", ".tmp"  # of what is being written; 31 bytes with the random part
DAY = 86400  # seconds: what was not written to for so long is left of a process that was killed


def write_beside(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all: beside its place, then renamed.

    The temporary name does not grow with the file's own, no link of that name is followed, and the
    file gets the rights that the umask leaves, which is not touched: other threads may write too.
    What killed processes left in the folder is removed after a day.

    Args:
        path: of the file, in a folder that exists; a file that is there is replaced.
        write: given the open file, readable and seekable.

    Raises:
        OSError: if the folder cannot be written to, or what `write` raises; the file that was
            there is then as it was.
    """
    _sweep(path.parent.absolute(), int(time.time() // DAY))
    beside = path.parent / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
    try:
        file = open(beside, "x+b")  # noqa: SIM115 (closed below): new, 0o666 less the umask
    except OSError as error:  # says the name that was asked for
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        with file:
            write(file)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@lru_cache(maxsize=1024)
def _sweep(folder: Path, day: int) -> None:
    """Remove temporary files that nobody writes to any more; once a day and folder.

    Args:
        folder: absolute.
        day: since the epoch; only told apart.
    """
    oldest = time.time() - DAY
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                with suppress(OSError):  # another process was first, or another user's
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)
