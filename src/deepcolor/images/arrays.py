"""Pictures from NumPy arrays and torch tensors, and back."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepcolor.images.picture import ImageError, Picture, check_size

__all__ = ["read_array", "read_tensor"]

DTYPES = "dtypes that work: uint8, uint16, or floating point in [0, 1]"
INTEGERS = {"uint8": torch.uint8, "uint16": torch.uint16}
FLOAT_SLACK = 1e-3  # float dust of resizing passes, and is clipped
OVERSHOOT = 0.5  # what sharpening and resizing add at the most; further out it is another range


def read_array(array: np.ndarray[Any, Any], max_pixels: int | None) -> Picture:
    """(H, W), or (H, W, 1 | 2 | 3 | 4) with an even number of channels meaning alpha last."""
    name = f"array {array.shape} {array.dtype}"
    if np.ma.is_masked(array):
        raise ImageError(
            f"{name} has masked pixels, which a picture has not: fill them with .filled(0), or make"
            " the mask the alpha channel"
        )
    array = array.view(np.ndarray)  # no matrix, whose slices have two dimensions always
    if array.dtype.name not in INTEGERS and array.dtype.kind != "f":
        raise TypeError(f"{name}: {DTYPES}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise ImageError(f"{name}: shapes that work: (H, W), and (H, W, 1 to 4), alpha last")
    check_size(array.shape[0], array.shape[1], name, max_pixels)
    planes = array[..., None] if array.ndim == 2 else array
    alpha = planes[..., -1:] if planes.shape[2] in (2, 4) else None
    colour = planes if alpha is None else planes[..., :-1]
    # from_numpy takes neither foreign byte orders nor negative strides, and warns of read-only ones
    plain = np.require(colour, _native(array.dtype), ["C", "W"])
    if array.dtype.kind == "f":
        plain = _unit(plain.astype(np.float32), name)
        if alpha is not None:
            _unit(alpha, f"alpha of {name}")
    depth = INTEGERS.get(array.dtype.name, torch.float32)

    def give_back(rgb: Tensor) -> np.ndarray[Any, Any]:
        out = np.ascontiguousarray(rgb[0].permute(1, 2, 0).cpu().numpy())
        out = out.astype(array.dtype, copy=False)
        if alpha is not None:
            out = np.concatenate([out, alpha], axis=2, dtype=array.dtype)
        return out

    pixels = torch.from_numpy(plain).permute(2, 0, 1)[None]
    return Picture(pixels, name, depth, give_back)


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=")


def _unit(values: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    if values.size:
        _check_floats(float(values.min()), float(values.max()), name)
    return values.clip(0, 1)


def read_tensor(tensor: Tensor, max_pixels: int | None) -> Picture:
    """(H, W), (1 | 3 | 4, H, W) or (B, 1 | 3 | 4, H, W); a fourth channel is alpha."""
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        kind = "meta" if tensor.is_meta else "nested" if tensor.is_nested else "sparse"
        remedy = "it holds no values" if tensor.is_meta else "only dense ones are read: .to_dense()"
        raise ImageError(f"{kind} tensor of {tensor.dtype}: {remedy}")
    name = f"tensor {tuple(tensor.shape)} {tensor.dtype}"
    if tensor.dtype not in INTEGERS.values() and not tensor.is_floating_point():
        raise TypeError(f"{name}: {DTYPES}")
    if tensor.ndim not in (2, 3, 4) or (tensor.ndim > 2 and tensor.shape[-3] not in (1, 3, 4)):
        raise ImageError(
            f"{name}: shapes that work: (H, W), (C, H, W) and (B, C, H, W) with 1, 3 or 4 channels,"
            " the fourth alpha"
        )
    if tensor.ndim == 4 and not len(tensor):
        raise ImageError(f"{name}: the batch is empty")
    check_size(tensor.shape[-2], tensor.shape[-1], name, max_pixels)
    plain = tensor.detach()
    plain = plain[(None,) * (4 - plain.ndim)]  # (B, C, H, W)
    alpha = plain[:, 3:] if plain.shape[1] == 4 else None
    colour = plain[:, :3]
    if tensor.is_floating_point():
        colour = colour.float()
        for part, label in ((colour, name), (alpha, f"alpha of {name}")):
            if part is not None and part.numel():
                low, high = torch.aminmax(part.float())
                _check_floats(float(low), float(high), label)
        colour = colour.clamp(0, 1)
    depth = torch.float32 if tensor.is_floating_point() else tensor.dtype

    def give_back(rgb: Tensor) -> Tensor:
        out = rgb.to(tensor.device, tensor.dtype)
        if alpha is not None:
            out = torch.cat([out, alpha], dim=1)
        return out if tensor.ndim == 4 else out[0]

    return Picture(colour, name, depth, give_back, interleaved=False)


def _check_floats(low: float, high: float, name: str) -> None:
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name} holds NaN or infinity; replace them first")
    if low < -FLOAT_SLACK or high > 1 + FLOAT_SLACK:
        hint = ""
        if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
            hint = "; clip them first"
        elif low >= 0 and high <= 65535.5:
            hint = f"; divide by {255 if high <= 255.5 else 65535} first"
        raise ImageError(f"{name}: floats must lie in [0, 1], got [{low:.4g}, {high:.4g}]{hint}")
