"""Which kinds of file are opened, told by their content, and by name which are not.

Pillow finds a reader for over forty formats; one starts Ghostscript, others hand a picture inside
the file to any reader of all. Here stand those that hold photographs people own.
"""

import importlib
from functools import lru_cache
from typing import IO

from PIL import Image

from deepcolor.extras import needs
from deepcolor.images.picture import ImageError

__all__ = ["FORMATS_HELP", "UnreadableError", "open_image"]

# Pillow's names of formats, and the modules that read them; tried in this order, those that are
# told by their first bytes before those that are not. Left out, and why:
#   EPS, WMF (EMF): programs for Ghostscript and Windows.  FPX, MIC: OLE files, a parser of its own.
#   IPTC: hands what it holds to any reader.  BUFR, GRIB, HDF5, MPEG: readers that are not there.
#   FITS, SPIDER, MCIDAS: measured values of any scale, which Pillow does not scale.
#   BLP, FTEX, GBR, CUR, XVTHUMB, PIXAR, IM, IMT: textures, brushes, cursors and dead laboratories.
#   FLI: animations.  XPM: icons; takes 30 bytes for each pixel that its header claims.
READERS = {
    "JPEG": "Jpeg", "PNG": "Png", "TIFF": "Tiff", "GIF": "Gif", "WEBP": "WebP", "BMP": "Bmp",
    "JPEG2000": "Jpeg2K", "PSD": "Psd", "ICO": "Ico", "ICNS": "Icns", "DDS": "Dds", "QOI": "Qoi",
    "SGI": "Sgi", "SUN": "Sun", "PPM": "Ppm", "DCX": "Dcx", "PCX": "Pcx", "MSP": "Msp",
    "XBM": "Xbm", "DIB": "Bmp", "PCD": "Pcd", "TGA": "Tga",
}  # fmt: skip
ISO_READERS = {"AVIF": "Avif"}  # in ISO base media files, told by brands; and HEIF, an extra
FORMATS_HELP = (
    "formats that work: JPEG, PNG, TIFF, WebP, AVIF, HEIC, JPEG 2000, GIF, BMP, PSD, TGA, ICO,"
    " ICNS, PBM to PPM, PCX, SGI, Sun, DDS, QOI, XBM, MSP, Photo CD"
)
WEAK = ("DIB", "PCX", "PPM", "XBM")  # so short a sign that other files carry it too
AVIF_BRANDS = {b"avif", b"avis"}  # AVIF 1.1, section 6
HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
ANY_BRANDS = {b"mif1", b"mif2", b"msf1"}  # ISO 23008-12: the container; either may be inside
OTHERS = (  # offset, first bytes, what it is
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"%PDF", "a PDF"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (40, b" EMF", "a Windows metafile (EMF)"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file (FlashPix, Image Composer, Office)"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (8, b"crx ", "a camera's raw file"),
    (0, b"8BPS\0\2", "a large Photoshop document (PSB)"),
    (0, b"gimp xcf", "a GIMP document"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"#?RGBE", "Radiance HDR"),
    (0, b"P7\n", "a PAM file"),
    (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"/* XPM", "XPM"),
    (0, b"\0\0\2\0", "a cursor"),
    (0, b"BLP1", "a texture (BLP)"),
    (0, b"BLP2", "a texture (BLP)"),
    (0, b"\x8aMNG", "an animation (MNG)"),
    (4, b"\x11\xaf", "an animation (FLI)"),
    (4, b"\x12\xaf", "an animation (FLC)"),
    (4, b"ftyp", "a film or another ISO media file"),
    (4, b"moov", "a film"),
    (8, b"AVI ", "a film"),
    (0, b"\x1aE\xdf\xa3", "a film"),
    (0, b"\0\0\1\xba", "a film"),
    (0, b"\0\0\1\xb3", "a film"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"PK\3\4", "a zip archive or an Office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML, perhaps SVG"),
    (0, b"<!DOCTYPE html", "a web page"),
    (0, b"<html", "a web page"),
)


class UnreadableError(ImageError):
    """No reader takes the file."""


def open_image(file: IO[bytes], name: str) -> Image.Image:
    """Open a file without decoding it, by the reader of those here that its content asks for.

    As `Image.open`, but for the readers that are left out, its limit on size, and names of files:
    Pillow would map the file of that name into memory, whatever has become of it.

    Raises:
        UnreadableError: says of what kind the file is, where that can be told.
        ImageError: if it is empty, too large, or needs an extra.
    """
    file.seek(0)
    start = file.read(256)
    if not start:
        raise ImageError(f"{name} is empty")
    _load_readers()
    damage = ""
    for kind in _candidates(start, name):
        factory, accepts = Image.OPEN[kind]
        if accepts and kind not in ("AVIF", "HEIF") and accepts(start[:16]) is not True:
            continue
        file.seek(0)
        try:
            image: Image.Image = factory(file, "")
        except (ImageError, MemoryError, Warning):
            raise
        except Exception as error:  # readers raise whatever their parsers stumble over
            if accepts and kind not in WEAK:
                damage = f"damaged, or a rare kind of {kind} ({error})"
            continue
        return image
    raise UnreadableError(f"{name} is {damage or _described(start)}; {FORMATS_HELP}")


@lru_cache(maxsize=1)
def _load_readers() -> None:
    for module in ("Mpo", *READERS.values(), *ISO_READERS.values()):
        importlib.import_module(f"PIL.{module}ImagePlugin")


def _candidates(start: bytes, name: str) -> list[str]:
    """Readers to try: of files with brands those of the brands, of others all that look."""
    if start[4:8] != b"ftyp":
        return list(READERS)
    end = min(int.from_bytes(start[:4], "big"), len(start))
    brands = {start[8:12], *(start[at : at + 4] for at in range(16, end - 3, 4))}
    found = []
    if brands & (AVIF_BRANDS | ANY_BRANDS):
        found.append("AVIF")
    if brands & HEIC_BRANDS or (brands & ANY_BRANDS and not brands & AVIF_BRANDS):
        _register_heif(name)
        found.append("HEIF")
    return found


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        raise ImageError(f"{name} is HEIC, which {needs('heic')}") from error
    pillow_heif.register_heif_opener()


def _described(start: bytes) -> str:
    """What a file is that no reader takes."""
    for offset, magic, kind in OTHERS:
        if start.startswith(magic, offset):
            return f"{kind}, which is not opened"
    return "not an image that can be read, or damaged"
