"""Palettes for models that take none: a changed distribution, or hints.

A model that says how likely each bin of ab is has its likelihoods multiplied by how near the bin is
to the palette's colours. A model that takes hints alone runs twice: what it says first, place by
place, is brought to the nearest colour of the palette, and given back to it as hints.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import Guidance, Hints, Palette
from deepcolor.models import ClassificationColorizer, Colorizer, list_models

__all__ = ["bends", "check_palette", "hints_of_palette", "needs_hints", "told_by_hints"]

PLACES = 16  # hints along the longer side of the grid


def bends(model: Colorizer) -> bool:
    """Whether a palette changes the distribution that a model predicts."""
    return "palette" not in model.accepts and isinstance(model, ClassificationColorizer)


def needs_hints(model: Colorizer) -> bool:
    """Whether a model is to be told a palette by hints: it colours without, and takes them."""
    able = "hints" in model.accepts and "hints" not in model.needs
    return "palette" not in model.accepts and not bends(model) and able


def check_palette(model: Colorizer) -> None:
    """Refuse models that can be told no palette.

    Raises:
        TypeError: names those that can.
    """
    if "palette" in model.accepts or bends(model) or needs_hints(model):
        return
    raise TypeError(
        f"{type(model).__name__} takes no palette; models that do predict distributions, as lite,"
        f" or take hints: {', '.join(list_models(guidance='hints'))}"
    )


def hints_of_palette(
    palette: Palette, ab: Tensor, full: tuple[int, int], given: Hints | None
) -> Hints:
    """What a palette says of places, once a model has said what it thinks of them.

    Args:
        palette: for the batch, or one for all of it. Its strength is how far colours go from what
            was predicted to the nearest of it, up to 1.
        ab: (B, 2, h, w), as predicted without the palette, in CIELAB units.
        full: height and width of the hints.
        given: hints of a person, of that size; they win.

    Returns:
        Hints of (B, 2, *full) ab, at single pixels.
    """
    share = PLACES / max(ab.shape[-2:])
    rows, columns = (min(side, max(1, round(side * share))) for side in ab.shape[-2:])
    rows, columns = min(rows, full[0]), min(columns, full[1])
    coarse = F.adaptive_avg_pool2d(ab.float(), (rows, columns))
    colours = palette.ab.to(ab.device).float().expand(len(ab), -1, -1)
    flat = coarse.flatten(2).mT  # (B, N, 2)
    nearest = torch.cdist(flat, colours).argmin(dim=2)
    wanted = torch.gather(colours, 1, nearest[..., None].expand(-1, -1, 2)).mT.view_as(coarse)
    told = torch.lerp(coarse, wanted, min(1.0, palette.strength))
    down = (2 * torch.arange(rows) + 1) * full[0] // (2 * rows)
    across = (2 * torch.arange(columns) + 1) * full[1] // (2 * columns)
    at_row, at_column = torch.meshgrid(down, across, indexing="ij")
    every, mask = ab.new_zeros(len(ab), 2, *full), ab.new_zeros(len(ab), 1, *full)
    every[..., at_row, at_column], mask[..., at_row, at_column] = told.to(ab.dtype), 1.0
    hints = Hints(every, mask)
    return hints if given is None else given.to(ab.device).over(hints)


def told_by_hints(guidance: Guidance, ab: Tensor, full: tuple[int, int]) -> Guidance:
    """The same guidance with its palette said by hints, from what was predicted without it."""
    assert guidance.palette is not None
    hints = hints_of_palette(guidance.palette, ab, full, guidance.hints)
    return replace(guidance, palette=None, hints=hints)
