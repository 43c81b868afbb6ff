"""The network's part: from luminance at any size to a prediction on the network's own grid."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.color import join_lab
from deepcolor.gamut import clamp_to_gamut
from deepcolor.guidance import Guidance, Hints, Kind
from deepcolor.inference.options import QUALITIES, Options, Quality
from deepcolor.inference.palettes import bends, check_palette, told_by_hints
from deepcolor.inference.reference import takes_as_hints, with_reference_as_hints
from deepcolor.models import ClassificationColorizer, Colorizer
from deepcolor.models.combined import AveragedPrediction, MirroredPrediction, resized
from deepcolor.models.lite import Lite
from deepcolor.models.prediction import BinPrediction, Prediction
from deepcolor.upsample import upsample_chroma

__all__ = [
    "check_guidance",
    "predict_ab",
    "predict_grid",
    "predict_lab",
    "predict_logits",
    "working_size",
]

LONGEST = 8  # times the model's size: strips beyond 64:1 are squeezed rather than blown up


def working_size(height: int, width: int, size: float, grain: int) -> tuple[int, int]:
    """Sides of about size x size pixels in the picture's aspect, of whole squares of chroma."""
    scale = size / math.sqrt(height * width)
    sides = (min(round(side * scale / grain), LONGEST * size // grain) for side in (height, width))
    small = tuple(int(max(1, squares)) * grain for squares in sides)
    return small[0], small[1]


def working_sides(model: Colorizer, full: tuple[int, int], size: float) -> tuple[int, int]:
    """As `working_size`; pictures that are small enough as they are stay so, if the model says."""
    if not model.enlarges and math.prod(full) <= size**2:
        return full[0] + -full[0] % model.grain, full[1] + -full[1] % model.grain
    return working_size(*full, size, model.grain)


def check_guidance(model: Colorizer, guidance: Guidance) -> None:
    """Refuse, before any work, what a model can be told in no way, by itself or as hints.

    Args:
        model: any colorizer.
        guidance: of which only the kinds are looked at.

    Raises:
        TypeError, ValueError: for kinds that it does not take, and for want of those it needs.
    """
    if guidance.palette is not None:
        check_palette(model)
        guidance = replace(guidance, palette=None)
    if takes_as_hints(model, guidance):
        none = Hints(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, 1))
        guidance = replace(guidance, reference=None, hints=guidance.hints or none)
    model.check_kinds(guidance)


def predict_grid(
    model: Colorizer,
    read: Callable[[tuple[int, int]], Tensor],
    full: tuple[int, int],
    size: int,
    quality: Quality,
    guidance: Guidance | Kind | None = None,
    memory: tuple[Any, ...] | None = None,
) -> Prediction:
    """What a model says about pictures of any size.

    Args:
        model: any colorizer.
        read: gives (B, 1, h, w) luminance at a size asked for.
        full: height and width of the pictures.
        size: working size.
        quality: how much work to put in.
        guidance: of kinds that the model takes; hints have the size of the pictures. Models that
            take hints are given a reference by hints, models that predict distributions a palette
            by these, other models that take hints a palette by hints.
        memory: of the frame before, from its prediction by this function.

    Returns:
        The prediction on a grid over the pictures; with several scales or mirrored, the mean. Its
        memory holds one of each pass of the network, in order; None for models without.
    """
    given = Guidance.of(guidance)
    if takes_as_hints(model, given):
        given.check_values()
        luminance = read(working_size(*full, Lite.size, Lite.stride))
        given.check(luminance.new_empty(()).expand(len(luminance), 1, *full))
        given = with_reference_as_hints(given, luminance, full)
    palette = given.palette
    if palette is not None:
        check_palette(model)
        given.check_values()
        if bends(model):
            given = replace(given, palette=None)
        elif "palette" not in model.accepts:
            plain = replace(given, palette=None)
            first = predict_grid(model, read, full, size, QUALITIES["fast"], plain)
            given = told_by_hints(given, first.ab(), full)
    bent = palette if bends(model) else None
    given = model.check_kinds(given)
    given.check_values()
    parts = []
    left = deque(memory or ())  # memories of the passes to come
    kept: list[Any] = []

    def run(luminance: Tensor, own: Guidance) -> Prediction:
        prediction = _of_whole_squares(model, luminance, own, left.popleft() if left else None)
        if bent is not None:
            assert isinstance(prediction, BinPrediction)  # what classifiers say
            prediction = prediction.with_palette(bent)
        kept.append(prediction.memory)
        return prediction

    for sides in sorted({working_sides(model, full, size * scale) for scale in quality.scales}):
        luminance = read(sides)
        given.check(luminance.new_empty(()).expand(len(luminance), 1, *full))
        parts.append(run(luminance, given))
        if quality.flips:
            other = run(luminance.flip(-1), given.mirrored())
            parts[-1] = AveragedPrediction.of([parts[-1], MirroredPrediction.of(other)])
    whole = AveragedPrediction.of(parts)
    remembered = None if kept[0] is None else tuple(kept)
    hints = whole.hints or given.hints
    return replace(whole, picture_size=full, hints=hints, memory=remembered)


def _of_whole_squares(
    model: Colorizer, luminance: Tensor, guidance: Guidance, memory: Any = None
) -> Prediction:
    """Of (B, 1, h, w) L on any multiple of the grain; hints may be of another size."""
    height, width = luminance.shape[-2:]
    bottom, right = -height % model.stride, -width % model.stride
    hints = guidance.hints if model.spreads_hints else None
    early = replace(guidance, hints=None) if model.spreads_hints else guidance
    early = early.resized((height, width)).padded(bottom, right).to(luminance.device)
    padded = F.pad(luminance, (0, right, 0, bottom), mode="replicate")
    prediction = model.predict(padded, early, memory)
    prediction = prediction.cropped(height // model.grain, width // model.grain)
    return prediction if hints is None else prediction.with_hints(hints)


@torch.inference_mode()
def predict_ab(
    model: Colorizer,
    luminance: Tensor,
    size: int | None = None,
    *,
    quality: str = "balanced",
    temperature: float | None = None,
    guidance: Guidance | Kind | None = None,
) -> Tensor:
    """Chroma at the size of the luminance, whatever that size is.

    Args:
        model: any colorizer, on the device of the luminance.
        luminance: (B, 1, H, W) L in [0, 100].
        size: side that the network works at; the model's own when None.
        quality: a name in QUALITIES.
        temperature: of the annealed mean; the model's own when None.
        guidance: of a kind that the model accepts; Hints have the size of the luminance, and
            none is lost on the way to the size that the network works at.

    Returns:
        (B, 2, H, W) ab, in CIELAB units; may leave the sRGB gamut.
    """
    options = Options(quality=quality, size=size, temperature=temperature)
    full = (luminance.shape[-2], luminance.shape[-1])

    def read(small: tuple[int, int]) -> Tensor:
        return resized(luminance, small).clamp(0, 100)

    prediction = predict_grid(model, read, full, size or model.size, options.work, guidance)
    ab = prediction.ab(temperature)
    return upsample_chroma(ab, luminance, options.work.edges, prediction.luminance)


@torch.inference_mode()
def predict_lab(
    model: Colorizer,
    luminance: Tensor,
    size: int | None = None,
    *,
    quality: str = "balanced",
    temperature: float | None = None,
    guidance: Guidance | Kind | None = None,
) -> Tensor:
    """CIELAB with the luminance given and predicted chroma, all of it displayable.

    Args:
        model: any colorizer, on the device of the luminance.
        luminance: (B, 1, H, W) L in [0, 100].
        size: side that the network works at; the model's own when None.
        quality: a name in QUALITIES.
        temperature: of the annealed mean; the model's own when None.
        guidance: of a kind that the model accepts; Hints have the size of the luminance, and
            none is lost on the way to the size that the network works at.

    Returns:
        (B, 3, H, W), within the sRGB gamut, L unchanged.
    """
    ab = predict_ab(
        model, luminance, size, quality=quality, temperature=temperature, guidance=guidance
    )
    return clamp_to_gamut(join_lab(luminance, ab))


@torch.inference_mode()
def predict_logits(
    model: ClassificationColorizer, luminance: Tensor, size: int | None = None
) -> Tensor:
    """Logits over the ab bins, as `predict_ab` decodes them at quality "balanced".

    Args:
        model: on the device of the luminance.
        luminance: (B, 1, H, W) L in [0, 100].
        size: side that the network works at; the model's own when None.

    Returns:
        (B, Q, h, w), on the network's own grid over the whole picture.
    """
    full = (luminance.shape[-2], luminance.shape[-1])

    def read(small: tuple[int, int]) -> Tensor:
        return resized(luminance, small).clamp(0, 100)

    plain = Options().work
    prediction = predict_grid(model, read, full, size or model.size, plain)
    assert isinstance(prediction, BinPrediction)  # one scale, of a classifier
    return prediction.output.float()
