"""TIFF deeper than 8 bits, by tifffile; and what a TIFF says it holds, before it is decoded."""

import io
import logging
import math
from collections.abc import Mapping
from types import ModuleType
from typing import IO, Any

import numpy as np
from PIL import Image

from deepcolor.extras import needs
from deepcolor.images.levels import Deep, divided, rescaled, white_of
from deepcolor.images.picture import ImageError, check_bytes, check_size

__all__ = ["LARGE", "XMP", "beyond_pillow", "check_tiff", "read_tiff", "write_tiff"]

# Tags of TIFF 6.0, XMP specification part 3, ICC.1:2010
WIDTH, HEIGHT, BITS, PHOTOMETRIC, STRIPS, ORIENTATION, SAMPLES = 256, 257, 258, 262, 273, 274, 277
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILES, INKS, XMP, ICC = 284, 322, 323, 324, 332, 700, 34675
DEPTH, RESOLUTION, EXTRA = 32997, 282, 338
TEXTS = (270, 271, 272, 305, 306, 315, 33432)  # description, maker, model, software, date, ...
WHITE_IS_ZERO, RGB, SEPARATED = 0, 2, 5  # photometric interpretations; 1 is grey
UNSPECIFIED, ASSOCIATED = 0, 1  # extra samples; 2 is alpha as all but TIFF know it
CMYK = 1  # ink set
# Compressions whose decoders stop at the size that the directory says, by name and number. Those
# that pack whole pictures (JPEG 2000, JPEG XL) take the size that their own header says.
BOUNDED = {
    1: "none", 5: "LZW", 8: "Deflate", 32773: "PackBits", 32946: "", 34925: "LZMA",
    50000: "Zstandard", 50013: "",
}  # fmt: skip
SPARE_PIXELS = 1 << 24  # that tiles may have beyond twice the picture's: one of 4096 x 4096
DENSEST = 100_000  # decoded bytes for one in the file: ten times what a blank page comes to
SPARE_BYTES = 1 << 24  # decoded, that are too few to count
LARGE = 2**32 - 2**25  # bytes; the offsets of a TIFF that is no BigTIFF end at 4 GB

PREDICTOR, PACKED = 317, 12  # tag; bits of levels that lie across bytes


def _tifffile(what: str, instead: str = "") -> ModuleType:
    try:
        import tifffile
    except ModuleNotFoundError as error:
        raise ImageError(f"{what}, which {needs('deep')}{instead}") from error
    # Damaged files raise; without a handler the log of why would go to the user's terminal too.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    module: ModuleType = tifffile
    return module


def beyond_pillow(image: Image.Image) -> bool:
    """Whether Pillow would cut this TIFF to 8 bits or misread it, so that `read_tiff` must read it.

    Pillow holds one channel of more than 8 bits, and `read_pil` knows its depth. In planes it mixes
    up the bytes of 16-bit CMYK, and cannot divide alpha out; of 12 bits it minds no predictor.
    """
    tags: Any = getattr(image, "tag_v2", {})
    samples, photometric = tags.get(SAMPLES, 1), tags.get(PHOTOMETRIC)
    planar = tags.get(PLANAR) == 2
    if max(tags.get(BITS, (1,))) <= 8:
        return planar and ASSOCIATED in tags.get(EXTRA, ())
    if samples == 1 and image.mode.startswith(("I", "F")):
        return bool(max(tags.get(BITS, (1,))) == PACKED and tags.get(PREDICTOR, 1) != 1)
    return photometric in (0, 1, 2) or (photometric == SEPARATED and planar)


