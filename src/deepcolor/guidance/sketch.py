"""What a person said, as they said it: points, strokes, colours and a file name, in hints.json.

Tensors do not know which stroke they are from; a program that shows and changes what was said
reads and writes this.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deepcolor.files import shown, write_beside
from deepcolor.guidance import drawing

__all__ = ["Point", "Sketch", "Stroke"]

VERSION = 1
FIELDS = ("version", "size", "points", "strokes", "palette", "strength", "reference")
POINT = ("x", "y", "color", "radius")
STROKE = ("points", "color", "width")
FAR = 1e9  # pixels: beyond any picture
LARGEST_FILE = 50_000_000  # bytes: a million points


class Point(NamedTuple):
    """A colour at a place, as `Hints.from_points` takes it."""

    x: float
    y: float
    color: str
    radius: float = 0


class Stroke(NamedTuple):
    """A colour along a line, as `Hints.from_lines` takes it."""

    points: tuple[tuple[float, float], ...]
    color: str
    width: float = 1


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What a person said of one picture; docs/control.md has the format of its file.

    Attributes:
        points: in pixels of the picture as it is shown.
        strokes: likewise; they cover points, and later ones cover earlier ones.
        palette: colours to use; none when empty.
        strength: of the palette.
        reference: file of a picture to take colours from, beside the sketch's file.
        size: height and width of the picture that points and strokes were made for; None if that
            was not noted.
    """

    points: tuple[Point, ...] = ()
    strokes: tuple[Stroke, ...] = ()
    palette: tuple[str, ...] = ()
    strength: float = 1.0
    reference: str | None = None
    size: tuple[int, int] | None = None

    @property
    def has_places(self) -> bool:
        """Whether it says anything of places in the picture."""
        return bool(self.points or self.strokes)

    def marks(self) -> list[drawing.Mark]:
        """Points and strokes, ready to be drawn in this order."""
        dots = [drawing.point(one, f"point {n}") for n, one in enumerate(self.points, start=1)]
        lines = [drawing.line(one, f"stroke {n}") for n, one in enumerate(self.strokes, start=1)]
        return dots + lines

    @classmethod
    def load(cls, path: str | Path) -> "Sketch":
        """Read a file.

        Raises:
            ValueError: for what is no such file; the message says where and why.
            OSError: if it cannot be read.
        """
        path = Path(path)
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{shown(path)} is no file of hints: larger than 50 MB")
        try:
            return _read(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            what = "nested too deeply" if isinstance(error, RecursionError) else error
            if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
                what = f"no JSON: {error}"
            raise ValueError(f"{shown(path)}: {what}") from error

    def save(self, path: str | Path) -> Path:
        """Write a file, whole or not at all; `load` gives the same sketch back.

        Raises:
            ValueError, TypeError: for what `load` would refuse.
            OSError: if it cannot be written.
        """
        path, said = Path(path), self._said()
        _read(json.loads(json.dumps(said)))
        text = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
        write_beside(path, lambda file: file.write(text.encode()))
        return path

    def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = {"version": VERSION}
        if self.size is not None:
            said["size"] = [self.size[1], self.size[0]]
        if self.points:
            said["points"] = [Point(*one)._asdict() for one in self.points]
        if self.strokes:
            said["strokes"] = [Stroke(*one)._asdict() for one in self.strokes]
        if self.palette:
            said |= {"palette": list(self.palette), "strength": self.strength}
        return said if self.reference is None else said | {"reference": self.reference}


def _read(said: Any) -> Sketch:
    """A sketch from what a file says."""
    if not isinstance(said, Mapping) or "version" not in said:
        raise ValueError('hints are a JSON object with "version": 1')
    if said["version"] != VERSION or isinstance(said["version"], bool):
        raise ValueError(
            f"version {said['version']!r} of hints is unknown; this deepcolor reads {VERSION}"
        )
    _known(said, FIELDS, "hints", needed=("version",))
    size, reference = said.get("size"), said.get("reference")
    if size is not None:
        whole = isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)
        if not whole or min(size) < 1:
            raise ValueError(f'"size" must be [width, height] of the picture, got {size!r}')
        size = (size[1], size[0])
    if reference is not None and (not isinstance(reference, str) or not reference):
        raise ValueError(f'"reference" must be the name of a picture\'s file, got {reference!r}')
    points = []
    for number, one in enumerate(_list(said, "points"), start=1):
        _known(one, POINT, f"point {number}", needed=POINT[:3])
        for key in one.keys() - {"color"}:
            _number(one[key], f"{key} of point {number}")
        points.append(Point(**one))
    strokes = []
    for number, one in enumerate(_list(said, "strokes"), start=1):
        name = f"stroke {number}"
        _known(one, STROKE, name, needed=STROKE[:2])
        path = _list(one, "points", name)
        for place in path:
            if not isinstance(place, list) or len(place) != 2:
                raise ValueError(f"points of {name} must be [x, y] each, got {place!r}")
            for n in place:
                _number(n, f"x and y of {name}")
        width = _number(one.get("width", 1), f"width of {name}")
        strokes.append(Stroke(tuple((x, y) for x, y in path), one["color"], width))
    palette = tuple(_list(said, "palette"))
    colors = [*palette, *(one.color for one in points), *(one.color for one in strokes)]
    for color in colors:
        if not isinstance(color, str):
            raise ValueError(f"no colour: {color!r}; {drawing.COLORS.split(', or (')[0]}")
        drawing.rgb_of(color)
    strength = _number(said.get("strength", 1.0), "strength of the palette")
    sketch = Sketch(
        points=tuple(points), strokes=tuple(strokes), palette=palette, strength=strength,
        reference=reference, size=size,
    )  # fmt: skip
    sketch.marks()  # refuses radii below 0, and the like
    return sketch


def _list(said: Mapping[str, Any], key: str, name: str = "hints") -> list[Any]:
    value = said.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f'"{key}" of {name} must be a list, got {value!r}')
    return value


def _known(said: Any, fields: Sequence[str], name: str, needed: Sequence[str]) -> None:
    if not isinstance(said, Mapping):
        raise ValueError(f"{name} must be an object with {', '.join(fields)}; got {said!r}")
    for key in said:
        if key not in fields:
            raise ValueError(f'{name} has an unknown field "{key}"; there are: {", ".join(fields)}')
    for key in needed:
        if key not in said:
            raise ValueError(f'{name} lacks "{key}"')


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not -FAR <= value <= FAR:
        raise ValueError(f"{name} must be a number, got {value!r}")
    return value  # type: ignore[no-any-return]
