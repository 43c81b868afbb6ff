"""What results are called, and that none is written over a photograph or another result."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from deepcolor.files import shown
from deepcolor.listing import RESULT

__all__ = [
    "FORMATS",
    "SAME",
    "TEMPLATE",
    "Naming",
    "Task",
    "checked_format",
    "is_lossy",
    "kind_of",
    "named_file",
    "tasks_of",
    "without_clashes",
]

FORMATS = ("png", "jpg", "tif", "webp", "avif")
LOSSY = ("jpg", "webp", "avif", "heic", "heif")
SPELLINGS = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif"}
SAME = "same"  # the photograph's own format
TEMPLATE = f"{{stem}}{RESULT}{{ext}}"
# A photograph's name with something before or after it: what `listing` looks at twice.
GOES_ON = re.compile(r"\{(?:stem|name)\}(?![^\W_]|\{|$)")
LEADS_TO = re.compile(r"[^\w}]\{(?:stem|name)\}$|_\{(?:stem|name)\}$")
FIELDS = ("stem", "name", "ext", "n")
LONGEST = 255  # bytes of a file's name, on the file systems in use


@dataclass(frozen=True)
class Task:
    """One photograph and the files to write.

    Attributes:
        photo: the file to read.
        targets: the files to write, one a sample.
        name: what to call the photograph.
        goes_to: what to call what is written.
        comparison: file for a picture of before and after; None for no such.
    """

    photo: Path
    targets: tuple[Path, ...]
    name: str
    goes_to: str
    comparison: Path | None = None

    @property
    def target(self) -> Path:
        """The first file to write."""
        return self.targets[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is written."""
        return self.targets if self.comparison is None else (*self.targets, self.comparison)


@dataclass(frozen=True)
class Naming:
    """How results are named.

    Attributes:
        suffix: one of FORMATS, or SAME; None for PNG.
        template: with {stem} or {name} of the photograph, {ext} at its end, {n} of the sample.
        samples: results of one photograph.
        compare: whether a picture of before and after is written beside.
    """

    suffix: str | None = None
    template: str = TEMPLATE
    samples: int = 1
    compare: bool = False

    def __post_init__(self) -> None:
        try:
            parts = list(Formatter().parse(self.template))
        except ValueError as error:
            raise ValueError(f"--name {self.template!r}: {error}") from error
        fields = [field for _, field, _, _ in parts if field is not None]
        odd = [f for f in fields if f not in FIELDS] + [
            s for _, _, s, c in parts for s in (s, c) if s
        ]
        if odd:
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise ValueError(
                f"--name {self.template!r}: nothing is known of {odd[0]!r}; use {known}"
            )
        if not self.template.endswith("{ext}") or not {"stem", "name"} & {*fields}:
            raise ValueError(
                f"--name {self.template!r} needs {{stem}} or {{name}}, and {{ext}} at its end"
            )
        if "/" in self.template or "\\" in self.template or self.template.startswith("."):
            raise ValueError(f"--name {self.template!r} names no visible file; folders go to -o")

    @property
    def names_results_apart(self) -> bool:
        """Whether results beside their photographs are known for results later; see `listing`."""
        core = self.template.removesuffix("{ext}")
        return bool(GOES_ON.match(core) or LEADS_TO.search(core))

    def kind(self, photo: Path) -> str:
        """Format of a photograph's result."""
        if self.suffix == SAME:
            return kind_of(photo) if kind_of(photo) in FORMATS else "png"
        return self.suffix or "png"

    def results_of(self, photo: Path, folder: Path, whole: bool = False) -> tuple[Path, ...]:
        """The files in `folder` for a photograph's results; `whole` keeps its suffix in names."""
        core = self.template.removesuffix("{ext}")
        if self.samples > 1 and "{n}" not in core:
            core += ".{n}"
        stem, ext = photo.name if whole else photo.stem, f".{self.kind(photo)}"
        numbers = range(1, self.samples + 1)
        return tuple(
            folder / (core.format(stem=stem, name=photo.name, ext=ext, n=n) + ext) for n in numbers
        )

    def numbered(self, file: Path) -> tuple[Path, ...]:
        """One file, or one for each sample."""
        if self.samples == 1:
            return (file,)
        numbers = range(1, self.samples + 1)
        return tuple(file.with_name(f"{file.stem}.{n}{file.suffix}") for n in numbers)

    def task(self, photo: Path, targets: tuple[Path, ...]) -> Task:
        """The work on one photograph."""
        first = targets[0]
        beside = first.with_name(f"{first.stem}.compare.jpg") if self.compare else None
        return Task(photo, targets, str(photo), ", ".join(map(str, targets)), beside)


