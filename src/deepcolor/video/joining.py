"""Stretches and all other streams of a film into the finished one."""

import heapq
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from deepcolor.files import shown, write_path_beside
from deepcolor.video.codecs import (
    APPLE,
    CODECS,
    configure,
    container_of,
    encoding_of,
    written_layout,
)
from deepcolor.video.copies import Timed, add_copies, chapters_within, copied, move
from deepcolor.video.film import Film
from deepcolor.video.layouts import FilmError
from deepcolor.video.opening import open_container, picture_stream
from deepcolor.video.writing import GLOBAL_HEADER, Stretch

__all__ = ["check", "join"]


def check(out: str | Path, film: Film, codec: str | None = None, quality: int | None = None) -> str:
    """Refuse, before any work, what `VideoWriter` or `join` would refuse after it.

    Returns:
        The codec: a key of CODECS.

    Raises:
        ValueError, FilmError, OSError: as these.
    """
    out = Path(out)
    name = encoding_of(codec, out, film)
    if out.is_dir():
        raise IsADirectoryError(f"{shown(out)} is a folder, not a file to write")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{shown(out.parent)}: no such folder to write {out.name} to")
    if not os.access(out.parent, os.W_OK):
        raise PermissionError(f"{shown(out.parent)}: not writable")
    with (
        _source(film) as source,
        av.open(io.BytesIO(), "w", format=container_of(out)) as target,
    ):
        _add_streams(source, target, film, name, quality)
        try:
            target.start_encoding()
        except (ValueError, av.error.FFmpegError) as error:
            raise FilmError(
                f"{shown(out)}: {out.suffix} cannot hold this film as {name} ({error})"
            ) from error
    return name


def join(
    stretches: Sequence[str | Path], film: Film, out: str | Path, *, cut: bool = False
) -> list[str]:
    """Write the finished film: the stretches' pictures, and all else that the film holds.

    Sound, subtitles, data, attachments, covers, chapters and metadata are copied as they are. The
    file appears whole or not at all.

    Args:
        stretches: written by `VideoWriter`, in order, all with the same settings.
        film: that they are of.
        out: the file to write.
        cut: keep of the rest only what is heard or read while the stretches' frames are shown, and
            let the film begin with them.

    Returns:
        Remarks: what of the film could not be kept.

    Raises:
        FilmError: if the container cannot hold the film's sound.
        ValueError: for stretches that do not fit each other.
        OSError: if the file cannot be written.
    """
    parts = [Stretch(path) for path in stretches]
    if not parts:
        raise ValueError("no stretch of a film to join")
    if any(part.header != parts[0].header for part in parts):
        raise ValueError("these stretches were written with different settings")
    out = Path(out)
    remarks: list[str] = []
    write_path_beside(out, lambda path: remarks.extend(_write(parts, film, path, out, cut)))
    return remarks


def _write(parts: list[Stretch], film: Film, path: Path, out: Path, cut: bool) -> list[str]:
    container = container_of(out)
    options = {"movflags": "faststart", "movie_timescale": str(film.time_base.denominator)}
    order = Order(parts, film)
    span = order.span if cut else None
    with (
        _source(film) as source,
        av.open(
            str(path),
            "w",
            format=container,
            metadata_errors="surrogateescape",
            container_options=options if container in APPLE else {},
        ) as target,
    ):
        header = parts[0].header
        pictures, copies, remarks = _add_streams(
            source, target, film, header["codec"], header["quality"]
        )
        if source is not None:
            target.metadata.update(source.metadata)
            target.set_chapters(chapters_within(source.chapters(), span))
        within = not target.format.flags & GLOBAL_HEADER
        head = bytes.fromhex(header["extradata"]) if within else b""
        others = copied(source, copies, span) if source is not None else iter(())
        packets = heapq.merge(order.packets(pictures, head), others)
        for _, _, packet in packets:
            move(packet, span)
            target.mux(packet)
    return remarks


def _source(film: Film) -> AbstractContextManager[InputContainer | None]:
    return open_container(film.path, film.name) if film.has_streams else nullcontext()


def _add_streams(
    source: InputContainer | None,
    target: OutputContainer,
    film: Film,
    codec: str,
    quality: int | None,
) -> tuple[Stream, dict[int, Stream], list[str]]:
    new = target.add_stream(CODECS[codec].encoder, rate=film.rate)
    context = cast(VideoCodecContext, new.codec_context)
    layout = written_layout(codec, film.layout)
    configure(context, codec, film, layout, quality, target.format.name)
    new.time_base = film.time_base
    if codec == "h265" and target.format.name in APPLE:
        context.codec_tag = "hvc1"
    if film.matrix is not None:
        cast(VideoStream, new).set_display_matrix(film.matrix)
    if source is None:
        return new, {}, []
    old = picture_stream(source, film.name)
    for stream in source.streams.data:
        new.metadata.update({k: v for k, v in stream.metadata.items() if k == "timecode"})
    new.metadata.update(old.metadata)
    new.disposition = old.disposition
    return new, *add_copies(source, target, old.index, film.path)


class Order:
    """The stretches' packets, with times of decoding that never fall.

    Args:
        parts: the stretches.
        film: that they are of.

    Attributes:
        span: when their first frame is shown, and until when their last, in seconds.
    """

    def __init__(self, parts: list[Stretch], film: Film) -> None:
        self.parts, self.film = parts, film
        stored = [(one.pts, one.duration) for part in parts for one in part.packets(data=False)]
        if not stored:
            raise ValueError("these stretches hold no frames")
        self.rising = sorted(pts for pts, _ in stored)
        self.ranks = {pts: rank for rank, pts in enumerate(self.rising)}
        if len(self.ranks) < len(stored):
            raise ValueError("these stretches hold the same frames twice")
        last, duration = max(stored)
        self.duration = duration or max(1, round(1 / film.rate / film.time_base))
        self.span = (self.rising[0] * film.time_base, (last + self.duration) * film.time_base)
        # Frames that are decoded before others that are shown earlier: so many are ahead.
        self.ahead = max(place - self.ranks[pts] for place, (pts, _) in enumerate(stored))

    def packets(self, stream: Stream, head: bytes) -> Iterator[Timed]:
        """What to write: `head` goes before each key frame."""
        step = min((b - a for a, b in pairwise(self.rising)), default=self.duration)
        early = [self.rising[0] - step * (self.ahead - place) for place in range(self.ahead)]
        stored = chain.from_iterable(part.packets() for part in self.parts)
        # Not strict: there are times for the frames, and `ahead` more.
        for dts, one in zip(chain(early, self.rising), stored, strict=False):
            packet: Packet[Any] = Packet(head + one.data if one.key else one.data)
            packet.stream = stream
            packet.time_base = self.film.time_base
            packet.pts, packet.dts = one.pts, dts
            after = self.ranks[one.pts] + 1
            packet.duration = self.duration
            if after < len(self.rising):
                packet.duration = self.rising[after] - one.pts
            packet.is_keyframe = one.key
            yield dts * self.film.time_base, 0, packet
