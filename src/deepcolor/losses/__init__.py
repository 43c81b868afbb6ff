"""Losses, by what they look at."""

from deepcolor.losses.chroma import (
    chroma_huber,
    chroma_mse,
    colourful,
    colourfulness_loss,
    combined_chroma_loss,
    soft_cross_entropy,
)
from deepcolor.losses.perceptual import FeatureLoss
from deepcolor.losses.temporal import temporal_loss

__all__ = [
    "FeatureLoss",
    "chroma_huber",
    "chroma_mse",
    "colourful",
    "colourfulness_loss",
    "combined_chroma_loss",
    "soft_cross_entropy",
    "temporal_loss",
]
