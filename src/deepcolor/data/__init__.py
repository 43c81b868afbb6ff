"""Photographs for training and validation. RGB only: colour is converted once, on the device."""

from deepcolor.data.datamodule import ColorizationDataModule
from deepcolor.data.datasets import PhotoFolder, PhotoSet, TarPhotos, open_photos
from deepcolor.data.features import CacheError, VectorCache, VectorSet, cache_vectors

__all__ = [
    "CacheError",
    "ColorizationDataModule",
    "PhotoFolder",
    "PhotoSet",
    "TarPhotos",
    "VectorCache",
    "VectorSet",
    "cache_vectors",
    "open_photos",
]
