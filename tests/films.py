"""Films made by PyAV for tests: any pixel format, codec, timing, sound and what else they carry."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

TONE = 48000  # samples a second
TICKS = Fraction(1, 12800)


def picture(number: int, height: int, width: int, depth: int = 8) -> np.ndarray:
    """Luma of a moving picture: ramps, an edge that travels, and some noise."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[:height, :width]
    grey = 0.2 + 0.5 * columns / width + 0.1 * np.sin(rows / 5 + number / 3)
    grey += 0.2 * (columns > 3 * number % width) + rng.normal(0, 0.01, (height, width))
    low, span = 16 << (depth - 8), 219 << (depth - 8)
    return (low + span * grey.clip(0, 1)).astype(np.uint8 if depth == 8 else np.uint16)


def frame_of(y: np.ndarray, pixels: str) -> av.VideoFrame:
    """A frame with this luma and neutral chroma; RGB formats get grey of the numbers in y."""
    height, width = y.shape
    frame = av.VideoFrame(width, height, pixels)
    for index, plane in enumerate(frame.planes):
        rows = np.frombuffer(plane, y.dtype).reshape(plane.height, -1)
        if frame.format.is_rgb:
            rows[:, : y.size // height * (1 if frame.format.is_planar else 3)] = (
                y if frame.format.is_planar else np.repeat(y, 3, axis=1)
            )
        elif index == 0:
            rows[:, :width] = y
        else:
            rows[:] = 1 << (frame.format.components[0].bits - 1)
    return frame


def make_film(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = (48, 64),
    pixels: str = "yuv420p",
    codec: str = "ffv1",
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    time_base: Fraction = TICKS,
    rate: int = 25,
    tags: dict[str, int] | None = None,
    aspect: Fraction | None = None,
    rotation: int = 0,
    sound: str | None = None,
    subtitles: bool = False,
    chapters: bool = False,
    attachment: bool = False,
    cover: bool = False,
    metadata: dict[str, str] | None = None,
    interlaced: bool = False,
    luma: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Write a film; its frames' luma is given back."""
    depth = av.VideoFormat(pixels).components[0].bits
    if luma is None:
        luma = [picture(number, *size, depth) for number in range(frames)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, options={"threads": "1"} | (options or {}))
        stream.width, stream.height, stream.pix_fmt = luma[0].shape[1], luma[0].shape[0], pixels
        stream.codec_context.time_base = stream.time_base = time_base
        for key, value in (tags or {}).items():
            setattr(stream.codec_context, key, value)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        if interlaced:
            stream.codec_context.flags |= 1 << 18 | 1 << 29  # interlaced DCT and motion
        voice = out.add_stream(sound, rate=TONE) if sound else None
        words = out.add_mux_stream("subrip") if subtitles else None
        if words:
            words.time_base = Fraction(1, 1000)
            words.metadata["language"] = "eng"
        front = out.add_stream("png", rate=25) if cover else None
        if front:
            front.width = front.height = 16
            front.pix_fmt = "gray"
            front.disposition = Disposition.attached_pic
        if attachment:
            out.add_attachment("note.txt", "text/plain", b"attached")
        if chapters:
            out.set_chapters([
                {"id": n, "start": 200 * n, "end": 200 * n + 200, "time_base": Fraction(1, 1000),
                 "metadata": {"title": f"part {n}"}}
                for n in range(2)
            ])  # fmt: skip
        out.metadata.update(metadata or {})
        packets: list[Any] = []
        for number, y in enumerate(luma):
            frame = frame_of(y, pixels)
            step = round(1 / rate / time_base)
            frame.pts = number * step if times is None else times[number]
            frame.time_base = time_base
            for key in ("color_range", "colorspace"):
                if tags and key in tags:
                    setattr(frame, key, tags[key])
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if voice:
            packets += tone(voice, len(luma) / rate)
        if words:
            packets.append(_words(words))
        if front:
            packet = av.Packet(grey_bytes())
            packet.stream, packet.time_base, packet.pts, packet.dts = front, TICKS, 0, 0
            packet.is_keyframe = True
            packets.append(packet)
        out.mux(packets)
    return list(luma)


def tone(stream: Any, seconds: float) -> list[Any]:
    count = int(seconds * TONE)
    wave = (8000 * np.sin(np.arange(count) * 2 * np.pi * 440 / TONE)).astype(np.int16)
    packets = []
    for start in range(0, count, 1024):
        part = np.repeat(wave[start : start + 1024], 2)[None]
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = TONE, start, Fraction(1, TONE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _words(stream: Any) -> av.Packet:
    packet = av.Packet(b"Hello there")
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = 100
    packet.duration = 200
    return packet


def packets_of(path: Path, kind: str) -> list[tuple[Fraction | None, bytes]]:
    """Times and bytes of all packets of the streams of a kind."""
    with av.open(str(path)) as container:
        wanted = [stream for stream in container.streams if stream.type == kind]
        return [
            (None if packet.pts is None else packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(wanted)
            if packet.size
        ]


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def truncated(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def grey_bytes() -> bytes:
    """A picture as a file."""
    out = io.BytesIO()
    Image.new("L", (16, 16), 90).save(out, "PNG")
    return out.getvalue()
