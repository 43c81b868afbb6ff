"""Which files count as photographs: one rule for all that look through folders.

A photograph has the suffix of one, is not hidden, and is no result of deepcolor's. A result is told
by its name where that is sure: NAME.color.png, NAME.color.2.png and NAME.color.compare.jpg beside
NAME.*, or beside the photograph itself (a.jpg.color.png beside a.jpg). Where the name only suggests
it (no photograph NAME is there, or one that this name goes on from: old_color.jpg beside old.jpg),
the file is asked: results say in their metadata that their colour was predicted.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

__all__ = [
    "MARK",
    "PHOTOGRAPHS",
    "RESULT",
    "SOFTWARE",
    "is_photograph",
    "photographs_in",
    "without_results",
]

PHOTOGRAPHS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".avif", ".bmp", ".gif",
    ".heic", ".heif", ".jp2", ".pbm", ".pgm", ".pnm", ".ppm", ".tga",
})  # fmt: skip
RESULT = ".color"  # NAME.color.png is the result of NAME.jpg
NUMBERED = re.compile(rf"(.+){re.escape(RESULT)}(?:\.\d+)?(?:\.compare)?", re.IGNORECASE)
SOFTWARE = 0x000B  # EXIF's ProcessingSoftware, in the first directory
MARK = "deepcolor (predicted colour)"  # what results say there
WINDOW = 1 << 17  # bytes at each end of a file that the mark is looked for in; EXIF has half of it


def photographs_in(
    folder: str | Path,
    suffixes: Collection[str] = PHOTOGRAPHS,
    recursive: bool = True,
    onerror: Callable[[OSError], object] | None = None,
) -> Iterator[Path]:
    """The photographs in a folder, folder by folder, each sorted by name.

    Hidden folders are left out, and those that macOS puts into archives.

    Args:
        folder: where to look.
        suffixes: in lower case, with their dots.
        recursive: whether folders within it count.
        onerror: told of folders that cannot be read; they are passed over when None.
    """
    for root, folders, files in os.walk(folder, onerror=onerror):
        folders[:] = sorted(f for f in folders if recursive and not f.startswith((".", "__MACOSX")))
        names = sorted(name for name in files if is_photograph(name, suffixes))
        beside = _Names(name for name in files if is_photograph(name))
        yield from (Path(root, n) for n in names if not _is_result(Path(root, n), beside))


def is_photograph(name: str, suffixes: Collection[str] = PHOTOGRAPHS) -> bool:
    """Whether a file's name says that it is a photograph; hidden ones (._x.jpg) are not."""
    return os.path.splitext(name)[1].lower() in suffixes and not name.startswith(".")


def without_results(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files that were named one by one, apart: photographs, and results of others among them.

    A result counts as a photograph where what it was made from is not named too.
    """
    files = list(files)
    folders: dict[Path, list[str]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file.name)
    named = {folder: _Names(names) for folder, names in folders.items()}
    results = [f for f in files if _is_result(f, named[f.parent], orphans=False)]
    left = set(results)
    return [file for file in files if file not in left], results


class _Names:
    """Names of the pictures in a folder, whole and without their suffixes."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = set(names)
        self.stems = {os.path.splitext(name)[0] for name in self.names}

    def __contains__(self, stem: str) -> bool:
        return stem in self.stems or stem in self.names


def _is_result(path: Path, beside: _Names, orphans: bool = True) -> bool:
    """Whether a picture is a result; `orphans` asks those too whose photograph is elsewhere."""
    stem = path.stem
    found = NUMBERED.fullmatch(stem)
    if found is not None and found[1] in beside:
        return True
    asked = (found is not None and orphans) or _goes_on_from_another(stem, beside)
    return asked and _is_marked(path)


def _goes_on_from_another(stem: str, beside: _Names) -> bool:
    """Whether the name is another's with something before or after it: old_color, color-old."""
    cuts = [i for i, character in enumerate(stem) if not character.isalnum()]
    return any(stem[:i] in beside or stem[i + 1 :] in beside for i in cuts)


def _is_marked(path: Path) -> bool:
    """Whether the file says that its colour was predicted; no decoder is let at it."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            ends = file.read(WINDOW)
            file.seek(max(0, size - WINDOW))
            ends += file.read(WINDOW)
    except OSError:  # reading the photograph will say why
        return False
    return MARK.encode() in ends
