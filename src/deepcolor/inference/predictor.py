"""Pictures in, coloured pictures out."""

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcolor import images
from deepcolor.guidance import Guidance
from deepcolor.inference.network import QUALITIES, Quality, predict_coarse, quality_of
from deepcolor.models import Colorizer
from deepcolor.pixels import PictureChroma, compose, shrink
from deepcolor.upsample import ChromaField
from deepcolor.weights import DEFAULT, load_model

__all__ = ["Predictor", "choose_device", "colorize", "transfer_chroma"]

FULL = (None, torch.float32)
SAME_FRAMING = 0.02  # how far two aspects may differ, as shares


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


class Predictor:
    """Holds a model and colours pictures with it. Calls from several threads are safe.

    Args:
        model: a name of `list_checkpoints()`, a .safetensors file, or a model in memory (which is
            used as it is, in evaluation mode).
        device: "auto", "cpu", "cuda", "mps" or a torch.device.
        size: side that the network works at, in pixels; the model's own when None.
        dtype: torch.bfloat16 or torch.float16 for a faster network, mostly on GPUs; chroma then
            differs by about 1 CIELAB unit in the mean. The pixels are computed in float32 always.
        compile: whether torch compiles the network: slower first calls, faster later ones.

    Example:
        >>> predictor = Predictor("lite.photos", device="cpu")  # doctest: +SKIP
        >>> predictor("old.jpg", saturation=1.2).save("new.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | Colorizer = DEFAULT,
        device: str | torch.device = "auto",
        size: int | None = None,
        dtype: torch.dtype | None = None,
        compile: bool = False,
    ) -> None:
        _check_size(size)
        if dtype not in (None, torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(f"dtype must be bfloat16, float16 or float32, got {dtype}")
        self.size = size
        self.dtype = dtype
        self.device = choose_device(device)
        loaded = model if isinstance(model, Colorizer) else load_model(model)
        self.model = loaded.eval().to(self.device)
        if compile:
            self.model.network.compile()

    def __call__(
        self,
        image: Any,
        guidance: Guidance | Sequence[Guidance | None] | None = None,
        *,
        saturation: float = 1.0,
        temperature: float | None = None,
        size: int | None = None,
        quality: str = "balanced",
        max_pixels: int | None = images.MAX_PIXELS,
    ) -> Any:
        """Colour one picture, or a list of them; see `colorize`."""
        if isinstance(image, (list, tuple)):
            return [
                self(
                    one, told, saturation=saturation, temperature=temperature, size=size,
                    quality=quality, max_pixels=max_pixels,
                )
                for one, told in zip(image, _for_each(guidance, len(image)), strict=True)
            ]  # fmt: skip
        if not (guidance is None or isinstance(guidance, Guidance)):
            raise TypeError(
                f"guidance must be Hints, GlobalHints or an Exemplar, got a"
                f" {type(guidance).__name__}; a list of them goes with a list of pictures"
            )
        _check_size(size)
        _check_controls(saturation, temperature)
        work = quality_of(quality)
        return self.colour(
            images.read(image, max_pixels),
            work,
            size or self.size,
            saturation,
            temperature,
            guidance,
        )

    @torch.inference_mode()
    def colour(
        self,
        picture: images.Picture,
        quality: Quality = QUALITIES["balanced"],
        size: int | None = None,
        saturation: float = 1.0,
        temperature: float | None = None,
        guidance: Guidance | None = None,
    ) -> Any:
        """Colour a picture that was read already, and give it back."""
        out = picture.canvas()
        full = (out.shape[-2], out.shape[-1])
        if not out.numel():
            return picture.give_back(out)

        def read(small: tuple[int, int]) -> Tensor:
            return torch.stack([shrink(one, small, self.device) for one in picture.pixels])

        side = size or self.model.size
        ab, luminance = self._coarse(read, full, side, quality, temperature, guidance)
        for pixels, chroma, means, result in zip(
            picture.pixels, ab * saturation, luminance, out, strict=True
        ):
            compose(pixels, ChromaField(chroma, means, full, quality.edges), result)
        return picture.give_back(out)

    def _coarse(
        self,
        read: Callable[[tuple[int, int]], Tensor],
        full: tuple[int, int],
        size: int,
        quality: Quality,
        temperature: float | None,
        guidance: Guidance | None,
    ) -> tuple[Tensor, Tensor]:
        """As `predict_coarse`; at half the size, then on the CPU, if the GPU's memory is short."""
        tries = [(size, self.device)]
        if _has_less_memory(self.device):
            half = max(self.model.stride, size // 2)
            tries += [(half, self.device), (size, torch.device("cpu"))]
        for number, (side, device) in enumerate(tries):
            model = self.model if device == self.device else copy.deepcopy(self.model).to(device)
            try:
                with torch.autocast(device.type, self.dtype, enabled=self.dtype not in FULL):
                    ab, luminance = predict_coarse(
                        model, _moved(read, device), full, side, quality, temperature, guidance
                    )
                return ab.to(self.device), luminance.to(self.device)
            except torch.OutOfMemoryError as error:
                if number + 1 == len(tries):
                    raise
                after, where = tries[number + 1]
                warnings.warn(
                    f"out of memory on {device} at working size {side};"
                    f" going on at {after} on {where} ({str(error).splitlines()[0]})",
                    RuntimeWarning,
                    stacklevel=4,
                )
        raise AssertionError("the last try returns or raises")


def _has_less_memory(device: torch.device) -> bool:
    """Whether the CPU may manage what a device could not."""
    return device.type != "cpu"


def _moved(
    read: Callable[[tuple[int, int]], Tensor], device: torch.device
) -> Callable[[tuple[int, int]], Tensor]:
    return lambda size: read(size).to(device)


def _for_each(
    guidance: Guidance | Sequence[Guidance | None] | None, pictures: int
) -> Sequence[Guidance | None]:
    """Guidance of each picture of a list."""
    if guidance is None:
        return [None] * pictures
    if isinstance(guidance, Guidance) or len(guidance) != pictures:
        given = "one" if isinstance(guidance, Guidance) else f"{len(guidance)}"
        raise ValueError(
            f"a list of {pictures} pictures needs a list of as many guidances, None where there is"
            f" none; got {given}"
        )
    return guidance


def _check_size(size: int | None) -> None:
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")


def _check_controls(saturation: float, temperature: float | None = None) -> None:
    if not (math.isfinite(saturation) and saturation >= 0):
        raise ValueError(f"saturation must be 0 (grey) or more, 1 as predicted; got {saturation}")
    if temperature is not None and not 0 <= temperature <= 1:
        raise ValueError(f"temperature must lie in [0, 1], got {temperature}")


@lru_cache(maxsize=2)
def _predictor(model: str, device: str, changed: int) -> Predictor:
    """Keep the last models used; `changed` tells a weights file from its newer version."""
    return Predictor(model, device)


def colorize(
    image: Any,
    model: str | Path | Colorizer = DEFAULT,
    device: str = "auto",
    *,
    guidance: Guidance | Sequence[Guidance | None] | None = None,
    saturation: float = 1.0,
    temperature: float | None = None,
    size: int | None = None,
    quality: str = "balanced",
    max_pixels: int | None = images.MAX_PIXELS,
) -> Any:
    """Give a picture its colour, at full resolution, keeping every pixel's lightness.

    Only the picture's luminance is looked at: one that has colour already is coloured anew.
    The model stays in memory for the next call; `Predictor` gives control over that.

    Args:
        image: a path; the bytes of a file, or an open binary file; a PIL image; a NumPy array
            (H, W) or (H, W, 1 to 4); a torch tensor (H, W), (C, H, W) or (B, C, H, W) with 1, 3 or
            4 channels. Arrays and tensors hold uint8, uint16, or floats in [0, 1]; a second or
            fourth channel is alpha, and is kept. Or a list of any of these.
        model: a name of `list_checkpoints()`, a .safetensors file, or a model in memory.
        device: "auto", "cpu", "cuda" or "mps".
        guidance: of a kind that the model accepts, from deepcolor.guidance: Hints have the size of
            the picture as it is shown, upright; a hint at a single pixel is not lost. A list of
            pictures takes a list of them.
        saturation: chroma is multiplied by it: 0 is grey, 1 as predicted. Colours that sRGB cannot
            show keep hue and lightness.
        temperature: of the annealed mean (Zhang et al. 2016), for models that predict
            distributions: 1 gives the mean, dull and safe, 0 the mode, vivid and blotchy.
        size: side that the network works at, in pixels; the model's own when None.
        quality: "fast", "balanced", or "best", which averages flips and two working sizes.
        max_pixels: refuse larger pictures; None for no limit.

    Returns:
        For a path, a file or a PIL image a PIL image, which remembers depth and metadata when it
        is saved; for an array (H, W, 3), for a tensor (3, H, W) or (B, 3, H, W), of the same dtype,
        with alpha as a fourth channel if there was any; for a list a list.

    Raises:
        ImageError: a ValueError: if a picture cannot be used.
        FileNotFoundError, IsADirectoryError, TypeError, ValueError: if the place, the kind, the
            model, the device or a control cannot be used; the message says which, why, and what
            would work.
        WeightsError: if the weights are damaged.
    """
    if isinstance(model, Colorizer):
        predictor = Predictor(model, device)
    else:
        file = Path(model)
        changed = file.stat().st_mtime_ns if file.is_file() else 0
        predictor = _predictor(str(model), device, changed)
    return predictor(
        image, guidance, saturation=saturation, temperature=temperature, size=size,
        quality=quality, max_pixels=max_pixels,
    )  # fmt: skip


@torch.inference_mode()
def transfer_chroma(
    grey: Any,
    coloured: Any,
    *,
    saturation: float = 1.0,
    max_pixels: int | None = images.MAX_PIXELS,
) -> Any:
    """Give a picture the colours of another: its own lightness, the other's chroma.

    For colour made by anything else: an image editor, a generative model, a painter. Whatever that
    did to lightness, sharpness or size is undone.

    Args:
        grey: the picture whose lightness, size, depth and kind the result has; as for `colorize`.
        coloured: a picture of the same framing, of any size; as for `colorize`.
        saturation: chroma is multiplied by it.
        max_pixels: refuse larger pictures; None for no limit.

    Returns:
        As `colorize` for `grey`.

    Raises:
        ImageError: if a picture cannot be used, or the two differ in aspect by over 2 %.
    """
    _check_controls(saturation)
    picture, source = images.read(grey, max_pixels), images.read_colours(coloured, max_pixels)
    full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
    height, width = source.pixels.shape[-2:]
    if not (height and width and all(full)) or len(picture.pixels) != len(source.pixels):
        raise images.ImageError(
            f"{source.name} and {picture.name} must both hold pixels, and as many pictures"
        )
    if abs(math.log(full[0] * width / (full[1] * height))) > math.log(1 + SAME_FRAMING) + max(
        1 / side for side in (*full, height, width)
    ):
        raise images.ImageError(
            f"{source.name} is {width} x {height}, {picture.name} {full[1]} x {full[0]}: they must"
            " show the same framing; crop one of them first"
        )
    out = picture.canvas()
    for pixels, colours, result in zip(picture.pixels, source.pixels, out, strict=True):
        compose(pixels, PictureChroma(colours, full, saturation), result)
    return picture.give_back(out)