def check_tiff(tags: Mapping[int, Any], name: str, max_pixels: int | None) -> None:
    """Refuse a page that would take more memory than a picture of `max_pixels`, by its tags.

    Args:
        tags: values by number, as Pillow's `tag_v2` holds them.
        name: of the picture, for messages.
        max_pixels: as `check_size`; None for no limit on bytes.

    Raises:
        ImageError: for too many bytes, and for tiles that hold little but padding.
    """

    def most(tag: int, otherwise: int) -> int:
        value = tags.get(tag, otherwise)
        return int(max(value) if isinstance(value, tuple) else value)

    width, height = most(WIDTH, 0), most(HEIGHT, 0)
    check_size(height, width, name, max_pixels)
    area = width * height
    if TILE_WIDTH in tags or TILE_HEIGHT in tags:
        across, down = most(TILE_WIDTH, 0), most(TILE_HEIGHT, 0)
        if across < 1 or down < 1:
            raise ImageError(f"{name} is damaged: its tiles are {across} x {down} pixels")
        area = math.ceil(width / across) * across * math.ceil(height / down) * down
        if area > 2 * width * height + SPARE_PIXELS:
            raise ImageError(
                f"{name} is damaged: tiles of {across} x {down} pixels for a picture of"
                f" {width} x {height}"
            )
    layers = most(SAMPLES, 1) * max(1, most(DEPTH, 1))
    check_bytes(area * layers * math.ceil(most(BITS, 1) / 8), name, max_pixels)


def read_tiff(
    file: IO[bytes], page: int, name: str, max_pixels: int | None = None
) -> tuple[Deep, Image.Image]:
    """One page.

    Returns:
        The pixels, black being 0, integers of every depth over all levels of 8 or 16 bits, alpha
        divided out; and an image without pixels that carries profile, orientation, XMP, resolution
        and texts.

    Raises:
        ImageError: for what is no grey, RGB or CMYK picture of unsigned integers or floats, what is
            compressed by other means than `BOUNDED`, and what holds less data than it says.
    """
    tifffile = _tifffile(f"{name} is a TIFF of more than 8 bits")
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        sheet = tiff.pages[page]
        tags = {tag.code: tag.value for tag in sheet.tags}
        check_tiff(tags, name, max_pixels)
        photometric = _photometric(sheet)
        colours = _colours(sheet, photometric, name)
        _check_data(sheet, name)
        array = np.asarray(sheet.asarray())
        if sheet.samplesperpixel > 1 and sheet.planarconfig == 2:
            array = np.moveaxis(array, 0, -1)
        header = _header(sheet, tags)
        if sheet.predictor != 1 and sheet.bitspersample == PACKED:
            array = array & (2**PACKED - 1)  # tifffile adds up differences beyond 12 bits
        bits, extra = sheet.bitspersample, tuple(int(kind) for kind in sheet.extrasamples)
    array = array[..., None] if array.ndim == 2 else array
    alpha = array[..., colours] if array.shape[2] > colours else None
    if extra and extra[0] == UNSPECIFIED:  # no transparency, as in pictures of 8 bits
        alpha = None
    values, white = array[..., :colours], 1.0
    if array.dtype.kind == "f":
        values, alpha, white = _floats(values, alpha, name)
    else:
        # tifffile spreads mixed depths, as 5, 6 and 5 bits, over the storage type by itself
        full = 2 ** (bits if isinstance(bits, int) else 8 * array.dtype.itemsize) - 1
        if full > 2**24:
            white = white_of(values, name, (255, 65535, full))
            full = int(white)
        values = rescaled(values, full)
        alpha = None if alpha is None else rescaled(alpha, full)
        white = 255.0 if values.dtype == np.uint8 else 65535.0
    if alpha is not None and extra and extra[0] == ASSOCIATED:
        divided(values, alpha, white)
    if photometric == WHITE_IS_ZERO:
        values = values.dtype.type(white) - values
    if colours == 4 and values.dtype != np.uint8:  # PIL's, which has the profiles, are of 8 bits
        values, alpha = _bytes(values, white), None if alpha is None else _bytes(alpha, white)
    return Deep(values, alpha, white), header


def _photometric(sheet: Any) -> int:
    """As the page says; where it says nothing, as libtiff: CMYK of inks, RGB of three or four."""
    found, samples = sheet.tags.valueof(PHOTOMETRIC), sheet.samplesperpixel
    if found is None and samples > 2:
        return SEPARATED if INKS in sheet.tags else RGB
    return int(found or 0)


