"""One pass over the photographs: each is coloured by every model, then measured."""

import hashlib
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab, unit_rgb
from deepcolor.evaluation.measures import (
    DEFAULT_METRICS,
    Judges,
    Sample,
    Scores,
    check_metrics,
    with_shares,
)
from deepcolor.evaluation.photos import Photograph, evenly, imagenet_class, read_rgb
from deepcolor.evaluation.protocol import Preparation, Protocol
from deepcolor.gamut import clamp_to_gamut
from deepcolor.inference import Predictor, predict_logits
from deepcolor.metrics import grey_share
from deepcolor.models.families import ClassificationColorizer

__all__ = ["Colouring", "Evaluation", "evaluate", "mean_ab", "tinted"]

TINT_PHOTOS = 2000  # that the mean is taken of, at most
GREY_PHOTO = 0.999  # share of grey pixels from which a photograph counts as grey
TRIAL = (48, 64)  # a picture that each model must manage before any work
LISTED = 5  # names in a note
PACKAGES = ("deepcolor-lightning", "torch", "torchmetrics", "torchvision", "pillow", "kornia")

Colour = Callable[[Tensor], Tensor]  # (3, H, W) uint8 -> (3, H, W) uint8
Progress = Callable[[Iterable[Photograph]], Iterable[Photograph]]


@dataclass(frozen=True)
class Colouring:
    """How the models colour; as the arguments of `deepcolor.colorize`, the same for all."""

    temperature: float | None = None
    size: int | None = None
    quality: str = "balanced"
    saturation: float = 1.0


