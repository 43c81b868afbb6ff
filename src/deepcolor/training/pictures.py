"""Pictures of a run: a grid for TensorBoard at each validation, and the results of a prediction."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torchvision.utils import make_grid, save_image

from deepcolor.batch import Batch
from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.data.datasets import PhotoSet
from deepcolor.data.parts import PhotoPart
from deepcolor.files import write_beside

__all__ = ["PictureGrid", "PictureWriter"]

LONGEST_STEM = 200  # bytes of a photograph's name that go into a file's


class PictureGrid(Callback):
    """Shows the first validation pictures in TensorBoard: grey, coloured and true, row by row.

    Of clips it shows the last frames. Drawn during validation, so that averaged weights colour them
    where weights are averaged.

    Args:
        pictures: how many.
    """

    def __init__(self, pictures: int = 8) -> None:
        if pictures < 1:
            raise ValueError(f"pictures must be at least 1, got {pictures}")
        self.pictures = pictures
        self.triples: list[Tensor] = []  # each (3, 3, H, W): grey, coloured, true

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.triples = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        left = self.pictures - len(self.triples)
        if left <= 0 or trainer.sanity_checking or not boards(trainer):
            return
        with trainer.precision_plugin.forward_context():
            coloured = pl_module.predict_step(batch, batch_idx).float()
        truth = Batch.of(batch).truth()
        if truth.ndim == 5:
            coloured, truth = coloured[:, -1], truth[:, -1]
        luminance, ab = split_lab(rgb_to_lab(truth))
        grey = lab_to_rgb(join_lab(luminance, torch.zeros_like(ab)))
        triples = torch.stack([grey, coloured, truth], dim=1)[:left].cpu()
        self.triples += [t for t in triples if t.shape == (self.triples or triples)[0].shape]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.triples:
            return
        rows = torch.stack(self.triples, dim=1).flatten(0, 1)  # (3 * pictures, 3, H, W)
        grid = make_grid(rows.clamp(0, 1), nrow=len(self.triples))
        for board in boards(trainer):
            board.experiment.add_image("val/pictures", grid, trainer.global_step)
        self.triples = []


def boards(trainer: Trainer) -> list[TensorBoardLogger]:
    """The TensorBoard loggers of the process that logs; none in other processes."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


class PictureWriter(BasePredictionWriter):
    """Writes what `Trainer.predict` colours as PNG, named by number and photograph.

    The frames of a clip stand side by side. Photographs that could not be decoded get no file:
    their number is left out.

    Args:
        folder: created if need be.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__("batch")
        self.folder = Path(folder)
        self.written = 0

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        photos = getattr(trainer.predict_dataloaders, "dataset", None)
        numbers = batch_indices or range(self.written, self.written + len(prediction))
        for number, rgb in zip(numbers, prediction, strict=True):
            self.written += 1
            if isinstance(photos, PhotoPart):
                name = photos.name(number)
                if name is None:  # damaged: what was coloured is another photograph of the part
                    continue
            else:
                name = photos.names[number] if isinstance(photos, PhotoSet) else ""
            stem = Path(name.split(":")[-1]).stem.encode()[:LONGEST_STEM].decode(errors="ignore")
            if rgb.ndim == 4:
                rgb = torch.cat(list(rgb), dim=-1)
            path = self.folder / f"{number:06}{'-' if stem else ''}{stem}.png"
            write_beside(path, partial(save_image, rgb, format="png"))
