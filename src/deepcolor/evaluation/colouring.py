"""What gives photographs their colour: models, and the baselines that bind them."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab, unit_rgb
from deepcolor.evaluation.photos import Photograph, evenly, read_rgb
from deepcolor.gamut import clamp_to_gamut
from deepcolor.inference import Options, Predictor

__all__ = [
    "Colour",
    "Progress",
    "coloured_by",
    "mean_ab",
    "refuse_reserved",
    "tinted",
    "try_out",
]

TINT_PHOTOS = 2000  # that the mean is taken of, at most
TRIAL = (48, 64)  # height and width of a picture that each model must manage before any work

Colour = Callable[[Tensor], Tensor]  # (3, H, W) uint8 -> (3, H, W) uint8
Progress = Callable[[Iterable[Photograph]], Iterable[Photograph]]


def mean_ab(
    photos: Sequence[Photograph], count: int = TINT_PHOTOS, progress: Progress = iter
) -> Tensor:
    """Mean chroma of at most `count` photographs, evenly taken: (2,), in CIELAB units.

    Each photograph counts alike, whatever its size; what cannot be read is left out.

    Raises:
        ValueError: if none can be read.
    """
    means = []
    for photo in progress(evenly(photos, count)):
        try:
            rgb = read_rgb(photo.read(), photo.name)
        except (ValueError, OSError):
            continue
        means.append(split_lab(rgb_to_lab(unit_rgb(rgb)))[1].mean(dim=(1, 2)))
    if not means:
        raise ValueError("none of the photographs to fit the tint on can be read")
    return torch.stack(means).mean(dim=0)


def tinted(ab: Tensor) -> Colour:
    """A colorizer that gives all pixels the same (2,) ab, as far as sRGB allows."""

    def colour(rgb: Tensor) -> Tensor:
        luminance, _ = split_lab(rgb_to_lab(unit_rgb(rgb)))
        lab = join_lab(luminance, ab[:, None, None].expand(-1, *luminance.shape[1:]))
        return (255 * lab_to_rgb(clamp_to_gamut(lab))).round().clamp(0, 255).to(torch.uint8)

    return colour


def refuse_reserved(models: Iterable[str]) -> None:
    """Refuse models that are named as a row or a column is that is always there."""
    taken = sorted({"grey", "tint", "truth"} & set(models))
    if taken:
        raise ValueError(f"{', '.join(taken)} names a row of its own; rename the model")


def try_out(colour: Colour) -> None:
    """Let what a model refuses show before any work, such as a temperature it has no use for."""
    colour(torch.zeros(3, *TRIAL, dtype=torch.uint8))


def coloured_by(predictor: Predictor, options: Options) -> Colour:
    """What a predictor's public call makes of a picture with those options."""

    def colour(rgb: Tensor) -> Tensor:
        result: Tensor = predictor.run(rgb, None, options)
        return result

    return colour
