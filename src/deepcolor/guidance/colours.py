"""Palettes and references from what people have: colours, pictures, histograms."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from deepcolor import images
from deepcolor.color import rgb_to_lab
from deepcolor.guidance.drawing import Color, chroma_of, unit
from deepcolor.quantize import AbQuantizer

__all__ = ["of_colors", "of_histogram", "of_picture", "reference_lab"]

SAMPLED = 256  # side of the picture that a palette is looked for in: nearest pixels, none mixed
LARGEST = 1024  # side of a reference: models look at 200 to 500 pixels of it
MOST = 256  # colours of a palette of a picture
MIDDLE = 128  # of 255, in place of an ab of 0


def of_colors(colors: Sequence[Color], weights: Sequence[float] | None) -> tuple[Tensor, Any]:
    """As `Palette.from_colors`: (1, N, 2) ab, and (1, N) weights or None."""
    if isinstance(colors, str):
        colors = [one for one in colors.split(",") if one.strip()]
    if not len(colors):
        raise ValueError("an empty palette: give at least one colour, as in ['#aa3344', 'teal']")
    ab = chroma_of(colors)[None]
    if weights is None:
        return ab, None
    if len(weights) != len(colors):
        raise ValueError(f"{len(colors)} colours need as many weights, got {len(weights)}")
    return ab, _shares(torch.tensor([list(weights)], dtype=torch.float32), "weights of a palette")


def of_picture(image: Any, n: int) -> tuple[Tensor, Tensor]:
    """As `Palette.from_picture`: (1, N, 2) ab, and (1, N) weights."""
    if not 1 <= n <= MOST:
        raise ValueError(f"a palette of a picture has 1 to {MOST} colours, got n = {n}")
    ab = _lab(image, SAMPLED, "nearest-exact")[0, 1:].flatten(1)  # (2, N)
    # Pillow clusters RGB; ab in place of red and green is clustered alone.
    levels = (ab + MIDDLE).round().clamp(0, 255).to(torch.uint8)
    stored = torch.stack([*levels, torch.zeros_like(levels[0])], dim=1)[None].numpy()
    found = Image.fromarray(np.ascontiguousarray(stored)).quantize(n, kmeans=1)
    which = torch.from_numpy(np.asarray(found)[0].astype(np.int64))
    count = torch.bincount(which, minlength=MOST).float()
    sums = torch.zeros(MOST, 2).index_add_(0, which, ab.T)
    there = count > 0
    order = count[there].argsort(descending=True)
    colours, shares = (sums[there] / count[there, None])[order], count[there][order] / count.sum()
    return colours[None], shares[None]


def of_histogram(histogram: Any, centres: Any) -> tuple[Tensor, Tensor]:
    """As `Palette.from_histogram`: (1, N, 2) ab, and (1, N) weights."""
    shares = torch.as_tensor(histogram, dtype=torch.float32).flatten()
    known = AbQuantizer.gamut313().centres if centres is None else torch.as_tensor(centres).float()
    if known.ndim != 2 or known.shape[1] != 2 or len(known) != len(shares):
        raise ValueError(
            f"a histogram of {len(shares)} bins needs their centres, (Q, 2) ab, got"
            f" {tuple(known.shape)}; without centres it is over the 313 bins of AbQuantizer"
        )
    whole = _shares(shares, "a histogram")
    used = whole > 0
    return known[used][None], whole[used][None]


def reference_lab(image: Any) -> tuple[Tensor, str]:
    """As `Reference.from_picture`: (1, 3, H, W) CIELAB, and the picture's name for messages."""
    picture = images.read_colours(image)
    return _lab(picture, LARGEST, "area"), picture.name


def _lab(image: Any, largest: int, mode: str) -> Tensor:
    """(1, 3, h, w) CIELAB of a picture, no side longer than asked."""
    picture = images.read_colours(image)
    if len(picture.pixels) != 1 or not picture.pixels.numel():
        raise images.ImageError(f"{picture.name} must be one picture, with pixels")
    size = picture.pixels.shape[-2:]
    scale = largest / max(size)
    pixels = picture.pixels
    if scale < 1:
        smaller = tuple(max(1, round(side * scale)) for side in size)
        top = {torch.uint8: 255, torch.uint16: 65535}.get(pixels.dtype, 1)
        pixels = F.interpolate(pixels.float() / top, size=smaller, mode=mode)
    return rgb_to_lab(unit(pixels))


def _shares(values: Tensor, what: str) -> Tensor:
    total = float(values.sum())
    if not (bool((values >= 0).all()) and math.isfinite(total) and total > 0):
        got = [round(value, 3) for value in values.flatten().tolist()[:8]]
        raise ValueError(f"{what} must be 0 or more each, and not all 0; got {got}")
    return values / total
