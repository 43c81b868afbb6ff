"""Pictures in, coloured pictures out."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import IO, Any, TypeVar, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepcolor import images
from deepcolor.guidance import Guidance
from deepcolor.inference.devices import memory_in_words
from deepcolor.inference.lists import ON_ERROR, OnError, colour_each
from deepcolor.inference.options import Options, QualityName, check_count
from deepcolor.inference.painter import AnyGuidance, Painter
from deepcolor.inference.sampling import GumbelNoise
from deepcolor.inference.suggest import most_useful
from deepcolor.models import ClassificationColorizer, models
from deepcolor.models.prediction import BinPrediction

__all__ = ["Numbers", "OnePicture", "Predictor"]

OnePicture = str | PathLike[str] | bytes | IO[bytes] | Image.Image
"""What comes back as a PIL image."""
Numbers = TypeVar("Numbers", NDArray[Any], Tensor)
"""What comes back as it came."""


class Predictor(Painter):
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

    @overload
    def __call__(
        self, image: OnePicture, guidance: AnyGuidance = None, *,
        saturation: float = 1.0, temperature: float | None = None, size: int | None = None,
        quality: QualityName = "balanced", max_pixels: int | None = images.MAX_PIXELS,
        strip_location: bool = False, borders: bool = True,
    ) -> images.ColorizedImage: ...  # fmt: skip

    @overload
    def __call__(
        self, image: Numbers, guidance: AnyGuidance = None, *,
        saturation: float = 1.0, temperature: float | None = None, size: int | None = None,
        quality: QualityName = "balanced", max_pixels: int | None = images.MAX_PIXELS,
        strip_location: bool = False, borders: bool = True,
    ) -> Numbers: ...  # fmt: skip

    @overload
    def __call__(
        self, image: list[Any] | tuple[Any, ...], guidance: Sequence[AnyGuidance] | None = None, *,
        saturation: float = 1.0, temperature: float | None = None, size: int | None = None,
        quality: QualityName = "balanced", max_pixels: int | None = images.MAX_PIXELS,
        strip_location: bool = False, borders: bool = True, on_error: OnError = "raise",
    ) -> list[Any]: ...  # fmt: skip

    def __call__(
        self,
        image: Any,
        guidance: AnyGuidance | Sequence[AnyGuidance] = None,
        *,
        saturation: float = 1.0,
        temperature: float | None = None,
        size: int | None = None,
        quality: QualityName = "balanced",
        max_pixels: int | None = images.MAX_PIXELS,
        strip_location: bool = False,
        borders: bool = True,
        on_error: OnError = "raise",
    ) -> Any:
        """Colour one picture, or a list of them; see `colorize`."""
        options = Options(
            quality=quality, size=size, temperature=temperature, saturation=saturation,
            borders=borders,
        )  # fmt: skip
        return self.run(
            image, guidance, options, max_pixels=max_pixels, strip_location=strip_location,
            on_error=on_error,
        )  # fmt: skip

    def run(
        self,
        image: Any,
        guidance: AnyGuidance | Sequence[AnyGuidance],
        options: Options,
        *,
        max_pixels: int | None = images.MAX_PIXELS,
        strip_location: bool = False,
        on_error: OnError = "raise",
    ) -> Any:
        """Colour one picture, or a list of them, as the options say; see `colorize`."""
        if on_error not in ON_ERROR:
            raise ValueError(f"on_error must be one of {', '.join(ON_ERROR)}, got {on_error!r}")

        def one(picture: Any, told: AnyGuidance) -> Any:
            given = Guidance.of(told)
            result = self.colour(images.read(picture, max_pixels), options, given)
            if strip_location:
                images.forget_location(result)
            return result

        if isinstance(image, (list, tuple)):
            return colour_each(image, guidance, on_error, one)
        return one(image, guidance)  # type: ignore[arg-type]  # a list is refused in words

    def samples(
        self,
        image: Any,
        n: int,
        guidance: AnyGuidance = None,
        *,
        seed: int = 0,
        saturation: float = 1.0,
        temperature: float | None = None,
        size: int | None = None,
        quality: QualityName = "balanced",
        max_pixels: int | None = images.MAX_PIXELS,
        strip_location: bool = False,
        borders: bool = True,
    ) -> list[Any]:
        """Draw plausible colourings from the predicted distribution.

        Args:
            image: one picture, of any kind that `colorize` takes.
            n: how many.
            guidance: as for `colorize`.
            seed: the same seed draws the same, and the first k of more samples too.
            saturation: as for `colorize`.
            temperature: how far from the expected colours, above 0, up to 1; the model's own when
                None.
            size: as for `colorize`.
            quality: as for `colorize`.
            max_pixels: as for `colorize`.
            strip_location: as for `colorize`.
            borders: as for `colorize`.

        Returns:
            n results, each as `colorize`.

        Raises:
            TypeError: for a model that predicts no distribution; the message lists models that do.
            ValueError: for n below 1, a seed below 0, a temperature of 0.
        """
        options = Options(
            quality=quality, size=size, temperature=temperature, saturation=saturation,
            borders=borders,
        )  # fmt: skip
        check_count("n", n, 1)
        self.require_distribution("samples", temperature, seed)
        results = self.draw(images.read(image, max_pixels), n, seed, options, guidance)
        if strip_location:
            for result in results:
                images.forget_location(result)
        return results

    def draw(
        self,
        picture: images.Picture,
        n: int,
        seed: int,
        options: Options,
        guidance: AnyGuidance = None,
    ) -> list[Any]:
        """As `samples`, of a picture that was read already."""
        known = self.require_distribution("samples", options.temperature, seed)
        if not picture.pixels.numel():
            return [picture.give_back(picture.canvas()) for _ in range(n)]
        kept = replace(picture, owned=False)  # the pixels are read once for each sample
        with memory_in_words(picture.name), torch.no_grad():
            prediction = self._predict(kept, options, guidance)
            centres = known.quantizer.centres.to(prediction.luminance.device)
            results = []
            for number in range(n):
                ab = prediction.sample(GumbelNoise(centres, seed, number), options.temperature)
                results.append(self._painted(kept, ab, prediction, options))
            return results

    def uncertainty(
        self,
        image: Any,
        guidance: AnyGuidance = None,
        *,
        size: int | None = None,
        quality: QualityName = "balanced",
        max_pixels: int | None = images.MAX_PIXELS,
    ) -> NDArray[np.float32]:
        """How unsure each pixel's colour is: the entropy of its distribution, in nats.

        Args:
            image: one picture, of any kind that `colorize` takes.
            guidance: as for `colorize`; what hints say is surer.
            size: as for `colorize`.
            quality: as for `colorize`.
            max_pixels: as for `colorize`.

        Returns:
            (H, W), or (B, H, W) for a batch; from 0, sure, to log Q = 5.75 with 313 bins.

        Raises:
            TypeError: for a model that predicts no distribution; the message lists models that do.
        """
        self.require_distribution("uncertainty")
        options = Options(quality=quality, size=size)
        picture = images.read(image, max_pixels)
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        spread = torch.zeros(len(picture.pixels), *full)
        if picture.pixels.numel():
            with torch.inference_mode():
                coarse = self._predict(picture, options, guidance).entropy()
                wide = F.interpolate(coarse, size=full, mode="bilinear", align_corners=False)
            spread = wide[:, 0].cpu().clone()
        batch = isinstance(image, Tensor) and image.ndim == 4
        return spread.numpy() if batch else spread[0].numpy()

    @torch.inference_mode()
    def suggest(
        self,
        image: Any,
        n: int,
        guidance: AnyGuidance = None,
        *,
        max_pixels: int | None = images.MAX_PIXELS,
    ) -> list[tuple[int, int]]:
        """Find the pixels whose true colours would correct a colouring most; see `suggest_hints`.

        Returns:
            Row and column of n distinct pixels of the picture as it is shown.
        """
        check_count("n", n, 1)
        self.require_distribution("suggest")
        picture = self._with_pixels(image, max_pixels)
        if len(picture.pixels) != 1:
            raise images.ImageError(
                f"{picture.name} must be one picture, got a batch of {len(picture.pixels)}"
            )
        given = Guidance.of(guidance)
        given.check_values()
        full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
        given.check(torch.empty(()).expand(1, 1, *full))
        plain = self._predict(picture, Options(), replace(given, hints=None))
        assert isinstance(plain, BinPrediction)  # one size, of a model with a distribution
        return most_useful(plain, full, n, given.hints)

    def require_distribution(
        self, wanted: str, temperature: float | None = None, seed: int = 0
    ) -> ClassificationColorizer:
        """The model, if it predicts distributions over bins of ab that can be asked so.

        Raises:
            TypeError: if it does not; the message lists models that do.
            ValueError: for a temperature of 0, or a seed below 0.
        """
        if not isinstance(self.model, ClassificationColorizer):
            able = [k for k, kind in models().items() if issubclass(kind, ClassificationColorizer)]
            raise TypeError(
                f"{type(self.model).__name__} predicts no distribution over ab bins, which {wanted}"
                f" needs; models that do: {', '.join(sorted(able))}"
            )
        check_count("seed", seed, 0)
        warmth = self.model.temperature if temperature is None else temperature
        if wanted == "samples" and warmth == 0:
            raise ValueError("samples differ by temperature: it must be above 0, up to 1")
        return self.model
