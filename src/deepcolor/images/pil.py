"""Pictures from PIL images, and from arrays deeper than PIL holds; back as PIL images."""

import operator
import reprlib
import warnings
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from deepcolor.images.decoding import ImageWarning, decoding
from deepcolor.images.metadata import ORIENTATION, carried
from deepcolor.images.picture import ImageError, Picture, check_size
from deepcolor.images.profiles import neutral, neutral_array, srgb
from deepcolor.images.result import ColorizedImage

__all__ = ["read_deep", "read_pil"]

GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
MODES = (*GREY_MODES, "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
BAND_PIXELS = 1 << 20
SCALES = (1.0, 255.0, 65535.0)  # what white may be in modes I and F


def read_pil(image: Image.Image, name: str, max_pixels: int | None) -> Picture:
    """A PIL image of any mode that holds a picture, upright, as its profile means it.

    White is 255 in mode I unless a pixel exceeds it, then 65535; in mode F 1, 255 or 65535, the
    least that no pixel exceeds.
    """
    with decoding(name, max_pixels):
        return _read(image, name, max_pixels)


def _read(image: Image.Image, name: str, max_pixels: int | None) -> Picture:
    check_size(image.height, image.width, name, max_pixels)
    if image.mode not in MODES + DEEP_MODES:
        raise ImageError(
            f"{name} has mode {image.mode}; modes that work: {', '.join(MODES + DEEP_MODES)}"
        )
    image.load()  # TIFF turns itself upright here
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    image = _usable(image, name)
    kept = carried(image, name)
    icc = image.info.get("icc_profile")
    if image.mode in DEEP_MODES:
        values = np.asarray(image)
        if values.dtype.kind == "i":  # mode I
            top = _scale(values, name)
            values = values.astype(np.uint16 if top > 255 else np.uint8)
        alpha = _transparent(values, image.info.get("transparency"))
        return _levels(values[..., None], alpha, icc, kept, name)
    mode, transparency = _split(image)
    luminance = None
    if icc:
        plain = image if image.mode == mode else image.convert(mode)
        luminance = neutral(plain, icc, name)
    if luminance is None:
        pixels = _pixels(image, "RGB" if mode == "CMYK" else mode)
    else:
        pixels = _tensor(luminance)

    def give_back(rgb: Tensor) -> Image.Image:
        return ColorizedImage.of(_array(rgb), transparency, kept)

    def colours() -> Tensor:
        return _pixels(srgb(plain, icc or b"", name), "RGB")

    known = None if luminance is None else colours
    return Picture(pixels, name, torch.uint8, give_back, owned=True, colours=known)


def read_deep(array: np.ndarray[Any, Any], header: Image.Image, name: str) -> Picture:
    """A picture of 16-bit integers or floats that PIL would cut to 8 bits.

    Args:
        array: (H, W, 1 to 4), alpha last; uint16 or float.
        header: the same file as PIL opened it, not loaded: orientation, profile, metadata.
        name: what to call it in messages.
    """
    turn = _orientation(header)
    for _ in range({3: 2, 4: 2, 5: 1, 6: 3, 7: 1, 8: 1}.get(turn, 0)):  # quarter turns to the left
        array = np.rot90(array)
    if turn in (2, 4):
        array = array[:, ::-1]
    elif turn in (5, 7):
        array = array[::-1] if turn == 5 else array[:, ::-1]
    alpha = None
    if array.shape[2] in (2, 4):
        array, alpha = array[..., :-1], np.ascontiguousarray(array[..., -1])
    elif array.shape[2] == 3:
        alpha = _transparent(array, header.info.get("transparency"))
    kept = carried(header, name, (array.shape[1], array.shape[0]))
    return _levels(array, alpha, header.info.get("icc_profile"), kept, name)


def _levels(
    values: np.ndarray[Any, Any],
    alpha: np.ndarray[Any, Any] | None,
    icc: bytes | None,
    kept: dict[str, Any],
    name: str,
) -> Picture:
    """(H, W, 1 | 3) integers, or floats on one of SCALES."""
    if values.dtype.kind == "f":
        top, depth = _scale(values, name), torch.float32
        values = (values.astype(np.float32) / top).clip(0, 1)
    elif values.dtype == np.uint8:
        top, depth = 255.0, torch.uint8
    else:
        values = values.astype(np.uint16)  # from whatever byte order
        top, depth = 65535.0, torch.uint16
    luminance = None
    if icc:
        unit = values if depth == torch.float32 else (values / top).astype(np.float32)
        luminance = neutral_array(unit, icc, name)
    pixels = _tensor(values) if luminance is None else luminance[None, None]

    def give_back(rgb: Tensor) -> Image.Image:
        out = _array(rgb)
        return ColorizedImage.of(out * top if depth == torch.float32 else out, alpha, kept, top)

    return Picture(pixels, name, depth, give_back)


def _scale(values: np.ndarray[Any, Any], name: str) -> float:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name} holds NaN or infinity; replace them first")
    for top in SCALES[1 if values.dtype.kind == "i" else 0 :]:
        if low >= -1e-3 and high <= 1.001 * top:
            return top
    raise ImageError(
        f"{name}: values lie in [{low:.4g}, {high:.4g}]; scale them to [0, 1], where black is 0"
    )


