"""What a training run needs beyond the Trainer: all of it as callbacks and plugins of Lightning."""

from deepcolor.training.averaging import WeightEMA, blend
from deepcolor.training.checkpoints import (
    CheckpointError,
    WholeFileIO,
    checkpoint_of,
    find_run,
    save_best,
)
from deepcolor.training.pictures import PictureGrid, PictureWriter
from deepcolor.training.seeds import StepSeeds

__all__ = [
    "CheckpointError",
    "PictureGrid",
    "PictureWriter",
    "StepSeeds",
    "WeightEMA",
    "WholeFileIO",
    "blend",
    "checkpoint_of",
    "find_run",
    "save_best",
]
