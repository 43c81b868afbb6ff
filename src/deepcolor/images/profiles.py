"""ICC profiles: the luminance that a picture's numbers stand for, by LittleCMS.

Only the luminance of a picture is looked at. LittleCMS converts to a grey profile with sRGB's
transfer curve at 16 bits, which no colour of a wider gamut leaves: converting to sRGB first would
clip it.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms
from torch import Tensor

from deepcolor.images.decoding import remark

__all__ = ["neutral", "neutral_array", "shown", "srgb", "srgb_profile"]

KINDS = {"L": "GRAY", "I;16": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # ICC's names
GRID = 52  # 0, 5, 10 ... 255: points of the table for 16-bit colour, all of them whole 8-bit levels
KEPT = 32  # profiles remembered
SAME = 1 / 255  # of the scale: a profile that differs less is sRGB under another name


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The sRGB profile that goes with results."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@lru_cache(maxsize=1)
def _grey_profile() -> bytes:
    """An ICC 4.3 grey profile with sRGB's transfer curve (ICC.1:2010, sections 7 to 10)."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def text(words: str) -> bytes:
        coded = words.encode("utf-16-be")
        return b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(coded), 28) + coded

    white = fixed(0.9642, 1, 0.8249)  # D50, the profile connection space's
    curve = fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1
    tags = {
        b"desc": text("grey with the sRGB curve"),
        b"cprt": text("public domain"),
        b"wtpt": b"XYZ \0\0\0\0" + white,
        b"kTRC": b"para" + struct.pack(">IHH", 0, 3, 0) + curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, data in tags.items():
        table += key + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s28s", start + len(body), b"", 0x04300000, b"mntr", b"GRAY", b"XYZ ",
        b"", b"acsp", b"",
    )  # fmt: skip
    return (header + white).ljust(128, b"\0") + table + body


def neutral(image: Image.Image, icc: bytes, name: str) -> np.ndarray[Any, Any] | None:
    """What a picture's numbers mean by its profile, as 16-bit luminance with sRGB's curve.

    Args:
        image: of mode L, RGB or CMYK.
        icc: its profile.
        name: of the picture, for messages.

    Returns:
        (H, W) uint16; None if the numbers mean what they do without the profile: it is sRGB, or of
        another kind than the picture, as a scanner's RGB profile left on a grey scan, or damaged.

    Warns:
        ImageWarning: of a profile that cannot be used.
    """
    with _usable(name):
        to_grey = _to_grey(icc, image.mode)
        if to_grey is None:
            return None
        if image.mode != "L":
            return np.asarray(to_grey.apply(image))
        levels = (65535 * _table(to_grey, image.mode) + 0.5).astype(np.uint16)
        return np.take(levels, np.asarray(image))
    return None


def neutral_array(values: np.ndarray[Any, Any], icc: bytes, name: str) -> Tensor | None:
    """The same for pictures deeper than Pillow holds, by a table.

    Args:
        values: (H, W, 1 | 3) float32 in [0, 1].
        icc: its profile.
        name: of the picture, for messages.

    Returns:
        (H, W) float32 luminance with sRGB's curve, in [0, 1], or None.
    """
    mode = "RGB" if values.shape[2] == 3 else "I;16"
    found = None
    with _usable(name):
        to_grey = _to_grey(icc, mode)
        found = None if to_grey is None else _table(to_grey, mode)
    if found is None:
        return None
    table = torch.from_numpy(found)
    if mode == "I;16":
        at = torch.from_numpy(values[..., 0]) * (len(table) - 1)
        return table[at.round().long()]
    cube = table.view(1, 1, GRID, GRID, GRID)  # red, green, blue
    bands = []
    for rows in torch.split(torch.from_numpy(values), max(1, (1 << 20) // values.shape[1])):
        at = (2 * rows - 1).flip(-1)[None, None]  # grid_sample takes the last axis first
        bands.append(F.grid_sample(cube, at, align_corners=True)[0, 0, 0])
    return torch.cat(bands)


def srgb(image: Image.Image, icc: bytes, name: str) -> Image.Image:
    """Convert a picture of mode L, RGB or CMYK from its profile to sRGB, mode RGB."""
    with _usable(name):
        return _to_srgb(icc, image.mode).apply(image)
    return image.convert("RGB")


def shown(image: Image.Image, icc: bytes, name: str) -> Image.Image:
    """The same where the profile gives its numbers another meaning than sRGB; else as they are."""
    with _usable(name):
        if _to_grey(icc, image.mode) is not None:
            return srgb(image, icc, name)
    return image.convert("RGB")


@contextmanager
def _usable(name: str) -> Iterator[None]:
    """Leave what is done inside, with a warning, if LittleCMS refuses a profile."""
    try:
        yield
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        remark(
            f"{name} has a colour profile that cannot be used ({error}); its numbers are taken"
            " for sRGB"
        )


# A few profiles come again and again; making these takes longer than a small photograph does.
@lru_cache(maxsize=KEPT)
def _to_srgb(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    ours = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    theirs = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    return ImageCms.buildTransform(theirs, ours, mode, "RGB")


@lru_cache(maxsize=KEPT)
def _to_grey(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """To luminance; None where numbers of that mode mean what they do without the profile."""
    to_grey = _transform(icc, mode)
    if to_grey is None or (mode != "CMYK" and _assumed(_table(to_grey, mode), mode)):
        return None
    return to_grey


def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    if profile.profile.xcolor_space.strip() != KINDS[mode]:
        return None
    return ImageCms.buildTransform(
        profile,
        ImageCms.ImageCmsProfile(io.BytesIO(_grey_profile())),
        mode,
        "I;16",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        # Exact for grey, of which a table is made; a fine grid for colour, five times as fast.
        ImageCms.Flags.BLACKPOINTCOMPENSATION
        | (ImageCms.Flags.HIGHRESPRECALC if mode in ("RGB", "CMYK") else ImageCms.Flags.NOOPTIMIZE),
    )


def _table(to_grey: ImageCms.ImageCmsTransform, mode: str) -> np.ndarray[Any, Any]:
    """Luminance of a ramp of all grey levels, or of a cube of RGB colours: (N,) in [0, 1]."""
    if mode == "RGB":
        steps = np.linspace(0, 255, GRID).astype(np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
        probe = Image.fromarray(cube.reshape(GRID, -1, 3))
    else:
        top = 255 if mode == "L" else 65535
        probe = Image.fromarray(
            np.arange(top + 1, dtype=np.uint8 if mode == "L" else np.uint16)[None]
        )
    out: np.ndarray[Any, Any] = np.asarray(to_grey.apply(probe)).ravel().astype(np.float32) / 65535
    return out


def _assumed(table: np.ndarray[Any, Any], mode: str) -> bool:
    """Whether the profile is sRGB, or grey with sRGB's curve, by whatever name."""
    plain = _srgb_table() if mode == "RGB" else np.linspace(0, 1, len(table), dtype=np.float32)
    return float(np.abs(table - plain).max()) < SAME


@lru_cache(maxsize=1)
def _srgb_table() -> np.ndarray[Any, Any]:
    to_grey = _transform(srgb_profile(), "RGB")
    assert to_grey is not None  # sRGB is an RGB profile
    return _table(to_grey, "RGB")
