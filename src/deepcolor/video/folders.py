"""Folders of numbered pictures as films, and films as such folders."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from deepcolor import images
from deepcolor.files import shown
from deepcolor.listing import is_photograph
from deepcolor.pixels import compose, unit
from deepcolor.video.film import Film, FilmFrame
from deepcolor.video.layouts import FilmError, Layout
from deepcolor.video.planes import levels, luma_of_grey

if TYPE_CHECKING:
    from deepcolor.upsample import ChromaField

__all__ = ["FrameFolder", "FrameFolderWriter", "film_of", "numbered"]

NUMBER = re.compile(r"(.*?)(\d+)(\D*)")  # the last number of a name counts the frames
NAME = "{:08d}"  # as the CNN-LSTM's authors number frames, and ffmpeg's %08d
RATE = Fraction(25)
DEEP = 10  # bits of luma made of pictures of over 8
NAMED = 5  # missing numbers that a remark names


def film_of(path: str | Path, *, deinterlace: bool = False, rate: Fraction = RATE) -> Film:
    """A film: a file, or a folder of numbered pictures shown at a rate."""
    if Path(path).is_dir():
        return FrameFolder(path, rate=rate)
    return Film(path, deinterlace=deinterlace)


def numbered(folder: str | Path) -> tuple[dict[int, Path], list[str]]:
    """The numbered pictures of a folder in the order of their numbers, and remarks.

    Raises:
        FilmError: if there are none, several series of them, or two of one number.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    series: dict[tuple[str, str], dict[int, Path]] = {}
    others = []
    for path in files:
        found = NUMBER.fullmatch(path.stem)
        if not is_photograph(path.name) or found is None:
            others.append(path.name)
            continue
        own = series.setdefault((found[1], found[3]), {})
        number = int(found[2])
        if number in own:
            raise FilmError(
                f"{shown(folder)}: {shown(own[number].name)} and {shown(path.name)} have the same"
                " number; keep one of them"
            )
        own[number] = path
    if not series:
        raise FilmError(
            f"{shown(folder)} holds no numbered pictures; frames are called 00000001.png,"
            " 00000002.png and so on"
        )
    if len(series) > 1:
        first = [shown(min(own.values()).name) for own in series.values()]
        raise FilmError(
            f"{shown(folder)} holds frames of {len(series)} films ({', '.join(first[:3])} ...);"
            " put each into a folder of its own"
        )
    (own,) = series.values()
    remarks = []
    missing = sorted(set(range(min(own), max(own) + 1)) - own.keys())
    if missing:
        some = ", ".join(str(number) for number in missing[:NAMED])
        more = " ..." if len(missing) > NAMED else ""
        remarks.append(f"{len(missing)} frames are missing between others: {some}{more}")
    if others:
        more = " ..." if len(others) > 1 else ""
        remarks.append(f"{len(others)} other files are left out: {shown(others[0])}{more}")
    return {number: own[number] for number in sorted(own)}, remarks


class FrameFolder(Film):
    """A folder of numbered pictures, as a film.

    Args:
        path: of the folder.
        rate: frames a second.

    Attributes:
        files: the pictures, in order.

    Raises:
        FilmError: see `numbered`.
        ImageError: if the first picture cannot be read.
    """

    def __init__(self, path: str | Path, *, rate: Fraction = RATE) -> None:
        self.path, self.name = Path(path), shown(path)
        found, self.remarks = numbered(path)
        self.files = list(found.values())
        self.rate, self.time_base = Fraction(rate), 1 / Fraction(rate)
        self.count = len(self.files)
        self.duration = float(self.count * self.time_base)
        self.rotation, self.matrix, self.interlaced, self.deinterlace = 0, None, False, False
        self.sample_aspect = Fraction(1)
        self.tags, self.matrix_code, self.codec = (1, 1), 1, "pictures"
        self.has_streams = False
        first = images.read(self.files[0])
        height, width = first.pixels.shape[-2:]
        deep = first.depth != torch.uint8
        self.layout = Layout(width=width, height=height, depth=DEEP if deep else 8)

    def frames(self, start: int = 0, pts: int | None = None) -> Iterator[FilmFrame]:
        """As `Film.frames`; the `frame` of each is an `images.Picture`.

        Raises:
            ImageError: for a picture that cannot be read.
            FilmError: for one of another size than the first.
        """
        for number in range(start, len(self.files)):
            yield self._read(number)

    def _read(self, number: int) -> FilmFrame:
        picture = images.read(self.files[number])
        height, width = picture.pixels.shape[-2:]
        if (height, width) != (self.layout.height, self.layout.width):
            raise FilmError(
                f"{picture.name} has {width} x {height} pixels, the frames before it"
                f" {self.layout.width} x {self.layout.height}; a film has one size"
            )
        red, blue = self.layout.luma_shares
        rgb = unit(picture.pixels[0]).numpy()
        grey = rgb[0]
        if len(rgb) == 3:
            grey = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
        return FilmFrame(
            number=number,
            pts=number,
            duration=1,
            time=number * self.time_base,
            y=luma_of_grey(self.layout, grey),
            frame=picture,
        )

    def number_at(self, seconds: float) -> int:
        """As `Film.number_at`."""
        return min(self.count or 0, max(0, round(seconds * self.rate)))


class FrameFolderWriter:
    """Writes a film as numbered pictures, upright; used as `VideoWriter` is.

    Frames that were pictures keep their names, depth and metadata.

    Args:
        folder: that takes them; it is made if it is missing, in a folder that exists.
        film: whose frames they are.
        suffix: of the pictures.

    Raises:
        ValueError: for a suffix that cannot be written.
        OSError: if the folder cannot be written to.
    """

    def __init__(self, folder: str | Path, film: Film, *, suffix: str = ".png") -> None:
        self.folder, self.film, self.suffix = Path(folder), film, suffix
        self.folder.mkdir(exist_ok=True)
        images.writable(self.folder / ("1" + suffix))
        self.layout = film.layout

    def __enter__(self) -> "FrameFolderWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Each picture is whole already."""

    def path_of(self, number: int) -> Path:
        """Where a frame goes."""
        if isinstance(self.film, FrameFolder):
            return self.folder / (self.film.files[number].stem + self.suffix)
        return self.folder / (NAME.format(number + 1) + self.suffix)

    def planes(self, frame: FilmFrame, field: "ChromaField") -> tuple[Tensor]:
        """The coloured picture of a frame, for `write`: (1, 3, H, W) as coded."""
        if isinstance(frame.frame, images.Picture):
            canvas = frame.frame.canvas()
            compose(frame.frame.pixels[0], field, canvas[0])
            return (canvas,)
        deep = self.layout.depth > 8
        size = (1, 3, self.layout.height, self.layout.width)
        out = torch.empty(size, dtype=torch.uint16 if deep else torch.uint8)
        compose(torch.from_numpy(levels(self.layout, frame.y))[None], field, out[0])
        return (out,)

    def write(self, frame: FilmFrame, picture: Tensor) -> None:
        """Write a frame's picture, whole or not at all.

        Raises:
            OSError: if it cannot be written.
        """
        if isinstance(frame.frame, images.Picture):
            image: Any = frame.frame.give_back(picture)
        else:
            array = np.rot90(picture[0].permute(1, 2, 0).numpy(), self.film.rotation // 90)
            top = 65535.0 if picture.dtype == torch.uint16 else 255.0
            image = images.ColorizedImage.of(np.ascontiguousarray(array), None, {}, top)
        images.save(image, self.path_of(frame.number))

    def close(self) -> None:
        """Nothing is left to do."""
