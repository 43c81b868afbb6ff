"""What a picture says about itself besides its pixels: EXIF, XMP, resolution, profile."""

from typing import Any

from PIL import Image

from deepcolor.images.decoding import remark
from deepcolor.images.profiles import srgb_profile
from deepcolor.listing import MARK, SOFTWARE

__all__ = ["ORIENTATION", "carried", "without_location"]

ORIENTATION = 0x0112
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
COLOUR_SPACE, WIDTH, HEIGHT = 0xA001, 0xA002, 0xA003  # in the EXIF directory
# Entries of the first directory that describe how a file stores its pixels: untrue of the result.
STRUCTURE = {
    *range(254, 264), 266, *range(273, 285), *range(290, 293), 296, 297, 301, 317, 318, 319,
    *range(320, 348), *range(512, 522), *range(529, 533), 700, 33723, 34377, 34675, EXIF_IFD,
    GPS_IFD, 0xA005, ORIENTATION,
}  # fmt: skip
DESCRIPTION = 270
# How descriptions begin that tell programs how the file stores its pixels: untrue of the result.
LAYOUTS = ('{"shape":', "ImageJ=", "SCIFIO=", "<?xml", "<OME")
GEOTIFF = (33550, 33922, 34264, 34735, 34736, 34737)  # OGC 19-008: where a map or aerial view lies
MAKER_NOTE = 0x927C  # of unknown layout; some cameras name the town in it


def carried(image: Image.Image, name: str, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """What to write with the result of colouring a picture.

    Args:
        image: the picture.
        name: of the picture, for messages.
        size: width and height of the result, if it is turned.

    Returns:
        exif (bytes, orientation reset, with the mark of a result); and, each if there, xmp (bytes),
        dpi (two floats), icc_profile (bytes of sRGB, if the picture had any profile) and comment
        (bytes).
    """
    found: dict[str, Any] = {"exif": _marked(Image.Exif()).tobytes()}
    try:
        found["exif"] = _marked(_exif(image, size or image.size)).tobytes()
    except Exception as error:  # Pillow's EXIF parser fails in many ways; the picture is fine
        remark(f"{name}: damaged EXIF is not carried over ({error})")
    xmp = image.info.get("xmp", image.info.get("XML:com.adobe.xmp"))
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8", "replace")
    if isinstance(xmp, bytes):
        found["xmp"] = _upright(xmp)
    dpi = image.info.get("dpi")
    try:
        if isinstance(dpi, tuple) and len(dpi) == 2 and all(0 < float(v) < 1e6 for v in dpi):
            found["dpi"] = (float(dpi[0]), float(dpi[1]))
    except (TypeError, ValueError, ArithmeticError):
        remark(f"{name}: its resolution, {dpi!r}, is not carried over")
    if image.info.get("icc_profile"):
        found["icc_profile"] = srgb_profile()
    comment = image.info.get("comment")
    if isinstance(comment, bytes):
        found["comment"] = comment
    return found


def without_location(known: dict[str, Any]) -> dict[str, Any]:
    """The same but for where a picture was taken.

    GPS, what places a map, maker notes and all of XMP go; texts that people wrote stay.

    Args:
        known: as from `carried`.
    """
    kept = {key: value for key, value in known.items() if key != "xmp"}
    if "exif" not in known:
        return kept
    old, new = Image.Exif(), Image.Exif()
    old.load(known["exif"])
    for tag, value in old.items():
        if tag not in (GPS_IFD, EXIF_IFD, *GEOTIFF):
            new[tag] = value
    entries = {t: v for t, v in old.get_ifd(EXIF_IFD).items() if t != MAKER_NOTE}
    if entries:
        new[EXIF_IFD] = entries
    return {**kept, "exif": new.tobytes()}


def _marked(exif: Image.Exif) -> Image.Exif:
    """Says that the colours are ours: who lists photographs leaves results out by it."""
    exif[SOFTWARE] = MARK
    return exif


def _exif(image: Image.Image, size: tuple[int, int]) -> Image.Exif:
    old = image.getexif()
    new = Image.Exif()
    for tag, value in old.items():
        layout = tag == DESCRIPTION and isinstance(value, str) and value.startswith(LAYOUTS)
        if tag not in STRUCTURE and not layout:
            new[tag] = value
    for directory in (EXIF_IFD, GPS_IFD):
        entries = dict(old.get_ifd(directory))
        if directory == EXIF_IFD:
            for tag, value in ((COLOUR_SPACE, 1), (WIDTH, size[0]), (HEIGHT, size[1])):
                if tag in entries:
                    entries[tag] = value
        if entries:
            new.get_ifd(directory).update(entries)
            new[directory] = entries
    return new


def _upright(xmp: bytes) -> bytes:
    """XMP may repeat the orientation; it is 1 now (XMP specification part 2, tiff:Orientation)."""
    for quote in (b'"', b"'"):
        start = b"tiff:Orientation=" + quote
        for turned in b"2345678":
            xmp = xmp.replace(start + bytes([turned]) + quote, start + b"1" + quote)
    for turned in b"2345678":
        element = b"<tiff:Orientation>%c</tiff:Orientation>"
        xmp = xmp.replace(element % turned, element % b"1")
    return xmp
