"""One door to every source of photographs."""

from copy import copy
from pathlib import Path

from PIL import Image

from deepcolor.data.datasets import (
    LIST_SUFFIXES,
    ListedPhotos,
    PhotoFolder,
    PhotoSet,
    Transform,
    shortened,
)
from deepcolor.data.pairs import LIGHTNESS, LabPairs, chroma_files
from deepcolor.data.shards import TAR_SUFFIXES, TarPhotos
from deepcolor.data.tables import HuggingFacePhotos, ImageTable

__all__ = ["FirstPhotos", "folder_classes", "open_photos"]


def open_photos(
    path: str | Path | PhotoSet | ImageTable, transform: Transform | None = None
) -> PhotoSet:
    """Open photographs, wherever they are.

    Args:
        path: a folder of photographs, a folder of tar archives, one tar archive, a list of files
            (.txt, .lst), the folder of a pair of NumPy files (`l/gray_scale.npy` and
            `ab/ab/ab1.npy`), a Hugging Face data set with one column of images, or a PhotoSet,
            which keeps its own transform if none is given, and is copied if one is.
        transform: from the RGB PIL image; uint8 (3, H, W) when None.

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if there is no photograph in it.
    """
    if isinstance(path, PhotoSet):
        if transform is None:
            return path
        path = copy(path)
        path.transform = transform
        return path
    if not isinstance(path, (str, Path)):
        return HuggingFacePhotos(path, transform=transform)
    path = Path(path)
    if path.is_file() and path.name.endswith(TAR_SUFFIXES):
        return TarPhotos([path], transform)
    if path.is_file() and path.suffix in LIST_SUFFIXES:
        return ListedPhotos(path, transform)
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: neither a folder nor a tar archive nor a list ({' '.join(LIST_SUFFIXES)})"
            " of photographs"
        )
    if (path / LIGHTNESS).exists() or chroma_files(path):
        return LabPairs(path, transform)
    archives = sorted(p for p in path.iterdir() if p.name.endswith(TAR_SUFFIXES))
    return TarPhotos(archives, transform) if archives else PhotoFolder(path, transform)


class FirstPhotos(PhotoSet):
    """The first photographs of another source, in its order.

    Args:
        photos: the source.
        count: how many, at least 1; all if there are fewer.
    """

    def __init__(self, photos: PhotoSet, count: int) -> None:
        if count < 1:
            raise ValueError(f"limit must be at least 1 photograph, or None for all; got {count}")
        super().__init__(
            photos.names[:count], photos.sources[:count], photos.transform, photos.keys[:count]
        )
        self.photos = photos

    def read(self, index: int) -> bytes:
        return self.photos.read(index)

    def folder(self, index: int) -> str:
        return self.photos.folder(index)

    def stamp(self, index: int) -> str | None:
        return self.photos.stamp(index)

    def checksum(self, index: int) -> int:
        return self.photos.checksum(index)

    def picture(self, index: int, least: int | None = None) -> Image.Image:
        return self.photos.picture(index, least)

    def stretch(self, index: int, least: int | None = None) -> list[Image.Image]:
        return self.photos.stretch(index, least)


def folder_classes(photos: PhotoSet) -> tuple[list[str], list[int]]:
    """What photographs show, by the folders that they lie in.

    Returns:
        The folders, sorted, and of each photograph the number of its own.

    Raises:
        ValueError: if photographs lie in no folder, naming some.
    """
    folders = [photos.folder(index) for index in range(len(photos))]
    outside = [name for name, folder in zip(photos.names, folders, strict=True) if not folder]
    if outside:
        raise ValueError(
            f"labels are the names of folders, and {len(outside)} of {len(photos)} photographs lie"
            f" in none: {shortened(outside)}; wanted: a folder for each class"
        )
    classes = sorted(set(folders))
    numbers = {folder: number for number, folder in enumerate(classes)}
    return classes, [numbers[folder] for folder in folders]
