"""Pictures from files, bytes and file objects."""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from deepcolor.extras import needs
from deepcolor.files import shown
from deepcolor.images.decoding import decoding, remark
from deepcolor.images.formats import UnreadableError, open_image
from deepcolor.images.levels import Deep
from deepcolor.images.picture import MAX_PIXELS, ImageError, Picture, check_bytes, check_size
from deepcolor.images.pil import DEEP_MODES, as_shown, read_deep, read_pil
from deepcolor.images.result import eight_bits
from deepcolor.images.tiff import beyond_pillow, check_tiff, read_tiff
from deepcolor.opening import NoFileError, open_file

__all__ = ["read_bytes", "read_file", "read_pages", "read_rgb"]

PNG_MAGIC, PNG_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # PNG specification: IHDR's bit depth, colour type
TIFF_SUBFILE = 254  # TIFF 6.0
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two BigTIFF
JPEG2000_SIZ = b"\xff\x4f\xff\x51"  # ISO 15444-1, A.5: sizes of picture and tiles follow
JPEG2000_HEADER = 1 << 22  # bytes; boxes with profiles may stand before
LONGEST_RUN = 255  # pixels, in two bytes of a bitmap (BI_RLE8, BI_RLE4)
SPARE_PIXELS = 1 << 20  # that a bitmap may leave out
MOST_PAGES = 10_000  # a file that says more is damaged


def read_file(path: Path, max_pixels: int | None) -> Picture:
    """The first picture in a file.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: for a path with no file to read.
        ImageError: for one that holds no picture, or a damaged one, or is a pipe or a device.

    Warns:
        ImageWarning: if there are more pictures in it, or decoders had remarks.
    """
    with _opened(path) as file:
        return read_bytes(file, shown(path), max_pixels)


def read_bytes(data: IO[bytes], name: str, max_pixels: int | None) -> Picture:
    """The first picture in an open file; see `read_file`."""
    with decoding(name, max_pixels):
        try:
            image = open_image(data, name)
            count = _count(image)
        except UnreadableError:
            data.seek(0)
            if data.read(4) not in TIFF_MAGIC:
                raise
            return read_deep(*read_tiff(data, 0, name, max_pixels), name)  # as RGB of floats
        if count > 1:
            remark(f"{name} holds {count} pictures; the first is coloured")
        if image.format in ("TIFF", "GIF"):  # counting moved it
            image = open_image(data, name)
        return _picture(data, image, 0, name, max_pixels)


def read_rgb(
    data: bytes, name: str, least: int | None = None, max_pixels: int | None = MAX_PIXELS
) -> Image.Image:
    """A photograph as it is shown: upright, in sRGB at 8 bits a channel, without transparency.

    The pixels are those of `images.read_colours`, rounded to 8 bits; nothing else about the file is
    looked at or remarked on, for whoever reads thousands.

    Args:
        data: the encoded file; of several pictures in it the first.
        name: what to call it in messages.
        least: pixels that the shorter side must have. A JPEG several times as large is decoded at a
            half, a quarter or an eighth of its size, which is as many times faster.
        max_pixels: refuse larger ones before memory is taken for them; None for no limit.

    Raises:
        ImageError: for what is no picture, or a damaged or too large one.
    """
    file = io.BytesIO(data)
    with decoding(name, max_pixels, quiet=True):
        try:
            image = open_image(file, name)
        except UnreadableError:
            return _rounded(read_bytes(file, name, max_pixels))  # perhaps it is one of tifffile's
        deep = _checked(file, image, 0, name, max_pixels)
        if deep is not None:
            return _rounded(read_deep(deep, image, name))
        if image.mode in DEEP_MODES:
            return _rounded(read_pil(image, name, max_pixels))
        if least is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (least, least))
        return as_shown(image, name)


def _rounded(picture: Picture) -> Image.Image:
    pixels = picture.pixels if picture.colours is None else picture.colours()
    array = pixels[0].expand(3, -1, -1).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(eight_bits(array, 1.0)))


def read_pages(path: Path, max_pixels: int | None = MAX_PIXELS) -> Iterator[Picture]:
    """All pictures in a file, one at a time: the pages of a TIFF; of other formats the first.

    Reduced copies and masks that a TIFF carries beside a page are not pages.
    """
    with _opened(path) as file:
        name = shown(path)
        pages = _pages(file, name, max_pixels)
        first, second = next(pages, 0), next(pages, None)
        if second is None:
            yield read_bytes(file, name, max_pixels)
            return
        for number, page in enumerate(chain((first, second), pages), start=1):
            called = f"{name} page {number}"
            with decoding(called, max_pixels):
                image = open_image(file, called)
                image.seek(page)
                picture = _picture(file, image, page, called, max_pixels)
            yield picture


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = open_file(path)
    except NoFileError as error:
        raise ImageError(str(error)) from error
    with file:
        yield file


def _count(image: Image.Image) -> int:
    """How many pictures a file says it holds; 1 if that cannot be told, for the first may be well.

    A Photoshop document counts its layers; they are no pictures.
    """
    try:
        if image.format == "TIFF":
            return sum(1 for _ in _walk(image, "", None))
        return 1 if image.format == "PSD" else int(getattr(image, "n_frames", 1))
    except ImageError:
        raise
    except Exception:  # what is damaged after the first picture
        return 1


