"""Checkpoints of Lightning: written whole or not at all, found again, and of the right model."""

import os
from pathlib import Path
from typing import IO, Any

import torch
from lightning import Trainer
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from deepcolor.files import write_beside
from deepcolor.tensors import WeightsError, read_pickle
from deepcolor.weights.files import class_of, load_checkpoint, save_model

__all__ = ["CheckpointError", "WholeFileIO", "checkpoint_of", "find_run", "save_best"]

WORDS = ("best", "last")  # checkpoints that need no path


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another model."""


class WholeFileIO(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them: the old one survives a full disk.

    Lightning's own way writes to the folder for temporary files and moves from there, which is a
    copy where that is another disk, and not whole if it breaks off.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OSError: if it cannot be written, with what is left there in its message.
        """
        if storage_options is not None:
            raise TypeError("checkpoints are written to local files: no storage_options")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)

        def write(file: IO[bytes]) -> None:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

        try:
            write_beside(path, write)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            cause = error if isinstance(error, OSError) else error.__context__ or error
            kept = "the one before it is whole" if path.exists() else "there is none yet"
            raise OSError(f"{path}: checkpoint not written ({cause}); {kept}") from error


def find_run(folder: str | Path, word: str) -> Path | None:
    """The newest version of a run that has a checkpoint named `word`.

    Args:
        folder: of the run: its versions lie in version_0, version_1 ...
        word: "best" or "last".

    Returns:
        The checkpoint, or None if no version has one.
    """
    found = [
        (int(path.parts[-3].removeprefix("version_")), path)
        for path in Path(folder).glob(f"version_*/checkpoints/{word}.ckpt")
        if path.parts[-3].removeprefix("version_").isdigit()
    ]
    return max(found)[1] if found else None


def checkpoint_of(path: str | Path) -> str:
    """The class path of the model that a checkpoint is of; "" if it does not say.

    Raises:
        CheckpointError: if the file is missing or no checkpoint.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        checkpoint = read_pickle(Path(path))
    except WeightsError as error:
        raise CheckpointError(f"{path}: damaged, or no checkpoint of Lightning") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(
            f"{path}: no checkpoint of Lightning; --warm_start starts from a weights file"
        )
    return class_of(checkpoint)


def save_best(trainer: Trainer, folder: Path) -> Path | None:
    """Write the weights of a run's best checkpoint as a file that `load_model` takes.

    Args:
        trainer: after its fit.
        folder: of the run; best.safetensors in it is replaced.

    Returns:
        The file; None if no callback kept a best checkpoint, or none is left.

    Raises:
        WeightsError: for a checkpoint that is damaged.
        OSError: if the file cannot be written.
    """
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor]
    best = Path(kept[0].best_model_path) if kept and kept[0].best_model_path else None
    if best is None or not best.is_file():
        return None
    return save_model(load_checkpoint(best), folder / "best.safetensors")
