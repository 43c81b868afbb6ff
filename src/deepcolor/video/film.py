"""Films as sources of frames."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import torch
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from deepcolor.files import shown
from deepcolor.video.layouts import FilmError, Layout, Plane
from deepcolor.video.luma import LumaReader
from deepcolor.video.opening import Weaver, open_container, picture_stream, sought

__all__ = ["Film", "FilmFrame"]

MOST_BROKEN = 10_000  # packets that cannot be decoded, in a film that is still gone on with
LATE = 0.5  # seconds that a film may end before its header says so, unremarked


@dataclass
class FilmFrame:
    """One frame of a film.

    Attributes:
        number: of frames before it.
        pts: when it is shown, in units of the film's `time_base`; they rise.
        duration: how long, in the same units; 0 if it does not say.
        time: when it is shown, in seconds.
        y: (H, W) luma, of the film's layout.
        frame: as it was decoded, for the writer.
    """

    number: int
    pts: int
    duration: int
    time: Fraction
    y: Plane
    frame: Any


class Film:
    """A file of moving pictures.

    Args:
        path: of the file.
        deinterlace: weave whole frames out of interlaced ones (FFmpeg's bwdif).

    Attributes:
        name: to call it in messages.
        layout: what its numbers mean.
        rotation: how far a player turns it, anticlockwise: 0, 90, 180 or 270 degrees.
        sample_aspect: width over height of a sample.
        rate: frames a second, on average.
        duration: in seconds, as its header says; None if it does not.
        count: how many frames, about; None if that cannot be told.
        interlaced: whether its first frame is two half pictures, of different times.
        remarks: what a person should know; more come while frames are read.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: if there is no file to read.
        FilmError: if it holds no film, or one that cannot be used.
    """

    def __init__(self, path: str | Path, *, deinterlace: bool = False) -> None:
        self.path = Path(path)
        self.name = shown(path)
        self.deinterlace = deinterlace
        self.has_streams = True  # that `join` copies
        self.remarks: list[str] = []
        self.broken = 0  # packets that could not be decoded
        with open_container(self.path, self.name) as container:
            stream = picture_stream(container, self.name)
            self.time_base = Fraction(stream.time_base or Fraction(1, 1000))
            self.codec = stream.codec_context.name
            frame = next(self._decoded(container.demux(stream), stream), None)
            if frame is None:
                raise FilmError(f"{self.name} holds no frame that can be decoded; is it cut short?")
            self._look_at(container, stream, frame)
            self.broken = 0

    def _look_at(self, container: InputContainer, stream: VideoStream, frame: VideoFrame) -> None:
        self.reader = LumaReader(frame, stream, self.name)
        self.layout: Layout = self.reader.layout
        self.remarks += self.reader.remarks
        self.tags = (frame.color_primaries, frame.color_trc)
        self.matrix_code = 0 if self.reader.rgb or frame.colorspace in (0, 2) else frame.colorspace
        self.matrix = _display_matrix(frame)
        self.rotation = round(frame.rotation / 90) * 90 % 360
        self.sample_aspect = Fraction(stream.sample_aspect_ratio or 1)
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        self.duration = None
        if stream.duration:
            self.duration = float(stream.duration * self.time_base)
        elif container.duration:
            self.duration = container.duration / av.time_base
        self.count = stream.frames or None
        if self.count is None and self.duration:
            self.count = max(1, round(self.duration * self.rate))
        self.interlaced = bool(frame.interlaced_frame)
        self.field_order = getattr(stream.codec_context, "field_order", 0)  # PyAV 18 tells
        if self.interlaced and not self.deinterlace:
            self.remarks.append(
                "it is interlaced: each frame is two half pictures; deinterlacing gives whole ones"
            )

    def __enter__(self) -> "Film":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is kept open."""

    def upright(self, planes: Tensor) -> Tensor:
        """(..., H, W) as coded, turned as a player turns it."""
        return torch.rot90(planes, self.rotation // 90, (-2, -1))

    def coded(self, planes: Tensor) -> Tensor:
        """(..., H, W) upright, turned back to how the film is coded."""
        return torch.rot90(planes, -(self.rotation // 90), (-2, -1))

    def frames(self, start: int = 0, pts: int | None = None) -> Iterator[FilmFrame]:
        """Frames from the one numbered `start` on; the same ones as when counted from the first.

        Args:
            start: number of the first frame.
            pts: that frame's, where it is known: it is then found without reading what is before.

        Raises:
            FilmError: if the size changes in the middle.
        """
        if start < 0:
            raise ValueError(f"frames are numbered from 0, got {start}")
        if start and pts is None:
            index = self._index()
            pts = index[start] if index is not None and start < len(index) else None
        last: int | None = None
        number = 0
        with open_container(self.path, self.name) as container:
            stream = picture_stream(container, self.name)
            stream.thread_type = "AUTO"
            packets = None
            if start and pts is not None:
                packets = sought(container, stream, pts - int(self.deinterlace))
            if packets is None:
                if start:  # what was read is behind
                    yield from self._counted(start)
                    return
                packets = container.demux(stream)
            for frame in self._decoded(packets, stream):
                last = self._pts(frame, last)
                if start and pts is not None and number == 0:
                    if last < pts:
                        continue
                    if last > pts:
                        break
                    number = start
                yield self._frame(number, last, frame)
                number += 1
            else:
                self._remark_the_end(stream, number, last)
                return
        yield from self._counted(start)

    def _counted(self, start: int) -> Iterator[FilmFrame]:
        """As `frames`, without seeking: for films whose times cannot be trusted."""
        for frame in self.frames():
            if frame.number >= start:
                yield frame

    def _frame(self, number: int, pts: int, frame: VideoFrame) -> FilmFrame:
        return FilmFrame(
            number=number,
            pts=pts,
            duration=int(frame.duration or 0),
            time=pts * self.time_base,
            y=self.reader.read(frame),
            frame=frame,
        )

    def number_at(self, seconds: float) -> int:
        """The number of the first frame so many seconds after the film's first, or later."""
        index = self._index()
        if index is None:
            index = [frame.pts for frame in self.frames()]
        wanted = index[0] + Fraction(seconds).limit_denominator(10**6) / self.time_base
        return bisect_left(index, round(wanted))

    @cache  # noqa: B019, as long as the film
    def _index(self) -> list[int] | None:
        """When each frame is shown, from the packets; None if these do not tell."""
        if self.interlaced:  # perhaps two packets a frame
            return None
        with open_container(self.path, self.name) as container:
            stream = picture_stream(container, self.name)
            packets = [
                (packet.pts, packet.is_corrupt)
                for packet in container.demux(stream)
                if packet.size and not packet.is_discard
            ]
        times = sorted({pts for pts, damaged in packets if pts is not None and not damaged})
        return times if len(times) == len(packets) else None

    def _decoded(
        self, packets: Iterable["Packet[VideoStream]"], stream: VideoStream
    ) -> Iterator[VideoFrame]:
        """Frames of packets; what cannot be decoded is counted and left out."""
        weave = Weaver(stream) if self.deinterlace else None
        packets = iter(packets)
        while True:
            try:
                packet = next(packets)
                found = packet.decode()
            except StopIteration:
                break
            except av.error.FFmpegError:
                self.broken += 1
                if self.broken > MOST_BROKEN:
                    break
                continue
            for frame in found:
                yield from weave.push(frame) if weave else (frame,)
        if weave:
            yield from weave.push(None)

    def _remark_the_end(self, stream: VideoStream, count: int, last: int | None) -> None:
        """Say if a film ends before it should."""
        end = 0.0 if last is None else float((last - (stream.start_time or 0)) * self.time_base)
        end += 1 / float(self.rate)
        said, late = self.duration or 0.0, max(LATE, 2 / float(self.rate))
        early = end < said - late and (bool(stream.duration) or self._last() < said - late)
        if count < stream.frames - 1 or early or self.broken:
            whole = f", where its header says {said:.1f} s" if said else ""
            remark = f"it is damaged or cut short: {count} frames come, up to {end:.1f} s{whole}"
            if remark not in self.remarks:
                self.remarks.append(remark)

    def _last(self) -> float:
        """Seconds until the end of whatever lasts longest in the file, from the beginning."""
        with open_container(self.path, self.name) as container:
            ends = (
                (packet.pts + (packet.duration or 0)) * packet.time_base
                for packet in container.demux()
                if packet.pts is not None
            )
            return (
                float(max(ends, default=Fraction(0))) - (container.start_time or 0) / av.time_base
            )

    def _pts(self, frame: VideoFrame, last: int | None) -> int:
        """When a frame is shown: after the last one, whatever the file says."""
        step = max(1, round(1 / self.rate / self.time_base))
        at = frame.pts
        if at is None:
            return 0 if last is None else last + step
        if frame.time_base is not None and frame.time_base != self.time_base:
            at = round(at * frame.time_base / self.time_base)
        return at if last is None or at > last else last + 1


def _display_matrix(frame: VideoFrame) -> list[int] | None:
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else [int(v) for v in np.frombuffer(bytes(data), np.int32)]
