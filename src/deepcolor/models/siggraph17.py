"""Zhang et al., "Real-Time User-Guided Image Colorization with Learned Deep Priors", 2017.

Layers, names and slots are those of the published PyTorch release, so that its weights load key
for key. Two stages train it: in stage A the classification of colours trains the trunk, while the
regression looks on; in stage B, with hints, the regression trains the trunk.
"""

from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.guidance import Guidance, Hints, Kind, Statistics, simulation
from deepcolor.models._training import Colorizer
from deepcolor.models.prediction import Prediction
from deepcolor.quantize import AbQuantizer

__all__ = ["SIGGRAPH17"]

TRUNK = (  # inputs, outputs, convolutions, dilation; model1 to model7
    (4, 64, 2, 1), (64, 128, 2, 1), (128, 256, 3, 1), (256, 512, 3, 1),
    (512, 512, 3, 2), (512, 512, 3, 2), (512, 512, 3, 1),
)  # fmt: skip
CLASSES = 529  # all of the 23 x 23 grid, in and out of gamut
AB_SCALE = 110.0  # hints and the output of tanh
REGRESSION_WEIGHT = 10.0  # of the L1 term beside the cross-entropy, as the published training code
HUBER_DELTA = 1.0  # in CIELAB units
DULL = 5.0  # pictures whose ranges of a and b sum to less are not trained on
PALETTE_TEMPERATURE = 5.0  # the release suggests colours from logits times 0.2
DECAY, DECAY_EPOCHS = 0.1, 10  # stage B: 1e-5 for ten epochs, then 1e-6
GLOBAL_CHANNELS = 512


class Stage(NamedTuple):
    """How a stage of the training is set, unless told otherwise."""

    lr: float
    hint_stop: float
    reveal_all: float


STAGES = {"A": Stage(1e-4, 1.0, 0.0), "B": Stage(1e-5, 0.125, 0.01)}


class Features(NamedTuple):
    """What the decoder reads."""

    conv1: Tensor
    """(B, 64, H, W)."""
    conv2: Tensor
    """(B, 128, H/2, W/2)."""
    conv8: Tensor
    """(B, 256, H/4, W/4)."""


