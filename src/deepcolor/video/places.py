"""What can be known before hours of work: that a place can be written to, and what goes there."""

import errno
import hashlib
import os
import re
import shutil
from pathlib import Path

from deepcolor.files import shown
from deepcolor.listing import RESULT
from deepcolor.models import Colorizer

__all__ = [
    "check_place",
    "check_space",
    "fingerprint",
    "in_bytes",
    "is_frame_folder",
    "weights_digest",
]

HEAD = 1 << 20  # bytes of a source that are looked at
FRAME = re.compile(r".*\d.*\.png", re.IGNORECASE)


def is_frame_folder(place: Path) -> bool:
    """Whether a place to write to is a folder of frames: one without a suffix, or there."""
    return place.suffix in ("", RESULT) or place.is_dir()


def check_place(place: Path) -> None:
    """Refuse what cannot be written, before any work.

    Raises:
        OSError: for a folder that is missing or not writable, or holds what is no frame.
    """
    if not place.parent.is_dir():
        raise FileNotFoundError(
            f"{shown(place.parent)}: no such folder to write {shown(place.name)} to"
        )
    if not os.access(place.parent, os.W_OK):
        raise PermissionError(f"{shown(place.parent)}: not writable")
    if place.is_dir():
        other = next((f for f in sorted(place.iterdir()) if not FRAME.fullmatch(f.name)), None)
        if other is not None:
            raise IsADirectoryError(
                f"{shown(place)} is a folder that holds {shown(other.name)}, which is no numbered"
                " frame; give a file to write, or a new folder for frames"
            )
    elif place.exists() and not place.is_file():
        raise FileExistsError(f"{shown(place)} is no file: nothing is written in its place")


def weights_digest(model: Colorizer) -> str:
    """Tells a model from others, and from itself with other weights."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().float().contiguous().cpu().numpy().tobytes())
    return f"{type(model).__name__} {found.hexdigest()[:16]}"


def fingerprint(source: Path) -> dict[str, str]:
    """What tells a source from others of its name, without reading all of it.

    A file by its size, when it was last changed, and a hash of its first MiB; a folder by the
    names, sizes and times of what lies in it.
    """
    found = hashlib.sha256()
    if source.is_dir():
        for entry in sorted(source.iterdir()):
            state = entry.stat()
            found.update(f"{entry.name} {state.st_size} {state.st_mtime_ns}\n".encode())
        return {"source": str(source.resolve()), "source's files": found.hexdigest()[:16]}
    state = source.stat()
    with source.open("rb") as file:
        found.update(file.read(HEAD))
    return {
        "source": str(source.resolve()), "source's bytes": str(state.st_size),
        "source's time": str(state.st_mtime_ns), "source's head": found.hexdigest()[:16],
    }  # fmt: skip


def check_space(folder: Path, needed: float, what: str) -> None:
    """Refuse, before any work, what will not fit.

    Raises:
        OSError: with errno ENOSPC; says what is needed, and what is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{what} needs about {in_bytes(needed)}, and {in_bytes(free)} are free; make room, or"
            " choose another place or a smaller codec",
            str(folder),
        )


def in_bytes(count: float) -> str:
    """A number of bytes in words.

    >>> in_bytes(3_400_000_000)
    '3.4 GB'
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
