"""Photographs for training and validation. RGB only: colour is converted once, on the device."""

from deepcolor.batch import Batch
from deepcolor.data.datamodule import ColorizationDataModule
from deepcolor.data.datasets import DamagedPhotoError, ListedPhotos, PhotoFolder, PhotoSet
from deepcolor.data.degrade import Degradations, Degraded
from deepcolor.data.features import CacheError, VectorCache, VectorSet, cache_vectors
from deepcolor.data.pairs import LabPairs
from deepcolor.data.sampling import EpochSampler, ResumableLoader
from deepcolor.data.shards import TarPhotos
from deepcolor.data.sources import open_photos
from deepcolor.data.tables import HuggingFacePhotos

__all__ = [
    "Batch",
    "CacheError",
    "ColorizationDataModule",
    "DamagedPhotoError",
    "Degradations",
    "Degraded",
    "EpochSampler",
    "HuggingFacePhotos",
    "LabPairs",
    "ListedPhotos",
    "PhotoFolder",
    "PhotoSet",
    "ResumableLoader",
    "TarPhotos",
    "VectorCache",
    "VectorSet",
    "cache_vectors",
    "open_photos",
]