def _pages(file: IO[bytes], name: str, max_pixels: int | None) -> Iterator[int]:
    """Frame numbers of a TIFF's pages, found as they are asked for; of other files none."""
    try:
        with decoding(name, max_pixels, quiet=True):
            image = open_image(file, name)
    except UnreadableError:  # perhaps not for tifffile
        return
    if image.format == "TIFF":
        yield from _walk(image, name, max_pixels)


def _walk(image: Image.Image, name: str, max_pixels: int | None) -> Iterator[int]:
    """Up to the first damaged directory."""
    for number in range(MOST_PAGES):
        try:
            with decoding(name, max_pixels, quiet=True):
                image.seek(number)
                tags: Any = getattr(image, "tag_v2", {})
                extra = int(tags.get(TIFF_SUBFILE, 0)) & 0b101  # reduced copy, transparency mask
        except Exception:  # EOFError after the last; others of damaged directories
            return
        if not extra:
            yield number


def _picture(
    file: IO[bytes], image: Image.Image, page: int, name: str, max_pixels: int | None
) -> Picture:
    deep = _checked(file, image, page, name, max_pixels)
    if deep is not None:
        return read_deep(deep, image, name)
    return read_pil(image, name, max_pixels)


def _checked(
    file: IO[bytes], image: Image.Image, page: int, name: str, max_pixels: int | None
) -> np.ndarray[Any, Any] | Deep | None:
    """The pixels of what Pillow would cut to 8 bits or misread, once the file's size is known."""
    check_size(image.height, image.width, name, max_pixels)
    if image.format == "JPEG2000":
        _check_planes(file, name, max_pixels)
    elif image.format in ("JPEG", "MPO"):
        # libjpeg would fill up what is missing with grey, and say nothing.
        blocks = -(-image.width // 8) * -(-image.height // 8)
        _check_length(file, image, name, blocks / 8, "JPEG")  # each takes a bit
    elif image.format in ("BMP", "DIB") and _codec(image) == "bmp_rle":
        # Pillow decodes these in Python, pixels that are left out one by one.
        runs = max(0, image.width * image.height - SPARE_PIXELS) / LONGEST_RUN
        _check_length(file, image, name, 2 * runs, "RLE")
    elif image.format == "PNG":
        _scale_key(file, image)
        _check_alphas(file, image)
    return _read_deep(file, image, page, name, max_pixels)


def _check_planes(file: IO[bytes], name: str, max_pixels: int | None) -> None:
    """Refuse a JPEG 2000 file of too large a tile: OpenJPEG takes 4 bytes for each value."""
    file.seek(0)
    start = file.read(JPEG2000_HEADER)
    at = start.find(JPEG2000_SIZ)
    sizes = start[at + 8 : at + 42]
    if at < 0 or len(sizes) < 34:
        return
    width, height, _, _, tile_width, tile_height, _, _, planes = struct.unpack(">8IH", sizes)
    count = min(height, tile_height) * min(width, tile_width) * 4 * planes
    check_bytes(count, name, max_pixels)


def _check_length(file: IO[bytes], image: Image.Image, name: str, least: float, kind: str) -> None:
    """Refuse a file of fewer bytes than its pixels take at the least."""
    if file.seek(0, os.SEEK_END) < least:
        raise ImageError(
            f"{name} is damaged or truncated: {image.width} x {image.height} pixels cannot lie in"
            f" {file.tell()} bytes of {kind}"
        )


def _codec(image: Any) -> str:
    return str(image.tile[0].codec_name) if getattr(image, "tile", None) else ""


def _scale_key(file: IO[bytes], image: Image.Image) -> None:
    """Bring the transparent level of a grey PNG of 2 or 4 bits to 8, as Pillow does its levels."""
    key = image.info.get("transparency")
    file.seek(PNG_DEPTH)
    depth = file.read(1)[0]
    if image.mode == "L" and depth in (2, 4) and isinstance(key, int):
        image.info["transparency"] = key * (255 // (2**depth - 1))


def _check_alphas(file: IO[bytes], image: Image.Image) -> None:
    """Leave out transparencies for more colours than a PNG's palette has, as libpng does."""
    if image.mode != "P" or "transparency" not in image.info:
        return
    lengths: dict[bytes, int] = {}
    file.seek(len(PNG_MAGIC))
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        lengths[head[4:]] = length = int.from_bytes(head[:4], "big")
        file.seek(length + 4, os.SEEK_CUR)
    if 3 * lengths.get(b"tRNS", 0) > lengths.get(b"PLTE", 0):
        del image.info["transparency"]


def _read_deep(
    file: IO[bytes], image: Image.Image, page: int, name: str, max_pixels: int | None
) -> np.ndarray[Any, Any] | Deep | None:
    """The pixels of what Pillow would cut to 8 bits or misread; None for all else."""
    if image.format == "PNG":
        file.seek(0)
        start = file.read(26)
        deep_colour = start[:8] == PNG_MAGIC and start[PNG_DEPTH] == 16 and start[25] != 0
        return _read_png(file, name) if deep_colour else None
    if image.format != "TIFF":
        return None
    check_tiff(getattr(image, "tag_v2", {}), name, max_pixels)
    return read_tiff(file, page, name, max_pixels)[0] if beyond_pillow(image) else None


def _read_png(file: IO[bytes], name: str) -> np.ndarray[Any, Any]:
    try:
        import imagecodecs
    except ModuleNotFoundError as error:
        raise ImageError(f"{name} is a PNG of 16-bit colour, which {needs('deep')}") from error
    file.seek(0)
    array: np.ndarray[Any, Any] = imagecodecs.png_decode(file.read())
    return array
