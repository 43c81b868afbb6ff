"""What of a film besides its pictures another container can hold."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from deepcolor.files import shown
from deepcolor.video.layouts import FilmError
from deepcolor.video.opening import open_container

if TYPE_CHECKING:
    from av.container.core import Chapter

__all__ = ["Span", "Timed", "add_copies", "chapters_within", "copied", "move"]

Span = tuple[Fraction, Fraction]
"""From when to when, in seconds of the film that is copied from."""
Timed = tuple[Fraction, int, "Packet[Any]"]
"""When a packet is to be written, what decides between packets of one time, and the packet."""

# FFmpeg writes anything into MPEG-TS, as data that no player knows: these are known there.
STREAMED = {
    "aac", "mp2", "mp3", "ac3", "eac3", "dts", "opus", "truehd", "dvb_subtitle", "dvb_teletext",
    "hdmv_pgs_subtitle", "klv", "scte_35", "timed_id3",
}  # fmt: skip
WHAT = {"audio": "sound", "subtitle": "subtitles", "attachment": "attached file"}


def add_copies(
    source: InputContainer, target: OutputContainer, pictures: int, path: Path
) -> tuple[dict[int, Stream], list[str]]:
    """Add streams to a film for all that another holds besides its pictures.

    Args:
        source: the other film.
        target: the film; nothing is written to it yet.
        pictures: index of the stream of pictures in the other one.
        path: of the other one.

    Returns:
        The new streams, by index of the old ones, and remarks on what is left out.

    Raises:
        FilmError: if there is sound that the container cannot hold.
    """
    copies: dict[int, Stream] = {}
    remarks = []
    for stream in source.streams:
        if stream.index == pictures or _is_timecode(stream):
            continue  # muxers that know time codes write them anew, from the pictures' metadata
        cover = stream.disposition & Disposition.attached_pic
        if cover and target.format.name == "matroska":
            _attach(target, stream, path)
        elif _fits(stream, target.format.name):
            copies[stream.index] = copy = target.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
            copy.disposition = stream.disposition
        elif stream.type == "audio":
            raise FilmError(
                f"{shown(path)}: its sound ({_called(stream)}) cannot lie in {target.format.name};"
                " .mkv holds it"
            )
        else:
            remarks.append(f"{_called(stream)} cannot lie in {target.format.name} and is left out")
    return copies, remarks


def _attach(target: OutputContainer, stream: Stream, path: Path) -> None:
    """Matroska has no pictures beside the film, but attached files."""
    with open_container(path, shown(path)) as source:
        data = next(bytes(packet) for packet in source.demux(source.streams[stream.index]))
    codec = _codec_of(stream)
    kind = {"mjpeg": "jpeg"}.get(str(codec), str(codec))
    new = target.add_attachment(f"cover.{kind}", f"image/{kind}", data)
    new.metadata.update({k: v for k, v in stream.metadata.items() if k == "title"})


def _fits(stream: Stream, container: str) -> bool:
    """Whether a container holds a stream: it is asked to write a header with it."""
    if container == "mpegts" and _codec_of(stream) not in STREAMED:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _codec_of(stream: Stream) -> str | None:
    if stream.codec_context is None:
        return stream.name
    return stream.codec_context.codec.canonical_name


def _is_timecode(stream: Stream) -> bool:
    return stream.type == "data" and "timecode" in stream.metadata


def _called(stream: Stream) -> str:
    """A stream, as a person finds it again."""
    parts = [str(part) for part in (_codec_of(stream), stream.language) if part and part != "und"]
    kind = WHAT.get(stream.type, stream.type)
    if stream.disposition & Disposition.attached_pic:
        kind = "cover picture"
    return f"{kind} #{stream.index}" + (f" ({', '.join(parts)})" if parts else "")


def copied(source: InputContainer, copies: dict[int, Stream], span: Span | None) -> Iterator[Timed]:
    """The packets of all streams but the pictures.

    Args:
        source: the film that they are copied from.
        copies: new streams by index of the old ones.
        span: leave out what begins before or after, but subtitles that are still shown; None for
            all.
    """
    wanted = [stream for stream in source.streams if stream.index in copies]
    if not wanted:
        return
    time = Fraction(0)
    for count, packet in enumerate(source.demux(wanted), start=1):
        if packet.size == 0 and packet.pts is None:  # the end of a stream
            continue
        at = packet.pts if packet.dts is None else packet.dts
        if at is not None:
            time = at * packet.time_base
        if span is None or _within(packet, time, span):
            packet.stream = copies[packet.stream.index]
            yield time, count, packet


def _within(packet: "Packet[Any]", time: Fraction, span: Span) -> bool:
    """Whether a packet is to be kept; one of subtitles is shortened to what is left of it."""
    if packet.stream.disposition & Disposition.attached_pic:
        return True
    start, end = span
    if packet.stream.type == "subtitle" and time < start:
        over = time + (packet.duration or 0) * packet.time_base
        if over > start:
            packet.pts = packet.dts = -int(-start // packet.time_base)
            packet.duration = int((over - start) / packet.time_base)
            return True
    return start <= time < end


def move(packet: "Packet[Any]", span: Span | None) -> None:
    """Let a packet's time count from the start of a span."""
    if span is None:
        return
    if packet.stream.disposition & Disposition.attached_pic:
        packet.pts = packet.dts = 0
        return
    late = round(span[0] / packet.time_base)
    if packet.pts is not None:
        packet.pts -= late
    if packet.dts is not None:
        packet.dts -= late


def chapters_within(chapters: "list[Chapter]", span: Span | None) -> "list[Chapter]":
    """Chapters, or what of them lies in a span, counted from its start."""
    if span is None:
        return chapters
    kept = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1, 1000)
        start, end = (
            round((min(max(at * base, span[0]), span[1]) - span[0]) / base)
            for at in (chapter["start"], chapter["end"])
        )
        if end > start:
            moved = chapter.copy()
            moved["start"], moved["end"] = start, end
            kept.append(moved)
    return kept
