"""Stretches and all other streams of a film into the finished one."""

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from deepcolor.files import write_path_beside
from deepcolor.video.codecs import APPLE, CODECS, configure, container_of, written_layout
from deepcolor.video.copies import add_copies
from deepcolor.video.film import Film
from deepcolor.video.opening import open_container, picture_stream
from deepcolor.video.writing import GLOBAL_HEADER, Stretch

__all__ = ["join"]

Timed = tuple[Fraction, int, "Packet[Any]"]


def join(
    stretches: Sequence[str | Path],
    film: Film,
    out: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
) -> list[str]:
    """Write the finished film: the stretches' pictures, and all else that the film holds.

    Sound, subtitles, data, attachments, covers, chapters and metadata are copied as they are. The
    file appears whole or not at all.

    Args:
        stretches: written by `VideoWriter`, in order, all with the same settings.
        film: that they are of.
        out: the file to write.
        start: seconds into the film at which the first frame of the stretches lies, if it is not
            the film's first: everything is moved to begin there, and what is before is left out.
        end: seconds into the film at which the rest is left out.

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
    write_path_beside(out, lambda path: _write(parts, film, path, out, (start, end), remarks))
    return remarks


def _write(
    parts: list[Stretch],
    film: Film,
    path: Path,
    out: Path,
    cut: tuple[float | None, float | None],
    remarks: list[str],
) -> None:
    container = container_of(out)
    options = {"movflags": "faststart", "movie_timescale": str(film.time_base.denominator)}
    with (
        open_container(film.path, film.name) as source,
        av.open(
            str(path),
            "w",
            format=container,
            metadata_errors="surrogateescape",
            container_options=options if container in APPLE else {},
        ) as target,
    ):
        pictures = picture_stream(source, film.name)
        codec = parts[0].header["codec"]
        new = _add_pictures(target, film, codec, parts[0], container)
        new.metadata.update(pictures.metadata)
        new.disposition = pictures.disposition
        copies, left_out = add_copies(source, target, pictures.index, film.name)
        remarks += left_out
        target.metadata.update(source.metadata)
        target.set_chapters(source.chapters())
        shown = _pictures(parts, film, new, target)
        for _, _, packet in heapq.merge(shown, _others(source, copies)):
            target.mux(packet)


def _add_pictures(
    target: OutputContainer, film: Film, codec: str, part: Stretch, container: str
) -> Stream:
    stream = target.add_stream(CODECS[codec].encoder, rate=film.rate)
    layout = written_layout(codec, film.layout)
    configure(stream.codec_context, codec, film, layout, part.header["quality"])
    stream.time_base = film.time_base
    if codec == "h265" and container in APPLE:
        stream.codec_context.codec_tag = "hvc1"
    if film.matrix is not None:
        stream.set_display_matrix(film.matrix)
    return stream


def _pictures(
    parts: list[Stretch], film: Film, stream: Stream, target: OutputContainer
) -> Iterator[Timed]:
    """The stretches' packets, with times of decoding that never fall."""
    order = [stored.pts for part in parts for stored in part.packets(data=False)]
    rising = sorted(order)
    ranks = {pts: rank for rank, pts in enumerate(rising)}
    if len(ranks) < len(order):
        raise ValueError("these stretches hold the same frames twice")
    # A frame is decoded before it is shown: so many frames ahead.
    ahead = max((place - ranks[pts] for place, pts in enumerate(order)), default=0)
    step = min((b - a for a, b in zip(rising, rising[1:], strict=False)), default=1)
    early = [rising[0] - step * (ahead - place) for place in range(ahead)]
    within = not target.format.flags & GLOBAL_HEADER and film is not None
    head = bytes.fromhex(parts[0].header["extradata"]) if within else b""
    usual = max(1, round(1 / film.rate / film.time_base))
    packets = chain.from_iterable(part.packets() for part in parts)
    for dts, stored in zip(chain(early, rising), packets, strict=False):
        packet: Packet[Any] = Packet(head + stored.data if stored.key else stored.data)
        packet.stream = stream
        packet.time_base = film.time_base
        packet.pts, packet.dts = stored.pts, dts
        rank = ranks[stored.pts] + 1
        last = rank == len(rising)
        packet.duration = (stored.duration or usual) if last else rising[rank] - stored.pts
        packet.is_keyframe = stored.key
        yield dts * film.time_base, 0, packet


def _others(source: InputContainer, copies: dict[int, Stream]) -> Iterator[Timed]:
    """The packets of all other streams."""
    wanted = [stream for stream in source.streams if stream.index in copies]
    if not wanted:
        return
    time = Fraction(0)
    for count, packet in enumerate(source.demux(wanted), start=1):
        if packet.size == 0 and packet.pts is None:  # the end of a stream
            continue
        at = packet.dts if packet.dts is not None else packet.pts
        if at is not None:
            time = at * packet.time_base
        packet.stream = copies[packet.stream.index]
        yield time, count, packet
