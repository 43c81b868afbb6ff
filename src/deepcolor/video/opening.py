"""Opening films that somebody else named."""

from functools import lru_cache
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from deepcolor.opening import NoFileError, open_file
from deepcolor.video.layouts import FilmError

__all__ = ["open_container", "picture_stream"]

# Formats that lead to other files or addresses, or read text as pictures.
REFUSED = {
    "hls", "applehttp", "dash", "concat", "sdp", "rtsp", "rtp", "sap", "imf", "lavfi", "image2",
    "tty", "ffmetadata", "webm_dash_manifest", "vapoursynth", "avisynth", "libopenmpt", "txd",
}  # fmt: skip
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
        raise FilmError(
            f"{name} is no film that FFmpeg reads, or is damaged or cut short at its beginning"
            f" ({error.strerror or error})"
        ) from error
    if container.format.name.endswith(PICTURES):
        container.close()
        raise FilmError(f"{name} is a picture, not a film; deepcolor colorize takes pictures")
    return container


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
