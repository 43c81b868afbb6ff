"""Pictures in, coloured pictures out."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deepcolor import images
from deepcolor.guidance import Guidance
from deepcolor.inference.checks import (
    check_controls,
    check_samples,
    check_size,
    distribution_of,
)
from deepcolor.inference.network import QUALITIES, Quality, predict_coarse, quality_of
from deepcolor.inference.sampling import Question
from deepcolor.inference.spare import SpareCopy
from deepcolor.models import Colorizer
from deepcolor.pixels import compose, shrink
from deepcolor.upsample import ChromaField
from deepcolor.weights import DEFAULT, load_model

__all__ = ["Predictor", "choose_device", "colorize"]

FULL = (None, torch.float32)


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
        check_size(size)
        if dtype not in (None, torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(f"dtype must be bfloat16, float16 or float32, got {dtype}")
        self.size = size
        self.dtype = dtype
        self.device = choose_device(device)
        loaded = model if isinstance(model, Colorizer) else load_model(model)
        self.model = loaded.eval().to(self.device)
        self._spare = SpareCopy(self.model)
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
        samples: int | None = None,
        seed: int = 0,
        uncertainty: bool = False,
    ) -> Any:
        """Colour one picture, or a list of them; see `colorize`."""
        if isinstance(image, (list, tuple)):
            return [
                self(
                    one, told, saturation=saturation, temperature=temperature, size=size,
                    quality=quality, max_pixels=max_pixels, samples=samples, seed=seed,
                    uncertainty=uncertainty,
                )
                for one, told in zip(image, _for_each(guidance, len(image)), strict=True)
            ]  # fmt: skip
        if not (guidance is None or isinstance(guidance, Guidance)):
            raise TypeError(
                f"guidance must be Hints, GlobalHints or an Exemplar, got a"
                f" {type(guidance).__name__}; a list of them goes with a list of pictures"
            )
        check_size(size)
        check_controls(saturation, temperature)
        work = quality_of(quality)
        question = self.question(temperature, samples, seed, uncertainty)
        pictures, spread = self._coloured(
            images.read(image, max_pixels),
            work,
            size or self.size,
            saturation,
            temperature,
            guidance,
            question,
        )
        result = pictures[0] if samples is None else pictures
        return (result, spread) if uncertainty else result

    def question(
        self,
        temperature: float | None = None,
        samples: int | None = None,
        seed: int = 0,
        uncertainty: bool = False,
    ) -> Question | None:
        """What to ask of the predicted distribution, as `colorize`; None for nothing special.

        Raises:
            ValueError, TypeError: if it cannot be asked, of this model or at all.
        """
        check_samples(samples, seed)
        if samples is None and not uncertainty:
            return None
        known = distribution_of(self.model, "samples=" if samples else "uncertainty=")
        if samples and 0 in (temperature, known.temperature if temperature is None else None):
            raise ValueError("samples differ by temperature: it must be above 0, up to 1")
        return Question(temperature, samples, seed, uncertainty)

    def colour(
        self,
        picture: images.Picture,
        quality: Quality = QUALITIES["balanced"],
        size: int | None = None,
        saturation: float = 1.0,
        temperature: float | None = None,
        guidance: Guidance | None = None,
        question: Question | None = None,
    ) -> Any:
        """Colour a picture that was read already, and give it back (of samples, the last)."""
        pictures, _ = self._coloured(
            picture, quality, size, saturation, temperature, guidance, question
        )
        return pictures[-1]

    @torch.inference_mode()
    def _coloured(
        self,
        picture: images.Picture,
        quality: Quality,
        size: int | None,
        saturation: float,
        temperature: float | None,
        guidance: Guidance | None,
        question: Question | None = None,
    ) -> tuple[list[Any], NDArray[np.float32] | None]:
        """Colourings of a picture, one unless more were asked for, and the entropy if asked."""
        count = 1 if question is None else question.pictures
        # The last may take the pixels' own memory; the others must leave them as they are.
        kept = replace(picture, owned=False)
        canvases = [*(kept.canvas() for _ in range(count - 1)), picture.canvas()]
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        batch = len(picture.pixels)
        asked = question is not None and question.uncertainty
        spread = torch.zeros(batch, *full) if asked else None
        if picture.pixels.numel():

            def read(small: tuple[int, int]) -> Tensor:
                return torch.stack([shrink(one, small, self.device) for one in picture.pixels])

            side = size or self.model.size
            answer, luminance = self._coarse(
                read, full, side, quality, temperature, guidance, question
            )
            for number, out in enumerate(canvases):
                ab = answer[:, 2 * number : 2 * number + 2] * saturation
                for pixels, chroma, means, result in zip(
                    picture.pixels, ab, luminance, out, strict=True
                ):
                    compose(pixels, ChromaField(chroma, means, full, quality.edges), result)
            if asked:
                spread = F.interpolate(answer[:, -1:], size=full, mode="bilinear")[:, 0].cpu()
        results = [picture.give_back(out) for out in canvases]
        if spread is None:
            return results, None
        is_batch = isinstance(results[0], Tensor) and results[0].ndim == 4
        return results, spread.clone().numpy() if is_batch else spread[0].clone().numpy()

    def _coarse(
        self,
        read: Callable[[tuple[int, int]], Tensor],
        full: tuple[int, int],
        size: int,
        quality: Quality,
        temperature: float | None,
        guidance: Guidance | None,
        question: Question | None,
    ) -> tuple[Tensor, Tensor]:
        """As `predict_coarse`; at half the size, then on the CPU, if the GPU's memory is short."""
        tries = [(size, self.device)]
        if _has_less_memory(self.device):
            tries += [(max(self.model.stride, size // 2), self.device), (size, torch.device("cpu"))]
        for number, (side, device) in enumerate(tries):
            try:
                model = self.model if device == self.device else self._spare.on(device)
                with torch.autocast(device.type, self.dtype, enabled=self.dtype not in FULL):
                    ab, luminance = predict_coarse(
                        model, _moved(read, device), full, side, quality, temperature, guidance,
                        question,
                    )  # fmt: skip
                return ab.to(self.device), luminance.to(self.device)
            except torch.OutOfMemoryError as error:
                if number + 1 == len(tries):
                    raise
                after, where = tries[number + 1]
                warnings.warn(
                    f"out of memory on {device} at working size {side};"
                    f" going on at {after} on {where} ({str(error).splitlines()[0]})",
                    RuntimeWarning,
                    stacklevel=5,
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


@lru_cache(maxsize=2)
def _predictor(model: str, device: str, changed: int) -> Predictor:
    """Keep the last models used; `changed` tells a weights file from its newer version."""
    return Predictor(model, device)


def predictor_of(model: str | Path | Colorizer, device: str) -> Predictor:
    """A predictor with the model; of names and files, the last two stay in memory."""
    if isinstance(model, Colorizer):
        return Predictor(model, device)
    file = Path(model)
    return _predictor(str(model), device, file.stat().st_mtime_ns if file.is_file() else 0)


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
    samples: int | None = None,
    seed: int = 0,
    uncertainty: bool = False,
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
            distributions: 1 gives the mean, calm and tinted, 0 the mode, in patches.
        size: side that the network works at, in pixels; the model's own when None.
        quality: "fast", "balanced", or "best", which averages flips and two working sizes.
        max_pixels: refuse larger pictures; None for no limit.
        samples: how many plausible colourings to draw from the predicted distribution; None for
            the one that is not drawn. For models that predict distributions.
        seed: of the draws: the same seed draws the same, and the first k of more samples too.
        uncertainty: also tell how unsure each pixel's colour is; for the same models.

    Returns:
        For a path, a file or a PIL image a PIL image, which remembers depth and metadata when it
        is saved; for an array (H, W, 3), for a tensor (3, H, W) or (B, 3, H, W), of the same dtype,
        with alpha as a fourth channel if there was any; for a list a list. With `samples` a list of
        so many, for each picture. With `uncertainty` a pair: that, and the entropy of each pixel's
        distribution in nats, a float32 array (H, W), (B, H, W) for a batch, whatever the picture
        is; from 0, sure, to log Q = 5.75 with 313 bins.

    Raises:
        ImageError: a ValueError: if a picture cannot be used.
        FileNotFoundError, IsADirectoryError, TypeError, ValueError: if the place, the kind, the
            model, the device or a control cannot be used; the message says which, why, and what
            would work.
        WeightsError: if the weights are damaged.
    """
    return predictor_of(model, device)(
        image, guidance, saturation=saturation, temperature=temperature, size=size,
        quality=quality, max_pixels=max_pixels, samples=samples, seed=seed, uncertainty=uncertainty,
    )  # fmt: skip
