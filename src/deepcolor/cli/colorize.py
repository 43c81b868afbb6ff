"""`deepcolor colorize`: plan, load the model, colour, report."""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcolor import images
from deepcolor.cli.batch import Settings, colour_all
from deepcolor.cli.plan import (
    STDIN_NAME,
    STDIO,
    STDOUT_NAME,
    Plan,
    Task,
    checked_format,
    is_lossy,
    named_file,
    plan,
)  # fmt: skip
from deepcolor.cli.report import Report, on_terminal
from deepcolor.inference import Predictor

__all__ = ["Order", "colorize"]

MAGIC = (  # first bytes, where a fixed part of them starts, format
    (b"\xff\xd8\xff", 0, "jpg"), (b"II*\0", 0, "tif"), (b"MM\0*", 0, "tif"), (b"II+\0", 0, "tif"),
    (b"MM\0+", 0, "tif"), (b"WEBP", 8, "webp"), (b"ftypavi", 4, "avif"),
)  # fmt: skip
FAILED, NOTHING_DONE = 1, 2  # exit codes


@dataclass(frozen=True)
class Order:
    """What the command line asks for; see `deepcolor colorize --help`."""

    photos: Sequence[str]
    output: str | None
    recursive: bool
    format: str | None
    settings: Settings
    skip_existing: bool
    jobs: int | None
    model: str
    device: str
    as_json: bool


def default_jobs() -> int:
    """Threads that keep all cores busy: one more than there are, for when one waits; at most 8."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return min(8, cores + 1)


@contextmanager
def prepared(order: Order) -> Iterator[tuple[Plan, Predictor | None]]:
    """What to do, and the model, if there is anything to do.

    Raises:
        ValueError, OSError: where the command makes no sense, before any work.
    """
    suffix = None if order.format is None else checked_format(order.format)
    with ExitStack() as stack:
        if STDIO in (*order.photos, order.output):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="deepcolor."))
            work = _piped(order, suffix, Path(folder))
        else:
            work = plan(
                order.photos, order.output, suffix, order.recursive, order.skip_existing,
                images.writable,
            )  # fmt: skip
        numbered = order.settings.file_quality is not None
        if numbered and not any(is_lossy(task.target) for task in work.tasks + work.skipped):
            raise ValueError("--file-quality is for jpg, webp and avif; choose one with --format")
        predictor = Predictor(order.model, order.device) if work.tasks else None
        if predictor is not None:
            order.settings.check(predictor)
        yield work, predictor


def colorize(order: Order, work: Plan, predictor: Predictor | None) -> int:
    """Do what was prepared.

    Returns:
        Exit code: 0; 1 if photographs failed; 2 if there was nothing to try; 128 and the signal's
        number (130 for Ctrl-C) if it was stopped.
    """
    to_stdout = any(task.goes_to == STDOUT_NAME for task in work.tasks)
    device = None if predictor is None else str(predictor.device)
    stream = sys.stderr if to_stdout else sys.stdout
    report = Report(work, device, order.as_json, stream)
    if predictor is None:
        report.end(0.0, stopped=False)
        return FAILED if work.skipped and work.problems else NOTHING_DONE * bool(work.problems)
    if order.device == "auto":
        report.say(f"device {device} (auto)")
    start = time.perf_counter()
    jobs = min(order.jobs or default_jobs(), len(work.tasks))
    with _stoppable() as (stop, caught):
        outcomes = colour_all(predictor, work.tasks, order.settings, jobs, stop)
        with closing(outcomes):
            for outcome in outcomes:
                if outcome.error is None and outcome.task.goes_to == STDOUT_NAME:
                    _copy_out(outcome.task.target)
                report.add(outcome)
        report.end(time.perf_counter() - start, stopped=bool(caught))
    if caught:
        return 128 + caught[0]
    return FAILED if report.errors else 0


def _piped(order: Order, suffix: str | None, folder: Path) -> Plan:
    """Standard input and output become files in between: a result is whole, or not there at all."""
    if len(order.photos) != 1 or os.path.isdir(order.photos[0]):
        raise ValueError("- stands for one photograph; give no others with it")
    photo, name = Path(order.photos[0]), order.photos[0]
    if name == STDIO:
        photo, name = folder / STDIN_NAME, STDIN_NAME
        with photo.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    elif not photo.is_file():
        raise FileNotFoundError(f"{photo}: no such file; -o - takes one photograph, by its name")
    if order.output not in (None, STDIO):
        target = named_file(str(order.output), suffix)
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder; name the file to write")
        images.writable(target)
        task = Task(photo, target, name, str(target))
        there = order.skip_existing and target.is_file()
        return Plan([] if there else [task], [], [task] if there else [], [])
    if on_terminal(sys.stdout):
        raise ValueError("standard output is a terminal; send it to a file or a program, or use -o")
    target = folder / f"{STDOUT_NAME}.{suffix or _format_of(photo)}"
    return Plan([Task(photo, target, name, STDOUT_NAME)], [], [], [])


def _format_of(photo: Path) -> str:
    """The format of a file by its first bytes, where it is one to write; else PNG."""
    with photo.open("rb") as file:
        start = file.read(16)
    for magic, offset, kind in MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return kind
    return "png"


def _copy_out(path: Path) -> None:
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


@contextmanager
def _stoppable() -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that Ctrl-C and SIGTERM set instead of ending the process, and what they were."""
    stop, caught = threading.Event(), []

    def note(number: int, _: Any) -> None:
        caught.append(number)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop, caught
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