@dataclass
class Evaluation:
    """Figures of models on photographs.

    Attributes:
        protocol: which photographs, how prepared.
        colouring: how they were coloured.
        rows: name -> column -> figure: grey, a tint if asked for, the models.
        truth: what there is to measure on the photographs themselves.
        tint: (a, b) of the tint, in CIELAB units.
        problems: photographs that were left out of all rows: name, and why.
        notes: what a reader should know.
        seconds: name -> mean seconds to colour a photograph.
        device: where.
        versions: of the packages that figures may depend on.
    """

    protocol: Protocol
    colouring: Colouring
    rows: dict[str, dict[str, float]]
    truth: dict[str, float]
    tint: tuple[float, float] | None
    problems: list[tuple[str, str]]
    notes: list[str]
    seconds: dict[str, float]
    device: str
    versions: dict[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """All of it, for a file of results."""
        return {
            "protocol": self.protocol.record(),
            "colouring": asdict(self.colouring),
            "tint": self.tint,
            "rows": self.rows,
            "truth": self.truth,
            "seconds_per_photograph": self.seconds,
            "device": self.device,
            "versions": self.versions,
            "notes": self.notes,
            "failed": [{"name": name, "error": error} for name, error in self.problems],
        }


def evaluate(
    photos: Sequence[Photograph],
    models: Mapping[str, Predictor],
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    preparation: Preparation | None = None,
    colouring: Colouring | None = None,
    tint: Tensor | None = None,
    extractor: str = "inception",
    progress: Progress = iter,
) -> Evaluation:
    """Measure models on photographs, one photograph in memory at a time.

    A photograph that cannot be read, or that one model fails on, counts in no row.

    Args:
        photos: from `find_photographs`.
        models: name of the row -> predictor.
        metrics: of METRICS.
        preparation: of the photographs; None leaves them as they are.
        colouring: how to colour.
        tint: (2,) ab of a row of pictures that have it everywhere; None for no such row.
        extractor: of FID.
        progress: wraps the photographs, to show how far it is.

    Raises:
        ValueError: for unknown metrics; if no photograph can be measured, or all of them are grey;
            for FID on a single photograph.
        TypeError: for a temperature with a model that has none.
        OSError: if a network that a metric asks cannot be loaded; says how to get it.
    """
    names = check_metrics(metrics)
    preparation, colouring = preparation or Preparation(), colouring or Colouring()
    few = [name for name in names if "fid" in name]
    if few and len(photos) < 2:
        raise ValueError(f"{' and '.join(few)} compare sets: give at least two photographs")
    device = _metrics_device(models.values())
    judges = Judges(extractor, device)
    judges.load(names)
    colours = _rows(models, colouring, tint)
    for name in models:
        colours[name](torch.zeros(3, *TRIAL, dtype=torch.uint8))
    scores = {name: Scores(names, judges, _quantizer(models.get(name))) for name in colours}
    true_scores = Scores(names, judges, truth=True)
    seconds = dict.fromkeys(models, 0.0)
    measured: list[tuple[str, str]] = []
    problems: list[tuple[str, str]] = []
    grey: list[str] = []
    labels = _labels(photos) if "recognisability" in names else None
    for photo in progress(photos):
        try:
            data = photo.read()
            rgb = preparation(read_rgb(data, photo.name))
            samples = {}
            truth = unit_rgb(rgb)[None].to(device)
            luminance, ab = split_lab(rgb_to_lab(truth))
            for name, colour in colours.items():
                start = time.perf_counter()
                coloured = colour(rgb)
                if name in seconds:
                    seconds[name] += time.perf_counter() - start
                logits = None
                if "bins" in names and _quantizer(models.get(name)) is not None:
                    logits = _logits(models[name], luminance, colouring).to(device)
                samples[name] = Sample(unit_rgb(coloured)[None].to(device), truth, ab, logits)
        except (ValueError, OSError, RuntimeError) as error:
            # A damaged file, or one that a model fails on, must not stop the rest.
            reason = " ".join(str(error).split()) or type(error).__name__
            said = reason if photo.name in reason else f"{photo.name}: {reason}"
            problems.append((photo.name, said))
            continue
        if "recognisability" in names:
            known = None if labels is None else torch.tensor([labels[photo.name]], device=device)
            classes = judges.classifier(truth).argmax(dim=1) if known is None else known
            samples = {
                name: Sample(s.rgb, s.truth, s.ab, s.logits, classes) for name, s in samples.items()
            }
            true_scores.update(Sample(truth, truth, ab, None, classes))
        else:
            true_scores.update(Sample(truth, truth, ab))
        for name, sample in samples.items():
            scores[name].update(sample)
        measured.append((photo.name, hashlib.sha256(data).hexdigest()))
        if float(grey_share(truth)) >= GREY_PHOTO:
            grey.append(photo.name)
    _check_measured(measured, problems, grey, few)
    true_figures = true_scores.compute()
    rows = {name: with_shares(s.compute(), true_figures) for name, s in scores.items()}
    return Evaluation(
        Protocol(tuple(sorted(measured)), preparation),
        colouring,
        rows,
        with_shares({k: v for k, v in true_figures.items() if k != "grey_pixels"}, true_figures),
        None if tint is None else (float(tint[0]), float(tint[1])),
        problems,
        _notes(names, grey, len(measured), labels is not None),
        {name: total / len(measured) for name, total in seconds.items()},
        str(device),
        {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    )


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


def _rows(
    models: Mapping[str, Predictor], colouring: Colouring, tint: Tensor | None
) -> dict[str, Colour]:
    taken = {"grey", "tint", "truth"} & set(models)
    if taken:
        raise ValueError(f"{', '.join(taken)} names a row of its own; rename the model")
    rows: dict[str, Colour] = {"grey": tinted(torch.zeros(2))}
    if tint is not None:
        rows["tint"] = tinted(tint)
    return rows | {name: _coloured_by(predictor, colouring) for name, predictor in models.items()}


def _coloured_by(predictor: Predictor, colouring: Colouring) -> Colour:
    def colour(rgb: Tensor) -> Tensor:
        result: Tensor = predictor(
            rgb, saturation=colouring.saturation, temperature=colouring.temperature,
            size=colouring.size, quality=colouring.quality,
        )  # fmt: skip
        return result

    return colour


def _quantizer(predictor: Predictor | None) -> Any:
    """The codebook of a model that has logits; None of others, and of a row without a model."""
    model = None if predictor is None else predictor.model
    return model.quantizer if isinstance(model, ClassificationColorizer) else None


def _logits(predictor: Predictor, luminance: Tensor, colouring: Colouring) -> Tensor:
    model = predictor.model
    assert isinstance(model, ClassificationColorizer)  # it has a quantizer
    size = colouring.size or predictor.size
    return predict_logits(model, luminance.to(predictor.device), size)


def _metrics_device(predictors: Iterable[Predictor]) -> torch.device:
    """CUDA where the models are; else the CPU: Apple's GPUs have no float64."""
    for predictor in predictors:
        if predictor.device.type == "cuda":
            return predictor.device
    return torch.device("cpu")


def _labels(photos: Sequence[Photograph]) -> dict[str, int] | None:
    """ImageNet classes, if each photograph's folder is named after one."""
    found = {}
    for photo in photos:
        number = imagenet_class(photo.name)
        if number is None:
            return None
        found[photo.name] = number
    return found


def _check_measured(
    measured: Sequence[tuple[str, str]],
    problems: Sequence[tuple[str, str]],
    grey: Sequence[str],
    few: Sequence[str],
) -> None:
    if not measured:
        said = problems[0][1] if problems else "there is none"
        raise ValueError(f"none of the {len(problems)} photographs can be measured: {said}")
    if len(grey) == len(measured):
        raise ValueError(
            f"all {len(measured)} photographs are grey: there is no true colour to compare with;"
            " deepcolor compare shows what models make of grey photographs"
        )
    if few and len(measured) < 2:
        raise ValueError(
            f"{' and '.join(few)} compare sets, and only one photograph could be read:"
            f" {problems[0][1]}"
        )


def _notes(names: Sequence[str], grey: Sequence[str], count: int, labelled: bool) -> list[str]:
    notes = []
    if grey:
        more = f" and {len(grey) - LISTED} more" if len(grey) > LISTED else ""
        notes.append(
            f"{len(grey)} of {count} photographs are grey themselves, and count:"
            f" {', '.join(grey[:LISTED])}{more}"
        )
    if any("fid" in name for name in names):
        notes.append(f"FID over {count} pictures: compares with FIDs over the same number alone")
    if "recognisability" in names:
        against = (
            "the ImageNet classes that the folders are named after"
            if labelled
            else "the classifier's answers on the true photographs"
        )
        notes.append(f"recognisability is against {against}")
    return notes
