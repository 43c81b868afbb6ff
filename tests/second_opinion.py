"""What a picture file holds, read without deepcolor, and how far a result is from it.

Only where there is one way to read the file, or readers that know nothing of each other agree;
profiles, CMYK, scales that the file does not tell and the like raise `UnsureError`.
"""

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import skimage.color
import tifffile
from PIL import Image

__all__ = ["Known", "UnsureError", "differences", "lightness", "reference"]

MOST_PIXELS = 60_000_000  # more take too long to compare
NEVER = ("EPS", "WMF", "FPX", "MIC", "PDF", "MPEG", "HDF5", "GRIB", "BUFR")  # programs, or stubs
SURE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
SLACK = 3  # 8-bit levels that two decoders of one file may differ by
BAND = 1 << 19  # pixels that are compared at a time
ORIENTATION, ICC = 274, 34675
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class UnsureError(Exception):
    """There is more than one way to read the file; the message says why."""


@dataclass
class Known:
    """A picture as it is to be shown.

    Attributes:
        levels: (H, W, 1 | 3), integers or floats.
        top: white in `levels`.
        alpha: (H, W) in [0, 1], None if all is opaque.
        bits: of a channel in the file.
        seen: (H, W) pixels whose colour the file tells; None for all.
    """

    levels: np.ndarray
    top: float
    alpha: np.ndarray | None = None
    bits: int = 8
    seen: np.ndarray | None = None


def reference(path: Path) -> Known:
    """Read the first picture of a file, upright.

    Raises:
        UnsureError: for files that may be read otherwise.
        Exception: whatever readers raise of files that they cannot read.
    """
    Image.MAX_IMAGE_PIXELS = None
    pillow_heif.register_heif_opener()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = path.read_bytes()
        if data[:4] in TIFF_MAGIC:
            return _tiff(data)
        image = Image.open(path)
        if image.format in NEVER:
            raise UnsureError(f"{image.format} is not opened")
        _check_size(image.width, image.height)
        turn = image.getexif().get(ORIENTATION, 1)
        image.load()
        if image.info.get("icc_profile"):
            raise UnsureError("ICC profile")
        if image.format == "PNG" and data[24] == 16:
            return _turned(_deep_png(image, data), turn)
        known = _pillow(image)
        if image.format == "PNG":
            with contextlib.suppress(Exception):  # it is stricter than Pillow
                known = _libpng(data)
        return _turned(known, turn)


def _pillow(image: Image.Image) -> Known:
    if image.mode == "I" and image.format == "PPM":  # scaled by Pillow from the maximum it says
        return Known(np.asarray(image).astype(np.uint16)[..., None], 65535, bits=16)
    if image.mode == "I;16" and image.format != "TIFF":
        return Known(np.asarray(image).astype(np.uint16)[..., None], 65535, bits=16)
    if image.mode not in SURE_MODES:
        raise UnsureError(f"mode {image.mode}")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        whole = np.asarray(image.convert("RGBA"))
        return Known(whole[..., :3], 255, whole[..., 3] / 255)
    return Known(np.asarray(image.convert("RGB")), 255)


def _libpng(data: bytes) -> Known:
    array = imagecodecs.png_decode(data)
    array = array.astype(np.uint8) * 255 if array.dtype == bool else array
    return _split(array if array.ndim == 3 else array[..., None], 255, 8, alpha=True)


def _deep_png(image: Image.Image, data: bytes) -> Known:
    if "transparency" in image.info:
        raise UnsureError("16-bit PNG with a transparent colour")
    array = imagecodecs.png_decode(data)
    if array.dtype != np.uint16:
        raise UnsureError(f"16-bit PNG read as {array.dtype}")
    return _split(array if array.ndim == 3 else array[..., None], 65535, 16, alpha=True)


