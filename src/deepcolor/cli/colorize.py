"""`deepcolor colorize`: plan, load the model, colour, report."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deepcolor import images
from deepcolor.cli.pipes import (
    STDIN_NAME,
    STDIO,
    STDOUT_NAME,
    copy_out,
    format_of,
    store,
    waystation,
)
from deepcolor.cli.report import Report, on_terminal
from deepcolor.cli.signals import stoppable
from deepcolor.inference import Predictor
from deepcolor.jobs.batch import Settings, colour_all
from deepcolor.jobs.naming import (
    SAME,
    Naming,
    Task,
    is_lossy,
    named_file,
    without_clashes,
)
from deepcolor.jobs.plan import Plan, plan

__all__ = ["MAX_INPUT", "Order", "colorize", "prepared"]

MAX_INPUT = 1000  # megabytes of standard input
FAILED, NOTHING_DONE = 1, 2  # exit codes


@dataclass(frozen=True)
class Order:
    """What the command line asks for; see `deepcolor colorize --help`."""

    photos: Sequence[str]
    output: str | None
    recursive: bool
    naming: Naming
    settings: Settings
    skip_existing: bool
    max_input: int | None
    jobs: int | None
    model: str
    device: str
    as_json: bool
    loudness: int


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
    with ExitStack() as stack:
        if STDIO in (*order.photos, order.output):
            work = _piped(order, stack.enter_context(waystation()))
        else:
            work = plan(
                order.photos, order.output, order.naming, order.recursive, order.skip_existing,
                images.writable,
            )  # fmt: skip
        numbered = order.settings.file_quality is not None
        if numbered and not any(is_lossy(task.target) for task in work.tasks + work.skipped):
            raise ValueError("--file-quality is for jpg, webp and avif; choose one with --format")
        if order.settings.guide is not None:
            order.settings.guide.check(len(work.tasks) + len(work.skipped))
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
    report = Report(work, device, order.as_json, stream, order.loudness)
    if predictor is None:
        report.end(0.0, stopped=False)
        return FAILED if work.skipped and work.problems else NOTHING_DONE * bool(work.problems)
    if order.device == "auto":
        report.say(f"device {device} (auto)")
    jobs = min(order.jobs or default_jobs(), len(work.tasks))
    report.tell(f"{len(work.tasks)} to colour by {order.model} on {device}, {jobs} at once")
    start = time.perf_counter()
    with stoppable() as (stop, caught):
        outcomes = colour_all(predictor, work.tasks, order.settings, jobs, stop)
        with closing(outcomes):
            for outcome in outcomes:
                if outcome.error is None and outcome.task.goes_to == STDOUT_NAME:
                    copy_out(outcome.task.target)
                report.add(outcome)
        report.end(time.perf_counter() - start, stopped=bool(caught))
    if caught:
        return 128 + caught[0]
    return FAILED if report.errors else 0


def _piped(order: Order, folder: Path) -> Plan:
    """The work on one photograph from or to a pipe, by files in `folder`."""
    if len(order.photos) != 1 or os.path.isdir(order.photos[0]):
        raise ValueError("- stands for one photograph; give no others with it")
    naming = order.naming
    photo, name = Path(order.photos[0]), order.photos[0]
    to_file = order.output not in (None, STDIO)
    if not to_file and on_terminal(sys.stdout):
        raise ValueError("standard output is a terminal; send it to a file or a program, or use -o")
    if not to_file and (naming.samples > 1 or naming.compare):
        raise ValueError("standard output takes one picture; --samples and --compare need -o FILE")
    if name == STDIO:
        photo, name = folder / STDIN_NAME, STDIN_NAME
        limit = None if order.max_input is None else order.max_input * 1_000_000
        store(sys.stdin.buffer, photo, limit)
    elif not photo.is_file():
        raise FileNotFoundError(f"{photo}: no such file; -o - takes one photograph, by its name")
    kind = naming.suffix
    if kind in (None, SAME):
        kind = format_of(photo)
    if not to_file:
        target = folder / f"{STDOUT_NAME}.{kind}"
        return Plan([Task(photo, (target,), name, STDOUT_NAME)], [], [], [])
    known = photo if naming.suffix != SAME else photo.with_name(f"{photo.name}.{kind}")
    file = named_file(str(order.output), known, naming)
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; name the file to write")
    task = replace(naming.task(photo, naming.numbered(file)), name=name)
    without_clashes([task])
    for written in task.files:
        images.writable(written)
    there = order.skip_existing and all(written.is_file() for written in task.files)
    return Plan([] if there else [task], [], [task] if there else [], [])
