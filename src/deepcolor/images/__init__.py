"""Reading pictures as numbers, and giving them back as what they were.

`read` takes what people hold (a path, bytes, an open file, a PIL image, a NumPy array, a torch
tensor) and remembers what it was; `Picture.give_back` answers in kind. Nothing here knows of
networks.
"""

import io
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from torch import Tensor

from deepcolor.files import shown, write_beside
from deepcolor.images.arrays import read_array, read_tensor
from deepcolor.images.decoding import ImageWarning
from deepcolor.images.files import read_bytes, read_file, read_pages, read_rgb
from deepcolor.images.metadata import without_location
from deepcolor.images.pages import write_pages
from deepcolor.images.picture import MAX_PIXELS, ImageError, Picture
from deepcolor.images.pil import read_pil
from deepcolor.images.result import ColorizedImage, format_of

__all__ = [
    "MAX_PIXELS",
    "ColorizedImage",
    "ImageError",
    "ImageWarning",
    "Picture",
    "forget_location",
    "read",
    "read_colours",
    "read_pages",
    "read_rgb",
    "save",
    "save_pages",
    "writable",
]


def read(source: Any, max_pixels: int | None = MAX_PIXELS) -> Picture:
    """Read a picture.

    Args:
        source: a path; the bytes of a file, or an open binary file; a PIL image; a NumPy array
            (H, W) or (H, W, 1 to 4); a torch tensor (H, W), (C, H, W) or (B, C, H, W) with 1, 3 or
            4 channels. Arrays and tensors hold uint8, uint16, or floats in [0, 1]; a second or
            fourth channel is alpha. A Picture, read before, is given back.
        max_pixels: refuse larger ones before memory is taken for them; None for no limit.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: for a path with no file to read.
        TypeError: for a kind or dtype that is no picture.
        ImageError: for what cannot be read as one: damaged files, wrong shapes, NaN, values out of
            range, too many pixels. Every message names the picture and what would work.

    Warns:
        ImageWarning: of a file that holds several pictures, a profile that cannot be used, and once
            of all that Pillow and libtiff remark on.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read_file(Path(source), max_pixels)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return read_bytes(io.BytesIO(source), f"picture of {len(source)} bytes", max_pixels)
    if isinstance(source, Image.Image):
        return read_pil(source, f"PIL image {source.width} x {source.height}", max_pixels)
    if isinstance(source, np.ndarray):
        return read_array(source, max_pixels)
    if isinstance(source, Tensor):
        return read_tensor(source, max_pixels)
    if hasattr(source, "read"):
        return read_bytes(*_binary(source), max_pixels)
    raise TypeError(
        f"cannot colorize {type(source).__name__}; give a path, bytes, an open file, a PIL image, a"
        " NumPy array, a torch tensor, or a list of them"
    )


def read_colours(source: Any, max_pixels: int | None = MAX_PIXELS) -> Picture:
    """Read a picture for its colours; as `read`, which may keep no more than the luminance.

    A picture with another profile than sRGB is converted to sRGB, at 8 bits a channel.
    """
    picture = read(source, max_pixels)
    return picture if picture.colours is None else replace(picture, pixels=picture.colours())


def _binary(file: Any) -> tuple[IO[bytes], str]:
    """What is left in an open file, as one that can be searched, and its name."""
    name = shown(getattr(file, "name", "open file"))
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError(f"{name} is open as text; open it with mode 'rb'")
    return io.BytesIO(data), name


def writable(path: str | Path) -> Path:
    """Check, before any work, that a picture can be saved at `path`.

    Raises:
        ValueError: for a suffix that Pillow cannot write.
        OSError: for a folder that is missing or not writable.
    """
    path = Path(path)
    format_of(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file to write")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder to write {path.name} to")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent}: not writable")
    return path


def save(image: Image.Image, path: str | Path, quality: int | None = None) -> Path:
    """Save a PIL image whole or not at all: written beside, then renamed.

    Args:
        image: the image; a `ColorizedImage` keeps its depth and metadata.
        path: its suffix says the format.
        quality: of JPEG, WebP and AVIF, 1 to 100; our choice when None.

    Raises:
        ImageError: if the format cannot hold the picture.
        ValueError, OSError: as `writable`.
    """
    path = writable(path)
    options: dict[str, Any] = {} if quality is None else {"quality": quality}
    if not isinstance(image, ColorizedImage):
        image = ColorizedImage.of(*_plain(image))
    image.save(path, **options)
    return path


def _plain(image: Image.Image) -> tuple[Any, Any, dict[str, Any]]:
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    return np.asarray(image.convert("RGB")), alpha, {}


def forget_location(image: Any) -> None:
    """Let a coloured picture not say, when it is saved, where it was taken; arrays never do."""
    if isinstance(image, ColorizedImage):
        image.metadata = without_location(image.metadata)
        image.info = {key: value for key, value in image.metadata.items() if key != "comment"}


def save_pages(pages: Iterable[Image.Image], path: str | Path, count: int | None = None) -> Path:
    """Save several pictures as the pages of one TIFF, each as deep and as complete as it came.

    Args:
        pages: taken and written one at a time: an iterator needs the memory of one page.
        path: of the TIFF.
        count: how many pages, where `pages` does not know: if they may need over 4 GB the file is
            a BigTIFF, which not all programs read.

    Raises:
        ImageError: for pages of over 8 bits without tifffile, and if they need over 4 GB and
            nothing told.
        ValueError, OSError: as `writable`; ValueError also for other formats than TIFF, and for
            no pages.
    """
    path = writable(path)
    if format_of(path) != "TIFF":
        raise ValueError(f"{path}: only TIFF holds several pages")
    write_beside(path, lambda file: write_pages(file, pages, str(path), count))
    return path
