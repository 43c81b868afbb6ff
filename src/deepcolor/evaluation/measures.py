"""Which metrics there are, which columns each fills, and what each needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from deepcolor import metrics as m
from deepcolor.quantize import AbQuantizer
from deepcolor.weights import load_classifier, load_extractor, load_lpips

__all__ = ["DEFAULT_METRICS", "METRICS", "Judges", "Sample", "Scores", "check_metrics"]

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "psnr": "mean of the pictures' PSNR, in dB",
        "ssim": "mean structural similarity",
        "auc": "area under the curve of ab accuracy, raw and rebalanced, in percent",
        "ciede2000": "mean colour difference over all pixels",
        "colourfulness": "both definitions, share of the truth's and distance from it",
        "grey": "share of pixels left grey, beyond the truth's",
        "bins": "top-1 and top-5 accuracy of a classifier's ab bins, in percent",
        "lpips": "mean learned perceptual distance; downloads AlexNet once",
        "fid": "distance of the distributions of features; see --extractor",
        "hue_invariant_fid": "the same at the truth's colourfulness",
        "recognisability": "top-1 of a frozen classifier on the coloured pictures, in percent",
    }
)
SLOW = ("lpips", "fid", "hue_invariant_fid", "recognisability")  # or in need of more packages
DEFAULT_METRICS = tuple(name for name in METRICS if name not in SLOW)
ALONE = ("colourfulness", "grey", "recognisability")  # figures that the truth has, too
COLUMNS = (  # in the order of a table; others follow
    "psnr", "ssim", "auc", "auc_rebalanced", "ciede2000", "colourfulness", "colourfulness_share",
    "colourfulness_delta", "colourfulness_absolute", "colourfulness_absolute_delta",
    "grey_pixels_beyond_truth", "top1", "top5", "lpips",
)  # fmt: skip


def check_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """The metrics of those names, each once, in the order of METRICS.

    Raises:
        ValueError: for an unknown one; lists what there is.
    """
    for name in names:
        if name not in METRICS:
            raise ValueError(f"no metric named {name!r}; there are: {', '.join(METRICS)}")
    return tuple(name for name in METRICS if name in names)


@dataclass(frozen=True)
class Sample:
    """A coloured photograph beside the truth.

    Attributes:
        rgb: (1, 3, H, W) in [0, 1], of 8-bit values.
        truth: the same shape.
        logits: (1, Q, h, w) that chroma was decoded from, for models that have them.
        ab: (1, 2, H, W), the truth's, in CIELAB units.
        classes: (1,), what is in the photograph, by number.
    """

    rgb: Tensor
    truth: Tensor
    ab: Tensor
    logits: Tensor | None = None
    classes: Tensor | None = None


@dataclass
class Judges:
    """The frozen networks that metrics ask, loaded when first needed, shared by all rows."""

    extractor_name: str = "inception"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @cached_property
    def lpips(self) -> nn.Module:
        """Of LPIPS."""
        return load_lpips().to(self.device)

    @cached_property
    def extractor(self) -> nn.Module:
        """Of both FIDs."""
        return load_extractor(self.extractor_name).to(self.device)

    @cached_property
    def classifier(self) -> nn.Module:
        """Of recognisability."""
        return load_classifier().to(self.device)

    def load(self, names: Sequence[str]) -> None:
        """Load what the metrics need, so that what is missing shows before any work."""
        needs = {
            "lpips": "lpips", "fid": "extractor", "hue_invariant_fid": "extractor",
            "recognisability": "classifier",
        }  # fmt: skip
        for name in names:
            if name in needs:
                getattr(self, needs[name])


@dataclass
class _Gauge:
    """A metric, what of a sample it reads, and the column it fills ({} for a dict's keys)."""

    metric: Metric
    reads: Callable[[Sample], tuple[Tensor, ...]]
    column: str


def _alone(sample: Sample) -> tuple[Tensor, ...]:
    return (sample.rgb,)


def _pair(sample: Sample) -> tuple[Tensor, ...]:
    return sample.rgb, sample.truth


def _bins(sample: Sample) -> tuple[Tensor, ...]:
    if sample.logits is None:
        raise ValueError("bin accuracy needs logits")
    return sample.logits, sample.ab


def _labelled(sample: Sample) -> tuple[Tensor, ...]:
    if sample.classes is None:
        raise ValueError("recognisability needs classes")
    return sample.rgb, sample.classes


def _gauges(name: str, judges: Judges, quantizer: AbQuantizer | None) -> list[_Gauge]:
    """The metrics of a name; none where a model offers nothing to measure."""
    simple: dict[str, type[Metric]] = {"psnr": m.PSNR, "ssim": m.SSIM, "ciede2000": m.CIEDE2000}
    if name in simple:
        return [_Gauge(simple[name](), _pair, name)]
    if name == "auc":
        return [_Gauge(m.AbAuC(), _pair, "{}")]
    if name == "colourfulness":
        return [
            _Gauge(m.Colourfulness(), _alone, "colourfulness"),
            _Gauge(m.ColourfulnessDelta(), _pair, "colourfulness_delta"),
            _Gauge(m.Colourfulness(absolute=True), _alone, "colourfulness_absolute"),
            _Gauge(m.ColourfulnessDelta(absolute=True), _pair, "colourfulness_absolute_delta"),
        ]
    if name == "grey":
        return [_Gauge(m.GreyShare(), _alone, "grey_pixels")]
    if name == "bins":
        return [] if quantizer is None else [_Gauge(m.BinAccuracy(quantizer), _bins, "{}")]
    if name == "lpips":
        return [_Gauge(m.LPIPS(judges.lpips), _pair, name)]
    if name in ("fid", "hue_invariant_fid"):
        kind = m.FID if name == "fid" else m.HueInvariantFID
        return [_Gauge(kind(judges.extractor), _pair, f"{name}_{judges.extractor_name}")]
    return [_Gauge(m.Recognisability(judges.classifier), _labelled, name)]


class Scores:
    """The figures of one row of the table.

    Args:
        names: metrics, of METRICS.
        judges: networks that some of them ask.
        quantizer: codebook of a model that has logits.
        truth: whether the row is that of the true photographs, which have few figures.
    """

    def __init__(
        self,
        names: Sequence[str],
        judges: Judges,
        quantizer: AbQuantizer | None = None,
        truth: bool = False,
    ) -> None:
        self._gauges = [
            gauge
            for name in names
            if not truth or name in ALONE
            for gauge in _gauges(name, judges, quantizer)
            if not truth or gauge.reads is not _pair
        ]
        for gauge in self._gauges:
            gauge.metric.to(judges.device)

    def update(self, sample: Sample) -> None:
        """Count a photograph."""
        for gauge in self._gauges:
            gauge.metric.update(*gauge.reads(sample))

    def compute(self) -> dict[str, float]:
        """Column -> figure."""
        figures = {}
        for gauge in self._gauges:
            value = gauge.metric.compute()
            parts = value if isinstance(value, dict) else {gauge.column: value}
            figures.update({key: float(number) for key, number in parts.items()})
        return figures


def with_shares(figures: Mapping[str, float], truth: Mapping[str, float]) -> dict[str, float]:
    """Add the columns that compare a row with the truth's, in the order of a table."""
    full = dict(figures)
    if "colourfulness" in full:
        full["colourfulness_share"] = full["colourfulness"] / truth["colourfulness"]
    if "grey_pixels" in full:
        full["grey_pixels_beyond_truth"] = full.pop("grey_pixels") - truth["grey_pixels"]
    known = [key for key in COLUMNS if key in full]
    return {key: full[key] for key in [*known, *(key for key in full if key not in known)]}
