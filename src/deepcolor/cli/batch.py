"""Many photographs at once: while one is in the network, others are read and written."""

import queue
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from deepcolor import images
from deepcolor.cli.plan import Task, is_lossy
from deepcolor.inference import Options, Predictor

__all__ = ["Outcome", "Settings", "colour_all"]

POLL = 0.2  # seconds; where waiting for a lock cannot be interrupted, Ctrl-C takes that long
PAGES = (".tif", ".tiff")  # formats that hold several pictures


@dataclass(frozen=True)
class Settings:
    """How to read, colour and save.

    Attributes:
        options: how to colour.
        sample: draw the colouring of that seed; None for the expected one.
        max_pixels: as of `images.read`.
        file_quality: as of `images.save`.
    """

    options: Options = field(default_factory=Options)
    sample: int | None = None
    max_pixels: int | None = images.MAX_PIXELS
    file_quality: int | None = None

    def check(self, predictor: Predictor) -> None:
        """Refuse, before any work, what a model cannot do."""
        if self.sample is not None:
            predictor.require_distribution("samples", self.options.temperature, self.sample)


@dataclass
class Outcome:
    """What became of a photograph.

    Attributes:
        task: the photograph.
        seconds: of reading, colouring and writing, without waiting for one another.
        size: width and height of the result.
        error: why there is no result; None if there is one.
        notes: warnings met on the way.
    """

    task: Task
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    error: str | None = None
    notes: list[str] = field(default_factory=list)


def colour_all(
    predictor: Predictor,
    tasks: Sequence[Task],
    settings: Settings,
    jobs: int,
    stop: threading.Event,
) -> Generator[Outcome, None, None]:
    """Colour photographs by `jobs` threads, each one photograph from file to file.

    So at most `jobs` photographs are in memory. The threads share torch's cores out: a network that
    waits for helpers stands still whenever a writer has taken a helper's core (5000 waits a
    photograph; 20 to 250 with a core to itself). Another number of cores rounds about 3 of a
    million values the other way. On a GPU the network takes one photograph at a time.

    Args:
        predictor: colours them.
        tasks: the photographs.
        settings: how.
        jobs: number of threads; with 1, one photograph is done before the next is begun.
        stop: once set, files being written are finished and nothing else is begun.

    Yields:
        What became of each photograph that was not stopped, in the order they are done.
    """
    done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
    turn = nullcontext() if predictor.device.type == "cpu" else threading.Lock()
    settings.check(predictor)
    with _hearing() as heard, _sharing_cores(jobs):

        def colour(picture: images.Picture) -> tuple[Any, float]:
            with turn:
                start = time.perf_counter()
                if settings.sample is None:
                    coloured = predictor.colour(picture, settings.options)
                else:
                    coloured = predictor.draw(picture, settings.sample, settings.options)
                return coloured, time.perf_counter() - start

        def work(task: Task) -> None:
            outcome = None
            heard.notes = []
            try:
                outcome = _one(task, settings, colour, stop)
            except Exception as error:  # a bad file must not stop the rest, whatever it breaks
                outcome = Outcome(task, error=_sentence(error, task))
            finally:
                if outcome is not None:
                    outcome.notes = [_named(n, task) for n in dict.fromkeys(heard.notes)]
                done.put(outcome)

        pool = ThreadPoolExecutor(jobs, "deepcolor")
        try:
            futures = [pool.submit(work, task) for task in tasks]
            left = len(futures)
            while left and not stop.is_set():
                try:
                    outcome = done.get(timeout=POLL)
                except queue.Empty:
                    continue
                left -= 1
                if outcome is not None:
                    yield outcome
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        while not done.empty():
            outcome = done.get()
            if outcome is not None:
                yield outcome


def _one(
    task: Task,
    settings: Settings,
    colour: Callable[[images.Picture], tuple[Any, float]],
    stop: threading.Event,
) -> Outcome | None:
    """Colour one photograph; None if it was stopped before anything was written."""
    if stop.is_set():
        return None
    start = time.perf_counter()
    pictures = _read(task, settings.max_pixels)
    seconds = time.perf_counter() - start
    coloured = []
    while pictures:
        if stop.is_set():
            return None
        result, taken = colour(pictures.pop(0))
        coloured.append(result)
        seconds += taken
    if stop.is_set():
        return None
    start = time.perf_counter()
    task.target.parent.mkdir(parents=True, exist_ok=True)
    if len(coloured) > 1:
        images.save_pages(coloured, task.target)
    else:
        quality = settings.file_quality if is_lossy(task.target) else None
        images.save(coloured[0], task.target, quality)
    seconds += time.perf_counter() - start
    return Outcome(task, seconds, coloured[0].size)


def _read(task: Task, max_pixels: int | None) -> list[images.Picture]:
    """All pages if the result can hold them; the first, with a warning, if it cannot."""
    if task.target.suffix.lower() in PAGES:
        return list(images.read_pages(task.photo, max_pixels))
    return [images.read(task.photo, max_pixels)]


@contextmanager
def _sharing_cores(jobs: int) -> Iterator[None]:
    """Give each of several threads its share of torch's."""
    before = torch.get_num_threads()
    if jobs > 1:
        torch.set_num_threads(max(1, before // jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _hearing() -> Iterator[threading.local]:
    """Collect warnings in `notes` of the thread that they arise in.

    `warnings.catch_warnings` alone knows no threads: what it records belongs to no photograph.
    """
    heard = threading.local()

    def hear(message: Warning | str, *_: Any, **__: Any) -> None:
        if hasattr(heard, "notes"):
            heard.notes.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (UserWarning, RuntimeWarning):  # the others are for programmers
            warnings.simplefilter("always", kind)
        warnings.showwarning = hear
        yield heard


def _sentence(error: Exception, task: Task) -> str:
    """What went wrong, on one line, naming the photograph."""
    text = str(error) or type(error).__name__
    if not isinstance(error, (ValueError, TypeError, OSError)):
        text = f"{type(error).__name__}: {text}"
    return _named(text.replace("max_pixels=", "--max-pixels"), task)


def _named(text: str, task: Task) -> str:
    text = " ".join(text.splitlines()).replace(str(task.photo), task.name)
    text = text.replace(str(task.target), task.goes_to)
    return text if task.name in text else f"{task.name}: {text}"