def tasks_of(
    photos: Sequence[tuple[Path, Path]], naming: Naming
) -> tuple[list[Task], list[tuple[str, str]]]:
    """The work on photographs, each with the folder that its result goes to.

    Two results of one name keep the suffixes of their photographs in theirs: a.jpg.color.png.

    Returns:
        The tasks; and of photographs whose results have no place of their own, name and why.
    """
    plain = [naming.results_of(photo, folder) for photo, folder in photos]
    counts = Counter(_place(targets[0]) for targets in plain)
    tasks = [
        naming.task(
            photo,
            targets
            if counts[_place(targets[0])] == 1
            else naming.results_of(photo, folder, whole=True),
        )
        for (photo, folder), targets in zip(photos, plain, strict=True)
    ]
    return without_clashes(tasks)


def without_clashes(tasks: list[Task]) -> tuple[list[Task], list[tuple[str, str]]]:
    """Leave out what would be written over a photograph, or to where another result goes.

    Raises:
        ValueError: if nothing else is left.
    """
    photos = {os.path.realpath(task.photo) for task in tasks}
    takers: dict[str, list[Task]] = {}
    for task in tasks:
        for file in task.files:
            takers.setdefault(_place(file), []).append(task)
    kept, problems = [], []
    for task in tasks:
        why = _clash(task, photos, takers)
        if why is None:
            kept.append(task)
        else:
            problems.append((task.name, why))
    if problems and not kept:
        raise ValueError(problems[0][1])
    return kept, problems


def _clash(task: Task, photos: set[str], takers: dict[str, list[Task]]) -> str | None:
    for file in task.files:
        if os.path.realpath(file) in photos:
            return f"{shown(file)} is one of the photographs; choose another output"
        rivals = [shown(other.name) for other in takers[_place(file)]]
        if len(rivals) > 1:
            return (
                f"{shown(file)} would be written {'twice' if len(rivals) == 2 else 'several times'}"
                f", for {' and for '.join(rivals)}; rename one, or colour them into different"
                " folders"
            )
        length = len(os.fsencode(file.name))
        if length > LONGEST:
            return (
                f"{shown(task.name)}: the name of its result would have {length} bytes, and"
                f" {LONGEST} is what file systems take; choose a shorter one with -o or --name"
            )
    return None


def checked_format(name: str) -> str:
    """One of FORMATS, whatever the spelling, or SAME.

    Raises:
        ValueError: for formats that are not written.
    """
    plain = name.lower().lstrip(".")
    plain = SPELLINGS.get(plain, plain)
    if plain not in (*FORMATS, SAME):
        raise ValueError(f"no format named {name!r}; there are: {', '.join((*FORMATS, SAME))}")
    return plain


def is_lossy(path: Path) -> bool:
    """Whether the format of a file name trades quality for size."""
    return kind_of(path) in LOSSY


def kind_of(path: Path) -> str:
    """The format that a file name says, in its usual spelling."""
    suffix = path.suffix.lower().lstrip(".")
    return SPELLINGS.get(suffix, suffix)


def named_file(output: str, photo: Path, naming: Naming) -> Path:
    """The file that -o names; ValueError if --format names another format."""
    target = Path(output)
    if naming.suffix is not None and kind_of(target) != naming.kind(photo):
        raise ValueError(
            f"{shown(output)} is not {naming.kind(photo)}; leave out --format, or rename the output"
        )
    if naming.template != TEMPLATE:
        raise ValueError(
            f"{shown(output)} is a name already; leave out --name, or give -o a folder"
        )
    return target


def _place(file: Path) -> str:
    return os.path.normcase(os.path.realpath(file))