def _split(array: np.ndarray, top: float, bits: int, alpha: bool) -> Known:
    """(H, W, 1 to 4), the second or fourth channel alpha or nothing."""
    if array.shape[2] in (1, 3):
        return Known(array, top, None, bits)
    return Known(array[..., :-1], top, array[..., -1] / top if alpha else None, bits)


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnsureError(f"{width} x {height} takes too long to compare")


def _pillow_tiff(data: bytes) -> Known:
    image = Image.open(io.BytesIO(data))
    image.load()  # Pillow turns a TIFF upright here
    return _pillow(image)


class _Complaints(logging.Handler):
    """What tifffile says of damage that it reads over."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


def _tiff(data: bytes) -> Known:
    complaints, log = _Complaints(), logging.getLogger("tifffile")
    log.addHandler(complaints)
    try:
        known = _sound_tiff(data)
    finally:
        log.removeHandler(complaints)
    if complaints.heard:
        raise UnsureError(f"damaged: {complaints.heard[0]}")
    return known


def _sound_tiff(data: bytes) -> Known:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        _check_size(page.imagewidth, page.imagelength)
        if ICC in page.tags:
            raise UnsureError("ICC profile")
        turn = int(page.tags[ORIENTATION].value) if ORIENTATION in page.tags else 1
        bits, kind = page.bitspersample, int(page.sampleformat)
        photometric, samples = int(page.photometric), page.samplesperpixel
        if len({bits} if isinstance(bits, int) else set(bits)) > 1 or kind not in (1, 3):
            raise UnsureError(f"TIFF of {bits} bits, sample format {kind}")
        if photometric not in (0, 1, 2) or samples > 4 or page.imagedepth > 1:
            if photometric not in (3, 6) or bits > 8:
                raise UnsureError(f"TIFF of photometric {photometric}, {samples} samples")
            return _pillow_tiff(data)
        array = np.asarray(page.asarray())
        if samples > 1 and int(page.planarconfig) == 2:
            array = np.moveaxis(array, 0, -1)
        extra = [int(kind) for kind in page.extrasamples]
    array = array[..., None] if array.ndim == 2 else array
    if (
        array.ndim != 3
        or array.shape[2] != samples
        or samples != (3, 1)[photometric < 2] + len(extra)
    ):
        raise UnsureError(f"TIFF of shape {array.shape}, {samples} samples, extra {extra}")
    if kind == 3:
        values = array.astype(np.float64)
        if not (np.isfinite(values).all() and values.min() >= -0.05 and values.max() <= 1.05):
            raise UnsureError("floats whose scale is not told")
        array, top = values.clip(0, 1), 1.0
    else:
        array, top = (array.astype(np.uint8) if bits <= 8 else array), float(2**bits - 1)
    if photometric == 0:
        array = np.concatenate([top - array[..., :1], array[..., 1:]], axis=2).astype(array.dtype)
    known = _split(array, top, bits, alpha=extra == [2])
    if extra == [1]:
        alpha = array[..., -1:] / top
        full = (array[..., :-1] / np.maximum(alpha, 1e-9)).clip(0, top)
        known = Known(full / top, 1.0, alpha[..., 0], bits, seen=alpha[..., 0] > 0.25)
    elif extra == [0]:
        raise UnsureError("TIFF with an extra sample of no meaning")
    known = _turned(known, turn)
    if bits in (1, 8) and kind == 1 and extra != [1]:
        try:
            other = _pillow_tiff(data)
        except Exception:  # Pillow reads fewer TIFFs
            return known
        return _agreed(known, other, "Pillow")
    return known


def _agreed(known: Known, other: Known, name: str) -> Known:
    """The first, if both say the same."""
    if known.levels.shape[:2] != other.levels.shape[:2]:
        raise UnsureError(f"readers differ: size, against {name}")
    one, two = (k.levels.astype(np.float32) * (255 / k.top) for k in (known, other))
    visible = 1.0 if other.alpha is None else (other.alpha > 0)[..., None]
    if float((np.abs(one - two) * visible).max(initial=0)) > SLACK:
        raise UnsureError(f"readers differ: levels, against {name}")
    alphas = [1.0 if k.alpha is None else k.alpha for k in (known, other)]
    if float(np.max(np.abs(alphas[0] - alphas[1]), initial=0)) > 1e-3:
        raise UnsureError(f"readers differ: alpha, against {name}")
    return known


def _turned(known: Known, turn: Any) -> Known:
    """Upright, by EXIF's definition of the eight orientations."""

    def upright(array: np.ndarray | None) -> np.ndarray | None:
        if array is None or not isinstance(turn, int) or not 1 < turn <= 8:
            return array
        if turn >= 5:
            array = np.swapaxes(array, 0, 1)
        down = turn in (3, 4, 7, 8)
        left = turn in (2, 3, 6, 7)
        return array[:: -1 if down else 1, :: -1 if left else 1]

    levels = upright(known.levels)
    assert levels is not None
    return Known(levels, known.top, upright(known.alpha), known.bits, upright(known.seen))


