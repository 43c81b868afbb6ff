"""Reading pictures as numbers, and giving them back as what they were.

`read` takes what people hold (a path, a PIL image, a NumPy array, a torch tensor) and remembers
what it was; `Picture.give_back` answers in kind. Nothing here knows of networks.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

__all__ = ["Picture", "read", "save", "writable"]

LEAST_SIDE = 2  # pixels; a 1 x N array is a list of numbers, not a picture
# Modes of 8 bits a channel that hold a picture; those with alpha keep it aside.
PLAIN_MODES = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True)
class Picture:
    """A picture as numbers, and what it was before.

    Attributes:
        rgb: (B, 3, H, W), uint8, or floating point in [0, 1].
        name: what to call it in messages.
        origin: the array or tensor as given, or the PIL image turned upright.
    """

    rgb: Tensor
    name: str
    origin: Image.Image | np.ndarray[Any, Any] | Tensor
    alpha: Image.Image | None = None

    def give_back(self, rgb: Tensor) -> Any:
        """Turn (B, 3, H, W) RGB in [0, 1] into the kind of picture that was read.

        PIL images come back as RGB or RGBA; arrays as (H, W, 3) and tensors as (3, H, W) or
        (B, 3, H, W), in the dtype and on the device that they came in. Integers are rounded.
        """
        if rgb.shape != self.rgb.shape:
            raise ValueError(
                f"{self.name}: expected RGB {tuple(self.rgb.shape)}, got {tuple(rgb.shape)}"
            )
        if self.rgb.dtype == torch.uint8:
            rgb = (255 * rgb).round().to(torch.uint8)
        if isinstance(self.origin, Tensor):
            rgb = rgb.to(self.origin.device, self.origin.dtype)
            return rgb if self.origin.ndim == 4 else rgb[0]
        array = rgb[0].permute(1, 2, 0).cpu().numpy()  # (H, W, 3)
        if isinstance(self.origin, np.ndarray):
            return np.ascontiguousarray(array, dtype=self.origin.dtype)
        image = Image.fromarray(np.ascontiguousarray(array))
        if self.alpha is not None:
            image.putalpha(self.alpha)
        return image


def read(source: Any) -> Picture:
    """Read a picture.

    Args:
        source: a path; a PIL image of 8 bits a channel; a NumPy array (H, W), (H, W, 1) or
            (H, W, 3); a torch tensor (H, W), (1, H, W), (3, H, W) or (B, 1 | 3, H, W). Arrays and
            tensors hold uint8, or floats in [0, 1].

    Raises:
        FileNotFoundError, IsADirectoryError: for a path with no file there.
        TypeError: for a kind or dtype that is no picture.
        ValueError: for what cannot be read as one: damaged files, wrong shapes, NaN, values out
            of range. Every message names the picture and what would work.
    """
    if isinstance(source, (str, os.PathLike)):
        return _read_file(Path(source))
    if isinstance(source, Image.Image):
        return _read_pil(source, f"PIL image {source.width} x {source.height}")
    if isinstance(source, np.ndarray):
        return _read_array(source)
    if isinstance(source, Tensor):
        return _read_tensor(source)
    raise TypeError(
        f"cannot colorize {type(source).__name__}; give a path, a PIL image, a NumPy array, a torch"
        " tensor, or a list of them"
    )


def _read_file(path: Path) -> Picture:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the photographs in it")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with Image.open(path) as image:
            image.load()
            return _read_pil(image, str(path))
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not an image that Pillow can read") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large: {error}") from error
    except (OSError, SyntaxError) as error:  # Pillow says SyntaxError of some broken PNGs
        raise ValueError(f"{path} is damaged or truncated: {error}") from error


def _read_pil(image: Image.Image, name: str) -> Picture:
    _check_size(image.height, image.width, name)
    mode = image.mode
    if mode not in PLAIN_MODES + ALPHA_MODES:
        raise ValueError(
            f"{name} has mode {mode}; modes that work: {', '.join(PLAIN_MODES + ALPHA_MODES)}."
            " Bring 16-bit and floating-point pictures to 8 bits, or give a float array in [0, 1]"
        )
    upright = ImageOps.exif_transpose(image)
    alpha = None
    if mode in ALPHA_MODES or "transparency" in image.info:
        upright = upright.convert("RGBA")
        alpha = upright.getchannel("A")
    array = np.array(upright.convert("RGB"))
    return Picture(torch.from_numpy(array).permute(2, 0, 1)[None], name, upright, alpha)


def _read_array(array: np.ndarray[Any, Any]) -> Picture:
    name = f"array {array.shape} {array.dtype}"
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise TypeError(f"{name}: dtypes that work: uint8, or floating point in [0, 1]")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise ValueError(f"{name}: shapes that work: (H, W), (H, W, 1), (H, W, 3)")
    _check_size(array.shape[0], array.shape[1], name)
    if array.dtype.kind == "f":
        array32 = array.astype(np.float32)
        _check_floats(float(array32.min()), float(array32.max()), name)
        plain = array32.clip(0, 1)
    else:
        plain = np.ascontiguousarray(array)
    planes = torch.from_numpy(plain.copy() if plain is array else plain)
    planes = planes[None] if array.ndim == 2 else planes.permute(2, 0, 1)
    return Picture(planes.expand(3, -1, -1)[None], name, array)


def _read_tensor(tensor: Tensor) -> Picture:
    name = f"tensor {tuple(tensor.shape)} {tensor.dtype}"
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise TypeError(f"{name}: dtypes that work: uint8, or floating point in [0, 1]")
    if tensor.ndim not in (2, 3, 4) or (tensor.ndim > 2 and tensor.shape[-3] not in (1, 3)):
        raise ValueError(
            f"{name}: shapes that work: (H, W), (1, H, W), (3, H, W), (B, 1, H, W), (B, 3, H, W)"
        )
    if tensor.ndim == 4 and not len(tensor):
        raise ValueError(f"{name}: the batch is empty")
    _check_size(tensor.shape[-2], tensor.shape[-1], name)
    plain = tensor.detach()
    if tensor.is_floating_point():
        low, high = torch.aminmax(plain.float())
        _check_floats(float(low), float(high), name)
        plain = plain.float().clamp(0, 1)
    batch = plain.reshape(-1, plain.shape[-3] if plain.ndim > 2 else 1, *plain.shape[-2:])
    return Picture(batch.expand(-1, 3, -1, -1), name, tensor)


def _check_size(height: int, width: int, name: str) -> None:
    if height < LEAST_SIDE or width < LEAST_SIDE:
        raise ValueError(
            f"{name}: {height} x {width} pixels; a picture needs {LEAST_SIDE} x {LEAST_SIDE}"
        )


def _check_floats(low: float, high: float, name: str) -> None:
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinity; replace them first")
    if low < -1e-3 or high > 1 + 1e-3:  # float dust of resizing passes, and is clipped
        hint = "; divide by 255 first" if low >= 0 and high <= 255.5 else ""
        raise ValueError(f"{name}: floats must lie in [0, 1], got [{low:.4g}, {high:.4g}]{hint}")


def writable(path: str | Path) -> Path:
    """Check, before any work, that a picture can be saved at `path`.

    Raises:
        ValueError: for a suffix that Pillow cannot write.
        OSError: for a folder that is missing or not writable.
    """
    path = Path(path)
    Image.init()
    if path.suffix.lower() not in Image.registered_extensions() or (
        Image.registered_extensions()[path.suffix.lower()] not in Image.SAVE
    ):
        raise ValueError(
            f"{path}: cannot write {path.suffix or 'a file without suffix'};"
            " .png, .jpg, .webp and .tif work"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file to write")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder to write {path.name} to")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent}: not writable")
    return path


def save(image: Image.Image, path: str | Path) -> Path:
    """Save a PIL image whole or not at all: written beside, then renamed.

    JPEG is written at quality 95 without chroma subsampling: chroma is what we made. It has no
    alpha: pictures with transparency are refused there.
    """
    path = writable(path)
    kind = Image.registered_extensions()[path.suffix.lower()]
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "JPEG" and image.mode == "RGBA":
        raise ValueError(f"{path}: JPEG has no transparency; save this picture as .png")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            image.save(file, format=kind, **options)
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)  # mkstemp's files are private
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
