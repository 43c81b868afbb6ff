"""Which photographs a command line means, and where each result goes. No picture is decoded."""

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepcolor.files import shown
from deepcolor.jobs.naming import Naming, Task, named_file, tasks_of, without_clashes
from deepcolor.listing import PHOTOGRAPHS, RESULT, photographs_in, without_results

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        tasks: photographs to colour.
        problems: names of what cannot be coloured, and why, as whole sentences.
        skipped: photographs whose results exist.
        notes: what the user may want to know.
    """

    tasks: list[Task]
    problems: list[tuple[str, str]]
    skipped: list[Task]
    notes: list[str]


@dataclass(frozen=True)
class _Found:
    photo: Path
    below: Path  # the folder it was found in, seen from the folder that was asked for


def plan(
    arguments: Sequence[str],
    output: str | None,
    naming: Naming,
    recursive: bool,
    skip_existing: bool,
    check: Callable[[Path], object],
) -> Plan:
    """Find the photographs and name their results.

    Args:
        arguments: files, folders and patterns.
        output: file or folder; None for beside each photograph.
        naming: how results are named, where `output` is no file.
        recursive: whether folders within folders count.
        skip_existing: whether photographs whose results exist are left alone.
        check: raises ValueError or OSError where a result cannot be written.

    Raises:
        ValueError, OSError: where the command as a whole makes no sense.
    """
    found, problems = _find(arguments, recursive)
    found, notes = _apart(found)
    several = len(found) > 1 or any(os.path.isdir(a) or _is_pattern(a) for a in arguments)
    into_folder = output is not None and _is_folder(output, several)
    if output is not None and not into_folder:
        tasks = [
            naming.task(one.photo, naming.numbered(named_file(output, one.photo, naming)))
            for one in found
        ]
        tasks, clashes = without_clashes(tasks)
    else:
        places = [(f.photo, Path(output) / f.below if output else f.photo.parent) for f in found]
        tasks, clashes = tasks_of(places, naming)
        if output is None and not naming.names_results_apart:
            notes.append(
                f"results named {naming.template} beside their photographs count as photographs"
                " later; -o FOLDER keeps them apart"
            )
    problems += clashes
    skipped, ready = [], []
    for task in tasks:
        if skip_existing and all(file.is_file() for file in task.files):
            skipped.append(task)
            continue
        try:
            for file in task.files:
                check(_standing(file) if into_folder else file)
        except (ValueError, OSError) as error:
            problems.append((task.name, str(error)))
        else:
            ready.append(task)
    return Plan(ready, problems, skipped, notes)


def _is_pattern(argument: str) -> bool:
    return glob.has_magic(argument) and not os.path.exists(argument)


def _find(arguments: Sequence[str], recursive: bool) -> tuple[list[_Found], list[tuple[str, str]]]:
    found: dict[str, _Found] = {}
    problems: list[tuple[str, str]] = []
    for argument in arguments:
        if os.path.isdir(argument):
            here = _walk(Path(argument), recursive, problems)
            missing = "no photographs in it" + ("" if recursive else "; --recursive looks deeper")
        elif os.path.exists(argument):
            here, missing = [_Found(Path(argument), Path())], ""
        elif _is_pattern(argument):
            here, missing = _match(argument), "no photograph matches"
        else:
            here, missing = [], "no such file"
        if not here:
            problems.append((argument, f"{shown(argument)}: {missing}"))
        for one in here:
            found.setdefault(os.path.abspath(one.photo), one)  # files named twice count once
    return list(found.values()), problems


def _walk(folder: Path, recursive: bool, problems: list[tuple[str, str]]) -> list[_Found]:
    def unreadable(error: OSError) -> None:
        name = str(error.filename)
        problems.append((name, f"{shown(name)}: {error.strerror}"))

    photos = photographs_in(folder, recursive=recursive, onerror=unreadable)
    return [_Found(photo, photo.parent.relative_to(folder)) for photo in photos]


def _match(pattern: str) -> list[_Found]:
    """Photographs that a pattern names; ** crosses folders, which -o then mirrors."""
    pattern = os.path.expanduser(pattern)
    base = Path()
    if "**" in pattern:
        fixed = []
        for part in Path(pattern).parts:
            if glob.has_magic(part):
                break
            fixed.append(part)
        base = Path(*fixed)
    paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
    photos: dict[Path, set[Path]] = {}
    found = []
    for path in paths:
        folder = path.parent
        if folder not in photos:
            photos[folder] = set(photographs_in(folder, recursive=False))
        if path in photos[folder]:
            found.append(_Found(path, folder.relative_to(base) if "**" in pattern else Path()))
    return found


def _apart(found: list[_Found]) -> tuple[list[_Found], list[str]]:
    """Leave NAME.color.* out where NAME.* is there too: `*.png` names both the second time."""
    photos, results = without_results(one.photo for one in found)
    things = "result of an earlier run is" if len(results) == 1 else "results of earlier runs are"
    note = f"{len(results)} {things} not coloured again (NAME{RESULT}.*)"
    kept = set(photos)
    return [one for one in found if one.photo in kept], [note] if results else []


def _is_folder(output: str, several: bool) -> bool:
    """Whether -o names a folder: one that is there, ends as one, or must take several results."""
    if os.path.isdir(output):
        return True
    ends_as_one = output.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if not (ends_as_one or several):
        return False
    if os.path.exists(output.rstrip("/\\")):
        raise NotADirectoryError(f"{output} is a file; several photographs need a folder to go to")
    if not ends_as_one and Path(output).suffix.lower() in PHOTOGRAPHS:
        raise NotADirectoryError(
            f"{output} names a file; several photographs need a folder to go to"
        )
    return True


def _standing(target: Path) -> Path:
    """The target, or where it would be in the nearest folder that exists already."""
    for folder in target.parents:
        if folder.exists():
            return folder / target.name
    return target
