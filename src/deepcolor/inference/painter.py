"""A model in memory, and its two halves: predict, then paint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcolor import images
from deepcolor.guidance import Guidance, Kind
from deepcolor.inference.borders import BorderedField, colour_shares
from deepcolor.inference.devices import choose_device, memory_in_words
from deepcolor.inference.memory import predict_in_memory
from deepcolor.inference.options import Options, QualityName
from deepcolor.inference.transfer import same_framing
from deepcolor.models import Colorizer
from deepcolor.models.prediction import Prediction
from deepcolor.pixels import compose, shrink
from deepcolor.upsample import ChromaField
from deepcolor.weights import DEFAULT, load_model

__all__ = ["AnyGuidance", "Painter", "check_answer"]

FARTHEST = 1e4  # CIELAB units: a hundred times any colour; only grey would be left in sRGB

AnyGuidance = Guidance | Kind | None
"""Guidance of one picture; one kind alone is short for a Guidance with nothing else."""


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
        self, picture: images.Picture, options: Options | None = None, guidance: AnyGuidance = None
    ) -> Any:
        """Colour a picture that was read already, and give it back in kind."""
        options = options or Options()
        if not picture.pixels.numel():
            return picture.give_back(picture.canvas())
        with memory_in_words(picture.name):
            prediction = self._predict(picture, options, guidance)
            return self._painted(picture, prediction.ab(options.temperature), prediction, options)

    def predict(
        self,
        image: Any,
        guidance: AnyGuidance = None,
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
        picture = self._with_pixels(image, max_pixels)
        with memory_in_words(picture.name):
            return self._predict(picture, options, guidance)

    def paint(
        self,
        image: Any,
        prediction: Prediction,
        *,
        saturation: float = 1.0,
        temperature: float | None = None,
        quality: QualityName = "balanced",
        borders: bool = True,
        max_pixels: int | None = images.MAX_PIXELS,
    ) -> Any:
        """Colour a picture as a prediction says: the pixels' part, without the network's.

        Args:
            image: the picture that was predicted, or the same in another size, such as a preview.
            prediction: of `predict`.
            saturation: as for `colorize`.
            temperature: as for `colorize`.
            quality: "fast" does without edges.
            borders: as for `colorize`.
            max_pixels: as for `colorize`.

        Returns:
            As `colorize`.

        Raises:
            ImageError: if the picture cannot be used, or its aspect differs by over 2 % from what
                was predicted, or the number of pictures.
        """
        options = Options(
            quality=quality, temperature=temperature, saturation=saturation, borders=borders
        )
        picture = replace(self._with_pixels(image, max_pixels), owned=False)
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        seen = prediction.picture_size or prediction.grid
        if len(picture.pixels) != len(prediction.luminance) or not same_framing(full, seen):
            raise images.ImageError(
                f"{picture.name}: {len(picture.pixels)} x {full[0]} x {full[1]} (pictures, height,"
                f" width) cannot be painted from a prediction of {len(prediction.luminance)} x"
                f" {seen[0]} x {seen[1]}: another size of the same picture can, another aspect not"
            )
        with memory_in_words(picture.name):
            return self._painted(picture, prediction.ab(temperature), prediction, options)

    def _with_pixels(self, image: Any, max_pixels: int | None) -> images.Picture:
        picture = image if isinstance(image, images.Picture) else images.read(image, max_pixels)
        if not picture.pixels.numel():
            raise images.ImageError(f"{picture.name} holds no pixels")
        return picture

    @torch.no_grad()  # not inference mode: its tensors could not be asked again later
    def _predict(
        self, picture: images.Picture, options: Options, guidance: AnyGuidance
    ) -> Prediction:
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
        check_answer(ab, prediction.model)
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        shares: list[Tensor | None] = [None] * len(picture.pixels)
        if options.borders:
            shares = colour_shares(picture.pixels, prediction.hints, self.device)
        out = picture.canvas()
        ab = ab.to(self.device) * options.saturation
        luminance = prediction.luminance.to(self.device)
        for pixels, chroma, means, share, result in zip(
            picture.pixels, ab, luminance, shares, out, strict=True
        ):
            field = ChromaField(chroma, means, full, options.work.edges)
            if share is not None:
                field = BorderedField(chroma, means, full, options.work.edges, share)
            compose(pixels, field, result)
        return picture.give_back(out)


def check_answer(ab: Tensor, model: str) -> None:
    """Refuse what a model answered if it is no colour: nothing but grey could be made of it.

    Args:
        ab: any shape, in CIELAB units.
        model: that it is of, for the message.

    Raises:
        ValueError: for NaN, infinity, and numbers a hundred times as far out as any colour.
    """
    if not ab.numel() or bool((ab.abs() <= FARTHEST).all()):  # NaN is not
        return
    finite = bool(ab.isfinite().all())
    what = f"colours up to {float(ab.abs().max()):.3g} CIELAB units" if finite else "NaN"
    raise ValueError(
        f"{model} answered {what}, where colours end at 130: its weights are damaged, or overflow"
        " in half precision (torch.bfloat16 has more room than torch.float16)"
    )
