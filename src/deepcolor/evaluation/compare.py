"""Models side by side on the same photographs, the most disputed first."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as T

from deepcolor.color import rgb_to_lab, unit_rgb
from deepcolor.evaluation.colouring import (
    Progress,
    coloured_by,
    refuse_reserved,
    tinted,
    try_out,
)
from deepcolor.evaluation.photos import Photograph, read_rgb
from deepcolor.evaluation.protocol import Preparation
from deepcolor.evaluation.run import GREY_PHOTO
from deepcolor.inference import Options, Predictor
from deepcolor.metrics import ciede2000, colourfulness, grey_share, psnr

__all__ = ["SHORT_SIDE", "Comparison", "Row", "RowPicture", "compare"]

SHORT_SIDE = 512  # pixels; larger photographs are shrunk to it, so that pages stay small
THUMBNAIL = 360  # pixels, of the longer side
THUMBNAIL_QUALITY = 88  # of JPEG, with chroma at full size: it is what is looked at


@dataclass(frozen=True)
class RowPicture:
    """One picture of a row.

    Attributes:
        title: grey, a model's name, or truth.
        jpeg: a thumbnail.
        figures: psnr and ciede2000 against the truth, where there is one; colourfulness.
    """

    title: str
    jpeg: bytes
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """A photograph: grey, by each model, and the truth if it has colour of its own.

    Attributes:
        name: of the photograph.
        pictures: grey first.
        disagreement: mean CIEDE2000 between the models; of one model, from the truth; of one
            model on a grey photograph, from grey.
    """

    name: str
    pictures: tuple[RowPicture, ...]
    disagreement: float


@dataclass
class Comparison:
    """Rows, the most disputed first.

    Attributes:
        models: in the order of the pictures.
        rows: the photographs.
        problems: photographs that are in no row: name, and why.
        options: how they were coloured.
    """

    models: list[str]
    rows: list[Row]
    options: Options
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        """Of the columns; truth is one if any photograph has colour of its own."""
        known = any(row.pictures[-1].title == "truth" for row in self.rows)
        return ["grey", *self.models, *["truth"] * known]

    @property
    def meaning(self) -> str:
        """What disagreement is, in words."""
        if len(self.models) > 1:
            return "mean CIEDE2000 between the models"
        return "CIEDE2000 from the truth, or from grey where there is none"

    def means(self) -> dict[str, dict[str, float]]:
        """Title -> mean of each figure over the pictures that have it."""
        table: dict[str, dict[str, float]] = {}
        for title in self.titles:
            figures = [p.figures for row in self.rows for p in row.pictures if p.title == title]
            keys = dict.fromkeys(key for one in figures for key in one)
            table[title] = {key: fmean(one[key] for one in figures if key in one) for key in keys}
        return table


def compare(
    photos: Sequence[Photograph],
    models: Mapping[str, Predictor],
    *,
    crop: str = "none",
    short_side: int = SHORT_SIDE,
    options: Options | None = None,
    progress: Progress = iter,
) -> Comparison:
    """Colour photographs by each model, keep thumbnails, and sort by disagreement.

    Args:
        photos: from `find_photographs`; grey ones have no truth and few figures.
        models: title -> predictor, one at least.
        crop: none or centre.
        short_side: in pixels; larger photographs are shrunk to it, smaller ones left as they are.
        options: how to colour.
        progress: wraps the photographs.

    Raises:
        ValueError: without a model; if no photograph can be read.
        TypeError: for a temperature with a model that has none.
    """
    if not models:
        raise ValueError("there is no model to compare")
    refuse_reserved(models)
    options = options or Options()
    own, shrunk = Preparation(crop), Preparation(crop, short_side)
    colours = {name: coloured_by(predictor, options) for name, predictor in models.items()}
    for colour in colours.values():
        try_out(colour)
    done = Comparison(list(models), [], options)
    for photo in progress(photos):
        try:
            rgb = read_rgb(photo.read(), photo.name)
            rgb = (shrunk if min(rgb.shape[-2:]) > short_side else own)(rgb)
            done.rows.append(_row(photo.name, rgb, colours))
        except (ValueError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            said = reason if photo.name in reason else f"{photo.name}: {reason}"
            done.problems.append((photo.name, said))
    if not done.rows:
        said = done.problems[0][1] if done.problems else "there is none"
        raise ValueError(f"none of the {len(photos)} photographs can be compared: {said}")
    done.rows.sort(key=lambda row: -row.disagreement)
    return done


def _row(name: str, rgb: Tensor, colours: Mapping[str, Callable[[Tensor], Tensor]]) -> Row:
    has_colour = float(grey_share(unit_rgb(rgb)[None])) < GREY_PHOTO
    truth = rgb if has_colour else None
    grey = tinted(torch.zeros(2))(rgb)
    results = {title: colour(rgb).cpu() for title, colour in colours.items()}
    shown = {"grey": grey, **results} | ({} if truth is None else {"truth": truth})
    if len(results) > 1:
        apart = fmean(_distance(one, other) for one, other in combinations(results.values(), 2))
    else:
        (only,) = results.values()
        apart = _distance(only, grey if truth is None else truth)
    pictures = (RowPicture(t, _thumbnail(p), _figures(t, p, truth)) for t, p in shown.items())
    return Row(name, tuple(pictures), apart)


def _figures(title: str, rgb: Tensor, truth: Tensor | None) -> dict[str, float]:
    figures = {}
    if truth is not None and title != "truth":
        figures["psnr"] = float(psnr(unit_rgb(rgb)[None], unit_rgb(truth)[None]))
        figures["ciede2000"] = _distance(rgb, truth)
    return {**figures, "colourfulness": float(colourfulness(unit_rgb(rgb)[None]))}


def _distance(one: Tensor, other: Tensor) -> float:
    """Mean CIEDE2000 of two (3, H, W) uint8 pictures."""
    return float(ciede2000(rgb_to_lab(unit_rgb(one)), rgb_to_lab(unit_rgb(other))).mean())


def _thumbnail(rgb: Tensor) -> bytes:
    image = T.to_pil_image(rgb)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=THUMBNAIL_QUALITY, subsampling=0)
    return file.getvalue()
