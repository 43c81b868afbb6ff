"""Photographs for training and validation. RGB only: colour is converted once, on the device."""

from deepcolor.batch import Batch
from deepcolor.data.clips import ClipMaker, Clips, Motions, synthetic_clip
from deepcolor.data.datamodule import ColorizationDataModule
from deepcolor.data.datasets import DamagedPhotoError, ListedPhotos, PhotoFolder, PhotoSet
from deepcolor.data.degrade import Degradations, Degraded
from deepcolor.data.features import CacheError, VectorCache, VectorSet, cache_vectors
from deepcolor.data.films import Films
from deepcolor.data.pairs import LabPairs
from deepcolor.data.sampling import EpochSampler, ResumableLoader
from deepcolor.data.shards import TarPhotos
from deepcolor.data.sources import open_photos
from deepcolor.data.tables import HuggingFacePhotos

__all__ = [
    "Batch",
    "CacheError",
    "ClipMaker",
    "Clips",
    "ColorizationDataModule",
    "DamagedPhotoError",
    "Degradations",
    "Degraded",
    "EpochSampler",
    "Films",
    "HuggingFacePhotos",
    "LabPairs",
    "ListedPhotos",
    "Motions",
    "PhotoFolder",
    "PhotoSet",
    "ResumableLoader",
    "TarPhotos",
    "VectorCache",
    "VectorSet",
    "cache_vectors",
    "open_photos",
    "synthetic_clip",
]
