"""A model in memory, and its two halves: predict, then paint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcolor import images
from deepcolor.guidance import Guidance, Kind
from deepcolor.inference.memory import predict_in_memory
from deepcolor.inference.options import Options, QualityName
from deepcolor.inference.transfer import same_framing
from deepcolor.models import Colorizer
from deepcolor.models.prediction import Prediction
from deepcolor.pixels import compose, shrink
from deepcolor.upsample import ChromaField
from deepcolor.weights import DEFAULT, load_model

__all__ = ["Painter", "Told", "choose_device"]

Told = Guidance | Kind | None
"""Guidance of one picture; one kind alone is short for a Guidance with nothing else."""


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


class Painter:
    """Holds a model, predicts with it, and paints what it predicted; see `Predictor`."""

    def __init__(
        self,
        model: str | Path | Colorizer = DEFAULT,
        device: str | torch.device = "auto",
        size: int | None = None,
        dtype: torch.dtype | None = None,
        compile: bool = False,
    ) -> None:
        Options(size=size)  # refuses sizes below 1
        if dtype not in (None, torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(f"dtype must be bfloat16, float16 or float32, got {dtype}")
        self.size = size
        self.dtype = dtype
        self.device = choose_device(device)
        loaded = model if isinstance(model, Colorizer) else load_model(model)
        self.model = loaded.eval().to(self.device)
        if compile:
            self.model.network.compile()

    def __repr__(self) -> str:
        size = "" if self.size is None else f", size={self.size}"
        return f"Predictor({type(self.model).__name__}, device={str(self.device)!r}{size})"

    def colour(
        self, picture: images.Picture, options: Options | None = None, guidance: Told = None
    ) -> Any:
        """Colour a picture that was read already, and give it back in kind."""
        options = options or Options()
        if not picture.pixels.numel():
            return picture.give_back(picture.canvas())
        prediction = self._predict(picture, options, guidance)
        return self._painted(picture, prediction.ab(options.temperature), prediction, options)

    def predict(
        self,
        image: Any,
        guidance: Told = None,
        *,
        size: int | None = None,
        quality: QualityName = "balanced",
        max_pixels: int | None = images.MAX_PIXELS,
    ) -> Prediction:
        """What the model says about a picture: the network's part, without the pixels'.

        Args:
            image: one picture, of any kind that `colorize` takes, or one that `images.read` gave.
            guidance: as for `colorize`.
            size: as for `colorize`.
            quality: as for `colorize`.
            max_pixels: as for `colorize`.

        Returns:
            A prediction, for `paint`: with other temperatures, saturations and hints as often as
            wanted, without the network.

        Raises:
            ImageError: also for a picture without pixels.
        """
        options = Options(quality=quality, size=size)
        return self._predict(self._with_pixels(image, max_pixels), options, guidance)

    def paint(
        self,
        image: Any,
        prediction: Prediction,
        *,
        saturation: float = 1.0,
        temperature: float | None = None,
        quality: QualityName = "balanced",
        max_pixels: int | None = images.MAX_PIXELS,
    ) -> Any:
        """Colour a picture as a prediction says: the pixels' part, without the network's.

        Args:
            image: the picture that was predicted, or the same in another size, such as a preview.
            prediction: of `predict`.
            saturation: as for `colorize`.
            temperature: as for `colorize`.
            quality: "fast" does without edges.
            max_pixels: as for `colorize`.

        Returns:
            As `colorize`.

        Raises:
            ImageError: if the picture cannot be used, or its aspect differs by over 2 % from what
                was predicted, or the number of pictures.
        """
        options = Options(quality=quality, temperature=temperature, saturation=saturation)
        picture = replace(self._with_pixels(image, max_pixels), owned=False)
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        seen = prediction.picture_size or prediction.grid
        if len(picture.pixels) != len(prediction.luminance) or not same_framing(full, seen):
            raise images.ImageError(
                f"{picture.name}: {len(picture.pixels)} x {full[0]} x {full[1]} (pictures, height,"
                f" width) cannot be painted from a prediction of {len(prediction.luminance)} x"
                f" {seen[0]} x {seen[1]}: another size of the same picture can, another aspect not"
            )
        return self._painted(picture, prediction.ab(temperature), prediction, options)

    def _with_pixels(self, image: Any, max_pixels: int | None) -> images.Picture:
        picture = image if isinstance(image, images.Picture) else images.read(image, max_pixels)
        if not picture.pixels.numel():
            raise images.ImageError(f"{picture.name} holds no pixels")
        return picture

    @torch.no_grad()  # not inference mode: its tensors could not be asked again later
    def _predict(self, picture: images.Picture, options: Options, guidance: Told) -> Prediction:
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])

        def read(small: tuple[int, int], device: torch.device) -> Tensor:
            return torch.stack([shrink(one, small, device) for one in picture.pixels])

        side = options.size or self.size or self.model.size
        return predict_in_memory(
            self.model, self.device, self.dtype, read, full, side, options.work, guidance
        )

    @torch.inference_mode()
    def _painted(
        self, picture: images.Picture, ab: Tensor, prediction: Prediction, options: Options
    ) -> Any:
        out = picture.canvas()
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        ab = ab.to(self.device) * options.saturation
        luminance = prediction.luminance.to(self.device)
        for pixels, chroma, means, result in zip(picture.pixels, ab, luminance, out, strict=True):
            compose(pixels, ChromaField(chroma, means, full, options.work.edges), result)
        return picture.give_back(out)
