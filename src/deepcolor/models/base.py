"""The contract that every colorizer keeps, and every step that all of them share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab, unit_rgb
from deepcolor.gamut import clamp_to_gamut
from deepcolor.guidance import Guidance, Kind
from deepcolor.metrics import CIEDE2000, AbAuC, Colourfulness, psnr
from deepcolor.models.once import asked_once
from deepcolor.models.prediction import ChromaPrediction, Prediction

__all__ = ["Colorizer"]

WARM_UP = 0.05  # share of the steps over which the learning rate rises


class Colorizer(LightningModule, ABC):
    """Predicts the chroma of a photograph from its luminance, in CIELAB.

    A subclass sets `network`, and answers `forward` and `loss`. Batches are RGB, (B, 3, H, W),
    uint8 or float in [0, 1], alone or as the first of a sequence (as torchvision's datasets give).
    Of a batch with a field `seen`, such as `deepcolor.data.Degraded`, the network sees the
    luminance of those pictures, and must answer the ab of the clean ones, which come first.
    """

    size: ClassVar[int] = 256
    """Side that photographs are brought to for the network, in pixels."""
    stride: ClassVar[int] = 8
    """Height and width given to `forward` must be multiples of it."""
    grain: ClassVar[int] = 1
    """Side of the squares that a prediction has one answer for, in pixels; divides the stride."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """Kinds of guidance that models of this class can take: names in `guidance.KINDS`."""
    network: nn.Module
    """The paper; released weights hold only this."""
    unsaved: ClassVar[tuple[str, ...]] = ("encoder_weights",)
    """Arguments that a weights file neither keeps nor sets: what belongs to one machine or one fit,
    such as the path of a file. A subclass that takes others names them too."""
    # torch.jit.trace looks at every attribute: without a Trainer that one is None, not an error.
    _jit_is_scripting = True

    def __init__(self, lr: float, weight_decay: float) -> None:
        super().__init__()
        self.lr = lr
        self.weight_decay = weight_decay
        # Not Lightning's own means: over several processes they weigh by the wrong counts (2.6).
        self.val_loss = MeanMetric(nan_strategy="disable")
        self.val_psnr = MeanMetric(nan_strategy="disable")
        self.val_auc = AbAuC()
        self.val_ciede2000 = CIEDE2000()
        self.val_colourfulness = Colourfulness()
        self.true_colourfulness = Colourfulness()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Colorizer":
        """As `Module._apply`, which moves; but figures count in float64, which MPS has not."""
        modules = self._modules
        if fn(torch.empty(0)).device.type == "mps":
            self._modules = {k: m for k, m in modules.items() if not isinstance(m, Metric)}
        try:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        finally:
            self._modules = modules
        return self

    @abstractmethod
    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        """Map luminance to chroma.

        Args:
            luminance: (B, 1, H, W) L in [0, 100]; H and W multiples of `stride`.
            guidance: of the kinds that `accepts` names.

        Returns:
            (B, 2, H, W) ab, in CIELAB units.
        """

    @abstractmethod
    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Named loss terms; their sum is minimized.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].
            ab: (B, 2, H, W), the true chroma in CIELAB units.
        """

    @property
    def accepts(self) -> frozenset[str]:
        """Kinds of guidance that this model takes, as it was made."""
        return self.takes

    @property
    def spreads_hints(self) -> bool:
        """Whether hints correct what the network says: `Prediction.with_hints`, not `predict`."""
        return False

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
    ) -> Prediction:
        """What the model says about a batch, at its own resolution, before any enlargement.

        Args:
            luminance: as for `forward`.
            guidance: as for `forward`.
            memory: of the frame before, from its prediction; image models have none.

        Returns:
            A prediction on a grid of squares of `grain` pixels.
        """
        return ChromaPrediction(
            model=type(self).__name__, luminance=luminance, chroma=self(luminance, guidance)
        )

    def forward_frame(
        self, luminance: Tensor, memory: Any = None, guidance: Guidance | Kind | None = None
    ) -> tuple[Tensor, Any]:
        """One video frame: chroma, and what to remember. An image model has no memory."""
        return self(luminance, guidance), None

    def first_memory(self) -> Any:
        """What to give `predict` as the memory before a film's first frame; None without memory."""
        return None

    def check_input(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Guidance:
        """Refuse what `forward` cannot answer for, in words that say what would work.

        Returns:
            The guidance in full.

        Raises:
            ValueError: for a wrong shape, a size that is no multiple of the stride, or guidance
                for pictures of another shape.
            TypeError: for guidance of a kind that this model does not take.
        """
        name = type(self).__name__
        if luminance.ndim != 4 or luminance.shape[1] != 1:
            raise ValueError(f"{name} takes (B, 1, H, W) luminance, got {tuple(luminance.shape)}")
        height, width = luminance.shape[-2:]
        if not height or not width or height % self.stride or width % self.stride:
            raise ValueError(
                f"{name} takes heights and widths that are multiples of {self.stride},"
                f" got {height} x {width}; deepcolor.Predictor pads any size"
            )
        given = self.check_kinds(guidance)
        given.check(luminance)
        return given

    def check_kinds(self, guidance: Guidance | Kind | None) -> Guidance:
        """Refuse guidance of kinds that this model does not take, with a TypeError.

        Returns:
            The guidance in full.
        """
        given = Guidance.of(guidance)
        for kind in sorted(given.kinds - self.accepts):
            able = ", ".join(sorted(self.accepts)) or "none"
            raise TypeError(f"{type(self).__name__} takes no {kind}; guidance it takes: {able}")
        return given

    def _rgb(self, batch: Tensor | Sequence[Any]) -> Tensor:
        return unit_rgb(batch if isinstance(batch, Tensor) else batch[0])

    def _lab(self, batch: Tensor | Sequence[Any]) -> tuple[Tensor, Tensor]:
        luminance, ab = split_lab(rgb_to_lab(self._rgb(batch)))
        seen = getattr(batch, "seen", None)
        if seen is not None:
            luminance, _ = split_lab(rgb_to_lab(unit_rgb(seen)))
        return luminance, ab

    def forward_extras(self, batch: Tensor | Sequence[Any]) -> dict[str, Tensor]:
        """What a batch carries besides RGB that `forward` takes by name: nothing, usually."""
        return {}

    def loss_extras(self, batch: Tensor | Sequence[Any]) -> dict[str, Tensor]:
        """What a batch carries besides RGB that `loss` takes by name, such as labels."""
        return self.forward_extras(batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which class a checkpoint is of, so that `load_model` takes it as it is."""
        checkpoint["colorizer"] = f"{type(self).__module__}.{type(self).__qualname__}"

    def on_fit_start(self) -> None:
        """Train a model that was loaded: Lightning leaves one in evaluation mode as it is."""
        if not self.training:
            self.train()

    def training_step(self, batch: Tensor | Sequence[Any], batch_idx: int) -> Tensor:
        """Sum of the loss terms on an RGB batch."""
        extras = {} if hasattr(batch, "seen") else self.loss_extras(batch)
        terms = self.loss(*self._lab(batch), **extras)
        total = torch.stack(list(terms.values())).sum()
        self.log("train/loss", total, prog_bar=True)
        if len(terms) > 1:
            self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return total

    def validation_step(self, batch: Tensor | Sequence[Any], batch_idx: int) -> None:
        """Log the loss and the figures of `metrics` on an RGB batch, as val/..."""
        self._measure(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Log the figures that are taken over the whole set."""
        self._log_figures("val")

    def test_step(self, batch: Tensor | Sequence[Any], batch_idx: int) -> None:
        """As `validation_step`, as test/..."""
        self._measure(batch, "test")

    def on_test_epoch_end(self) -> None:
        """As `on_validation_epoch_end`."""
        self._log_figures("test")

    def _measure(self, batch: Tensor | Sequence[Any], stage: str) -> None:
        truth = self._rgb(batch)
        luminance, ab = split_lab(rgb_to_lab(truth))
        with ExitStack() as once:
            for network in self.networks():
                once.enter_context(asked_once(network))
            rgb = self._colour(luminance, **self.forward_extras(batch))
            terms = self.loss(luminance, ab, **self.loss_extras(batch))
        total = torch.stack(list(terms.values())).sum()
        home = self.val_auc.device  # the CPU beside MPS
        rgb, truth, total = rgb.to(home), truth.to(home), total.to(home)
        self.val_loss.update(total.expand(len(truth)))  # once a picture
        self.val_psnr.update(psnr(rgb, truth))
        self.val_auc.update(rgb, truth)
        self.val_ciede2000.update(rgb, truth)
        self.val_colourfulness.update(rgb)
        self.true_colourfulness.update(truth)

    def networks(self) -> list[nn.Module]:
        """What takes time: validation asks each of them once a batch."""
        return [self.network]

    def _log_figures(self, stage: str) -> None:
        figures = {f"{stage}/{k}": v for k, v in self.val_auc.compute().items()}
        share = self.val_colourfulness.compute() / self.true_colourfulness.compute()
        figures[f"{stage}/colourfulness_share"] = share
        figures[f"{stage}/psnr"] = self.val_psnr.compute()
        self.log_dict(figures, prog_bar=True, sync_dist=True)
        self.log(f"{stage}/ciede2000", self.val_ciede2000.compute(), sync_dist=True)
        self.log(f"{stage}/loss", self.val_loss.compute(), sync_dist=True)
        for metric in (
            self.val_loss,
            self.val_psnr,
            self.val_auc,
            self.val_ciede2000,
            self.val_colourfulness,
            self.true_colourfulness,
        ):
            metric.reset()

    def predict_step(self, batch: Tensor | Sequence[Any], batch_idx: int) -> Tensor:
        """Colour an RGB batch from its luminance: (B, 3, H, W) in [0, 1]."""
        luminance, _ = self._lab(batch)
        return self._colour(luminance, **self.forward_extras(batch))

    def _colour(self, luminance: Tensor, **extras: Tensor) -> Tensor:
        return lab_to_rgb(clamp_to_gamut(join_lab(luminance, self(luminance, **extras).float())))

    def start_from(self, trained: "Colorizer") -> None:
        """Take the weights of a trained model of the same kind, strictly."""
        self.network.load_state_dict(trained.network.state_dict(), strict=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; the learning rate warms up, then falls along a cosine, if the steps are known."""
        trainable = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trainable, self.lr, weight_decay=self.weight_decay)
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            return optimizer
        warm = max(1, round(WARM_UP * steps))

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
