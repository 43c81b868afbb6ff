"""Which photographs a command line means, and where each result goes. No picture is opened."""

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "STDIN_NAME", "STDIO", "STDOUT_NAME", "Plan", "Task", "checked_format", "is_lossy",
    "named_file", "plan",
]  # fmt: skip

FORMATS = ("png", "jpg", "tif", "webp", "avif")
LOSSY = ("jpg", "webp", "avif", "heic", "heif")
SPELLINGS = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif"}
PHOTOGRAPHS = {  # suffixes that are looked for in folders
    *FORMATS, *SPELLINGS, "bmp", "gif", "heic", "heif", "jp2", "pbm", "pgm", "pnm", "ppm", "tga",
}  # fmt: skip
RESULT = ".color"  # NAME.color.png is the result of NAME.jpg
STDIO = "-"
STDIN_NAME, STDOUT_NAME = "standard input", "standard output"


@dataclass(frozen=True)
class Task:
    """One photograph and the file to write; `name` and `goes_to` are what to call the two."""

    photo: Path
    target: Path
    name: str
    goes_to: str


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
    suffix: str | None,
    recursive: bool,
    skip_existing: bool,
    check: Callable[[Path], object],
) -> Plan:
    """Find the photographs and name their results.

    Args:
        arguments: files, folders and patterns.
        output: file or folder; None for beside each photograph.
        suffix: one of FORMATS; None for what `output` says, else PNG.
        recursive: whether folders within folders count.
        skip_existing: whether photographs whose results exist are left alone.
        check: raises ValueError or OSError where a result cannot be written.

    Raises:
        ValueError, OSError: where the command as a whole makes no sense.
    """
    found, problems = _find(arguments, recursive)
    found, notes = _without_results(found)
    several = len(found) > 1 or any(os.path.isdir(a) or _is_pattern(a) for a in arguments)
    into_folder = output is not None and _is_folder(output, several)
    tasks = _tasks(found, output, suffix, into_folder)
    _refuse_overwriting(tasks)
    skipped = [task for task in tasks if skip_existing and task.target.is_file()]
    ready = []
    for task in tasks:
        if task in skipped:
            continue
        try:
            check(_standing(task.target) if into_folder else task.target)
        except (ValueError, OSError) as error:
            problems.append((task.name, str(error)))
        else:
            ready.append(task)
    return Plan(ready, problems, skipped, notes)


def checked_format(name: str) -> str:
    """One of FORMATS, whatever the spelling.

    Raises:
        ValueError: for formats that are not written.
    """
    plain = name.lower().lstrip(".")
    plain = SPELLINGS.get(plain, plain)
    if plain not in FORMATS:
        raise ValueError(f"no format named {name!r}; there are: {', '.join(FORMATS)}")
    return plain


def is_lossy(path: Path) -> bool:
    """Whether the format of a file name trades quality for size."""
    return _kind(path) in LOSSY


def named_file(output: str, suffix: str | None) -> Path:
    """The file that -o names; ValueError if --format names another format."""
    target = Path(output)
    if suffix is not None and _kind(target) != suffix:
        raise ValueError(f"{output} is not {suffix}; leave out --format, or rename the output")
    return target


def _kind(path: Path) -> str:
    suffix = path.suffix.lower().lstrip(".")
    return SPELLINGS.get(suffix, suffix)


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
            problems.append((argument, f"{argument}: {missing}"))
        for one in here:
            found.setdefault(os.path.abspath(one.photo), one)  # files named twice count once
    return list(found.values()), problems


def _walk(folder: Path, recursive: bool, problems: list[tuple[str, str]]) -> list[_Found]:
    """Photographs in a folder; hidden files, other files and results are none."""

    def unreadable(error: OSError) -> None:
        name = str(error.filename)
        problems.append((name, f"{name}: {error.strerror}"))

    found = []
    for root, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(f for f in folders if recursive and not f.startswith("."))
        here = Path(root)
        photos = [here / name for name in sorted(files)]
        found += [_Found(p, here.relative_to(folder)) for p in photos if _is_photograph(p)]
    return found


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
    found = []
    for name in sorted(glob.glob(pattern, recursive=True)):
        path = Path(name)
        if path.is_file() and _is_photograph(path):
            below = path.parent.relative_to(base) if "**" in pattern else Path()
            found.append(_Found(path, below))
    return found


def _is_photograph(path: Path) -> bool:
    suffix = path.suffix.lower().lstrip(".")
    return suffix in PHOTOGRAPHS and not path.name.startswith(".") and not _is_result(path)


def _is_result(path: Path) -> bool:
    return path.stem.lower().endswith(RESULT) and len(path.stem) > len(RESULT)


def _without_results(found: list[_Found]) -> tuple[list[_Found], list[str]]:
    """Leave NAME.color.* out where NAME.* is there too: `*.png` names both the second time."""
    sources = {(one.photo.parent, one.photo.stem) for one in found}
    kept = [
        one
        for one in found
        if not _is_result(one.photo)
        or (one.photo.parent, one.photo.stem[: -len(RESULT)]) not in sources
    ]
    left = len(found) - len(kept)
    things = "result of an earlier run is" if left == 1 else "results of earlier runs are"
    return kept, [f"{left} {things} not coloured again (NAME{RESULT}.*)"] if left else []


def _tasks(
    found: list[_Found], output: str | None, suffix: str | None, into_folder: bool
) -> list[Task]:
    if output is not None and not into_folder:
        target = named_file(output, suffix)
        return [Task(one.photo, target, str(one.photo), str(target)) for one in found]
    tasks = []
    for one in found:
        folder = one.photo.parent if output is None else Path(output) / one.below
        target = folder / f"{one.photo.stem}{RESULT}.{suffix or 'png'}"
        tasks.append(Task(one.photo, target, str(one.photo), str(target)))
    return tasks


def _is_folder(output: str, several: bool) -> bool:
    """Whether -o names a folder: one that is there, ends as one, or must take several results."""
    if os.path.isdir(output):
        return True
    ends_as_one = output.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if not (ends_as_one or several):
        return False
    if os.path.exists(output.rstrip("/\\")):
        raise NotADirectoryError(f"{output} is a file; several photographs need a folder to go to")
    if not ends_as_one and _kind(Path(output)) in PHOTOGRAPHS:
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


def _refuse_overwriting(tasks: list[Task]) -> None:
    """Refuse to write over a photograph, and to write two results to one place."""
    photos = {os.path.realpath(task.photo) for task in tasks}
    taken: dict[str, Task] = {}
    for task in tasks:
        place = os.path.realpath(task.target)
        if place in photos:
            raise ValueError(f"{task.target} is one of the photographs; choose another output")
        other = taken.setdefault(os.path.normcase(place), task)
        if other is not task:
            raise ValueError(
                f"{task.target} would be written twice, for {other.name} and for {task.name};"
                " rename one, or colour them into different folders"
            )
