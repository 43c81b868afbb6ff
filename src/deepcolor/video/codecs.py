"""How films are compressed, and what each container holds."""

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from deepcolor.files import shown
from deepcolor.video.layouts import SUBSAMPLINGS, FilmError, Layout, format_name

if TYPE_CHECKING:
    from deepcolor.video.film import Film

__all__ = ["CODECS", "Encoding", "configure", "container_of", "encoding_of", "written_layout"]


@dataclass(frozen=True)
class Encoding:
    """A way to compress a film.

    Attributes:
        encoder: FFmpeg's name of it.
        quality: its option that says how good, where there is one.
        default: our choice for that; lower is better.
        most: the worst.
        options: others, as a person would choose them.
    """

    encoder: str
    quality: str | None
    default: int
    most: int
    options: Mapping[str, str]


CODECS: Mapping[str, Encoding] = {
    # Independent of the processor: with the instructions of AVX-512 x264's macroblock trees give
    # other bytes each time, at some widths. It costs no time.
    "h264": Encoding(
        "libx264", "crf", 18, 51, {"preset": "medium", "x264-params": "cpu-independent=1"}
    ),
    "h265": Encoding(
        "libx265", "crf", 20, 51, {"preset": "medium", "x265-params": "log-level=none"}
    ),
    # Checksums in the file; slices fixed, or their number would follow the machine's cores.
    "ffv1": Encoding("ffv1", None, 0, 0, {"level": "3", "slices": "4", "slicecrc": "1", "g": "1"}),
    "vp9": Encoding("libvpx-vp9", "crf", 24, 63, {"b": "0", "row-mt": "1", "cpu-used": "2"}),
    "av1": Encoding("libsvtav1", "crf", 26, 63, {"preset": "7", "svtav1-params": "tune=0"}),
    "prores": Encoding("prores_ks", None, 0, 0, {"profile": "hq", "vendor": "apl0"}),
}
OTHER_NAMES = {"avc": "h264", "hevc": "h265", "x264": "h264", "x265": "h265"}
CONTAINERS = {  # muxers of common suffixes; any other suffix that FFmpeg writes works too
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm",
    ".avi": "avi", ".ts": "mpegts", ".m2ts": "mpegts", ".mts": "mpegts", ".nut": "nut",
}  # fmt: skip
CHOICE = ("h264", "vp9", "h265", "av1", "ffv1", "prores")  # the first that the container holds
STREAMED = ("h264", "h265")  # FFmpeg writes others into .ts too, but no player knows them there
APPLE = ("mp4", "mov", "ipod", "3gp")  # containers in which Apple's players want H.265 as hvc1
CHROMA_CODES = {"left": 1, "center": 2, "topleft": 3, "top": 4}
MATRIX_CODES = {"bt709": 1, "fcc": 4, "bt601": 6, "smpte240m": 7, "bt2020": 9}  # ITU-T H.273
RATE_LIMIT = 65535  # of numerator and denominator, in what encoders write


def container_of(path: Path) -> str:
    """FFmpeg's muxer for a file's suffix.

    Raises:
        FilmError: if there is none.
    """
    suffix = path.suffix.lower()
    found = CONTAINERS.get(suffix) or _muxers().get(suffix.removeprefix("."))
    if found is None:
        raise FilmError(
            f"{shown(path)}: no film can be written as {suffix or 'a file without suffix'};"
            " .mp4, .mov, .mkv, .webm and .avi work, and a folder's name for numbered pictures"
        )
    return found


@lru_cache(maxsize=1)
def _muxers() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in sorted(av.formats_available):
        try:
            form = av.ContainerFormat(name, "w")
        except ValueError:
            continue
        if not form.no_file and holds(name, CHOICE):
            for suffix in form.extensions:
                found.setdefault(suffix, form.name)
    return found


@lru_cache(maxsize=64)
def holds(container: str, codecs: tuple[str, ...]) -> tuple[str, ...]:
    """Which of some codecs a container holds."""
    able = []
    for codec in STREAMED if container == "mpegts" else codecs:
        with av.open(io.BytesIO(), "w", format=container) as out, suppress(ValueError):
            out.add_stream(CODECS[codec].encoder)
            able.append(codec)
    return tuple(able)