class GlobalBranch(nn.Module):
    """Global colour statistics to one vector a picture, added after conv4."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        # Each with an indicator: 1 if the statistic is given, else all of it is 0.
        self.histogram = nn.Conv2d(bins + 1, GLOBAL_CHANNELS, 1)
        self.saturation = nn.Conv2d(2, GLOBAL_CHANNELS, 1)
        layers: list[nn.Module] = [nn.ReLU(inplace=True), nn.BatchNorm2d(GLOBAL_CHANNELS)]
        for _ in range(3):
            layers += [
                nn.Conv2d(GLOBAL_CHANNELS, GLOBAL_CHANNELS, 1),
                nn.ReLU(inplace=True),
                nn.BatchNorm2d(GLOBAL_CHANNELS),
            ]
        self.body = nn.Sequential(*layers)

    def forward(self, histogram: Tensor, saturation: Tensor) -> Tensor:
        """(B, Q + 1) and (B, 2), indicators last -> (B, 512, 1, 1)."""
        joined = self.histogram(histogram[..., None, None])
        joined = joined + self.saturation(saturation[..., None, None])
        out: Tensor = self.body(joined)
        return out


class SIGGRAPH17Network(nn.Module):
    """Normalized luminance, hints and their mask to ab / 110, and to bin logits on demand."""

    def __init__(self, global_bins: int | None = None) -> None:
        super().__init__()
        for number, (inputs, outputs, convolutions, dilation) in enumerate(TRUNK, start=1):
            self.add_module(f"model{number}", _stage(inputs, outputs, convolutions, dilation))
        self.model8up = nn.Sequential(nn.ConvTranspose2d(512, 256, 4, stride=2, padding=1))
        self.model3short8 = nn.Sequential(nn.Conv2d(256, 256, 3, padding=1))
        self.model8 = nn.Sequential(nn.ReLU(inplace=True), *_stage(256, 256, 2, 1))
        self.model9up = nn.Sequential(nn.ConvTranspose2d(256, 128, 4, stride=2, padding=1))
        self.model2short9 = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1))
        self.model9 = nn.Sequential(nn.ReLU(inplace=True), *_stage(128, 128, 1, 1))
        self.model10up = nn.Sequential(nn.ConvTranspose2d(128, 128, 4, stride=2, padding=1))
        self.model1short10 = nn.Sequential(nn.Conv2d(64, 128, 3, padding=1))
        self.model10 = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.model_class = nn.Sequential(nn.Conv2d(256, CLASSES, 1))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())
        self.global_branch = None if global_bins is None else GlobalBranch(global_bins)

    def trunk(self, x: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Features:
        """(B, 4, H, W), and histogram and saturation if built for them -> features."""
        conv1 = self.get_submodule("model1")(x)
        conv2 = self.get_submodule("model2")(conv1[:, :, ::2, ::2])  # sliced, not pooled
        conv3 = self.get_submodule("model3")(conv2[:, :, ::2, ::2])
        conv4 = self.get_submodule("model4")(conv3[:, :, ::2, ::2])
        if self.global_branch is not None and statistics is not None:
            conv4 = conv4 + self.global_branch(*statistics)
        conv5 = self.get_submodule("model5")(conv4)
        conv6 = self.get_submodule("model6")(conv5)
        conv7 = self.get_submodule("model7")(conv6)
        conv8 = self.model8(self.model8up(conv7) + self.model3short8(conv3))
        return Features(conv1, conv2, conv8)

    def classify(self, features: Features) -> Tensor:
        """Logits over the 23 x 23 grid: (B, 529, H/4, W/4)."""
        logits: Tensor = self.model_class(features.conv8)
        return logits

    def regress(self, features: Features) -> Tensor:
        """Chroma: (B, 2, H, W) ab / 110, in [-1, 1]."""
        # Added in place: at full size a third tensor of the sum would take 34 MB.
        x = self.model9up(features.conv8)
        x = self.model9(x.add_(self.model2short9(features.conv2)))
        x = self.model10up(x)
        x = self.model10(x.add_(self.model1short10(features.conv1)))
        ab: Tensor = self.model_out(x)
        return ab

    def forward(self, x: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """(B, 4, H, W): (L - 50) / 100, ab / 110 of hints, mask -> (B, 2, H, W) ab / 110."""
        return self.regress(self.trunk(x, statistics))


def _stage(inputs: int, outputs: int, convolutions: int, dilation: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(convolutions):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
        ]
        inputs = outputs
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs))


class SIGGRAPH17(Colorizer):
    """Colour that follows local hints: 34,187,027 parameters.

    Args:
        stage: "A": the classification trains the trunk, and the regression sees detached features;
            "B", from the weights of stage A: the regression trains the trunk, and the
            classification sees detached features.
        hint_stop: chance to stop before each further simulated hint, in (0, 1]. None is the
            stage's: 1 (no hint) in A, 0.125 (seven on average) in B.
        reveal_all: chance that a training picture shows all of its chroma as hints; None is the
            stage's, 0 in A and 0.01 in B.
        mask_offset: added to the mask channel: 0 for the published weights, which come from Caffe;
            -0.5 for those of the published PyTorch training code.
        regression: "l1": ten times the L1 distance of ab / 110, as the published training code;
            "huber": the paper's, which bends at 1 CIELAB unit and has the same slope beyond.
        global_hints: also take statistics, through a branch that the published weights lack.
        lr: of Adam; None is the stage's: 1e-4 in A, 1e-5 in B. B goes on with a tenth of it after
            ten epochs.
        weight_decay: of Adam.
    """

    size: ClassVar[int] = 256
    stride: ClassVar[int] = 8
    takes: ClassVar[frozenset[str]] = frozenset({"hints", "statistics"})
    network: SIGGRAPH17Network

    def __init__(
        self,
        stage: Literal["A", "B"] = "A",
        hint_stop: float | None = None,
        reveal_all: float | None = None,
        mask_offset: float = 0.0,
        regression: Literal["l1", "huber"] = "l1",
        global_hints: bool = False,
        lr: float | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        if stage not in STAGES:
            raise ValueError(f"stage must be 'A' or 'B', got {stage!r}")
        usual = STAGES[stage]
        super().__init__(usual.lr if lr is None else lr, weight_decay)
        hint_stop = usual.hint_stop if hint_stop is None else hint_stop
        reveal_all = usual.reveal_all if reveal_all is None else reveal_all
        if regression not in ("l1", "huber"):
            raise ValueError(f"regression must be 'l1' or 'huber', got {regression!r}")
        if not 0 < hint_stop <= 1:
            raise ValueError(f"hint_stop must lie in (0, 1], got {hint_stop}")
        if not 0 <= reveal_all <= 1:
            raise ValueError(f"reveal_all must lie in [0, 1], got {reveal_all}")
        if mask_offset not in (0.0, -0.5):
            raise ValueError(f"mask_offset must be 0 or -0.5, got {mask_offset}")
        self.save_hyperparameters()
        self.stage = stage
        self.hint_stop = hint_stop
        self.reveal_all = reveal_all
        self.mask_offset = mask_offset
        self.regression = regression
        self.grid = AbQuantizer.grid529(neighbours=1)
        self.histogram_bins = AbQuantizer.gamut313() if global_hints else None
        bins = None if self.histogram_bins is None else self.histogram_bins.bins
        self.network = SIGGRAPH17Network(bins)

    @property
    def accepts(self) -> frozenset[str]:
        return self.takes if self.histogram_bins is not None else self.takes - {"statistics"}

    def check_kinds(self, guidance: Guidance | Kind | None) -> Guidance:
        statistics = Guidance.of(guidance).statistics
        if statistics is not None and self.histogram_bins is None:
            raise TypeError(
                "SIGGRAPH17 takes no statistics unless it was made with global_hints=True;"
                " guidance it takes: hints"
            )
        histogram = None if statistics is None else statistics.histogram
        if histogram is not None and self.histogram_bins is not None:
            bins = self.histogram_bins.bins
            if histogram.shape[1] != bins:
                raise ValueError(f"the histogram must be (B, {bins}), got {tuple(histogram.shape)}")
        return super().check_kinds(guidance)

    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        given = self.check_input(luminance, guidance)
        ab: Tensor = self.network(*self._inputs(luminance, given))
        return AB_SCALE * ab

    def core(
        self, luminance: Tensor, ab: Tensor | None = None, mask: Tensor | None = None,
        histogram: Tensor | None = None, saturation: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """(B, 2, H, W) ab / 110; the arguments are the fields of `Hints` and `Statistics`."""
        hints = None if ab is None or mask is None else Hints(ab, mask)
        given = Guidance(hints=hints, statistics=Statistics(histogram, saturation))
        return self.network(*self._inputs(luminance, given))  # type: ignore[no-any-return]

    def prediction(self, luminance: Tensor, answer: Tensor) -> Prediction:
        return super().prediction(luminance, AB_SCALE * answer)

    def distribution(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        temperature: float = PALETTE_TEMPERATURE,
    ) -> Tensor:
        """How likely each colour is at each place, for suggesting colours to a person.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].
            guidance: as `forward` takes it.
            temperature: above 0; 5 spreads the suggestions as the release does.

        Returns:
            (B, 529, H/4, W/4), summing to 1; bin 23 * i + j is ab = (10 i - 110, 10 j - 110).
        """
        given = self.check_input(luminance, guidance)
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        logits = self.network.classify(self.network.trunk(*self._inputs(luminance, given)))
        return torch.softmax(logits.float() / temperature, dim=1)

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Cross-entropy over the grid at every fourth pixel, and the regression of ab.

        Means over the pixels of pictures that have colour at all.
        """
        self.check_input(luminance)
        guidance = self.simulate(luminance, ab)
        features = self.network.trunk(*self._inputs(luminance, guidance))
        detached = Features(*(feature.detach() for feature in features))
        trains_a = self.stage == "A"
        logits = self.network.classify(features if trains_a else detached)
        predicted = self.network.regress(detached if trains_a else features)
        span = ab.flatten(2).amax(2) - ab.flatten(2).amin(2)  # (B, 2)
        counts = (span.sum(dim=1) >= DULL).float()
        share = counts / counts.sum().clamp(min=1)
        bins = self.grid.hard_encode(ab[:, :, ::4, ::4])
        entropy = F.cross_entropy(logits.float(), bins, reduction="none").mean(dim=(1, 2))
        return {
            "cross_entropy": (share * entropy).sum(),
            self.regression: (share * self._distance(predicted.float(), ab / AB_SCALE)).sum(),
        }

    def _distance(self, predicted: Tensor, ab: Tensor) -> Tensor:
        """(B,): summed over a and b, as the published training code, and averaged over pixels."""
        if self.regression == "l1":
            pixels = (predicted - ab).abs()
        else:  # divided by delta: the slope beyond it is 1, as that of L1
            delta = HUBER_DELTA / AB_SCALE
            pixels = F.huber_loss(predicted, ab, reduction="none", delta=delta) / delta
        return REGRESSION_WEIGHT * pixels.sum(dim=1).mean(dim=(1, 2))

    @torch.no_grad()
    def simulate(self, luminance: Tensor, ab: Tensor) -> Guidance:
        """Simulated hints, and colour statistics if the model takes them.

        In training each picture shows its histogram, its saturation, both or neither, with equal
        chances; in evaluation both, and has its hints at the same places as all others.
        """
        draw = simulation.simulate_hints if self.training else simulation.evaluation_hints
        local = draw(ab, self.hint_stop, self.reveal_all)
        if self.histogram_bins is None:
            return Guidance(hints=local)
        truth = self.statistics(luminance, ab)
        shown = simulation.hide_statistics(truth) if self.training else truth
        return Guidance(hints=local, statistics=shown)

    def statistics(self, luminance: Tensor, ab: Tensor) -> Statistics:
        """Measure the colour statistics of pictures, such as one to take the colours from."""
        if self.histogram_bins is None:
            raise ValueError("SIGGRAPH17 measures statistics when made with global_hints=True")
        return simulation.measure_statistics(luminance, ab, self.histogram_bins)

    def _inputs(
        self, luminance: Tensor, guidance: Guidance
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """The network's input, and its colour statistics with indicators if it was built so."""
        ab, mask = torch.zeros_like(luminance).expand(-1, 2, -1, -1), 0 * luminance
        if guidance.hints is not None:
            ab, mask = guidance.hints.ab / AB_SCALE, guidance.hints.mask
        x = torch.cat([(luminance - 50) / 100, ab, mask + self.mask_offset], dim=1)
        if self.histogram_bins is None:
            return x, None
        given = guidance.statistics or Statistics()
        histogram = _with_indicator(given.histogram, self.histogram_bins.bins, luminance)
        return x, (histogram, _with_indicator(given.saturation, 1, luminance))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trainable = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trainable, self.lr, weight_decay=self.weight_decay)
        if self.stage == "A":
            return optimizer
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, DECAY_EPOCHS, DECAY)]


def _with_indicator(values: Tensor | None, width: int, luminance: Tensor) -> Tensor:
    """(B, width) or None -> (B, width + 1): the values and 1, or zeros where not given (NaN)."""
    if values is None:
        return luminance.new_zeros(len(luminance), width + 1)
    given = ~values.isnan().any(dim=1, keepdim=True)
    return torch.cat([torch.where(given, values, 0.0), given.to(values.dtype)], dim=1)
