"""A coloured picture as a PIL image that remembers what PIL forgets when it saves."""

import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin

from deepcolor.files import write_beside
from deepcolor.images.levels import bands
from deepcolor.images.picture import ImageError
from deepcolor.images.tiff import XMP, write_tiff

__all__ = ["ColorizedImage", "eight_bits", "format_of"]

QUALITY = 95  # of JPEG, without chroma subsampling: chroma is what we made
LOSSY = {"JPEG": QUALITY, "WEBP": 90, "AVIF": 85, "HEIF": 85}  # about the same file size
DEEP_FORMATS = ("PNG", "TIFF")
TAKES = {  # what each format stores of what pictures say about themselves
    "JPEG": ("exif", "xmp", "icc_profile", "dpi", "comment"),
    "PNG": ("exif", "xmp", "icc_profile", "dpi"),
    "TIFF": ("exif", "xmp", "icc_profile", "dpi"),
    "WEBP": ("exif", "xmp", "icc_profile"),
    "AVIF": ("exif", "xmp", "icc_profile"),
    "HEIF": ("exif", "xmp", "icc_profile"),
    "BMP": ("dpi",),
}
WRITABLE = {  # formats that hold every pixel of a colour photograph
    *TAKES, "DDS", "DIB", "EPS", "IM", "JPEG2000", "MPO", "PCX", "PDF", "PPM", "QOI", "SGI", "TGA",
}  # fmt: skip
TOO_FEW = "a GIF holds 256 colours, too few for a photograph"
WORKS = ".png, .jpg, .webp, .avif and .tif work"
LONGEST = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}  # pixels a side: libjpeg, WebP, AV1
MARKER = 65533  # bytes in a part of a JPEG (ITU T.81, B.1.1.4)
PREFIX = {"exif": 0, "xmp": 29, "comment": 0}  # bytes that Pillow puts before each


class ColorizedImage(Image.Image):
    """An RGB or RGBA image of 8 bits, for showing, that saves as deep and as complete as it came.

    `save` writes EXIF, XMP, resolution and profile of the picture it was made from, JPEG at quality
    95 without chroma subsampling, and 16 bits or floats to PNG and TIFF where `deep` holds them; a
    file appears whole or not at all. What other methods return are plain PIL images.

    Attributes:
        deep: (H, W, 3 | 4) uint16, or float32 on the scale it came in; None for 8-bit pictures.
        top: white in `deep`.
        metadata: exif, xmp, dpi, icc_profile and comment, as Pillow's `save` takes them.
    """

    deep: np.ndarray[Any, Any] | None = None
    top: float = 255.0
    metadata: dict[str, Any]

    @classmethod
    def of(
        cls,
        array: np.ndarray[Any, Any],
        alpha: Image.Image | np.ndarray[Any, Any] | None,
        metadata: dict[str, Any],
        top: float = 255.0,
    ) -> "ColorizedImage":
        """Make one from (H, W, 3) uint8, uint16 or float32, and alpha of the same depth."""
        deep = None
        if array.dtype != np.uint8:
            full = None if alpha is None else np.asarray(alpha, dtype=array.dtype)[..., None]
            deep = array if full is None else np.concatenate([array, full], axis=2)
        plain = Image.fromarray(eight_bits(array if deep is None else deep, top))
        if deep is None and alpha is not None:
            plain.putalpha(alpha if isinstance(alpha, Image.Image) else Image.fromarray(alpha))
        self = cls()
        self.im, self._mode, self._size = plain.im, plain.mode, plain.size
        self.deep, self.top, self.metadata = deep, top, metadata
        self.info = {key: value for key, value in metadata.items() if key != "comment"}
        return self

    def save(
        self,
        fp: str | bytes | os.PathLike[str] | os.PathLike[bytes] | IO[bytes],
        format: str | None = None,
        **params: Any,
    ) -> None:
        """Save as Pillow does, with what the picture came with; `params` come first.

        Raises:
            ImageError: if the format cannot hold it: no transparency, too few colours or pixels a
                side, or another library is needed.
            ValueError, OSError: as Pillow's.
        """
        if isinstance(fp, (str, bytes, os.PathLike)):
            path = Path(os.fsdecode(fp))
            kind = format.upper() if format else format_of(path)
            write_beside(path, lambda file: self._write(file, kind, params))
        else:
            kind = format.upper() if format else format_of(Path(getattr(fp, "name", "")))
            self._write(fp, kind, params)

    def _write(self, file: IO[bytes], kind: str, params: dict[str, Any]) -> None:
        self._check_fits(kind)
        known = {key: self.metadata[key] for key in TAKES.get(kind, ()) if key in self.metadata}
        deep = self._current_deep() if kind in DEEP_FORMATS else None
        if deep is not None and kind == "PNG":
            _write_png(file, _integers(deep, self.top), known | params)
        elif deep is not None:
            write_tiff(file, deep, known | params, params.get("big_tiff", False))
        else:
            super().save(file, format=kind, **(_options(kind, known) | params))

    def _check_fits(self, kind: str) -> None:
        if kind == "GIF":
            raise ImageError(f"{TOO_FEW}; {WORKS}, and image.quantize().save(...) makes a GIF")
        if kind == "JPEG" and self.mode == "RGBA":
            raise ImageError("JPEG has no transparency; save this picture as .png")
        if max(self.size) > LONGEST.get(kind, max(self.size)):
            raise ImageError(
                f"a {kind} holds {LONGEST[kind]:,} pixels a side, this picture has"
                f" {self.width:,} x {self.height:,}; save it as .png or .tif"
            )

    def _current_deep(self) -> np.ndarray[Any, Any] | None:
        """The deep pixels, unless somebody has drawn on the image since."""
        if self.deep is None or not np.array_equal(
            np.asarray(self), eight_bits(self.deep, self.top)
        ):
            return None
        return self.deep

    def __getstate__(self) -> list[Any]:
        return [*super().__getstate__(), self.deep, self.top, self.metadata]

    def __setstate__(self, state: list[Any]) -> None:
        *plain, self.deep, self.top, self.metadata = state
        super().__setstate__(plain)


