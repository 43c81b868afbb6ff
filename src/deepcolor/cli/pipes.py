"""Standard input and output, which become files in between: a result is whole or not there."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from deepcolor.files import UNFINISHED, is_abandoned

__all__ = ["STDIN_NAME", "STDIO", "STDOUT_NAME", "copy_out", "format_of", "store", "waystation"]

STDIO = "-"
STDIN_NAME, STDOUT_NAME = "standard input", "standard output"
PREFIX = "deepcolor-stdio-"  # of the folder in between
CHUNK = 1 << 20
MAGIC = (  # first bytes, where a fixed part of them starts, format
    (b"\xff\xd8\xff", 0, "jpg"), (b"II*\0", 0, "tif"), (b"MM\0*", 0, "tif"), (b"II+\0", 0, "tif"),
    (b"MM\0+", 0, "tif"), (b"WEBP", 8, "webp"), (b"ftypavi", 4, "avif"),
)  # fmt: skip


@contextmanager
def waystation() -> Iterator[Path]:
    """A folder that is removed in the end; those that killed processes left are removed now."""
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        yield Path(folder)


def store(source: IO[bytes], file: Path, limit: int | None) -> None:
    """Write standard input to a file.

    Raises:
        ValueError: if there are more than `limit` bytes of it.
    """
    total = 0
    with file.open("wb") as stream:
        while chunk := source.read(CHUNK):
            total += len(chunk)
            if limit is not None and total > limit:
                raise ValueError(
                    f"standard input goes on after {limit / 1e6:g} MB; --max-input MB takes more"
                )
            stream.write(chunk)


def format_of(photo: Path) -> str:
    """The format of a file by its first bytes, where it is one to write; else PNG."""
    with photo.open("rb") as file:
        start = file.read(16)
    for magic, offset, kind in MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return kind
    return "png"


def copy_out(path: Path) -> None:
    """Send a file to standard output."""
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _sweep(folder: Path) -> None:
    """Remove what is known to be ours, file by file: such a folder may hold other things."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(PREFIX):
                continue
            state = entry.stat(follow_symlinks=False)
            if not (stat.S_ISDIR(state.st_mode) and is_abandoned(state)):
                continue
            with suppress(OSError):
                for file in Path(entry.path).iterdir():
                    if file.name.startswith((STDIN_NAME, STDOUT_NAME, UNFINISHED)):
                        file.unlink()
                os.rmdir(entry.path)
