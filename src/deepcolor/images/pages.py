"""Several pictures as the pages of one TIFF, written one at a time."""

import io
import itertools
import operator
import struct
from collections.abc import Iterable
from typing import IO

from PIL import Image, TiffImagePlugin

from deepcolor.images.picture import ImageError
from deepcolor.images.result import ColorizedImage
from deepcolor.images.tiff import LARGE

__all__ = ["write_pages"]

DIRECTORIES = (0x8769, 0x8825)  # tags that point to further directories: EXIF, GPS
LONG8 = 16  # type of offsets in a BigTIFF


class _Pages(TiffImagePlugin.AppendingTiffWriter):
    """Takes one TIFF after the other as Pillow's does, and moves the offsets of EXIF too."""

    def fixIFD(self) -> None:  # noqa: N802
        start = self.f.tell()
        super().fixIFD()
        entry = f"{self.endian}HHQQ" if self._bigtiff else f"{self.endian}HHLL"
        count = f"{self.endian}Q" if self._bigtiff else f"{self.endian}H"
        first, size = start + struct.calcsize(count), struct.calcsize(entry)
        (entries,) = self._unpacked(start, count)
        for at in range(first, first + entries * size, size):
            tag, kind, values, offset = self._unpacked(at, entry)
            if tag in DIRECTORIES:
                kind = LONG8 if self._bigtiff else kind
                self.f.seek(at)
                self.f.write(struct.pack(entry, tag, kind, values, offset + self.offsetOfNewPage))
                self.f.seek(offset + self.offsetOfNewPage)
                self.fixIFD()

    def _unpacked(self, at: int, form: str) -> tuple[int, ...]:
        self.f.seek(at)
        return struct.unpack(form, self.f.read(struct.calcsize(form)))


def write_pages(
    file: IO[bytes], pages: Iterable[Image.Image], name: str, count: int | None = None
) -> None:
    """Write pictures to an empty file, each as deep and with what it came with.

    Args:
        file: read and searched too.
        pages: taken one at a time.
        name: of the file, for messages.
        count: how many, where `pages` does not know.

    Raises:
        ImageError: if they need over 4 GB and neither `count` nor `pages` told how many there are.
        ValueError: for no pages.
    """
    count = operator.length_hint(pages) if count is None else count
    rest = iter(pages)
    first = next(rest, None)
    if first is None:
        raise ValueError(f"{name}: no pages to save")
    large = count * _size(first) > LARGE
    with _Pages(file) as whole:
        for page in itertools.chain([first], rest):
            if not large and file.seek(0, io.SEEK_END) + _size(page) > LARGE:
                raise ImageError(
                    f"{name}: the pages need more than the 4 GB that a TIFF holds; save fewer in a"
                    " file, or say how many there are with count=, for a BigTIFF"
                )
            whole.seek(0)
            page.save(whole, "TIFF", big_tiff=large)
            whole.newFrame()


def _size(page: Image.Image) -> int:
    """Bytes, not compressed."""
    if isinstance(page, ColorizedImage) and page.deep is not None:
        return page.deep.nbytes
    return page.width * page.height * (4 if page.mode in ("I", "F") else len(page.getbands()))
