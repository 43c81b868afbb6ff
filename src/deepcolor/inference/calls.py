"""One call for one picture: the model stays in memory for the next."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

from deepcolor import images
from deepcolor.inference.lists import OnError
from deepcolor.inference.options import Options, QualityName
from deepcolor.inference.painter import AnyGuidance
from deepcolor.inference.predictor import Numbers, OnePicture, Predictor
from deepcolor.models import Colorizer
from deepcolor.weights import DEFAULT

__all__ = ["colorize", "suggest_hints"]


@lru_cache(maxsize=2)
def _predictor(model: str, device: str, changed: int) -> Predictor:
    """Keep the last models used; `changed` tells a weights file from its newer version."""
    return Predictor(model, device)


def held(model: str | Path | Colorizer, device: str) -> Predictor:
    """A predictor of that model: the one of the last call, if it is still the same."""
    if isinstance(model, Colorizer):
        return Predictor(model, device)
    file = Path(model)
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    return _predictor(str(model), device, changed)


@overload
def colorize(
    image: OnePicture, model: str | Path | Colorizer = DEFAULT,
    device: str = "auto", *, guidance: AnyGuidance = None, saturation: float = 1.0,
    temperature: float | None = None, size: int | None = None, quality: QualityName = "balanced",
    max_pixels: int | None = images.MAX_PIXELS, strip_location: bool = False, borders: bool = True,
) -> images.ColorizedImage: ...  # fmt: skip


@overload
def colorize(
    image: Numbers, model: str | Path | Colorizer = DEFAULT,
    device: str = "auto", *, guidance: AnyGuidance = None, saturation: float = 1.0,
    temperature: float | None = None, size: int | None = None, quality: QualityName = "balanced",
    max_pixels: int | None = images.MAX_PIXELS, strip_location: bool = False, borders: bool = True,
) -> Numbers: ...  # fmt: skip


@overload
def colorize(
    image: list[Any] | tuple[Any, ...], model: str | Path | Colorizer = DEFAULT,
    device: str = "auto", *, guidance: Sequence[AnyGuidance] | None = None, saturation: float = 1.0,
    temperature: float | None = None, size: int | None = None, quality: QualityName = "balanced",
    max_pixels: int | None = images.MAX_PIXELS, strip_location: bool = False, borders: bool = True,
    on_error: OnError = "raise",
) -> list[Any]: ...  # fmt: skip


def colorize(
    image: Any,
    model: str | Path | Colorizer = DEFAULT,
    device: str = "auto",
    *,
    guidance: AnyGuidance | Sequence[AnyGuidance] = None,
    saturation: float = 1.0,
    temperature: float | None = None,
    size: int | None = None,
    quality: QualityName = "balanced",
    max_pixels: int | None = images.MAX_PIXELS,
    strip_location: bool = False,
    borders: bool = True,
    on_error: OnError = "raise",
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
        strip_location: leave out of what a result says when it is saved where the photograph was
            taken: GPS, maker notes and XMP. Without it a result says all that the photograph said.
        borders: leave uniform borders, mounts, album pages and flat grey cards without colour; not
            where hints give it to them. False colours them as the network says.
        on_error: what to do if a picture of a list cannot be read: "raise", or "skip" it, with None
            in its place and a warning. A single picture raises in any case.

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
    options = Options(
        quality=quality, size=size, temperature=temperature, saturation=saturation,
        borders=borders,
    )  # fmt: skip
    return held(model, device).run(
        image, guidance, options, max_pixels=max_pixels, strip_location=strip_location,
        on_error=on_error,
    )  # fmt: skip


def suggest_hints(
    image: Any,
    n: int,
    model: str | Path | Colorizer = DEFAULT,
    device: str = "auto",
    *,
    guidance: AnyGuidance = None,
    max_pixels: int | None = images.MAX_PIXELS,
) -> list[tuple[int, int]]:
    """Find the pixels whose true colours would correct a colouring most.

    Each point is the one that lowers the expected squared error of ab, summed over the picture,
    most, once the points before it are known: a place of unsure colour that many unsure places are
    like. What is sure already, such as a grey wall, is not asked about.

    Args:
        image: one picture, of any kind that `colorize` takes.
        n: number of points, at least 1.
        model: a name of `list_checkpoints()`, a .safetensors file, or a model in memory; one that
            predicts distributions. Models that learned to take hints know better what is alike.
        device: "auto", "cpu", "cuda" or "mps".
        guidance: hints given already, of the size of the picture.
        max_pixels: refuse larger pictures; None for no limit.

    Returns:
        Row and column of n distinct pixels of the picture as it is shown, the most useful first.

    Raises:
        ImageError: if the picture cannot be used, or a batch of several was given.
        TypeError: for a model that predicts no distribution; the message lists models that do.
        ValueError: for n below 1, or above what the network tells apart; for hints that do not fit.

    Example:
        >>> suggest_hints("old.jpg", 3)  # doctest: +SKIP
        [(212, 340), (71, 92), (480, 121)]
    """
    return held(model, device).suggest(image, n, guidance, max_pixels=max_pixels)
