"""Luma out of decoded frames, and what layout they have."""

import io
import re
from contextlib import suppress

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepcolor.video.layouts import FilmError, Layout, Plane, format_name
from deepcolor.video.planes import luma_of_grey

__all__ = ["LumaReader"]

# ITU-T H.273, tables 2 to 4, as FFmpeg numbers them.
UNSPECIFIED, FULL = (0, 2), 2
MATRIX_NAMES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
PRIMARY_NAMES = {
    1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte170m", 9: "bt2020", 11: "p3", 12: "p3",
}  # fmt: skip
OTHER_MATRICES = {8: "YCgCo", 10: "BT.2020 with constant luminance", 14: "ICtCp"}
PQ, HLG = 16, 18
HD_WIDTH, HD_HEIGHT = (
    1280,
    576,
)  # from here on, and above it, players take BT.709 if nothing is said
FULL_GREYS = ("ffv1", "rawvideo", "png", "tiff", "huffyuv", "ffvhuff", "utvideo", "jpeg2000")
CENTRED = ("mjpeg", "mpeg1video", "jpeg2000")  # chroma between luma samples, if nothing is said
DEEP_RGB = 10  # bits of luma made of R'G'B' of over 8
# Matroska's ChromaSitingHorz and ChromaSitingVert, of one byte each (RFC 9559): 1 on a luma sample.
SITING = re.compile(rb"\x55\xb7\x81([\x01\x02])\x55\xb8\x81([\x01\x02])", re.DOTALL)
SITING_NAMES = {
    (b"\1", b"\2"): "left",
    (b"\2", b"\2"): "center",
    (b"\1", b"\1"): "topleft",
    (b"\2", b"\1"): "top",
}
PAIRED = re.compile(r"nv(12|16|21|24)|p[024]1[0-6]le")
PLANAR = re.compile(r"yuv[aj]?\d+p(\d+le)?|gray(\d+le)?")


class LumaReader:
    """Reads the luma of a film's frames.

    Args:
        frame: the first one.
        stream: that it is from.
        name: of the film, for messages.

    Attributes:
        layout: of the film; a grey one has the layout that it is to be written in.
        remarks: what a person should know.

    Raises:
        FilmError: for one whose numbers are not understood.
    """

    def __init__(self, frame: VideoFrame, stream: VideoStream, name: str) -> None:
        self.name, codec = name, stream.codec_context.name
        self.format = frame.format.name
        self.size = (frame.width, frame.height)
        self.remarks: list[str] = []
        components = frame.format.components
        deep = max(component.bits for component in components)
        self.rgb = frame.format.is_rgb or frame.format.has_palette or frame.format.is_bayer
        grey = len([part for part in components if not part.is_alpha]) == 1 and not self.rgb
        across = down = 2
        if not grey and not self.rgb:
            across, down = (
                64 // frame.format.chroma_width(64),
                64 // frame.format.chroma_height(64),
            )
        full = frame.color_range == FULL or "yuvj" in self.format
        if frame.color_range != 1 and grey:
            full = full or codec in FULL_GREYS
        depth = 8 if deep < 8 else deep
        if self.rgb:
            full, depth = False, 8 if depth == 8 else DEEP_RGB
            self.remarks.append(f"its pixels are RGB ({self.format}); they are turned into luma")
        self.layout = Layout(
            width=frame.width,
            height=frame.height,
            depth=depth,
            across=across,
            down=down,
            siting=_siting(stream, codec),
            full_range=full,
            matrix=self._matrix(frame),
            primaries=PRIMARY_NAMES.get(frame.color_primaries, "bt709"),
        )
        self._check_transfer(frame)
        self.via = ""  # the format that a frame is brought into first
        self.shift = 0  # bits below those of a sample
        paired = PAIRED.fullmatch(self.format)  # luma alone, chroma in pairs
        if self.rgb:
            self.via = "gbrp" if depth == 8 else "gbrp16le"
        elif deep < 8:
            self.via = "gray"
        elif paired:
            self.shift = 0 if depth == 8 else 16 - depth
        elif not PLANAR.fullmatch(self.format):
            self.via = format_name(across, down, depth)
            if grey:
                self.via = "gray" if depth == 8 else f"gray{depth}le"
        if any(component.is_alpha for component in components) and codec != "gif":
            self.remarks.append("its transparency is left out")

    def _matrix(self, frame: VideoFrame) -> str:
        if frame.colorspace in OTHER_MATRICES:
            raise FilmError(
                f"{self.name} stores its colours as {OTHER_MATRICES[frame.colorspace]}, which is"
                " not understood; convert it to BT.709 first"
            )
        if self.rgb:
            return "bt709"
        high = frame.width >= HD_WIDTH or frame.height > HD_HEIGHT
        return MATRIX_NAMES.get(frame.colorspace, "bt709" if high else "bt601")

    def _check_transfer(self, frame: VideoFrame) -> None:
        if frame.color_trc == PQ:
            raise FilmError(
                f"{self.name} is HDR film (PQ), whose brightness a screen of today's photographs"
                " cannot show; convert it to SDR (BT.709) first"
            )
        if frame.color_trc == HLG:
            self.remarks.append(
                "it is HDR film (HLG); colours are chosen as an SDR screen shows it"
            )

    def read(self, frame: VideoFrame) -> Plane:
        """The luma of a frame: (H, W) of the layout's dtype, a copy.

        Raises:
            FilmError: if size or format differ from the first frame's.
        """
        if (frame.width, frame.height) != self.size or frame.format.name != self.format:
            was, now = (
                f"{width} x {height} ({pixels})"
                for (width, height), pixels in (
                    (self.size, self.format),
                    ((frame.width, frame.height), frame.format.name),
                )
            )
            raise FilmError(
                f"{self.name} changes from {was} to {now} at {float(frame.time or 0):.2f} s; cut"
                " it there and colour the parts"
            )
        if self.rgb:
            return self._from_rgb(frame)
        if self.via:
            frame = frame.reformat(format=self.via)
        return np.right_shift(_plane(frame, 0, self.layout.dtype), self.shift)

    def _from_rgb(self, frame: VideoFrame) -> Plane:
        frame = frame.reformat(format=self.via)
        dtype, top = (np.uint8, 255) if self.via == "gbrp" else (np.uint16, 65535)
        red, blue = self.layout.luma_shares
        shares = (1 - red - blue, blue, red)  # of the planes: green, blue, red
        grey = sum(
            _plane(frame, index, dtype) * (share / top) for index, share in enumerate(shares)
        )
        return luma_of_grey(self.layout, np.asarray(grey))


def _plane(frame: VideoFrame, index: int, dtype: type[np.uint8] | type[np.uint16]) -> Plane:
    """A view of a plane of a frame: (H, W)."""
    plane = frame.planes[index]
    rows: Plane = np.frombuffer(memoryview(plane), dtype=np.uint8)[
        : plane.height * abs(plane.line_size)
    ]
    rows = rows.reshape(plane.height, -1).view(dtype)[:, : plane.width]
    return rows if plane.line_size > 0 else rows[::-1]


def _siting(stream: VideoStream, codec: str) -> str:
    """Where the chroma samples lie: what PyAV does not say, but a header that FFmpeg writes."""
    header = io.BytesIO()
    with (
        suppress(ValueError, av.error.FFmpegError),
        av.open(header, "w", format="matroska") as trial,
    ):
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
        said = SITING.search(header.getvalue())
        if said:
            return SITING_NAMES[said.group(1), said.group(2)]
    return "center" if codec in CENTRED else "left"
