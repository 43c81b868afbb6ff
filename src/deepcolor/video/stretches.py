"""Films that take hours: finished stretches and a state lie in a folder beside the result.

A stretch is written under a name that is no stretch's, then renamed; then the state that names it
is written beside and renamed. So whatever is killed when, the state tells of whole stretches only,
and of all that is needed to go on behind the last of them.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from filelock import FileLock, Timeout

from deepcolor.files import UNFINISHED, shown, write_beside
from deepcolor.video.snapshots import Snapshot

__all__ = ["FULL", "PARTS", "Parts", "Progress", "parts_of"]

PARTS = ".parts"  # OUT.parts lies beside OUT
STATE = "state.safetensors"
LOCK = ".lock"
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


@dataclass(frozen=True)
class Progress:
    """How far a film is.

    Attributes:
        snapshot: where to go on.
        stretches: names of the finished files, in order.
        frames: finished, in all.
        done: whether nothing is left to paint.
        remarks: of the film, made so far.
        pts: of the next frame to be painted, where it is known: it is found faster by it.
    """

    snapshot: Snapshot = field(default_factory=Snapshot)
    stretches: tuple[str, ...] = ()
    frames: int = 0
    done: bool = False
    remarks: tuple[str, ...] = ()
    pts: int | None = None


def parts_of(out: Path) -> Path:
    """The folder of what is unfinished."""
    return out.with_name(out.name + PARTS)


class Parts:
    """The unfinished film beside its place.

    Args:
        out: the file or folder to write in the end.
        order: what was asked for, by name; another order cannot go on with it.
    """

    def __init__(self, out: Path, order: dict[str, str]) -> None:
        self.out = out
        self.order = order
        self.folder = parts_of(out)

    @contextmanager
    def begun(self, resume: bool, overwrite: bool) -> Iterator[Progress]:
        """Make the folder, or go on with it; no other process can at the same time.

        Raises:
            FileExistsError: if there is something to go on with, or a result, and nothing says
                what to do with it.
            ValueError: if it was begun with another order, or by something else.
            OSError: if the place cannot be written to, or another process works there.
        """
        there = self.folder.exists()
        state = self.folder / STATE
        if there and not self.folder.is_dir():
            raise FileExistsError(f"{shown(self.folder)} is in the way of what is unfinished")
        if there and any(self.folder.iterdir()) and not (self.folder / LOCK).exists():
            raise FileExistsError(
                f"{shown(self.folder)} is not deepcolor's: it needs that name for what is"
                " unfinished; rename that folder, or choose another output"
            )
        if not (resume and there) and _is_there(self.out) and not overwrite:
            raise FileExistsError(f"{shown(self.out)} is there already; --overwrite replaces it")
        try:
            self.folder.mkdir(exist_ok=True)
            lock = FileLock(self.folder / LOCK)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OSError(f"{shown(self.folder)}: another process is working on it") from error
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.folder)) from error
        try:
            if state.exists() and not resume and not overwrite:
                raise FileExistsError(
                    f"{shown(self.folder)} holds what a run finished that did not end; --resume"
                    " goes on with it, --overwrite begins anew"
                )
            progress = self._read(state) if resume else None
            if progress is None:
                state.unlink(missing_ok=True)
                self._sweep(())
                progress = Progress()
            else:
                self._sweep(progress.stretches)
            yield progress
        finally:
            if not state.exists() and self.folder.is_dir():  # nothing was finished in it
                self.remove()
            lock.release()

    def unfinished(self, suffix: str) -> Path:
        """Where to write the next stretch."""
        return self.folder / f"{UNFINISHED}next{suffix}"

    def finish(self, number: int, written: Path) -> str:
        """Make a stretch of what was written: its name from now on."""
        name = f"{number:06}{written.suffix}"
        with written.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(written, self.folder / name)
        return name

    def files(self, progress: Progress) -> list[Path]:
        """The finished stretches, in order."""
        return [self.folder / name for name in progress.stretches]

    def save(self, progress: Progress) -> None:
        """Write down how far the film is."""
        rest = {
            "order": self.order, "paint": progress.snapshot.paint, "push": progress.snapshot.push,
            "stretches": progress.stretches, "frames": progress.frames, "done": progress.done,
            "remarks": progress.remarks, "pts": progress.pts,
        }  # fmt: skip
        tensors = {k: v.contiguous() for k, v in progress.snapshot.tensors.items()}
        data = safetensors.torch.save(tensors, {"deepcolor": json.dumps(rest)})

        def write(file: Any) -> None:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

        write_beside(self.folder / STATE, write)

    def remove(self) -> None:
        """Remove all of it: the film is finished."""
        (self.folder / STATE).unlink(missing_ok=True)  # first: without it the rest is nothing
        shutil.rmtree(self.folder, ignore_errors=True)  # `begun` has seen that it is ours

    def _read(self, state: Path) -> Progress | None:
        """How far the run was, or None if nothing was finished."""
        if not state.is_file():
            return None
        try:
            with safetensors.safe_open(str(state), "pt") as file:
                rest = json.loads(file.metadata()["deepcolor"])
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            progress = Progress(
                Snapshot(int(rest["paint"]), int(rest["push"]), tensors),
                tuple(rest["stretches"]), int(rest["frames"]), bool(rest["done"]),
                tuple(rest["remarks"]), None if rest["pts"] is None else int(rest["pts"]),
            )  # fmt: skip
            before = dict(rest["order"])
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{shown(state)} cannot be read ({error}); --overwrite begins anew"
            ) from error
        changed = [
            f"{name} {before.get(name, 'unsaid')}, now {self.order.get(name, 'unsaid')}"
            for name in sorted(before.keys() | self.order.keys())
            if before.get(name) != self.order.get(name)
        ]
        if changed:
            raise ValueError(
                f"{shown(self.folder)} was begun otherwise: {'; '.join(changed)}. Ask for the same"
                " to go on with it; --overwrite without --resume begins anew"
            )
        return progress

    def _sweep(self, stretches: tuple[str, ...]) -> None:
        """Remove what no state names, of one's own."""
        for file in self.folder.iterdir():
            own = file.name.startswith(UNFINISHED) or (file.stem.isdigit() and file.is_file())
            if own and file.name not in stretches:
                file.unlink()


def _is_there(out: Path) -> bool:
    """Whether there is something to lose."""
    return any(out.iterdir()) if out.is_dir() else out.exists()
