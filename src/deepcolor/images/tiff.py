"""TIFF deeper than 8 bits, by tifffile."""

import io
import logging
from collections.abc import Sequence
from types import ModuleType
from typing import IO, Any

import numpy as np
from PIL import Image

from deepcolor.extras import needs
from deepcolor.images.picture import ImageError, check_size

__all__ = ["XMP", "inverted", "read_tiff", "write_tiff"]

ORIENTATION, XMP, ICC = 274, 700, 34675


def _tifffile(what: str, instead: str = "") -> ModuleType:
    try:
        import tifffile
    except ModuleNotFoundError as error:
        raise ImageError(f"{what}, which {needs('deep')}{instead}") from error
    # Damaged files raise; without a handler the log of why would go to the user's terminal too.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    module: ModuleType = tifffile
    return module


def read_tiff(
    file: IO[bytes], page: int, name: str, max_pixels: int | None = None
) -> tuple[np.ndarray[Any, Any], Image.Image]:
    """One page.

    Returns:
        (H, W, 1 to 4) uint16 or float32, as stored; and an image without pixels that carries
        profile, orientation and XMP.

    Raises:
        ImageError: for what is no grey or RGB picture of unsigned integers or floats.
    """
    tifffile = _tifffile(f"{name} is a TIFF of more than 8 bits")
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        sheet = tiff.pages[page]
        check_size(sheet.imagelength, sheet.imagewidth, name, max_pixels)
        array = np.asarray(sheet.asarray())
        if sheet.samplesperpixel > 1 and sheet.planarconfig == 2:
            array = np.moveaxis(array, 0, -1)
        photometric = int(sheet.photometric)
        tags = {tag: sheet.tags[tag].value for tag in (ORIENTATION, XMP, ICC) if tag in sheet.tags}
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or photometric not in (0, 1, 2):
        raise ImageError(f"{name} holds an array {array.shape}, not a grey or RGB picture")
    if array.dtype.kind not in "uf":
        raise ImageError(f"{name} holds {array.dtype}; unsigned integers and floats work")
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype != np.uint16:
        array = (array / np.iinfo(array.dtype).max).astype(np.float32)
    if photometric == 0:
        array = inverted(array)
    header = Image.new("L", (1, 1))
    if ORIENTATION in tags:
        header.getexif()[ORIENTATION] = int(tags[ORIENTATION])
    if ICC in tags:
        header.info["icc_profile"] = bytes(tags[ICC])
    if XMP in tags:
        header.info["xmp"] = bytes(tags[XMP])
    return array, header


def inverted(levels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A negative's levels the other way round, white being 1 or 65535."""
    if levels.dtype.kind == "f":
        return 1 - levels if not levels.size or levels.max() <= 1 else levels.max() - levels
    return 65535 - levels.astype(np.uint16)


def write_tiff(
    file: IO[bytes], pages: Sequence[np.ndarray[Any, Any]], options: dict[str, Any]
) -> None:
    """Write pages (H, W, 3 | 4) uint8, uint16 or float32.

    Profile, XMP, resolution and texts of EXIF in `options` go with each.
    """
    tifffile = _tifffile("a TIFF of 16 bits or floats", "; .png holds 16 bits without it")
    exif = Image.Exif()
    if "exif" in options:
        exif.load(options["exif"])
    extra = [
        (tag, 2, len(value) + 1, value, True)
        for tag, value in exif.items()
        if isinstance(value, str) and value.isascii()
    ]
    if "xmp" in options:
        extra.append((XMP, 1, len(options["xmp"]), options["xmp"], True))
    memory = io.BytesIO()  # tifffile seeks in what it writes
    large = sum(page.nbytes for page in pages) > 2**32 - 2**25
    with tifffile.TiffWriter(memory, bigtiff=large) as tiff:
        for page in pages:
            tiff.write(
                page,
                photometric="rgb",
                extrasamples=["unassalpha"] if page.shape[2] == 4 else None,
                compression="zlib",
                iccprofile=options.get("icc_profile"),
                resolution=options.get("dpi", (72.0, 72.0)),
                resolutionunit="INCH",
                extratags=extra,
                metadata=None,
            )
    file.write(memory.getbuffer())
