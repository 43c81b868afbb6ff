"""Checkpoints of Lightning: written whole or not at all, found again, and of the right model."""

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

__all__ = ["CheckpointError", "WholeFileIO", "checkpoint_of", "find_run"]

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
        beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with open(beside, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            cause = error if isinstance(error, OSError) else error.__context__ or error
            kept = "the one before it is whole" if path.exists() else "there is none yet"
            raise OSError(f"{path}: checkpoint not written ({cause}); {kept}") from error
        finally:
            beside.unlink(missing_ok=True)


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
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, EOFError, UnpicklingError, LookupError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: damaged, or no checkpoint of Lightning") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(
            f"{path}: no checkpoint of Lightning; --warm_start starts from a weights file"
        )
    return str(checkpoint.get("hyper_parameters", {}).get("_class_path", ""))
