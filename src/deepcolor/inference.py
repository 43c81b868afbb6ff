"""From a picture to a coloured picture: the one inference path that serves every model."""

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor import images
from deepcolor.color import clamp_to_gamut, join_lab, lab_to_rgb, rgb_to_lab, split_lab, unit_rgb
from deepcolor.models import Colorizer
from deepcolor.weights import DEFAULT, load_model

__all__ = ["Predictor", "choose_device", "colorize", "predict_ab", "predict_lab"]

LONGEST = 8  # times the model's size: strips beyond 64:1 are squeezed rather than blown up
STRIP_PIXELS = 1 << 20  # worked on at once at full size, which bounds memory


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ValueError: for a name that torch does not know, or a device that is not there.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.zeros((), device=device).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise ValueError(f"device {device!r} is not available here; use auto or cpu") from error


def _fit(luminance: Tensor, size: int, stride: int) -> tuple[Tensor, tuple[int, int]]:
    """Bring luminance to the network: an area of about size x size, the aspect kept.

    Returns:
        (B, 1, h', w') padded to multiples of the stride by its edge, and (h, w) without padding.
    """
    height, width = luminance.shape[-2:]
    scale = size / math.sqrt(height * width)
    small = [min(max(1, round(side * scale)), LONGEST * size) for side in (height, width)]
    x = F.interpolate(
        luminance, size=small, mode="bicubic", align_corners=False, antialias=True
    ).clamp(0, 100)
    x = F.pad(x, (0, -small[1] % stride, 0, -small[0] % stride), mode="replicate")
    return x, (small[0], small[1])


@torch.inference_mode()
def predict_ab(model: Colorizer, luminance: Tensor, size: int | None = None) -> Tensor:
    """Chroma at the size of the luminance, whatever that size is.

    Args:
        model: any colorizer, on the device of the luminance.
        luminance: (B, 1, H, W) L in [0, 100].
        size: side that the network works at; the model's own when None.

    Returns:
        (B, 2, H, W) ab, in CIELAB units; may leave the sRGB gamut.
    """
    x, (height, width) = _fit(luminance, size or model.size, model.stride)
    ab = model(x)[..., :height, :width].float()
    # bicubic: true ab through 256 px and back is 1.5 dB better than bilinear on Kodak photographs
    return F.interpolate(ab, size=luminance.shape[-2:], mode="bicubic", align_corners=False)


@torch.inference_mode()
def predict_lab(model: Colorizer, luminance: Tensor, size: int | None = None) -> Tensor:
    """CIELAB with the luminance given and predicted chroma, all of it displayable.

    Args:
        model: any colorizer, on the device of the luminance.
        luminance: (B, 1, H, W) L in [0, 100].
        size: side that the network works at; the model's own when None.

    Returns:
        (B, 3, H, W), within the sRGB gamut, L unchanged.
    """
    return clamp_to_gamut(join_lab(luminance, predict_ab(model, luminance, size)))


class Predictor:
    """Holds a model and colours pictures with it.

    Args:
        model: a name of `list_checkpoints()`, a .safetensors file, or a model in memory (which is
            used as it is, in evaluation mode).
        device: "auto", "cpu", "cuda", "mps" or a torch.device.
        size: side that the network works at, in pixels; the model's own when None.

    Example:
        >>> predictor = Predictor("lite.photos", device="cpu")  # doctest: +SKIP
        >>> predictor("old.jpg").save("new.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | Colorizer = DEFAULT,
        device: str | torch.device = "auto",
        size: int | None = None,
    ) -> None:
        if size is not None and size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        self.size = size
        self.device = choose_device(device)
        loaded = model if isinstance(model, Colorizer) else load_model(model)
        self.model = loaded.eval().to(self.device)

    def __call__(self, image: Any) -> Any:
        """Colour one picture, or a list of them; see `colorize`."""
        if isinstance(image, (list, tuple)):
            return [self(one) for one in image]
        picture = images.read(image)
        return picture.give_back(self._colour(picture.rgb))

    @torch.inference_mode()
    def _colour(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 or in [0, 1] -> (B, 3, H, W) in [0, 1]."""
        luminance = torch.cat([self._luminance(strip) for strip in _strips(rgb)], dim=-2)
        ab = predict_ab(self.model, luminance, self.size)
        coloured = [
            lab_to_rgb(clamp_to_gamut(join_lab(low, high)))
            for low, high in zip(_strips(luminance), _strips(ab), strict=True)
        ]
        return torch.cat(coloured, dim=-2)

    def _luminance(self, rgb: Tensor) -> Tensor:
        return split_lab(rgb_to_lab(unit_rgb(rgb.to(self.device))))[0]


def _strips(image: Tensor) -> Iterator[Tensor]:
    """Cut (B, C, H, W) into bands of rows."""
    rows = max(1, STRIP_PIXELS // (image.shape[0] * image.shape[-1]))
    return iter(torch.split(image, rows, dim=-2))


@lru_cache(maxsize=2)
def _predictor(model: str, device: str, changed: int) -> Predictor:
    """Keep the last models used; `changed` tells a weights file from its newer version."""
    return Predictor(model, device)


def colorize(image: Any, model: str | Path | Colorizer = DEFAULT, device: str = "auto") -> Any:
    """Give a picture its colour, at full resolution, keeping every pixel's lightness.

    Only the picture's luminance is looked at: one that has colour already is coloured anew.
    The model stays in memory for the next call; `Predictor` gives control over that.

    Args:
        image: a path; a PIL image; a NumPy array (H, W), (H, W, 1) or (H, W, 3); a torch tensor
            (H, W), (1 | 3, H, W) or (B, 1 | 3, H, W); arrays and tensors uint8 or float in
            [0, 1]. Or a list of any of these.
        model: a name of `list_checkpoints()`, a .safetensors file, or a model in memory.
        device: "auto", "cpu", "cuda" or "mps".

    Returns:
        For a path or a PIL image a PIL image; for an array (H, W, 3), for a tensor (3, H, W) or
        (B, 3, H, W), of the same dtype; for a list a list.

    Raises:
        FileNotFoundError, IsADirectoryError, TypeError, ValueError: if a picture, the model or
            the device cannot be used; the message says which, why, and what would work.
        WeightsError: if the weights are damaged.
    """
    if isinstance(model, Colorizer):
        return Predictor(model, device)(image)
    file = Path(model)
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    return _predictor(str(model), device, changed)(image)
