"""The photographs to measure on: found in folders and archives, read one at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from deepcolor import images
from deepcolor.data import open_photos
from deepcolor.files import shown
from deepcolor.listing import without_results

__all__ = ["Photograph", "evenly", "find_photographs", "imagenet_class", "read_rgb"]

ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class Photograph:
    """A photograph that was found.

    Attributes:
        name: its path below the folder or archive that was named; / between folders.
        read: gives the encoded file.
    """

    name: str
    read: Callable[[], bytes]


def find_photographs(places: Sequence[str | Path]) -> list[Photograph]:
    """Photographs in folders, tar archives, folders of archives, and single files.

    Results of deepcolor's are none (`deepcolor.listing` tells how): of single files, those whose
    photograph is named too.

    Returns:
        Sorted by name; a file that is named twice counts once.

    Raises:
        FileNotFoundError: for a place that does not exist.
        ValueError: for a folder or an archive without photographs.
    """
    found: dict[str, Photograph] = {}
    _, results = without_results(Path(place) for place in places)
    for place in map(Path, places):
        if place in results:
            continue
        if place.is_file() and not place.name.endswith(ARCHIVES):
            read = _within_memory(place.name, place.read_bytes)
            found.setdefault(str(place.resolve()), Photograph(place.name, read))
            continue
        if not place.exists():
            raise FileNotFoundError(f"{shown(place)}: no such file or folder")
        photos = open_photos(place)
        for index, path in enumerate(photos.names):
            name = path.removeprefix(str(place)).lstrip(":/\\").replace("\\", "/")
            read = _within_memory(name, partial(photos.read, index))
            found.setdefault(str(Path(path).resolve()), Photograph(name, read))
    return sorted(found.values(), key=lambda photo: photo.name)


def _within_memory(name: str, read: Callable[[], bytes]) -> Callable[[], bytes]:
    """The same, but a file that memory cannot hold is refused as other bad files are."""

    def whole() -> bytes:
        try:
            return read()
        except MemoryError as error:
            raise ValueError(f"{shown(name)} needs more memory than there is") from error

    return whole


def evenly(photos: Sequence[Photograph], count: int | None) -> list[Photograph]:
    """At most `count` photographs, evenly taken; all for None."""
    if count is None or count >= len(photos):
        return list(photos)
    chosen = torch.linspace(0, len(photos) - 1, count).long().tolist()
    return [photos[i] for i in chosen]


def read_rgb(data: bytes, name: str) -> Tensor:
    """A photograph as it is shown, in sRGB at 8 bits: (3, H, W) uint8; of pages, the first.

    Raises:
        ImageError: for a file that is no picture, damaged, or empty; names it.
    """
    rgb: Tensor = pil_to_tensor(images.read_rgb(data, shown(name)))
    return rgb


def imagenet_class(name: str) -> int | None:
    """Number of the ImageNet class whose WordNet id the photograph's folder is named after."""
    from timm.data.imagenet_info import ImageNetInfo

    folder = PurePosixPath(name).parent.name
    if not (len(folder) == 9 and folder[0] == "n" and folder[1:].isdigit()):
        return None
    ids: list[str] = ImageNetInfo().label_names()  # type: ignore[no-untyped-call]
    return ids.index(folder) if folder in ids else None
