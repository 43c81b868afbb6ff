"""The LightningDataModule that feeds any Colorizer."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from deepcolor.data.augment import training_transform, upright_transform
from deepcolor.data.clips import ClipMaker, Motions
from deepcolor.data.datasets import DamagedPhotoError, PhotoSet, shortened
from deepcolor.data.degrade import Degradations
from deepcolor.data.features import VectorCache
from deepcolor.data.films import Films, holds_films
from deepcolor.data.filters import GREY_BELOW, cached_scan
from deepcolor.data.parts import PhotoPart
from deepcolor.data.sampling import EpochSampler, PartSampler, ResumableLoader
from deepcolor.data.sources import FirstPhotos, folder_classes, open_photos
from deepcolor.data.splits import PARTS, Split, listed_split, seeded_split
from deepcolor.data.tables import ImageTable

__all__ = ["ColorizationDataModule"]


class ColorizationDataModule(LightningDataModule):
    """Photographs as batches of RGB: (B, 3, size, size) uint8; Degraded ones if asked for.

    The split comes before the filter: which photographs count as grey moves none from one part to
    another. A damaged photograph is replaced by another of its part, and named when the fit ends.

    Args:
        path: a folder of photographs, a folder of tar archives, one tar archive, a list of files,
            the folder of a pair of NumPy files, a Hugging Face data set, or a PhotoSet. Only a
            string is kept in checkpoints.
        size: side of the pictures in pixels.
        batch_size: pictures a batch.
        workers: loader processes.
        split: shares of training, validation and test, drawn once by `seed`.
        held_out: photographs for validation instead, with none for testing.
        lists: text files that name the photographs of "train", "val" and "test" instead.
        zoom: area of the random crops as a share of the photograph, from least to most.
        flip: mirror half of the training pictures.
        rotation: turn training pictures by up to so many degrees, either way.
        jitter: draw the interpolation of each training picture.
        degrade: show the network old photographs made of the training pictures.
        grey_below: do not train on photographs of less colourfulness (Hasler and Suesstrunk) than
            this; 0 trains on all. Validation and test keep theirs.
        vectors: file of their global vectors, by `deepcolor features`; batches are then (rgb,
            vector), for models made with features="given".
        labels: whether batches are (rgb, label), for models that learn what pictures show: the
            label is the number of the photograph's folder in `classes`.
        frames: of a clip: with 2 or more, batches are clips, (B, frames, 3, size, size): of the
            films in `path` (video files, and folders of numbered frames), or, if there are none,
            `Clips` made of the photographs.
        every: of films, take every Nth frame.
        motions: of clips that are made of photographs.
        limit: use the first so many photographs only, in the order of the source (of a folder, by
            path); None uses all.
        shares: how often the photographs of a source (a tar's or a top folder's name) come an
            epoch: 1 for each source not named, 0.4 for four in ten, 2 for twice.
        seed: of the split, the order and the augmentations.
        order_seed: of the order and the augmentations alone, so that parts of one training see
            other crops and keep the same photographs apart; `seed` when None.

    Raises (in `setup`):
        FileNotFoundError: for a path, a list, or photographs of a list that do not exist.
        CacheError: for vectors that are missing, damaged, stale, or not of all photographs.
        ValueError: if there are too few photographs to split, if all of a part are grey or
            damaged, or for arguments out of range.
    """

    def __init__(
        self,
        path: str | Path | PhotoSet | ImageTable,
        size: int = 128,
        batch_size: int = 32,
        workers: int = 2,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        held_out: int | None = None,
        lists: Mapping[str, str] | None = None,
        zoom: tuple[float, float] = (0.3, 1.0),
        flip: bool = True,
        rotation: float = 0.0,
        jitter: bool = False,
        degrade: Degradations | None = None,
        grey_below: float = GREY_BELOW,
        vectors: str | None = None,
        labels: bool = False,
        frames: int = 1,
        every: int = 1,
        motions: Motions | None = None,
        limit: int | None = None,
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
        order_seed: int | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["path", "degrade", "motions"])
        if held_out is not None and lists is not None:
            raise ValueError("held_out draws a split, lists gives one: name one of them")
        if degrade is not None and vectors is not None:
            raise ValueError("vectors are of clean photographs: degrade needs a live classifier")
        if labels and (degrade is not None or vectors is not None):
            other = "degrade" if vectors is None else "vectors"
            raise ValueError(f"a batch holds labels or what {other} gives, not both: name one")
        if frames < 1 or every < 1:
            raise ValueError(f"frames and every must be at least 1, got {frames} and {every}")
        if frames > 1 and (labels or degrade is not None or vectors is not None):
            raise ValueError(
                "clips have no labels, vectors or degradations: give frames=1 for them"
            )
        if isinstance(path, (str, Path)):
            self.hparams["path"] = str(path)
        self.path = path
        self.size = size
        self.batch_size = batch_size
        self.workers = workers
        self.split = tuple(split)
        self.held_out = held_out
        self.lists = None if lists is None else dict(lists)
        self.transform = training_transform(size, zoom, flip, rotation, jitter)
        self.zoom = zoom
        self.degrade = degrade
        self.grey_below = grey_below
        self.vectors = vectors
        self.cache: VectorCache | None = None
        """Opened by `setup`; a model that takes vectors checks it against its classifier."""
        self.labels = labels
        self.classes: list[str] = []
        """Folders that labels number; filled by `setup`."""
        self.frames = frames
        self.every = every
        self.clips = ClipMaker(frames, size, motions or Motions()) if frames > 1 else None
        self.limit = limit
        self.shares = dict(shares or {})
        self.seed = seed
        self.order_seed = seed if order_seed is None else order_seed
        self.photos: PhotoSet | None = None
        self._opened: PhotoSet | None = None
        self.left_out: dict[str, list[str]] = {"grey": [], "damaged": []}
        """Names of photographs that are not used, by reason: grey ones not in training, damaged
        ones nowhere; filled by `setup`."""

    def prepare_data(self) -> None:
        """Look for grey photographs once a machine; `setup` then finds the figures in the cache."""
        if self.grey_below > 0:
            self._opened = self._open()  # which takes a while for large archives
            cached_scan(self._opened)

    def setup(self, stage: str | None = None) -> None:
        if self.photos is not None:  # the same for each stage
            return
        photos = self._open() if self._opened is None else self._opened
        unknown = set(self.shares) - set(photos.sources)
        if unknown:
            raise ValueError(
                f"shares names {', '.join(sorted(unknown))}; the sources in {self._place} are"
                f" {', '.join(sorted(set(photos.sources)))}"
            )
        if self.lists is not None:
            split = listed_split(photos, self.lists)
        else:
            try:
                split = seeded_split(len(photos), self.split, self.seed, self.held_out)
            except ValueError as error:
                raise ValueError(f"{self._place}: {error}") from error
        if self.vectors is not None:
            self.cache = VectorCache(self.vectors)
            self.cache.check(photos)
        labels = None
        if self.labels:
            self.classes, labels = folder_classes(photos)
        self.damaged = torch.zeros(len(photos), dtype=torch.uint8)
        self.damaged.share_memory_()  # type: ignore[no-untyped-call]
        if self.grey_below > 0:
            split = self._filtered(photos, split)
        eager = 2 * self.size  # halved by decoding at most: what resizing needs to stay sharp
        upright = upright_transform(self.size)
        self.train_set = PhotoPart(
            photos, split.train, self.transform, self.damaged,
            # The narrowest crop, 3 to 4 of the least area, must not be enlarged because the
            # photograph was decoded small.
            math.ceil(self.size / (0.75 * self.zoom[0]) ** 0.5), self.degrade, self.cache, labels,
            self.clips,
        )  # fmt: skip
        self.val_set, self.test_set = (
            PhotoPart(
                photos, part, upright, self.damaged, eager, None, self.cache, labels, self.clips
            )
            for part in (split.val, split.test)
        )
        self.training_weights = [self.shares.get(photos.sources[i], 1.0) for i in split.train]
        self.photos = photos

    @property
    def _place(self) -> str:
        return str(self.path) if isinstance(self.path, (str, Path)) else type(self.path).__name__

    def _open(self) -> PhotoSet:
        films = self.frames > 1 and isinstance(self.path, (str, Path)) and holds_films(self.path)
        photos = Films(str(self.path), self.frames, self.every) if films else open_photos(self.path)
        return photos if self.limit is None else FirstPhotos(photos, self.limit)

    def _filtered(self, photos: PhotoSet, split: Split) -> Split:
        """The split without damaged photographs, and training without grey ones, reported."""
        colours = cached_scan(photos)
        damaged, training = np.isnan(colours), np.zeros(len(photos), dtype=bool)
        training[split.train] = True
        grey = training & (colours < self.grey_below)
        self.damaged[torch.from_numpy(damaged)] = 1
        self.left_out = {
            reason: [photos.names[i] for i in which.nonzero()[0]]
            for reason, which in (("grey", grey), ("damaged", damaged))
        }
        if damaged.all():
            try:
                photos.picture(0)
            except DamagedPhotoError as error:
                raise ValueError(
                    f"none of the {len(photos)} photographs in {self._place} can be decoded; the"
                    f" first: {error}"
                ) from error
        finding = (
            f"{self._place}: {int(grey.sum())} of {len(split.train)} training photographs are grey"
            f" or nearly grey (colourfulness below {self.grey_below:g})"
        )
        useless = grey | damaged
        if useless[split.train].all():
            raise ValueError(f"{finding}: nothing is left to learn from; grey_below=0 keeps all")
        if grey.any():
            rank_zero_info(f"{finding} and left out: {shortened(self.left_out['grey'])}")
        kept = {part: [i for i in getattr(split, part) if not useless[i]] for part in PARTS}
        for part, indices in kept.items():
            if getattr(split, part) and not indices:
                raise ValueError(
                    f"{self._place}: none of the {len(getattr(split, part))} photographs of the"
                    f" part {part} can be decoded; give another seed or larger shares"
                )
        return Split(**kept)

    def train_dataloader(self) -> ResumableLoader:
        """Batches in the order of `EpochSampler`, resumed by Lightning where a run was cut off."""
        trainer = self.trainer
        sampler = EpochSampler(
            self.training_weights,
            self.order_seed,
            1 if trainer is None else trainer.world_size,
            0 if trainer is None else trainer.global_rank,
        )
        return ResumableLoader(
            self.train_set,
            self.batch_size,
            sampler=sampler,
            # A last batch of one picture would upset batch normalization; a set smaller than a
            # batch is trained on all the same.
            drop_last=sampler.total // sampler.num_replicas >= self.batch_size,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=limit_worker_threads,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """The middle of each photograph that was kept from training to choose by."""
        return self._evaluation(self.val_set)

    def test_dataloader(self) -> DataLoader[Any]:
        """The middle of each photograph that was kept from training and choosing.

        Raises:
            ValueError: if the split has none.
        """
        if not len(self.test_set):
            raise ValueError(
                "the split leaves no photographs for testing: give split= a third share, or lists="
                " a list of them (held_out keeps photographs for validation only)"
            )
        return self._evaluation(self.test_set)

    def predict_dataloader(self) -> DataLoader[Any]:
        """The photographs of the test part."""
        return self.test_dataloader()

    def _evaluation(self, part: PhotoPart) -> DataLoader[Any]:
        shared = None
        if self.trainer is not None and self.trainer.world_size > 1:
            shared = PartSampler(len(part), self.trainer.world_size, self.trainer.global_rank)
        return DataLoader(
            part,
            batch_size=self.batch_size,  # by name: Lightning rebuilds it to predict
            sampler=shared,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=limit_worker_threads,
        )

    def damaged_names(self) -> list[str]:
        """Photographs that could not be decoded so far, in any worker of this process."""
        if self.photos is None:
            return []
        return [self.photos.names[i] for i in self.damaged.nonzero().flatten().tolist()]

    def teardown(self, stage: str | None = None) -> None:
        """Warn of the photographs that were skipped because they could not be decoded."""
        names = self.damaged_names()
        if names:
            warnings.warn(
                f"{len(names)} of {len(self.damaged)} photographs could not be decoded and were"
                f" left out: {shortened(names)}",
                stacklevel=2,
            )


def limit_worker_threads(_: int) -> None:
    """Give each loader process one torch thread: they run beside the training itself."""
    torch.set_num_threads(1)
