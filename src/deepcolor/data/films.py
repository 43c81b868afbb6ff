"""Films to train on: video files, and folders of numbered frames, as stretches of frames."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from deepcolor.data.datasets import PHOTO_SUFFIXES, DamagedPhotoError, PhotoSet
from deepcolor.extras import needs
from deepcolor.files import shown
from deepcolor.images import read_rgb
from deepcolor.listing import is_photograph
from deepcolor.opening import open_file

__all__ = ["FILMS", "Films", "holds_films"]

FILMS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"})
NUMBERED = re.compile(r"(?P<name>.*?)(?P<number>\d+)$")


class _Stretch(NamedTuple):
    """Neighbouring frames of one film."""

    path: Path
    """Of the video file, or of the folder."""
    first: int
    """Number of its first frame in the film."""
    frames: tuple[Any, ...]
    """Presentation times of the frames of a file, or names of those in a folder."""


def holds_films(path: str | Path) -> bool:
    """Whether a path is a video file or a folder that holds any, or folders of numbered frames.

    A folder of photographs holds none, numbered or not: frames lie in a folder of their own within
    it, such as FILMS/one/0001.png.
    """
    return next(iter(_films(Path(path))), None) is not None


def _films(path: Path) -> Iterator[Path]:
    """Video files and folders of numbered frames, sorted."""
    if path.is_file():
        if path.suffix.lower() in FILMS:
            yield path
        return
    if not path.is_dir():
        return
    for place in sorted(path.rglob("*")):
        if any(part.startswith((".", "__MACOSX")) for part in place.relative_to(path).parts):
            continue
        if (place.is_file() and place.suffix.lower() in FILMS) or (
            place.is_dir() and len(_numbered(place)) > 1
        ):
            yield place


def _numbered(folder: Path) -> list[str]:
    """The frames in a folder by number; none unless all of its pictures are one numbered row."""
    names = [p.name for p in folder.iterdir() if is_photograph(p.name, PHOTO_SUFFIXES)]
    found = [NUMBERED.fullmatch(Path(name).stem) for name in names]
    rows = {match and match["name"] for match in found}
    if len(rows) != 1 or None in rows:
        return []
    return sorted(names, key=lambda name: int(Path(name).stem[len(next(iter(rows)) or "") :]))


class Films(PhotoSet):
    """Stretches of neighbouring frames; each counts as one item, and its first frame as the photo.

    The frames that a film has left over at its end are not used. Lists call a stretch by the path
    of its film within the folder, and the number of its first frame: one.mp4#0, one.mp4#8.

    Args:
        root: a video file, or a folder with video files and folders of numbered frames in it, at
            any depth.
        frames: of a stretch, at least 2.
        every: take every Nth frame, 1 for all.

    Raises:
        ImportError: for video files without PyAV; the message names what to install.
        ValueError: if there is no film in it, or none of so many frames.
    """

    def __init__(self, root: str | Path, frames: int, every: int = 1) -> None:
        if frames < 2 or every < 1:
            raise ValueError(
                f"a stretch has at least 2 frames, each of them or less; got {frames=}, {every=}"
            )
        root = Path(root)
        self.every = every
        self.stretches: list[_Stretch] = []
        films = list(_films(root))
        for film in films:
            times = _numbered(film) if film.is_dir() else _times(film)
            for first in range(0, len(times) - (frames - 1) * every, frames * every):
                taken = tuple(times[first : first + frames * every : every])
                self.stretches.append(_Stretch(film, first, taken))
        if not self.stretches:
            had = (
                f"{len(films)} films of fewer than {frames * every} frames" if films else "no film"
            )
            raise ValueError(
                f"{root}: {had}; looked for {', '.join(sorted(FILMS))} and folders of numbered"
                " frames"
            )
        keys = [
            f"{s.path.relative_to(root).as_posix() if s.path != root else root.name}#{s.first}"
            for s in self.stretches
        ]
        super().__init__(
            [f"{s.path}#{s.first}" for s in self.stretches],
            [key.split("/")[0].partition("#")[0] for key in keys],
            None,
            keys,
        )

    def read(self, index: int) -> bytes:
        stretch = self.stretches[index]
        if stretch.path.is_dir():
            with open_file(stretch.path / stretch.frames[0]) as file:
                return file.read()
        kept = io.BytesIO()
        next(_decoded(stretch.path, stretch.frames[:1])).save(kept, "BMP")
        return kept.getvalue()

    def stamp(self, index: int) -> str | None:
        stretch = self.stretches[index]
        path = stretch.path / stretch.frames[0] if stretch.path.is_dir() else stretch.path
        try:
            state = path.absolute().stat()
        except OSError:  # gone since it was listed: reading will say so
            return None
        return f"{path.absolute()}|{state.st_size}|{state.st_mtime_ns}|{stretch.first}"

    def stretch(self, index: int, least: int | None = None) -> list[Image.Image]:
        """All frames of a stretch, in RGB; `least` as in `PhotoSet.picture`.

        Raises:
            DamagedPhotoError: naming the stretch, if one of them cannot be decoded.
        """
        stretch = self.stretches[index]
        try:
            if stretch.path.is_dir():
                return [self._frame(stretch.path / name, least) for name in stretch.frames]
            return list(_decoded(stretch.path, stretch.frames))
        except MemoryError:
            raise
        except Exception as error:  # decoders fail in many ways
            raise DamagedPhotoError(
                f"cannot decode training film {shown(self.names[index])}"
                f" ({type(error).__name__}: {error})"
            ) from error

    @staticmethod
    def _frame(path: Path, least: int | None) -> Image.Image:
        with open_file(path) as file:
            return read_rgb(file.read(), shown(str(path)), least)


def _av() -> Any:
    """PyAV."""
    try:
        import av
    except ImportError as error:
        raise ImportError(f"training on video files {needs('video')}") from error
    return av


def _times(path: Path) -> list[int]:
    """Presentation times of a file's frames, in order, without decoding them; none if it has none.

    Raises:
        ValueError: for a file that is no video.
    """
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return []
            packets = container.demux(container.streams.video[0])
            return sorted({p.pts for p in packets if p.pts is not None and not p.is_discard})
    except av.FFmpegError as error:
        raise ValueError(f"{shown(str(path))}: no film that can be read ({error})") from error


def _decoded(path: Path, times: Sequence[int]) -> Iterator[Image.Image]:
    """The frames at some presentation times, in order.

    Raises:
        ValueError: if the file ends before, or a frame is missing.
    """
    wanted = list(times)
    with _av().open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"  # loaders' processes share the cores out among themselves
        container.seek(wanted[0], stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts == wanted[0]:
                picture: Image.Image = frame.to_image()
                yield picture
                wanted.pop(0)
                if not wanted:
                    return
    raise ValueError(f"{len(wanted)} of {len(times)} frames are not there")