def _tables(top: int) -> np.ndarray:
    """What each level of each channel adds to Y, by skimage: (3, top + 1)."""
    ramp = np.linspace(0, 1, top + 1)
    found = []
    for channel in range(3):
        rgb = np.zeros((1, top + 1, 3))
        rgb[0, :, channel] = ramp
        found.append(skimage.color.rgb2xyz(rgb)[0, :, 1])
    return np.stack(found)


TABLES: dict[int, np.ndarray] = {}


def lightness(levels: np.ndarray, top: float) -> np.ndarray:
    """CIELAB L of (H, W, 1 | 3), as skimage.color.rgb2lab has it."""
    rgb = np.broadcast_to(levels, (*levels.shape[:2], 3))
    if levels.dtype.kind == "u" and top in (255, 65535):
        tables = TABLES.setdefault(int(top), _tables(int(top)))
        y = sum(tables[channel][rgb[..., channel]] for channel in range(3))
        # CIE 15: the same constants as skimage's
        f = np.where(y > 0.008856, np.cbrt(y), 7.787 * y + 16 / 116)
        return 116 * f - 16
    return skimage.color.rgb2lab(rgb / top)[..., 0]


def differences(known: Known, result: Image.Image) -> dict[str, Any]:
    """How a result differs from what it was made of.

    Returns:
        size_ok, depth_ok, alpha_ok; l_max and l_mean, of the seen pixels, None if sizes differ.
    """
    deep = getattr(result, "deep", None)
    levels = np.asarray(result) if deep is None else deep
    top = 255.0 if deep is None else float(getattr(result, "top", 255.0))
    height, width = known.levels.shape[:2]
    found: dict[str, Any] = {
        "size_ok": levels.shape[:2] == (height, width),
        "depth_ok": (known.bits > 8) == (deep is not None) or known.bits < 8,
        "alpha_ok": None,
        "l_max": None,
        "l_mean": None,
    }
    if not found["size_ok"]:
        return found
    alpha = levels[..., 3] / top if levels.shape[2] == 4 else 1.0
    expected = 1.0 if known.alpha is None else known.alpha
    step = 1 / 255 if known.bits <= 8 else 1 / 65535
    found["alpha_ok"] = bool(np.max(np.abs(alpha - expected), initial=0) < step / 2)
    most, total, count = 0.0, 0.0, 0
    rows = max(1, BAND // max(1, width))
    for start in range(0, height, rows):
        band = slice(start, start + rows)
        moved = np.abs(
            lightness(levels[band, :, :3], top) - lightness(known.levels[band], known.top)
        )
        if known.seen is not None:
            moved = moved[known.seen[band]]
        if moved.size:
            most = max(most, float(moved.max()))
            total, count = total + float(moved.sum()), count + moved.size
    found["l_max"], found["l_mean"] = most, total / max(1, count)
    return found
