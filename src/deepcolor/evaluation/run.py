"""One pass over the photographs: each is coloured by every model, then measured."""

import hashlib
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from deepcolor.color import rgb_to_lab, split_lab, unit_rgb
from deepcolor.evaluation.colouring import (
    Colour,
    Progress,
    coloured_by,
    refuse_reserved,
    tinted,
    try_out,
)
from deepcolor.evaluation.measures import (
    DEFAULT_METRICS,
    Judges,
    Sample,
    Scores,
    check_metrics,
    with_shares,
)
from deepcolor.evaluation.photos import Photograph, imagenet_class, read_rgb
from deepcolor.evaluation.protocol import Preparation, Protocol
from deepcolor.inference import Options, Predictor, predict_logits
from deepcolor.metrics import grey_share
from deepcolor.models import ClassificationColorizer

__all__ = ["GREY_PHOTO", "Evaluation", "evaluate"]

GREY_PHOTO = 0.999  # share of grey pixels from which a photograph counts as grey
LISTED = 5  # names in a note
PACKAGES = ("deepcolor-lightning", "torch", "torchmetrics", "torchvision", "pillow", "kornia")


@dataclass
class Evaluation:
    """Figures of models on photographs.

    Attributes:
        protocol: which photographs, how prepared.
        options: how they were coloured.
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
    options: Options
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
            "options": asdict(self.options),
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
    options: Options | None = None,
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
        options: how to colour.
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
    preparation, options = preparation or Preparation(), options or Options()
    few = [name for name in names if "fid" in name]
    if few and len(photos) < 2:
        raise ValueError(f"{' and '.join(few)} compare sets: give at least two photographs")
    device = _metrics_device(models.values())
    judges = Judges(extractor, device)
    judges.load(names)
    colours = _rows(models, options, tint)
    for name in models:
        try_out(colours[name])
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
                    logits = _logits(models[name], luminance, options).to(device)
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
        options,
        rows,
        with_shares({k: v for k, v in true_figures.items() if k != "grey_pixels"}, true_figures),
        None if tint is None else (float(tint[0]), float(tint[1])),
        problems,
        _notes(names, grey, len(measured), labels is not None),
        {name: total / len(measured) for name, total in seconds.items()},
        str(device),
        {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    )


def _rows(
    models: Mapping[str, Predictor], options: Options, tint: Tensor | None
) -> dict[str, Colour]:
    refuse_reserved(models)
    rows: dict[str, Colour] = {"grey": tinted(torch.zeros(2))}
    if tint is not None:
        rows["tint"] = tinted(tint)
    return rows | {name: coloured_by(predictor, options) for name, predictor in models.items()}


def _quantizer(predictor: Predictor | None) -> Any:
    """The codebook of a model that has logits; None of others, and of a row without a model."""
    model = None if predictor is None else predictor.model
    return model.quantizer if isinstance(model, ClassificationColorizer) else None


def _logits(predictor: Predictor, luminance: Tensor, options: Options) -> Tensor:
    model = predictor.model
    assert isinstance(model, ClassificationColorizer)  # it has a quantizer
    size = options.size or predictor.size
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
