"""Photographs inside tar archives, WebDataset's layout among them."""

import os
import tarfile
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from deepcolor.data.datasets import PhotoSet, Transform, is_photo
from deepcolor.files import shown

__all__ = ["TAR_SUFFIXES", "TarPhotos"]

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
LARGEST = 1 << 30  # bytes of a member; no photograph has as many, and all are held in memory
PREFERRED = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")  # of one sample


class TarPhotos(PhotoSet):
    """All photographs inside tar archives, without unpacking; the archive's name is the source.

    Plain archives are read member by member from disk; compressed ones are held in memory. In
    WebDataset's layout the members of a sample share a key, their name up to its first dot: of
    0001.jpg, 0001.cls, 0001.json and 0001.mask.png only the first is a photograph. Lists call a
    photograph ARCHIVE:MEMBER. An archive that ends too early gives what can be read, with a
    warning. Members of over 1 GiB are refused when they are read.

    Raises:
        ValueError: if there is no photograph.
    """

    def __init__(self, archives: Sequence[str | Path], transform: Transform | None = None) -> None:
        self.archives = [Path(a) for a in archives]
        self.members: list[tuple[int, int, int] | bytes] = []  # (archive, offset, size) or itself
        self._files: dict[tuple[int, int], int] = {}  # (process, archive) -> file descriptor
        self._stamps: list[str] = []
        names, sources, keys = [], [], []
        for number, path in enumerate(self.archives):
            found = self._members(number, path)
            state = path.stat()
            for name in photographs(found):
                self.members.append(found[name])
                self._stamps.append(f"{path.absolute()}|{state.st_size}|{state.st_mtime_ns}|{name}")
                names.append(f"{path}:{name}")
                keys.append(f"{path.name}:{name}")
                sources.append(path.name.split(".")[0])
        if not names:
            raise ValueError(f"no photographs in {', '.join(map(str, self.archives))}")
        super().__init__(names, sources, transform, keys)

    def _members(self, number: int, path: Path) -> dict[str, tuple[int, int, int] | bytes]:
        """Where each picture of an archive is, or what it is, by its name."""
        plain = path.suffix == ".tar"
        found: dict[str, tuple[int, int, int] | bytes] = {}
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if not (member.isfile() and is_photo(PurePosixPath(member.name).name)):
                        continue
                    if plain or member.size > LARGEST:
                        found[member.name] = (number, member.offset_data, member.size)
                    else:
                        stream = archive.extractfile(member)
                        assert stream is not None  # a regular file
                        found[member.name] = stream.read()
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            warnings.warn(
                f"{shown(path)} is damaged: {error}; {len(found)} pictures before that are used",
                stacklevel=3,
            )
        return found

    def read(self, index: int) -> bytes:
        member = self.members[index]
        if isinstance(member, bytes):
            return member
        number, offset, size = member
        if size > LARGEST:
            raise ValueError(
                f"{shown(self.names[index])} has {size / 1e9:.1f} GB; members of archives may have"
                f" {LARGEST / 1e9:.1f}: unpack it, and make it smaller"
            )
        key = (os.getpid(), number)  # a forked worker opens its own
        if key not in self._files:
            opened = os.open(self.archives[number], os.O_RDONLY)
            if self._files.setdefault(key, opened) != opened:  # another thread was first
                os.close(opened)
        return os.pread(self._files[key], size, offset)

    def close(self) -> None:
        """Close the archives that this process has open; reading opens them again."""
        for process, number in list(self._files):
            if process == os.getpid():
                os.close(self._files.pop((process, number)))

    def __del__(self) -> None:
        if hasattr(self, "_files"):  # not if there was nothing to open
            self.close()

    def folder(self, index: int) -> str:
        return self.keys[index].partition(":")[2].rpartition("/")[0]

    def stamp(self, index: int) -> str:
        return self._stamps[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}


def photographs(names: Iterable[str]) -> list[str]:
    """Those that are a sample's photograph and not its mask, depth or thumbnail, in their order.

    A name with more than one dot (0001.mask.png) goes with the plain one of its key (0001.jpg) if
    there is such; without, as in cat.0.jpg and cat.1.jpg, each is a photograph of its own.
    """
    names = list(names)
    plain = defaultdict(list)
    for name in names:
        key, suffix = split_key(name)
        if suffix.count(".") == 1:
            plain[key].append(name)
    first = {
        key: min(group, key=lambda name: PREFERRED.index(split_key(name)[1].lower()))
        for key, group in plain.items()
    }
    return [name for name in names if first.get(split_key(name)[0], name) == name]


def split_key(member: str) -> tuple[str, str]:
    """WebDataset's key and suffix: ("cats/0001", ".mask.png") of cats/0001.mask.png."""
    path = PurePosixPath(member)
    stem, dot, suffix = path.name.partition(".")
    return str(path.parent / stem), dot + suffix
