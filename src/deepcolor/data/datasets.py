"""Photographs to train on, from folders and from tar archives: RGB only, uint8."""

import io
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as T

__all__ = ["PhotoFolder", "PhotoSet", "TarPhotos", "open_photos"]

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

Transform = Callable[[Image.Image], Any]


class PhotoSet(Dataset[Tensor], ABC):
    """Numbered photographs, each with the name of the source that it came from.

    Args:
        names: one a photograph, for messages.
        sources: one a photograph, for sampling by source.
        transform: from the RGB PIL image; uint8 (3, H, W) when None.
    """

    def __init__(
        self, names: Sequence[str], sources: Sequence[str], transform: Transform | None
    ) -> None:
        self.names = list(names)
        self.sources = list(sources)
        self.transform = transform
        self.keys = self.names

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The encoded photograph."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tensor:
        try:
            with Image.open(io.BytesIO(self.read(index))) as image:
                rgb = image.convert("RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"cannot decode training photograph {self.names[index]}") from error
        picture: Tensor = T.pil_to_tensor(rgb) if self.transform is None else self.transform(rgb)
        return picture


class PhotoFolder(PhotoSet):
    """All photographs below a folder, sorted by path; the first folder level is the source."""

    def __init__(self, root: str | Path, transform: Transform | None = None) -> None:
        root = Path(root)
        self.paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
        if not self.paths:
            raise ValueError(
                f"no photographs below {root}; looked for {', '.join(sorted(PHOTO_SUFFIXES))}"
            )
        parts = [p.relative_to(root).parts for p in self.paths]
        super().__init__(
            [str(p) for p in self.paths],
            [p[0] if len(p) > 1 else root.name for p in parts],
            transform,
        )
        self.keys = ["/".join(p) for p in parts]

    def read(self, index: int) -> bytes:
        return self.paths[index].read_bytes()


class TarPhotos(PhotoSet):
    """All photographs inside tar archives, without unpacking; the archive's name is the source.

    Plain archives are read member by member from disk; compressed ones are held in memory.
    """

    def __init__(self, archives: Sequence[str | Path], transform: Transform | None = None) -> None:
        self.archives = [Path(a) for a in archives]
        self.members: list[tuple[int, int, int] | bytes] = []  # (archive, offset, size) or itself
        self._files: dict[tuple[int, int], int] = {}  # (process, archive) -> file descriptor
        names, sources = [], []
        for number, path in enumerate(self.archives):
            plain = path.suffix == ".tar"
            with tarfile.open(path) as archive:
                for member in archive:
                    if Path(member.name).suffix.lower() not in PHOTO_SUFFIXES:
                        continue
                    if plain:
                        self.members.append((number, member.offset_data, member.size))
                    else:
                        stream = archive.extractfile(member)
                        assert stream is not None  # a regular file, by its suffix
                        self.members.append(stream.read())
                    names.append(f"{path}:{member.name}")
                    sources.append(path.name.split(".")[0])
        if not names:
            raise ValueError(f"no photographs in {', '.join(map(str, self.archives))}")
        super().__init__(names, sources, transform)

    def read(self, index: int) -> bytes:
        member = self.members[index]
        if isinstance(member, bytes):
            return member
        number, offset, size = member
        key = (os.getpid(), number)  # a forked worker opens its own
        if key not in self._files:
            self._files[key] = os.open(self.archives[number], os.O_RDONLY)
        return os.pread(self._files[key], size, offset)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}


def open_photos(path: str | Path, transform: Transform | None = None) -> PhotoSet:
    """Open a folder of photographs, a folder of tar archives, or one tar archive.

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if there is no photograph in it.
    """
    path = Path(path)
    if path.is_file() and path.name.endswith(TAR_SUFFIXES):
        return TarPhotos([path], transform)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: neither a folder nor a tar archive of photographs")
    archives = sorted(p for p in path.iterdir() if p.name.endswith(TAR_SUFFIXES))
    return TarPhotos(archives, transform) if archives else PhotoFolder(path, transform)


def limit_worker_threads(_: int) -> None:
    """Give each loader process one torch thread: they run beside the training itself."""
    torch.set_num_threads(1)
