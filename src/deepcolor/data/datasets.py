"""Photographs to train on: what every source of them shares, folders and lists of files."""

import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as T

from deepcolor.files import shown
from deepcolor.images import ImageError, read_rgb
from deepcolor.listing import RESULT, is_photograph, photographs_in
from deepcolor.opening import open_file

__all__ = ["DamagedPhotoError", "ListedPhotos", "PhotoFolder", "PhotoSet"]

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
LIST_SUFFIXES = (".txt", ".lst")
LISTED = 10  # names in a message

Transform = Callable[[Image.Image], Any]


class DamagedPhotoError(ImageError):
    """A photograph of a set that cannot be read or decoded."""


class PhotoSet(Dataset[Tensor], ABC):
    """Numbered photographs, each with the name of the source that it came from.

    Args:
        names: one a photograph, for messages.
        sources: one a photograph, for sampling by source.
        transform: from the RGB PIL image; uint8 (3, H, W) when None.
        keys: one a photograph: what the lists of a split call them; the names when None.
    """

    def __init__(
        self,
        names: Sequence[str],
        sources: Sequence[str],
        transform: Transform | None,
        keys: Sequence[str] | None = None,
    ) -> None:
        self.names = list(names)
        self.sources = list(sources)
        self.transform = transform
        self.keys = self.names if keys is None else list(keys)

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The encoded photograph."""

    def folder(self, index: int) -> str:
        """The folder that holds the photograph within its source, / between folders; or ""."""
        parent = PurePosixPath(self.keys[index]).parent.as_posix()
        return "" if parent == "." else parent

    def stamp(self, index: int) -> str | None:
        """What changes when the photograph does, for caches; None keeps it out of them."""
        return None

    def checksum(self, index: int) -> int:
        """Of the photograph's bytes: 32 bits."""
        return zlib.crc32(self.read(index))

    def picture(self, index: int, least: int | None = None) -> Image.Image:
        """The photograph as it is shown: upright, in sRGB, as `deepcolor.images.read_rgb` reads it.

        Args:
            index: its number.
            least: pixels that the shorter side must have. A JPEG several times as large is decoded
                at a half, a quarter or an eighth of its size, which is as many times faster.

        Raises:
            DamagedPhotoError: naming the photograph, if it cannot be decoded.
            MemoryError: if there is not enough, which says nothing about the photograph.
        """
        name = shown(self.names[index])
        try:
            return read_rgb(self.read(index), name, least)
        except ImageError as error:
            if isinstance(error.__cause__, MemoryError):
                raise error.__cause__ from None
            raise DamagedPhotoError(str(error)) from error
        except MemoryError:
            raise
        except Exception as error:  # of the file, the archive or the table: many kinds
            raise DamagedPhotoError(
                f"cannot read photograph {name} ({type(error).__name__}: {error})"
            ) from error

    def stretch(self, index: int, least: int | None = None) -> list[Image.Image]:
        """The frames at a place of `Films`; of photographs, the one picture."""
        return [self.picture(index, least)]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor:
        rgb = self.picture(index)
        picture: Tensor = T.pil_to_tensor(rgb) if self.transform is None else self.transform(rgb)
        return picture


class _Files(PhotoSet):
    """Photographs in files of their own."""

    def __init__(self, root: Path, paths: Sequence[Path], transform: Transform | None) -> None:
        self.paths = list(paths)
        inside = [p.relative_to(root) if p.is_relative_to(root) else p for p in self.paths]
        super().__init__(
            [str(p) for p in self.paths],
            [p.parts[0] if len(p.parts) > 1 and not p.anchor else root.name for p in inside],
            transform,
            [p.as_posix() for p in inside],
        )

    def read(self, index: int) -> bytes:
        with open_file(self.paths[index]) as file:
            return file.read()

    def stamp(self, index: int) -> str | None:
        path = self.paths[index].absolute()
        try:
            state = path.stat()
        except OSError:  # gone since it was listed: reading will say so
            return None
        return f"{path}|{state.st_size}|{state.st_mtime_ns}"


class PhotoFolder(_Files):
    """All photographs below a folder, sorted by path; the first folder level is the source.

    Flat folders and folders of classes (ImageFolder) alike; hidden files and folders are left out,
    and results of deepcolor's (`deepcolor.listing` tells how).
    Lists call a photograph by its path within the folder.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, root: str | Path, transform: Transform | None = None) -> None:
        root = Path(root)
        paths = list(photographs_in(root, PHOTO_SUFFIXES))
        if not paths:
            raise ValueError(
                f"no photographs below {root}; looked for {', '.join(sorted(PHOTO_SUFFIXES))}"
                f" (results, NAME{RESULT}.*, are none)"
            )
        super().__init__(root, sorted(paths), transform)


class ListedPhotos(_Files):
    """The photographs that a text file names, a path a line; relative ones start at the list.

    The first folder of a path is its source.

    Raises:
        FileNotFoundError: if photographs are missing, naming some.
        ValueError: if the list is empty or names a photograph twice.
    """

    def __init__(self, file: str | Path, transform: Transform | None = None) -> None:
        root = Path(file).parent
        paths = [root / line for line in read_list(file)]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{file} names {len(missing)} photographs that are not there, of {len(paths)}:"
                f" {shortened(missing)}"
            )
        super().__init__(root, paths, transform)


def is_photo(name: str) -> bool:
    """Whether a file's name says that it is a photograph; hidden ones (._x.jpg) are not."""
    return is_photograph(name, PHOTO_SUFFIXES)


def read_list(file: str | Path) -> list[str]:
    """The lines of a list; empty ones do not count.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is empty, no text, or has a line twice.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file}: no such list of photographs")
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: no list of photographs, which is text, a name a line") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{file}: an empty list of photographs")
    twice = [line for line, count in Counter(lines).items() if count > 1]
    if twice:
        raise ValueError(f"{file} names {len(twice)} photographs twice: {shortened(twice)}")
    return lines


def shortened(names: Sequence[str]) -> str:
    """At most ten of the names, for a message."""
    return f"{', '.join(map(shown, names[:LISTED]))}{', ...' if len(names) > LISTED else ''}"
