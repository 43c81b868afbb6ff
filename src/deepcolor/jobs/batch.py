"""Many photographs at once: while one is in the network, others are read and written."""

import queue
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch

from deepcolor import images
from deepcolor.files import shown
from deepcolor.inference import Options, Predictor
from deepcolor.inference.network import check_guidance
from deepcolor.jobs.comparison import before, side_by_side
from deepcolor.jobs.films import is_film
from deepcolor.jobs.guides import Guide
from deepcolor.jobs.naming import Task, is_lossy

__all__ = ["Outcome", "Settings", "colour_all"]

POLL = 0.2  # seconds; where waiting for a lock cannot be interrupted, Ctrl-C takes that long
PAGES = (".tif", ".tiff")  # formats that hold several pictures


FORESEEN = (ValueError, TypeError, OSError)  # their messages say enough
FILM = "{} is a film; this command colours photographs, and deepcolor video colours films"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to read, colour and save.

    Attributes:
        options: how to colour.
        sample: seed of the colourings that are drawn; None for the expected one, or for 0 if there
            are several `samples`.
        samples: how many colourings of each photograph.
        max_pixels: as of `images.read`.
        file_quality: as of `images.save`.
        strip_location: as of `colorize`.
        guide: what is said of colours; None for nothing.
    """

    options: Options = field(default_factory=Options)
    sample: int | None = None
    samples: int = 1
    max_pixels: int | None = images.MAX_PIXELS
    file_quality: int | None = None
    strip_location: bool = False
    guide: Guide | None = None

    @property
    def drawn(self) -> int | None:
        """How many colourings are drawn; None for the expected one."""
        return None if self.sample is None and self.samples == 1 else self.samples

    def check(self, predictor: Predictor) -> None:
        """Refuse, before any work, what the model cannot be asked."""
        if self.drawn is not None:
            predictor.require_distribution("samples", self.options.temperature, self.sample or 0)
        if self.guide is not None:
            check_guidance(predictor.model, self.guide.outline())

    def colour(self, predictor: Predictor, picture: images.Picture) -> list[Any]:
        """The colourings of one picture."""
        said = None if self.guide is None else self.guide.for_picture(picture)
        if self.drawn is None:
            results = [predictor.colour(picture, self.options, said)]
        else:
            results = predictor.draw(picture, self.drawn, self.sample or 0, self.options, said)
        if self.strip_location:
            for result in results:
                images.forget_location(result)
        return results


@dataclass
class Outcome:
    """What became of a photograph.

    Attributes:
        task: the photograph.
        seconds: of reading, colouring and writing, without waiting for one another.
        size: width and height of the result.
        error: why there is no result; None if there is one.
        notes: warnings met on the way.
        trace: where an error arose that nobody foresaw.
    """

    task: Task
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    error: str | None = None
    notes: list[str] = field(default_factory=list)
    trace: str | None = None


Colour = Callable[[images.Picture], tuple[list[Any], float]]  # results, seconds of waiting


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
    with _collecting_warnings() as collected, _sharing_cores(jobs):

        def colour(picture: images.Picture) -> tuple[list[Any], float]:
            begun = time.perf_counter()
            with turn:
                waited = time.perf_counter() - begun
                return settings.colour(predictor, picture), waited

        def work(task: Task) -> None:
            outcome = None
            collected.notes = []
            try:
                outcome = _one(task, settings, colour, stop)
            except Exception as error:  # a bad file must not stop the rest, whatever it breaks
                outcome = Outcome(task, error=_sentence(error, task))
                if not isinstance(error, FORESEEN):
                    outcome.trace = traceback.format_exc()
            finally:
                if outcome is not None:
                    outcome.notes = [_named(n, task) for n in dict.fromkeys(collected.notes)]
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


class _StoppedError(Exception):
    """Told to stop before anything was written."""


def _one(task: Task, settings: Settings, colour: Colour, stop: threading.Event) -> Outcome | None:
    """Colour one photograph; None if it was stopped before anything was written."""
    outcome = Outcome(task)
    start = time.perf_counter()
    waited = 0.0
    panels: list[Any] = []  # before, and after, of the first picture

    def coloured(picture: images.Picture) -> list[Any]:
        nonlocal waited
        if stop.is_set():
            raise _StoppedError
        shows = task.comparison is not None and not panels
        old = before(picture) if shows else None
        results, seconds = colour(picture)
        waited += seconds
        if stop.is_set():
            raise _StoppedError
        outcome.size = outcome.size or results[0].size
        if shows:
            panels.extend([old, results])
        return results

    def pages() -> Iterator[Any]:
        for picture in images.read_pages(task.photo, settings.max_pixels):
            yield coloured(picture)[0]

    try:
        if task.target.suffix.lower() in PAGES and len(task.targets) == 1:
            ready = _begun(pages())  # so that a bad file leaves no folder
            task.target.parent.mkdir(parents=True, exist_ok=True)
            images.save_pages(ready, task.target)
        else:
            if stop.is_set():
                return None
            results = coloured(images.read(task.photo, settings.max_pixels))
            task.target.parent.mkdir(parents=True, exist_ok=True)
            for result, target in zip(results, task.targets, strict=True):
                quality = settings.file_quality if is_lossy(target) else None
                images.save(result, target, quality)
        if task.comparison is not None:
            images.save(side_by_side(*panels), task.comparison)
    except _StoppedError:
        return None
    outcome.seconds = time.perf_counter() - start - waited
    return outcome


def _begun(pages: Iterator[Any]) -> Iterator[Any]:
    """The same, with its first made already."""
    first = next(pages)
    return chain([first], pages)


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
def _collecting_warnings() -> Iterator[threading.local]:
    """Collect warnings in `notes` of the thread that they arise in.

    `warnings.catch_warnings` alone knows no threads: what it records belongs to no photograph.
    """
    collected = threading.local()

    def collect(message: Warning | str, *_: Any, **__: Any) -> None:
        if hasattr(collected, "notes"):
            collected.notes.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (UserWarning, RuntimeWarning):  # the others are for programmers
            warnings.simplefilter("always", kind)
        warnings.showwarning = collect
        yield collected


def _sentence(error: Exception, task: Task) -> str:
    """What went wrong, on one line, naming the photograph."""
    text = str(error) or type(error).__name__
    if isinstance(error, images.ImageError) and is_film(task.photo):
        return FILM.format(shown(task.name))
    if not isinstance(error, FORESEEN):
        text = f"{type(error).__name__}: {text}"
    return _named(text.replace("max_pixels=", "--max-pixels"), task)


def _named(text: str, task: Task) -> str:
    """The same on one line, with the names that the user knows."""
    names = [(task.photo, task.name), *((target, str(target)) for target in task.files)]
    if len(task.files) == 1:
        names[1] = (task.target, task.goes_to)
    for path, name in names:
        for spelt in (str(path), shown(path)):
            text = text.replace(spelt, shown(name))
    text = " ".join(text.splitlines())
    return text if shown(task.name) in text else f"{shown(task.name)}: {text}"
