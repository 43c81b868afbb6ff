"""Photographs for training and validation. RGB only: colour is converted once, on the device."""

from deepcolor.data.datamodule import ColorizationDataModule
from deepcolor.data.datasets import PhotoFolder, PhotoSet, TarPhotos, open_photos

__all__ = ["ColorizationDataModule", "PhotoFolder", "PhotoSet", "TarPhotos", "open_photos"]
