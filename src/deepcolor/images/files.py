"""Pictures from files, bytes and file objects."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from deepcolor.extras import needs
from deepcolor.images.picture import MAX_PIXELS, ImageError, Picture, check_size
from deepcolor.images.pil import read_deep, read_pil
from deepcolor.images.tiff import inverted, read_tiff

__all__ = ["read_bytes", "read_file", "read_pages"]

HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # ISO 23008-12
PNG_MAGIC, PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # PNG specification: IHDR's bit depth, colour type
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_SAMPLES, TIFF_SUBFILE = 258, 262, 277, 254  # TIFF 6.0
MOST_PAGES = 10_000  # a file that says more is damaged
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two BigTIFF
# What Pillow's readers raise of files that are not theirs, or damaged.
REFUSALS = (SyntaxError, LookupError, TypeError, ValueError, EOFError, OSError, struct.error)
SUFFIX_HELP = "formats that work: JPEG, PNG, TIFF, WebP, AVIF, BMP, GIF, and what else Pillow reads"


def read_file(path: Path, max_pixels: int | None) -> Picture:
    """The first picture in a file.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: for a path with no file to read.
        ImageError: for one that holds no picture, or a damaged one.
    """
    with _opened(path) as file:
        return _first(file, str(path), max_pixels)


def read_bytes(data: IO[bytes], name: str, max_pixels: int | None) -> Picture:
    """The first picture in an open file; see `read_file`."""
    return _first(data, name, max_pixels)


def read_pages(path: Path, max_pixels: int | None = MAX_PIXELS) -> Iterator[Picture]:
    """All pictures in a file, one at a time: the pages of a TIFF; of other formats the first.

    Reduced copies and masks that a TIFF carries beside a page are not pages.
    """
    with _opened(path) as file:
        header = _header(file, str(path))
        with _decoding(str(path)):
            pages = _pages(header) if header.format == "TIFF" else [0]
        if len(pages) <= 1:
            yield _first(file, str(path), max_pixels)
            return
        for number, page in enumerate(pages, start=1):
            yield _page(file, f"{path} page {number}", page, max_pixels)


class _UnreadableError(ImageError):
    """No reader of Pillow's takes it."""


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the photographs in it")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        yield file


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Decoders of damaged files raise whatever their parsers stumble over: one error for all."""
    try:
        yield
    except (ImageError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory than there is") from error
    except Exception as error:
        raise ImageError(
            f"{name} is damaged or truncated ({type(error).__name__}: {error})"
        ) from error


def _first(file: IO[bytes], name: str, max_pixels: int | None) -> Picture:
    try:
        header = _header(file, name)
    except _UnreadableError:
        file.seek(0)
        if file.read(4) not in TIFF_MAGIC:
            raise
        with _decoding(name):  # as RGB of floats
            return read_deep(*read_tiff(file, 0, name, max_pixels), name)
    with _decoding(name):
        count = len(_pages(header))
    if count > 1:
        warnings.warn(
            f"{name} holds {count} pictures; the first is coloured", UserWarning, stacklevel=2
        )
    return _page(file, name, 0, max_pixels)


def _page(file: IO[bytes], name: str, page: int, max_pixels: int | None) -> Picture:
    image = _header(file, name)
    with _decoding(name):
        if page:
            image.seek(page)
        check_size(image.height, image.width, name, max_pixels)
        deep = _read_deep(file, image, page, name)
        if deep is not None:
            return read_deep(deep, image, name)
        image.load()
        if image.mode in ("I;16", "I;16B", "I;16L", "F") and _white_is_zero(image):
            return read_deep(inverted(np.asarray(image))[..., None], image, name)
        return read_pil(image, name, max_pixels)


def _header(file: IO[bytes], name: str) -> Image.Image:
    """Open without decoding, as `Image.open` but for its own limit on size: `check_size` is ours.

    That limit is one for the whole process, which is not ours to change.
    """
    file.seek(0)
    start = file.read(16)
    if not start:
        raise ImageError(f"{name} is empty")
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
        _register_heif(name)
    with _decoding(name):
        for known in (Image.preinit, Image.init):
            known()
            for kind in list(Image.ID):
                factory, accepts = Image.OPEN[kind]
                verdict = accepts(start) if accepts else True
                if not verdict or isinstance(verdict, str):
                    continue
                file.seek(0)
                try:
                    image: Image.Image = factory(file, name)
                except (
                    SyntaxError,
                    IndexError,
                    TypeError,
                    KeyError,
                    EOFError,
                    OSError,
                    ValueError,
                ):
                    continue
                except Exception as error:  # struct.error has no common base with the others
                    if type(error).__module__ not in ("struct", "zlib"):
                        raise
                    continue
                return image
    raise _UnreadableError(f"{name} is not an image that can be read, or damaged; {SUFFIX_HELP}")


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise ImageError(f"{name} is HEIC, which {needs('heic')}") from error
    pillow_heif.register_heif_opener()


def _pages(image: Image.Image) -> list[int]:
    """Frame numbers of a TIFF's pages, up to the first damaged one; of other formats all frames."""
    if image.format != "TIFF":
        return list(range(getattr(image, "n_frames", 1)))
    pages = []
    for number in range(MOST_PAGES):
        try:
            image.seek(number)
        except REFUSALS:  # EOFError after the last
            break
        tags: Any = getattr(image, "tag_v2", {})
        if not int(tags.get(TIFF_SUBFILE, 0)) & 0b101:  # reduced copy, transparency mask
            pages.append(number)
    return pages or [0]


def _read_deep(
    file: IO[bytes], image: Image.Image, page: int, name: str
) -> np.ndarray[Any, Any] | None:
    """(H, W, C) of what Pillow would cut to 8 bits; None for all else."""
    if image.format == "PNG":
        file.seek(0)
        start = file.read(26)
        deep_colour = start[:8] == PNG_MAGIC and start[PNG_DEPTH] == 16 and start[25] != 0
        return _read_png(file, name) if deep_colour else None
    if image.format != "TIFF":
        return None
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(TIFF_BITS, (1,))
    samples = tags.get(TIFF_SAMPLES, 1)
    plain = max(bits) <= 8 or (samples == 1 and image.mode.startswith(("I", "F")))
    if plain or tags.get(TIFF_PHOTOMETRIC) not in (0, 1, 2):
        return None
    return read_tiff(file, page, name)[0]


def _read_png(file: IO[bytes], name: str) -> np.ndarray[Any, Any]:
    try:
        import imagecodecs
    except ModuleNotFoundError as error:
        raise ImageError(f"{name} is a PNG of 16-bit colour, which {needs('deep')}") from error
    file.seek(0)
    array: np.ndarray[Any, Any] = imagecodecs.png_decode(file.read())
    return array


def _white_is_zero(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    return bool(tags) and tags.get(TIFF_PHOTOMETRIC) == 0