def _colours(sheet: Any, photometric: int, name: str) -> int:
    """How many channels are colour, 1, 3 or 4, of a page that can be read."""
    samples = int(sheet.samplesperpixel)
    colours = 4 if photometric == SEPARATED else 1 if samples < 3 else 3
    if sheet.imagedepth > 1:
        raise ImageError(f"{name} is a volume of {sheet.imagedepth} planes, not a picture")
    if photometric not in (0, 1, 2, SEPARATED) or not colours <= samples <= colours + 1:
        raise ImageError(
            f"{name} has {samples} channels of {sheet.photometric!r}; grey, RGB and CMYK work,"
            " with or without alpha"
        )
    if photometric == SEPARATED and sheet.tags.valueof(INKS, CMYK) != CMYK:
        raise ImageError(f"{name} is separated into other inks than CMYK")
    if (
        sheet.dtype is None
        or sheet.dtype.kind not in "ufb"
        or (colours == 4 and sheet.dtype.kind != "u")
    ):
        what = sheet.dtype or f"{sheet.bitspersample} bits of format {sheet.sampleformat}"
        raise ImageError(f"{name} holds {what}; unsigned integers and floats work")
    if sheet.bitspersample == 24 and sheet.dtype.kind == "u" and sheet.parent.byteorder == ">":
        raise ImageError(
            f"{name}: 24 bits work in little-endian files alone; save it with 16 or 32"
        )
    if int(sheet.compression) not in BOUNDED:
        works = ", ".join(filter(None, BOUNDED.values()))
        raise ImageError(
            f"{name} is a TIFF of a kind that Pillow does not read, compressed by"
            f" {getattr(sheet.compression, 'name', sheet.compression)}; compressions that work:"
            f" {works}"
        )
    return colours


def _check_data(sheet: Any, name: str) -> None:
    """Refuse a page without the data of its pixels: blank ones would be made up."""
    segments, there = math.prod(sheet.chunked), len(sheet.dataoffsets)
    size = sum(sheet.databytecounts)
    if there < segments or not size or sheet.nbytes > SPARE_BYTES + DENSEST * size:
        raise ImageError(
            f"{name} is damaged or truncated: {size:,} bytes in {there} of {segments} parts cannot"
            f" hold {sheet.imagewidth} x {sheet.imagelength} pixels"
        )


def _header(sheet: Any, tags: Mapping[int, Any]) -> Image.Image:
    """What the page says about itself, as PIL keeps it."""
    header = Image.new("L", (1, 1))
    exif = header.getexif()
    if ORIENTATION in tags:
        exif[ORIENTATION] = int(tags[ORIENTATION])
    for tag in TEXTS:
        if isinstance(tags.get(tag), str):
            exif[tag] = tags[tag]
    if RESOLUTION in tags and int(sheet.resolutionunit) in (2, 3):  # inches, centimetres
        header.info["dpi"] = sheet.get_resolution(2)
    if ICC in tags:
        header.info["icc_profile"] = bytes(tags[ICC])
    if XMP in tags:
        header.info["xmp"] = bytes(tags[XMP])
    return header


def _floats(
    values: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any] | None, name: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None, float]:
    """Colours in [0, white], alpha on the same scale, and white."""
    white = white_of(values, name)
    values = values.astype(np.float32).clip(0, white)
    if alpha is not None:
        full = white_of(alpha, f"{name}, alpha")
        alpha = alpha.astype(np.float32).clip(0, full)
        if full != white:
            alpha = (alpha * np.float32(white / full)).astype(np.float32)
    return values, alpha, white


def _bytes(values: np.ndarray[Any, Any], white: float) -> np.ndarray[Any, Any]:
    return ((values.astype(np.uint32) * 255 + int(white) // 2) // int(white)).astype(np.uint8)


def write_tiff(
    file: IO[bytes], page: np.ndarray[Any, Any], options: dict[str, Any], large: bool = False
) -> None:
    """Write one page (H, W, 3 | 4) of uint16 or float32, alpha not multiplied in.

    Args:
        file: written to as it is compressed if it is an empty file of the system; else in one go.
        page: the pixels.
        options: profile, XMP, resolution and texts of EXIF in it go with the page.
        large: write a BigTIFF; larger pages are always one.
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
    direct = isinstance(file, io.BufferedRandom) and file.tell() == 0  # tifffile reads and seeks
    to = file if direct else io.BytesIO()
    with tifffile.TiffWriter(to, bigtiff=large or page.nbytes > LARGE, byteorder="<") as tiff:
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
    if isinstance(to, io.BytesIO):
        file.write(to.getbuffer())
