"""One door to every source of photographs."""

from pathlib import Path

from deepcolor.data.datasets import LIST_SUFFIXES, ListedPhotos, PhotoFolder, PhotoSet, Transform
from deepcolor.data.pairs import LIGHTNESS, LabPairs
from deepcolor.data.shards import TAR_SUFFIXES, TarPhotos
from deepcolor.data.tables import HuggingFacePhotos, ImageTable

__all__ = ["open_photos"]


def open_photos(
    path: str | Path | PhotoSet | ImageTable, transform: Transform | None = None
) -> PhotoSet:
    """Open photographs, wherever they are.

    Args:
        path: a folder of photographs, a folder of tar archives, one tar archive, a list of files
            (.txt, .lst), the folder of a pair of NumPy files (`l/gray_scale.npy`), a Hugging Face
            data set with one column of images, or a PhotoSet, which keeps its own transform
            if none is given.
        transform: from the RGB PIL image; uint8 (3, H, W) when None.

    Raises:
        FileNotFoundError: if `path` does not exist.
        ValueError: if there is no photograph in it.
    """
    if isinstance(path, PhotoSet):
        path.transform = path.transform if transform is None else transform
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
    if (path / LIGHTNESS).exists():
        return LabPairs(path, transform)
    archives = sorted(p for p in path.iterdir() if p.name.endswith(TAR_SUFFIXES))
    return TarPhotos(archives, transform) if archives else PhotoFolder(path, transform)
