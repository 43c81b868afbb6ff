"""The LightningDataModule that feeds any Colorizer."""

from collections.abc import Mapping

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, WeightedRandomSampler
from torchvision.transforms import v2

from deepcolor.data.datasets import PhotoSet, limit_worker_threads, open_photos

__all__ = ["ColorizationDataModule"]


MOST_HELD_OUT = 300


class ColorizationDataModule(LightningDataModule):
    """Photographs as batches of RGB: (B, 3, size, size) uint8.

    Args:
        path: a folder of photographs, a folder of tar archives, or one tar archive.
        size: side of the training pictures in pixels.
        batch_size: pictures a batch.
        workers: loader processes.
        held_out: photographs kept for validation, drawn once by `seed`; None keeps a tenth of
            them, at most 300.
        zoom: area of the random crops as a share of the photograph, from least to most.
        shares: how often the photographs of a source (a tar's or a top folder's name) are drawn,
            relative to 1 for each source not named.
        seed: of the split.
    """

    def __init__(
        self,
        path: str,
        size: int = 128,
        batch_size: int = 32,
        workers: int = 2,
        held_out: int | None = None,
        zoom: tuple[float, float] = (0.3, 1.0),
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.path = path
        self.size = size
        self.batch_size = batch_size
        self.workers = workers
        self.held_out = held_out
        self.zoom = zoom
        self.shares = dict(shares or {})
        self.seed = seed

    def setup(self, stage: str | None = None) -> None:
        training = open_photos(
            self.path,
            v2.Compose(
                [
                    v2.RandomResizedCrop(self.size, scale=self.zoom, antialias=True),
                    v2.RandomHorizontalFlip(),
                    v2.PILToTensor(),
                ]
            ),
        )
        held_out = self.held_out
        if held_out is None:
            held_out = min(MOST_HELD_OUT, max(1, len(training) // 10))
        if not 0 < held_out < len(training):
            raise ValueError(
                f"{self.path} has {len(training)} photographs; held_out must be at least 1 and"
                f" leave at least 1 to train on, got {held_out}"
            )
        unknown = set(self.shares) - set(training.sources)
        if unknown:
            raise ValueError(
                f"shares names {', '.join(sorted(unknown))}; the sources in {self.path} are"
                f" {', '.join(sorted(set(training.sources)))}"
            )
        order = torch.randperm(len(training), generator=torch.Generator().manual_seed(self.seed))
        chosen = order.tolist()
        self.training_indices = chosen[held_out:]
        self.train_set: Dataset[Tensor] = Subset(training, self.training_indices)
        self.training_weights = [
            self.shares.get(training.sources[i], 1.0) for i in self.training_indices
        ]
        self.val_set: Dataset[Tensor] = Subset(self._upright(), sorted(chosen[:held_out]))

    def _upright(self) -> PhotoSet:
        return open_photos(
            self.path,
            v2.Compose(
                [v2.Resize(self.size, antialias=True), v2.CenterCrop(self.size), v2.PILToTensor()]
            ),
        )

    def train_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(
            self.train_set,
            self.batch_size,
            sampler=WeightedRandomSampler(self.training_weights, len(self.training_indices)),
            num_workers=self.workers,
            # A last batch of one picture would upset batch normalization; a set smaller than a
            # batch is trained on all the same.
            drop_last=len(self.training_indices) >= self.batch_size,
            worker_init_fn=limit_worker_threads,
            persistent_workers=self.workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(
            self.val_set,
            self.batch_size,
            num_workers=self.workers,
            worker_init_fn=limit_worker_threads,
        )
