"""Opening films that somebody else named."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

import av
import av.filter
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepcolor.images.decoding import decoding
from deepcolor.images.formats import open_image
from deepcolor.images.picture import ImageError
from deepcolor.opening import NoFileError, open_file
from deepcolor.video.layouts import FilmError

__all__ = ["Weaver", "open_container", "picture_stream", "sought"]

STEP = 1.0  # seconds that a search for a key frame goes back at first
TRIES = 12  # each twice as far back

# Formats that lead to other files or addresses, or read text as pictures.
REFUSED = {
    "hls", "applehttp", "dash", "concat", "sdp", "rtsp", "rtp", "sap", "imf", "lavfi", "image2",
    "tty", "ffmetadata", "webm_dash_manifest", "vapoursynth", "avisynth", "libopenmpt", "txd",
}  # fmt: skip
A_PICTURE = "{} is a picture, not a film; deepcolor colorize takes pictures"
PICTURES = ("_pipe", "image2", "ico", "alias_pix", "brender_pix", "svs")


@lru_cache(maxsize=1)
def _allowed() -> str:
    names = (name for name in sorted(av.formats_available) if not REFUSED & set(name.split(",")))
    return ",".join(names)


def open_container(path: Path, name: str) -> InputContainer:
    """Open a file of moving pictures or sound.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: if there is no file to read.
        FilmError: for what is no film.
    """
    try:
        with open_file(path) as file:
            empty = not file.read(1)
    except NoFileError as error:
        raise FilmError(str(error)) from error
    if empty:
        raise FilmError(f"{name} is an empty file")
    try:
        container = av.open(
            f"file:{path}",
            metadata_errors="surrogateescape",
            container_options={"format_whitelist": _allowed(), "protocol_whitelist": "file"},
        )
    except (av.error.FFmpegError, ValueError) as error:
        if _is_picture(path, name):  # FFmpeg knows some by their names, as parts of film folders
            raise FilmError(A_PICTURE.format(name)) from error
        raise FilmError(
            f"{name} is no film that FFmpeg reads, or is damaged or cut short at its beginning"
            f" ({getattr(error, 'strerror', None) or error})"
        ) from error
    if container.format.name.endswith(PICTURES):
        container.close()
        raise FilmError(A_PICTURE.format(name))
    return container


def _is_picture(path: Path, name: str) -> bool:
    try:
        with open_file(path) as file, decoding(name, None, quiet=True):
            open_image(file, name).close()
    except (ImageError, OSError):
        return False
    return True


def picture_stream(container: InputContainer, name: str) -> VideoStream:
    """The stream of moving pictures.

    Raises:
        FilmError: if there is none, or FFmpeg cannot decode it.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise FilmError(
            f"{name} holds no moving pictures" + (f", only {' and '.join(kinds)}" if kinds else "")
        )
    if streams[0].codec_context is None:
        raise FilmError(f"{name} is compressed in a way that FFmpeg cannot decode")
    return streams[0]


def sought(
    container: InputContainer, stream: VideoStream, pts: int
) -> "Iterator[Packet[VideoStream]] | None":
    """Packets from a key frame on that is shown at a time or before it; None if none is found.

    Frames that are decoded from there are right from the time of the key frame on: those that are
    decoded after it and shown before it lean on what was left out.
    """
    if container.format.name == "avi" and stream.codec_context.has_b_frames:
        return None  # it does not say when frames are shown
    at = pts
    for back in range(TRIES):
        try:
            container.seek(at, stream=stream)
        except (av.error.FFmpegError, OverflowError):
            return None
        packets = container.demux(stream)
        for packet in packets:
            if packet.is_keyframe and packet.pts is not None:
                if packet.pts <= pts:
                    return chain((packet,), packets)
                break
            if packet.pts is not None and packet.pts > pts:
                break
        at = pts - round(STEP * 2**back / (stream.time_base or 1))
    return None


class Weaver:
    """Whole frames out of interlaced ones, as many as came.

    Args:
        stream: that they are of.
    """

    def __init__(self, stream: VideoStream) -> None:
        self.graph = av.filter.Graph()
        nodes = (
            self.graph.add_buffer(template=stream),
            self.graph.add("bwdif", "mode=send_frame:deint=all"),
            self.graph.add("buffersink"),
        )
        self.graph.link_nodes(*nodes)
        self.graph.configure()

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Take a frame, or the end; give those that are ready."""
        self.graph.vpush(frame)
        while True:
            try:
                woven = self.graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield woven
