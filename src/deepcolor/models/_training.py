"""What Lightning does with a colorizer: the steps of training and measuring, and the optimizer."""

import math
from contextlib import ExitStack
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.batch import Batch
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.gamut import clamp_to_gamut
from deepcolor.metrics.figures import Figures
from deepcolor.models._contract import Contract
from deepcolor.models.once import asked_once

__all__ = ["Colorizer"]

WARM_UP = 0.05  # share of the steps over which the learning rate rises


class Colorizer(Contract):
    """Predicts the chroma of a photograph from its luminance, in CIELAB.

    A subclass sets `network`, and answers `forward` and `loss`. Batches are what `Batch.of` takes:
    RGB, (B, 3, H, W), uint8 or float in [0, 1], alone or as the first of a sequence (as
    torchvision's data sets give), or a Batch.
    """

    def __init__(self, lr: float, weight_decay: float) -> None:
        super().__init__()
        self.lr = lr
        self.weight_decay = weight_decay
        self.figures: Figures | None = None  # of the validation or test under way

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Named loss terms of a batch: `loss`, with the fields that `inputs` and `targets` name.

        Overridden by models that learn from more than pictures, such as clips.
        """
        return self.loss(*batch.lab(), **batch.known(*self.inputs, *self.targets))

    def optimize(self, terms: dict[str, Tensor]) -> Tensor | None:
        """Log the terms and give Lightning their sum to minimize.

        Overridden by families that step optimizers themselves (`automatic_optimization = False`),
        such as adversarial ones; they return None.
        """
        total = torch.stack(list(terms.values())).sum()
        self.log("train/loss", total, prog_bar=True)
        if len(terms) > 1:
            self.log_dict({f"train/{name}": value for name, value in terms.items()})
        return total

    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:
        """The `terms` of a batch, given to `optimize`."""
        return self.optimize(self.terms(Batch.of(batch)))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Count a batch in the figures that are logged as val/..."""
        self._measure(Batch.of(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """As `validation_step`, as test/..."""
        self._measure(Batch.of(batch))

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Colour a batch from its luminance: RGB in [0, 1], of the shape of the batch's."""
        given = Batch.of(batch)
        return _painted(given.lab()[0], self._chroma(given))

    def on_validation_epoch_start(self) -> None:
        """Count anew; an interrupted validation counts no more."""
        self.figures = None

    def on_test_epoch_start(self) -> None:
        """As `on_validation_epoch_start`."""
        self.figures = None

    def on_validation_epoch_end(self) -> None:
        """Log the figures, which are taken over the whole set."""
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        """As `on_validation_epoch_end`."""
        self._log_figures("test")

    def _measure(self, batch: Batch) -> None:
        with ExitStack() as once:
            for network in self.networks():
                once.enter_context(asked_once(network))
            ab = self._chroma(batch)
            terms = self.terms(batch)
        truth = batch.truth()
        luminance, _ = split_lab(rgb_to_lab(truth))  # also where the network sees another
        rgb, truth = (x.flatten(0, -4) for x in (_painted(luminance, ab), truth))  # frames
        self._counted().update(rgb, truth, torch.stack(list(terms.values())).sum())

    def _chroma(self, batch: Batch) -> Tensor:
        """What the model says of a batch: (B, 2, H, W) ab; of clips (B, T, 2, H, W), in order."""
        luminance, _ = batch.lab()
        if not batch.is_clips:
            ab: Tensor = self(luminance, **batch.known(*self.inputs))
            return ab
        frames, memory = [], None
        for frame in luminance.unbind(dim=1):
            ab, memory = self.forward_frame(frame, memory)
            frames.append(ab)
        return torch.stack(frames, dim=1)

    def _counted(self) -> Figures:
        if self.figures is None:
            self.figures = Figures(self.device)
        return self.figures

    def _log_figures(self, stage: str) -> None:
        figures = {f"{stage}/{name}": x for name, x in self._counted().compute().items()}
        shown = {key: figures.pop(key) for key in (f"{stage}/ciede2000", f"{stage}/loss")}
        self.log_dict(figures, prog_bar=True, sync_dist=True)
        self.log_dict(shown, sync_dist=True)
        self.figures = None

    def networks(self) -> list[nn.Module]:
        """What takes time: validation asks each of them once a batch."""
        return [self.network]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which class a checkpoint is of, so that `load_model` takes it as it is."""
        checkpoint["colorizer"] = f"{type(self).__module__}.{type(self).__qualname__}"

    def on_fit_start(self) -> None:
        """Train a model that was loaded: Lightning leaves one in evaluation mode as it is."""
        if not self.training:
            self.train()

    def kin(self) -> tuple[type["Colorizer"], ...]:
        """Classes whose weights `start_from` takes: its own, usually."""
        return (type(self),)

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


def _painted(luminance: Tensor, ab: Tensor) -> Tensor:
    return lab_to_rgb(clamp_to_gamut(join_lab(luminance, ab.float())))
