"""Losses, by what they look at."""

from deepcolor.losses.chroma import (
    chroma_huber,
    chroma_mse,
    colourful,
    combined_chroma_loss,
    soft_cross_entropy,
)
from deepcolor.losses.temporal import temporal_loss

__all__ = [
    "chroma_huber",
    "chroma_mse",
    "colourful",
    "combined_chroma_loss",
    "soft_cross_entropy",
    "temporal_loss",
]
