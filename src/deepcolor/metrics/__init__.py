"""Figures that tell how well colours were predicted. Each class is a torchmetrics.Metric.

PSNR alone rewards caution (a sepia tint over everything beats most colorizers), colourfulness alone
rewards paint: read them together, beside those of a grey and of a constantly tinted picture.
docs/evaluate.md has each definition, its source and its traps. Networks that judge are given to the
metrics; `deepcolor.weights` loads them.
"""

from deepcolor.metrics.bins import BinAccuracy
from deepcolor.metrics.chroma import (
    GREY_CHROMA,
    Colourfulness,
    ColourfulnessDelta,
    GreyShare,
    colourfulness,
    grey_share,
    match_colourfulness,
)
from deepcolor.metrics.difference import CIEDE2000, AbAuC, ciede2000
from deepcolor.metrics.distribution import FID, HueInvariantFID
from deepcolor.metrics.fidelity import LPIPS, PSNR, SSIM, AlexNetDistance, psnr
from deepcolor.metrics.recognition import FrozenClassifier, Recognisability
from deepcolor.metrics.temporal import ChromaFlicker, ColourDistributionConsistency

__all__ = [
    "CIEDE2000",
    "FID",
    "GREY_CHROMA",
    "LPIPS",
    "PSNR",
    "SSIM",
    "AbAuC",
    "AlexNetDistance",
    "BinAccuracy",
    "ChromaFlicker",
    "ColourDistributionConsistency",
    "Colourfulness",
    "ColourfulnessDelta",
    "FrozenClassifier",
    "GreyShare",
    "HueInvariantFID",
    "Recognisability",
    "ciede2000",
    "colourfulness",
    "grey_share",
    "match_colourfulness",
    "psnr",
]
