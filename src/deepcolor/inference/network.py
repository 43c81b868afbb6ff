"""The network's part: from luminance at any size to chroma on the network's own grid."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.color import join_lab
from deepcolor.gamut import clamp_to_gamut
from deepcolor.guidance import (
    Guidance,
    Hints,
    check_guidance,
    move_guidance,
    on_hints,
    resize_hints,
)
from deepcolor.models import Colorizer
from deepcolor.models.families import ClassificationColorizer
from deepcolor.upsample import upsample_chroma

__all__ = [
    "QUALITIES",
    "Frame",
    "Quality",
    "predict_ab",
    "predict_coarse",
    "predict_lab",
    "predict_logits",
    "quality_of",
    "working_size",
]

LONGEST = 8  # times the model's size: strips beyond 64:1 are squeezed rather than blown up


@dataclass(frozen=True)
class Quality:
    """What a name of quality means; benchmarks/images.py measures each.

    Attributes:
        scales: working sizes, as shares of the model's; chroma is averaged over them.
        flips: whether chroma is also averaged with that of the mirrored picture.
        edges: whether chroma follows the edges of the full-size luminance.
    """

    scales: tuple[float, ...]
    flips: bool
    edges: bool


QUALITIES = {
    "fast": Quality(scales=(0.75,), flips=False, edges=False),
    "balanced": Quality(scales=(1.0,), flips=False, edges=True),
    "best": Quality(scales=(1.0, 1.5), flips=True, edges=True),
}


def quality_of(name: str) -> Quality:
    """The quality of that name, or a ValueError that lists them."""
    if name not in QUALITIES:
        raise ValueError(f"no quality named {name!r}; there are: {', '.join(QUALITIES)}")
    return QUALITIES[name]


def working_size(height: int, width: int, size: float, grain: int) -> tuple[int, int]:
    """Sides of about size x size pixels in the picture's aspect, of whole squares of chroma."""
    scale = size / math.sqrt(height * width)
    sides = (min(round(side * scale / grain), LONGEST * size // grain) for side in (height, width))
    small = tuple(int(max(1, squares)) * grain for squares in sides)
    return small[0], small[1]


@dataclass(frozen=True)
class Frame:
    """How a picture lies in the network's input.

    Attributes:
        height: of the picture, in the input's pixels; what lies beyond is padding.
        width: likewise.
        mirrored: whether left and right are swapped.
    """

    height: int
    width: int
    mirrored: bool

    def positions(self, rows: int, columns: int, grain: int) -> Tensor:
        """Row and column of squares in the picture: (1, 2, rows, columns), its area being 1."""
        unit = math.sqrt(self.height * self.width)
        down = (torch.arange(rows) + 0.5) * grain / unit
        across = (torch.arange(columns) + 0.5) * grain / unit
        across = self.width / unit - across if self.mirrored else across
        return torch.stack(torch.meshgrid(down, across, indexing="ij"))[None]


Ask = Callable[[Colorizer, Tensor, Guidance | None, Frame], Tensor]


def _coarse(
    model: Colorizer,
    luminance: Tensor,
    guidance: Guidance | None,
    ask: Ask,
    flips: bool,
    mirror: bool = False,
) -> Tensor:
    """(B, 1, h, w) L of whole squares -> (B, C, h / grain, w / grain) answers, on any size."""
    height, width = luminance.shape[-2:]
    bottom, right = -height % model.stride, -width % model.stride

    def padded(image: Tensor) -> Tensor:
        return F.pad(image, (0, right, 0, bottom), mode="replicate")

    def mirrored(image: Tensor) -> Tensor:
        return image.flip(-1)

    fitted = _each(guidance, padded)
    ab = ask(model, padded(luminance), fitted, Frame(height, width, mirror)).float()
    ab = ab[..., : height // model.grain, : width // model.grain]
    if flips:
        other = _each(guidance, mirrored)
        answer = _coarse(model, mirrored(luminance), other, ask, flips=False, mirror=True)
        ab = (ab + mirrored(answer)) / 2
    return ab


def _each(guidance: Guidance | None, change: Callable[[Tensor], Tensor]) -> Guidance | None:
    """The same change for the ab and the mask of hints."""
    return on_hints(guidance, lambda hints: Hints(change(hints.ab), change(hints.mask)))


def predict_coarse(
    model: Colorizer,
    read: Callable[[tuple[int, int]], Tensor],
    full: tuple[int, int],
    size: int,
    quality: Quality,
    temperature: float | None,
    guidance: Guidance | None = None,
    ask: Ask | None = None,
) -> tuple[Tensor, Tensor]:
    """Chroma on the network's grid.

    Args:
        model: any colorizer.
        read: gives (B, 1, h, w) luminance at a size asked for.
        full: height and width of the picture.
        size: working size.
        quality: how much work to put in.
        temperature: of the annealed mean.
        guidance: for the model; hints at single pixels have the size of the picture.
        ask: what to ask the model instead of `coarse_ab`: gets the model, luminance of whole
            squares, guidance and the frame, gives (B, C, h, w).

    Returns:
        (B, 2, h, w) ab, or (B, C, h, w) answers, and (B, 1, h, w) L: means over the squares of a
        grid over the picture.
    """

    def plainly(model: Colorizer, small: Tensor, told: Guidance | None, _: Frame) -> Tensor:
        return model.coarse_ab(small, told, temperature)

    answers = []
    for scale in sorted(quality.scales):
        small = working_size(*full, size * scale, model.grain)
        luminance = read(small)
        check_guidance(guidance, luminance.new_empty(()).expand(len(luminance), 1, *full))
        fitted = on_hints(guidance, partial(resize_hints, size=small))
        fitted = move_guidance(fitted, luminance.device)
        answers.append(_coarse(model, luminance, fitted, ask or plainly, quality.flips))
    finest = answers[-1].shape[-2:]
    ab = torch.stack([_resized(answer, finest) for answer in answers]).mean(dim=0)
    return ab, F.avg_pool2d(luminance, model.grain)


def _resized(image: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    if image.shape[-2:] == tuple(size):
        return image
    return F.interpolate(image, size=size, mode="bicubic", align_corners=False, antialias=True)


@torch.inference_mode()
def predict_ab(
    model: Colorizer,
    luminance: Tensor,
    size: int | None = None,
    *,
    quality: str = "balanced",
    temperature: float | None = None,
    guidance: Guidance | None = None,
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
    full = (luminance.shape[-2], luminance.shape[-1])

    def read(small: tuple[int, int]) -> Tensor:
        return _resized(luminance, small).clamp(0, 100)

    work = quality_of(quality)
    ab, means = predict_coarse(model, read, full, size or model.size, work, temperature, guidance)
    return upsample_chroma(ab, luminance, work.edges, means)


@torch.inference_mode()
def predict_lab(
    model: Colorizer,
    luminance: Tensor,
    size: int | None = None,
    *,
    quality: str = "balanced",
    temperature: float | None = None,
    guidance: Guidance | None = None,
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
    """Logits over the ab bins, those that `predict_ab` decodes at quality "balanced".

    Args:
        model: on the device of the luminance.
        luminance: (B, 1, H, W) L in [0, 100].
        size: side that the network works at; the model's own when None.

    Returns:
        (B, Q, h, w), on the grid of `coarse_ab` over the whole picture.
    """
    height, width = luminance.shape[-2:]
    height, width = working_size(height, width, size or model.size, model.grain)
    small = _resized(luminance, (height, width)).clamp(0, 100)
    fill = (0, -width % model.stride, 0, -height % model.stride)
    logits = model.coarse_logits(F.pad(small, fill, mode="replicate")).float()
    return logits[..., : height // model.grain, : width // model.grain]