def format_of(path: Path) -> str:
    """Pillow's name of the format that a file name asks for.

    Raises:
        ValueError: for a suffix that cannot be written.
    """
    Image.init()
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind == "GIF":
        raise ValueError(f"{path}: {TOO_FEW}; {WORKS}")
    if kind is None or kind not in Image.SAVE or kind not in WRITABLE:
        raise ValueError(f"{path}: cannot write {path.suffix or 'a file without suffix'}; {WORKS}")
    return kind


def eight_bits(array: np.ndarray[Any, Any], top: float) -> np.ndarray[Any, Any]:
    """Levels of [0, top] at 8 bits, rounded."""
    if array.dtype == np.uint8:
        return array
    out = np.empty(array.shape, dtype=np.uint8)
    for rows, to in bands(array, out):
        if array.dtype == np.uint16:
            to[...] = (rows.astype(np.uint32) + 128) // 257
        else:
            to[...] = (rows * (255 / top) + 0.5).clip(0, 255)
    return out


def _integers(array: np.ndarray[Any, Any], top: float) -> np.ndarray[Any, Any]:
    """At 16 bits, rounded."""
    if array.dtype == np.uint16:
        return array
    return (array * (65535 / top) + 0.5).clip(0, 65535).astype(np.uint16)


def _options(kind: str, known: dict[str, Any]) -> dict[str, Any]:
    """What Pillow's save takes to write what is known, and our defaults."""
    options = dict(known)
    xmp = options.get("xmp")
    if kind == "PNG" and xmp is not None:
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8", "replace"))
        options["pnginfo"] = chunks
    elif kind == "TIFF" and xmp is not None:
        exif = Image.Exif()  # Pillow takes either tags or EXIF, so XMP goes in as a tag of EXIF
        if "exif" in options:
            exif.load(options["exif"])
        exif[XMP] = options.pop("xmp")
        options["exif"] = exif.tobytes()
    elif kind in ("JPEG", "MPO"):
        for key in PREFIX.keys() & options.keys():
            if len(options[key]) > MARKER - PREFIX[key]:
                warnings.warn(
                    f"a JPEG holds 64 kB of {key}; the {len(options.pop(key)):,} bytes of this"
                    " picture are left out, which .png and .tif hold",
                    UserWarning,
                    stacklevel=2,
                )
    if kind in LOSSY:
        options["quality"] = LOSSY[kind]
    if kind in ("JPEG", "AVIF"):
        options["subsampling"] = 0 if kind == "JPEG" else "4:4:4"
    return options


def _write_png(file: IO[bytes], array: np.ndarray[Any, Any], options: dict[str, Any]) -> None:
    """16-bit RGB or RGBA, which Pillow cannot write (PNG specification, third edition)."""
    height, width, channels = array.shape
    kind = {3: 2, 4: 6}[channels]  # colour types: truecolour, with alpha

    def chunk(name: bytes, data: bytes) -> None:
        file.write(struct.pack(">I", len(data)) + name + data)
        file.write(struct.pack(">I", zlib.crc32(name + data)))

    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    if "icc_profile" in options:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(options["icc_profile"]))
    if "dpi" in options:
        metres = (round(value / 0.0254) for value in options["dpi"])
        chunk(b"pHYs", struct.pack(">IIB", *metres, 1))
    if "xmp" in options:
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + options["xmp"])
    if "exif" in options:
        chunk(b"eXIf", options["exif"].removeprefix(b"Exif\0\0"))
    packer = zlib.compressobj(6)
    previous = np.zeros(width * channels * 2, dtype=np.uint8)
    for rows in np.array_split(array, max(1, height // 64)):
        raw = np.ascontiguousarray(rows, dtype=">u2").view(np.uint8).reshape(len(rows), -1)
        above = np.vstack([previous, raw[:-1]])
        lines = np.empty((len(rows), 1 + raw.shape[1]), dtype=np.uint8)
        lines[:, 0] = 2  # filter "up": the difference to the row above
        np.subtract(raw, above, out=lines[:, 1:])
        previous = raw[-1]
        data = packer.compress(lines.tobytes())
        if data:
            chunk(b"IDAT", data)
    chunk(b"IDAT", packer.flush())
    chunk(b"IEND", b"")