def encoding_of(codec: str | None, path: Path, film: "Film") -> str:
    """The codec to write a film with: a key of CODECS.

    Args:
        codec: that is asked for; the container's usual one if None.
        path: of the film to write.
        film: that is coloured.

    Raises:
        ValueError: for a codec that is not known.
        FilmError: if the container does not hold it, or it does not hold the film's depth.
    """
    container = container_of(path)
    able = holds(container, tuple(CODECS))
    if codec is None:
        fit = [name for name in CHOICE if name in able and _layouts(name, film.layout)]
        if not fit:
            raise FilmError(
                f"{film.name} has {film.layout.depth} bits a sample, which nothing holds that lies"
                f" in {path.suffix}; write .mkv with codec ffv1"
            )
        return fit[0]
    name = OTHER_NAMES.get(codec.lower(), codec.lower())
    if name not in CODECS:
        raise ValueError(f"no codec named {codec!r}; there are: {', '.join(CODECS)}")
    if name not in able:
        raise FilmError(
            f"{shown(path)}: {path.suffix} does not hold {name}; it holds {', '.join(able)},"
            " and .mkv holds all"
        )
    if not _layouts(name, film.layout):
        deep = [other for other in CODECS if _layouts(other, film.layout)]
        raise FilmError(
            f"{film.name} has {film.layout.depth} bits a sample, which {name} does not hold;"
            f" {' and '.join(deep) or 'no codec'} would"
        )
    return name


def _layouts(codec: str, layout: Layout) -> list[Layout]:
    """Layouts of a codec that hold a film's luma as it is: the likest first."""
    formats = {form.name for form in av.Codec(CODECS[codec].encoder, "w").video_formats or ()}
    depths = [layout.depth]
    if codec == "prores" and not layout.full_range and layout.depth == 8:
        depths = [10]  # 8 bits with two zeros
    fit = [
        replace(layout, across=across, down=down, depth=depth)
        for across, down in SUBSAMPLINGS
        for depth in depths
        if format_name(across, down, depth) in formats
    ]
    fit.sort(key=lambda one: abs(one.across - layout.across) + abs(one.down - layout.down))
    return fit


def written_layout(codec: str, layout: Layout) -> Layout:
    """The layout in which a film of one layout is written: luma the same, chroma as like."""
    return _layouts(codec, layout)[0]


def configure(
    context: VideoCodecContext,
    codec: str,
    film: "Film",
    layout: Layout,
    quality: int | None,
    container: str,
) -> None:
    """Tell an encoder all there is to say about a film.

    Raises:
        ValueError: for a quality out of range.
    """
    encoding = CODECS[codec]
    options = dict(encoding.options)
    if encoding.quality is None and quality is not None:
        raise ValueError(f"{codec} has no quality to choose")
    if encoding.quality is not None:
        chosen = encoding.default if quality is None else quality
        if not 0 <= chosen <= encoding.most:
            raise ValueError(
                f"the quality of {codec} lies in 0 (best) to {encoding.most}, got {chosen};"
                f" {encoding.default} is our choice"
            )
        options[encoding.quality] = str(chosen)
    if codec == "ffv1" and (layout.width % layout.across or layout.height % layout.down):
        options["slices"] = "1"  # this version cuts no planes of chroma that are rounded up
    if container == "avi" and codec in ("h264", "h265"):
        options["bf"] = "0"  # it does not say when frames are shown: in the order of decoding
    options["chroma_sample_location"] = str(CHROMA_CODES[layout.siting])
    context.width, context.height = layout.width, layout.height
    context.pix_fmt = layout.pixel_format
    context.time_base = film.time_base
    context.framerate = Fraction(film.rate).limit_denominator(RATE_LIMIT)
    context.sample_aspect_ratio = film.sample_aspect
    context.color_range = 2 if layout.full_range else 1
    context.colorspace = film.matrix_code or MATRIX_CODES[layout.matrix]
    context.color_primaries, context.color_trc = film.tags
    context.flags |= int(Flags.frame_duration)
    if film.interlaced and not film.deinterlace:
        if film.field_order:
            context.field_order = film.field_order
        if codec == "h264":
            context.flags |= int(Flags.interlaced_dct | Flags.interlaced_me)
    context.options = options
