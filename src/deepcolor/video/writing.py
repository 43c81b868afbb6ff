"""Films as places for frames: one stretch at a time."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, cast

import av
import numpy as np
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from deepcolor.files import shown
from deepcolor.video.codecs import CODECS, configure, container_of, encoding_of, written_layout
from deepcolor.video.film import Film, FilmFrame
from deepcolor.video.layouts import Plane

if TYPE_CHECKING:
    from deepcolor.upsample import ChromaField

__all__ = ["STRETCH", "Stored", "Stretch", "VideoWriter"]

STRETCH = ".stretch"
MAGIC = b"deepcolor stretch 1\n"
RECORD = struct.Struct("<qqIB")  # pts, duration, bytes, whether a key frame
END = -1  # in place of a duration, after the last packet


class VideoWriter:
    """Compresses frames of a film, into a file of its own that `join` reads.

    Two writers of the same settings write the same bytes for the same frames.

    Args:
        path: of the file.
        film: whose frames they are.
        out: the film that is to be in the end: its suffix says the container.
        codec: a key of CODECS; the container's usual one if None.
        quality: as the codec counts it (CRF), lower is better; our choice if None.

    Attributes:
        layout: in which the planes of chroma are wanted.

    Raises:
        ValueError: for an unknown codec, or a quality out of range.
        FilmError: if the container does not hold the codec, or the codec not the film's depth.
        OSError: if the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        film: Film,
        *,
        out: str | Path = "film.mkv",
        codec: str | None = None,
        quality: int | None = None,
    ) -> None:
        self.path, self.film = Path(path), film
        self.codec = encoding_of(codec, Path(out), film)
        self.layout = written_layout(self.codec, film.layout)
        self.deeper = self.layout.depth - film.layout.depth
        context = av.CodecContext.create(CODECS[self.codec].encoder, "w")
        self.context = cast(VideoCodecContext, context)
        container = container_of(Path(out))
        configure(self.context, self.codec, film, self.layout, quality, container)
        if av.ContainerFormat(container, "w").flags & GLOBAL_HEADER:
            self.context.flags |= int(Flags.global_header)
        self.context.open()
        self.durations: dict[int, int] = {}
        self.file: IO[bytes] = open(self.path, "wb")  # noqa: SIM115, closed by close()
        header = {
            "codec": self.codec,
            "quality": quality,
            "extradata": (self.context.extradata or b"").hex(),
        }
        self.file.write(MAGIC + json.dumps(header).encode() + b"\n")

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file, or remove it if something went wrong."""
        if error is None:
            self.close()
        else:
            self.file.close()
            self.path.unlink(missing_ok=True)

    def planes(self, frame: FilmFrame, field: "ChromaField") -> tuple[Plane, Plane]:
        """The planes of chroma that give a frame the colours of a field, for `write`."""
        return self.layout.chroma(self._luma(frame), field)

    def _luma(self, frame: FilmFrame) -> Plane:
        if self.deeper:
            return np.left_shift(frame.y, self.deeper, dtype=self.layout.dtype)
        return frame.y

    def write(self, frame: FilmFrame, u: Plane, v: Plane) -> None:
        """Take the next frame. Its `frame` is used up.

        Raises:
            OSError: if the file cannot be written: a full disk.
        """
        picture = frame.frame
        if isinstance(picture, VideoFrame) and picture.format.name == self.layout.pixel_format:
            picture.make_writable()
        else:
            picture = VideoFrame(self.layout.width, self.layout.height, self.layout.pixel_format)
            _fill(picture, 0, self._luma(frame))
        _fill(picture, 1, u)
        _fill(picture, 2, v)
        picture.pict_type = 0  # left to the encoder
        picture.pts, picture.time_base = frame.pts, self.film.time_base
        picture.color_range = self.context.color_range
        picture.colorspace = self.context.colorspace
        self.durations[frame.pts] = frame.duration
        self._store(self.context.encode(picture))

    def _store(self, packets: "list[Packet[Any]]") -> None:
        for packet in packets:
            if packet.pts is None:
                raise ValueError(f"{self.codec} lost the time of a frame")
            duration = self.durations.pop(packet.pts, 0)
            data = bytes(packet)
            self.file.write(RECORD.pack(packet.pts, duration, len(data), packet.is_keyframe))
            self.file.write(data)

    def close(self) -> None:
        """Finish the file."""
        if self.file.closed:
            return
        try:
            self._store(self.context.encode(None))
            self.file.write(RECORD.pack(0, END, 0, 0))
        finally:
            self.file.close()


GLOBAL_HEADER = 0x40  # AVFMT_GLOBALHEADER: parameter sets before the packets, not within


@dataclass(frozen=True)
class Stored:
    """A packet of a stretch; `data` is empty where only times are asked for."""

    pts: int
    duration: int
    key: bool
    data: bytes


class Stretch:
    """A file that a `VideoWriter` wrote.

    Raises:
        ValueError: for another file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError(f"{shown(path)} is no stretch of a film")
            self.header: dict[str, Any] = json.loads(file.readline())
            self.start = file.tell()

    def packets(self, data: bool = True) -> Iterator[Stored]:
        """What it holds, in the order of decoding.

        Raises:
            ValueError: if it was never finished.
        """
        with self.path.open("rb") as file:
            file.seek(self.start)
            while True:
                head = file.read(RECORD.size)
                if len(head) < RECORD.size:
                    raise ValueError(f"{shown(self.path)} is an unfinished stretch of a film")
                pts, duration, size, key = RECORD.unpack(head)
                if duration == END:
                    return
                body = file.read(size) if data else b""
                if not data:
                    file.seek(size, 1)
                yield Stored(pts, duration, bool(key), body)


def _fill(frame: VideoFrame, index: int, samples: Plane) -> None:
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), dtype=samples.dtype).reshape(plane.height, -1)
    rows[:, : plane.width] = samples