def _usable(image: Image.Image, name: str) -> Image.Image:
    """The image, without a transparency that makes no sense for its mode."""
    if "transparency" not in image.info:
        return image
    key = image.info["transparency"]
    try:
        if image.mode in DEEP_MODES:
            operator.index(key)
        else:
            image.crop((0, 0, 1, 1)).convert("RGBA")
    except Exception:  # whatever Pillow makes of it
        warnings.warn(
            f"{name}: its transparency, {reprlib.repr(key)}, cannot be used and is left out",
            ImageWarning,
            stacklevel=2,
        )
        image = image.copy()
        del image.info["transparency"]
    return image


def _split(image: Image.Image) -> tuple[str, Image.Image | None]:
    """The mode without transparency, L, RGB or CMYK; and the transparency."""
    mode = "L" if image.mode in GREY_MODES else "CMYK" if image.mode == "CMYK" else "RGB"
    if image.mode not in ALPHA_MODES and "transparency" not in image.info:
        return mode, None
    if image.mode in ("LA", "RGBA"):
        return mode, image.getchannel("A")
    # as premultiplied La, and 1, L, P and RGB with a transparent colour
    return mode, image.convert("LA" if image.mode == "La" else "RGBA").getchannel("A")


def _pixels(image: Image.Image, mode: str) -> Tensor:
    """(1, C, H, W) of a mode, of memory of its own; converted in bands, which bounds memory."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    dtype = np.uint16 if mode == "I;16" else np.uint8
    out = np.empty((image.height, image.width, channels), dtype=dtype)
    rows = max(1, BAND_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        band.info.pop("transparency", None)  # it is no part of the colours
        if band.mode == "La":
            band = band.convert("LA")
        band = band if band.mode == mode else band.convert(mode)
        out[top : top + rows] = np.asarray(band).reshape(band.height, band.width, channels)
    return torch.from_numpy(out).permute(2, 0, 1)[None]


def _transparent(values: np.ndarray[Any, Any], key: Any) -> np.ndarray[Any, Any] | None:
    """The alpha that PNG's transparent colour means: 0 there, full elsewhere."""
    if key is None or values.dtype != np.uint16 or isinstance(key, bytes):
        return None
    match = values == np.asarray(key, dtype=np.int64)
    hidden = match.all(axis=2) if values.ndim == 3 else match
    return np.where(hidden, 0, 65535).astype(np.uint16)


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow's EXIF parser fails in many ways; `carried` warns of it
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """(H, W) or (H, W, C) -> (1, C, H, W), of memory that may be written over."""
    array = array[..., None] if array.ndim == 2 else array
    array = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def _array(rgb: Tensor) -> np.ndarray[Any, Any]:
    """(1, 3, H, W) -> (H, W, 3), the same memory if it is interleaved."""
    return np.ascontiguousarray(rgb[0].permute(1, 2, 0).cpu().numpy())
