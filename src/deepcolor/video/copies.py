"""What of a film besides its pictures another container can hold."""

import io

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from deepcolor.video.layouts import FilmError

__all__ = ["add_copies"]

WHAT = {"audio": "sound", "subtitle": "subtitles", "attachment": "attached file"}


def add_copies(
    source: InputContainer, target: OutputContainer, pictures: int, name: str
) -> tuple[dict[int, Stream], list[str]]:
    """Add streams to a film for all that another holds besides its pictures.

    Args:
        source: the other film.
        target: the film; nothing is written to it yet.
        pictures: index of the stream of pictures in the other one.
        name: of the other one, for messages.

    Returns:
        The new streams, by index of the old ones, and remarks on what is left out.

    Raises:
        FilmError: if there is sound that the container cannot hold.
    """
    copies: dict[int, Stream] = {}
    remarks = []
    for stream in source.streams:
        if stream.index == pictures:
            continue
        if _fits(stream, target.format.name):
            copies[stream.index] = copy = target.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
            copy.disposition = stream.disposition
        elif stream.type == "audio":
            raise FilmError(
                f"{name}: its sound ({_called(stream)}) cannot lie in {target.format.name};"
                " .mkv holds it"
            )
        elif not _is_timecode(stream):  # muxers that know time codes write them anew
            remarks.append(f"{_called(stream)} cannot lie in {target.format.name} and is left out")
    return copies, remarks


def _fits(stream: Stream, container: str) -> bool:
    """Whether a container holds a stream: it is asked to write a header with it."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _is_timecode(stream: Stream) -> bool:
    return stream.type == "data" and "timecode" in stream.metadata


def _called(stream: Stream) -> str:
    """A stream, as a person finds it again."""
    codec = stream.codec_context.name if stream.codec_context is not None else stream.name
    parts = [str(part) for part in (codec, stream.language) if part and part != "und"]
    kind = WHAT.get(stream.type, stream.type)
    if stream.disposition & Disposition.attached_pic:
        kind = "cover picture"
    return f"{kind} #{stream.index}" + (f" ({', '.join(parts)})" if parts else "")
