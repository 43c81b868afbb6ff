"""Pictures from PIL images, and from arrays deeper than PIL holds; back as PIL images."""

import operator
import reprlib
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from deepcolor.images.decoding import decoding, remark
from deepcolor.images.levels import Deep, rescaled, white_of
from deepcolor.images.metadata import ORIENTATION, carried
from deepcolor.images.picture import ImageError, Picture, check_size
from deepcolor.images.profiles import neutral, neutral_array, shown, srgb
from deepcolor.images.result import ColorizedImage, eight_bits

__all__ = ["DEEP_MODES", "as_shown", "read_deep", "read_pil"]

GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
MODES = (*GREY_MODES, "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
BAND_PIXELS = 1 << 20
WIDTH, HEIGHT, BITS, PHOTOMETRIC, FORMAT = 256, 257, 258, 262, 339  # tags of TIFF 6.0
SIGNED = 2  # sample format


def read_pil(image: Image.Image, name: str, max_pixels: int | None) -> Picture:
    """A PIL image of any mode that holds a picture, upright, as its profile means it.

    What white is in modes I;16, I and F follows from the file that the image was opened from. Where
    it does not, it is 65535 in mode I;16, 255 or 65535 in mode I, and 1, 255 or 65535 in mode F, by
    the rule of `white_of`.
    """
    with decoding(name, max_pixels):
        return _read(image, name, max_pixels)


def _read(image: Image.Image, name: str, max_pixels: int | None) -> Picture:
    check_size(image.height, image.width, name, max_pixels)
    source, image = image, _upright(image, name)
    image = _usable(image, name)
    kept = carried(image, name)
    icc = image.info.get("icc_profile")
    if image.mode in DEEP_MODES:
        values, white = _stored(image, source, name)
        alpha = _transparent(values, image.info.get("transparency"))
        return _levels(Deep(values[..., None], alpha, white), icc, kept, name)
    mode, transparency = _split(image)
    return _shallow(image, mode, transparency, icc, kept, name)


def _upright(image: Image.Image, name: str) -> Image.Image:
    """Decoded, of a mode that holds a picture."""
    if image.mode not in MODES + DEEP_MODES:
        raise ImageError(
            f"{name} has mode {image.mode}; modes that work: {', '.join(MODES + DEEP_MODES)}"
        )
    _load(image)  # TIFF turns itself upright here
    return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)


def _load(image: Image.Image) -> None:
    """As `image.load()`, without two habits of Pillow's TIFF reader.

    Its limit on size is one for the whole process and not ours to change, `check_size` is ours; it
    is minded only where the memory to decode to is made. Files that it maps into memory it takes
    for as wide as they are high when they lie on their side.
    """
    tags: Any = getattr(image, "tag_v2", {})
    if not (getattr(image, "tile", None) and {WIDTH, HEIGHT} <= set(tags)):
        image.load()
        return
    if image._im is None:
        image.im = Image.new(image.mode, (tags[WIDTH], tags[HEIGHT]), None).im
    source: Any = image
    filename, source.filename = source.filename, ""
    try:
        image.load()
    finally:
        source.filename = filename


def as_shown(image: Image.Image, name: str) -> Image.Image:
    """A PIL image of 8 bits a channel in sRGB, mode RGB, upright, without transparency.

    The pixels are those that `read_pil` reads, and `Picture.colours` where it gives any.
    """
    image = _upright(image, name)
    icc = image.info.get("icc_profile")
    image.info = {}  # transparency is no part of the colours; nor is the rest true any more
    mode = _plain_mode(image)
    if image.mode != mode:
        image = (image.convert("LA") if image.mode == "La" else image).convert(mode)
    image = shown(image, icc, name) if icc else image.convert("RGB")
    image.info = {}
    return image


