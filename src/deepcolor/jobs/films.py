"""Telling films from damaged photographs, and colouring many of them, one after the other."""

import glob
import os
import re
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deepcolor.files import shown
from deepcolor.listing import RESULT

if TYPE_CHECKING:
    from deepcolor.inference import Options, Predictor
    from deepcolor.video.options import FilmOptions, FilmResult

__all__ = ["FilmOutcome", "FilmTask", "colour_films", "films_in", "is_film", "plan_films"]

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
OTHERS = (
    ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv", ".ogv", ".vob", ".3gp", ".mxf", ".dv",
    ".nut",
)  # fmt: skip
STILLS = (b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
NUMBERED = re.compile(r".*\d\.(png|tiff?|jpe?g|bmp|webp)", re.IGNORECASE)
OTHERWISE = ".mkv"  # holds what any container holds
FORESEEN = (ValueError, TypeError, OSError)  # their messages say enough

TellFilm = Callable[["FilmTask", int, int | None], object]


def is_film(path: Path) -> bool:
    """Whether a file is a film, by its first bytes (ISO media, Matroska, AVI) or its suffix."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    iso_media = start[4:8] == b"ftyp" and start[8:12] not in STILLS
    matroska = start[:4] == b"\x1a\x45\xdf\xa3"
    avi = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    return iso_media or matroska or avi or path.suffix.lower() in SUFFIXES


def films_in(folder: Path, recursive: bool = False) -> list[Path]:
    """The films in a folder, by their suffixes, sorted; results of others are none."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if recursive and not f.startswith("."))
        films = sorted(
            name
            for name in names
            if Path(name).suffix.lower() in SUFFIXES + OTHERS and not name.startswith(".")
        )
        stems = {Path(name).stem for name in films}
        found += [Path(root, n) for n in films if Path(n).stem.removesuffix(RESULT) not in stems
                  or not Path(n).stem.endswith(RESULT)]  # fmt: skip
    return found


@dataclass(frozen=True)
class FilmTask:
    """One film, and the file to write, or the folder of frames."""

    film: Path
    target: Path


@dataclass
class FilmOutcome:
    """What became of a film.

    Attributes:
        task: the film.
        result: what was written; None if nothing was.
        error: why there is no result; None if there is one, or was before.
        notes: warnings met on the way.
        trace: where an error arose that nobody foresaw.
        stopped: whether it was told to stop.
    """

    task: FilmTask
    result: "FilmResult | None" = None
    error: str | None = None
    notes: list[str] = field(default_factory=list)
    trace: str | None = None
    stopped: bool = False


def plan_films(
    arguments: Sequence[str],
    output: str | None,
    *,
    recursive: bool = False,
    suffix: str | None = None,
    frames: bool = False,
) -> tuple[list[FilmTask], list[tuple[str, str]]]:
    """Which films a command line means, and where each result goes; none is opened.

    Args:
        arguments: films, folders of films, folders of numbered frames, patterns.
        output: a file for one film; a folder for several; None for beside each.
        recursive: whether folders within folders count.
        suffix: of the results, with its dot; each film's own when None.
        frames: write folders of numbered frames, not files.

    Returns:
        The tasks; and of what cannot be coloured, name and why.

    Raises:
        ValueError, OSError: where the command as a whole makes no sense.
    """
    found: dict[str, tuple[Path, Path]] = {}  # films, and the folders that they go to below OUTPUT
    problems: list[tuple[str, str]] = []
    for argument in arguments:
        path = Path(argument)
        here: list[tuple[Path, Path]]
        why = "no such file"
        if path.is_dir():
            films = films_in(path, recursive)
            here = [(film, film.parent.relative_to(path)) for film in films]
            if not films and _holds_frames(path):
                here = [(path, Path())]
            why = "no films in it" + ("" if recursive else ", and no numbered frames;"
                                      " --recursive looks deeper")  # fmt: skip
        elif path.exists():
            here = [(path, Path())]
        elif glob.has_magic(argument):
            named = sorted(glob.glob(os.path.expanduser(argument), recursive=True))
            here, why = [(Path(name), Path()) for name in named], "no film matches"
        else:
            here = []
        if not here:
            problems.append((argument, f"{shown(argument)}: {why}"))
        for film, below in here:
            found.setdefault(os.path.abspath(film), (film, below))
    several = len(found) > 1 or any(
        os.path.isdir(a) and not _holds_frames(Path(a)) for a in arguments
    )
    tasks = [
        FilmTask(film, _target(film, below, output, several, suffix, frames))
        for film, below in found.values()
    ]
    return _without_clashes(tasks, problems), problems


def colour_films(
    predictor: "Predictor",
    tasks: Sequence[FilmTask],
    options: "Options",
    how: "FilmOptions",
    *,
    resume: bool = False,
    overwrite: bool = False,
    tell: TellFilm | None = None,
    stop: threading.Event | None = None,
) -> Iterator[FilmOutcome]:
    """Colour films, one after the other: each keeps all cores busy.

    One that cannot be coloured does not stop the others.

    Yields:
        What became of each film; the last is `stopped` if `stop` was set.
    """
    from deepcolor.video.options import FilmStoppedError
    from deepcolor.video.stretches import parts_of
    from deepcolor.video.work import FilmWork

    for task in tasks:
        if stop is not None and stop.is_set():
            return
        outcome = FilmOutcome(task)
        if resume and task.target.exists() and not parts_of(task.target).exists():
            yield outcome  # an earlier run finished it
            continue

        def told(done: int, total: int | None, task: FilmTask = task) -> None:
            if tell is not None:
                tell(task, done, total)

        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("ignore")
            for kind in (UserWarning, RuntimeWarning):
                warnings.simplefilter("always", kind)
            try:
                task.target.parent.mkdir(parents=True, exist_ok=True)
                work = FilmWork(task.film, task.target, predictor, options, how)
                outcome.result = work.run(resume=resume, overwrite=overwrite, tell=told, stop=stop)
            except FilmStoppedError:
                outcome.stopped = True
            except Exception as error:  # a bad film must not stop the rest, whatever it breaks
                outcome.error = _sentence(error, task)
                if not isinstance(error, FORESEEN):
                    outcome.trace = traceback.format_exc()
        outcome.notes = list(dict.fromkeys(str(one.message) for one in met))
        yield outcome


def _holds_frames(folder: Path) -> bool:
    return any(NUMBERED.fullmatch(name) for name in os.listdir(folder))


def _target(
    film: Path, below: Path, output: str | None, several: bool, suffix: str | None, frames: bool
) -> Path:
    into_folder = output is not None and (
        several or os.path.isdir(output) or output.endswith(("/", os.sep))
    )
    if frames or (film.is_dir() and suffix is None):
        suffix = ""
    elif suffix is None:
        suffix = _suffix_for(film)
    if output is None:
        return film.parent / f"{film.stem}{RESULT}{suffix}"
    if not into_folder or (suffix == "" and not several):
        if several and os.path.isfile(output):
            raise NotADirectoryError(f"{output} is a file; several films need a folder to go to")
        return Path(output)
    if os.path.isfile(output):
        raise NotADirectoryError(f"{output} is a file; several films need a folder to go to")
    return Path(output) / below / f"{film.stem}{RESULT}{suffix}"


def _suffix_for(film: Path) -> str:
    from deepcolor.video.codecs import container_of

    try:
        container_of(film)
    except ValueError:
        return OTHERWISE
    return film.suffix


def _without_clashes(tasks: list[FilmTask], problems: list[tuple[str, str]]) -> list[FilmTask]:
    films = {os.path.realpath(task.film) for task in tasks}
    counts = Counter(os.path.realpath(task.target) for task in tasks)
    kept = []
    for task in tasks:
        place = os.path.realpath(task.target)
        why = None
        if place in films:
            why = f"{shown(task.target)} is one of the films; choose another output"
        elif counts[place] > 1:
            why = f"{shown(task.target)} would be written several times; rename a film"
        if why is None:
            kept.append(task)
        else:
            problems.append((str(task.film), f"{shown(task.film)}: {why}"))
    return kept


def _sentence(error: Exception, task: FilmTask) -> str:
    """What went wrong, on one line, naming the film."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{shown(error.filename)}: {error.strerror}"
    if not isinstance(error, FORESEEN):
        text = f"{type(error).__name__}: {text}"
    text = " ".join(text.split())
    name = shown(task.film)
    return text if name in text else f"{name}: {text}"
