"""Telling films from damaged photographs."""

from pathlib import Path

__all__ = ["is_film"]

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
STILLS = (b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")


def is_film(path: Path) -> bool:
    """Whether a file is a film, by its first bytes (ISO media, Matroska, AVI) or its suffix."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    iso_media = start[4:8] == b"ftyp" and start[8:12] not in STILLS
    matroska = start[:4] == b"\x1a\x45\xdf\xa3"
    avi = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    return iso_media or matroska or avi or path.suffix.lower() in SUFFIXES