def _stored(
    image: Image.Image, source: Image.Image, name: str
) -> tuple[np.ndarray[Any, Any], float]:
    """Levels of a deep mode as uint8, uint16 or float32, black being 0; and white.

    Args:
        image: upright.
        source: as it was opened: its tags say how many bits a TIFF has.
        name: of the picture, for messages.
    """
    tags: Any = getattr(source, "tag_v2", {})
    values = np.asarray(image)
    if image.mode == "F":
        white = white_of(values, name)
        values = values.astype(np.float32).clip(0, white)
    elif image.mode == "I":
        bits, signed = max(tags.get(BITS, (32,))), SIGNED in tags.get(FORMAT, ())
        if tags and not signed:
            values = values.view(np.uint32)  # what Pillow holds as negative is larger than 2^31
        most = 2 ** (bits - signed) - 1 if tags else 65535
        whites = sorted({255, 65535, most} - set(range(most + 1, 65536)))
        if source.format in ("PNG", "PPM"):  # Pillow scales these to 16 bits itself
            whites = [65535]
        values = rescaled(values, int(white_of(values, name, whites)))
        white = 255.0 if values.dtype == np.uint8 else 65535.0
    else:
        values, white = rescaled(values, 2 ** max(tags.get(BITS, (16,))) - 1), 65535.0
    if tags.get(PHOTOMETRIC) == 0:  # white is zero; Pillow heeds it in 8 bits alone
        values = values.dtype.type(white) - values
    return values, white


def _shallow(
    image: Image.Image,
    mode: str,
    transparency: Image.Image | None,
    icc: bytes | None,
    kept: dict[str, Any],
    name: str,
) -> Picture:
    """8 bits; `mode` is that without transparency: L, RGB or CMYK."""
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


def read_deep(array: np.ndarray[Any, Any] | Deep, header: Image.Image, name: str) -> Picture:
    """A picture of 16-bit integers or floats that PIL would cut to 8 bits, or cannot hold.

    Args:
        array: the pixels; (H, W, 1 to 4) uint16 with alpha last, or what `read_tiff` gives.
        header: the same file as PIL opened it, not loaded: orientation, profile, metadata.
        name: what to call it in messages.
    """
    deep = array if isinstance(array, Deep) else Deep.of(array)
    turn, alpha = _orientation(header), deep.alpha
    values = _turned(deep.values, turn)
    if alpha is not None:
        alpha = np.ascontiguousarray(_turned(alpha, turn))
    elif values.shape[2] == 3:
        alpha = _transparent(values, header.info.get("transparency"))
    kept = carried(header, name, (values.shape[1], values.shape[0]))
    icc = header.info.get("icc_profile")
    if values.shape[2] == 4:
        inks = Image.frombytes("CMYK", (values.shape[1], values.shape[0]), values.tobytes())
        cover = None if alpha is None else Image.fromarray(alpha)
        return _shallow(inks, "CMYK", cover, icc, kept, name)
    return _levels(Deep(values, alpha, deep.white), icc, kept, name)


def _turned(array: np.ndarray[Any, Any], turn: int) -> np.ndarray[Any, Any]:
    """(H, W, ...) stored by an EXIF orientation, upright."""
    for _ in range({3: 2, 4: 2, 5: 1, 6: 3, 7: 1, 8: 1}.get(turn, 0)):  # quarter turns to the left
        array = np.rot90(array)
    if turn in (2, 4, 7):
        return array[:, ::-1]
    return array[::-1] if turn == 5 else array


def _levels(deep: Deep, icc: bytes | None, kept: dict[str, Any], name: str) -> Picture:
    """Grey or RGB."""
    values, top = deep.values, deep.white
    if values.dtype.kind == "f":
        depth = torch.float32
        values = values / np.float32(top)
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
    grey, kind = values.shape[2] == 1, values.dtype

    def give_back(rgb: Tensor) -> Image.Image:
        out = _array(rgb)
        out = out * np.float32(top) if depth == torch.float32 else out
        return ColorizedImage.of(out, deep.alpha, kept, top)

    def colours() -> Tensor:
        rgb = eight_bits(deep.values.astype(kind, copy=False), deep.white)
        return _pixels(srgb(Image.fromarray(rgb), icc or b"", name), "RGB")

    known = None if luminance is None or grey else colours
    return Picture(pixels, name, depth, give_back, colours=known)


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
        remark(f"{name}: its transparency, {reprlib.repr(key)}, cannot be used and is left out")
        image = image.copy()
        del image.info["transparency"]
    return image


def _plain_mode(image: Image.Image) -> str:
    """The mode without transparency: L, RGB or CMYK."""
    return "L" if image.mode in GREY_MODES else "CMYK" if image.mode == "CMYK" else "RGB"


def _split(image: Image.Image) -> tuple[str, Image.Image | None]:
    """The mode without transparency; and the transparency."""
    mode = _plain_mode(image)
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
