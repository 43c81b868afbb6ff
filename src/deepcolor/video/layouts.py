"""What the numbers of a film's pixels mean.

A film stores luma, Y, at full size, and two planes of chroma, mostly at half. Black-and-white
films hold everything in Y; deepcolor passes it through untouched and fills the planes of chroma.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deepcolor.images import ImageError
from deepcolor.video import planes

if TYPE_CHECKING:
    from deepcolor.upsample import ChromaField

__all__ = ["FilmError", "Layout", "Plane", "format_name", "subsampling"]

Plane = NDArray[Any]

SUBSAMPLINGS = {  # luma samples a chroma sample, across and down
    (2, 2): "420", (2, 1): "422", (1, 1): "444", (4, 1): "411", (1, 2): "440", (4, 4): "410",
}  # fmt: skip
MATRICES = {  # shares of red and of blue in luma: ITU-R BT.601, 709, 2020, SMPTE 240M, FCC title 47
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
PRIMARIES = {  # x and y of red, green and blue; white is D65 (ITU-T H.273, table 2)
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt470bg": ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    "smpte170m": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
SITINGS = {  # where the first chroma sample lies in its block: across and down, 0 on a luma sample
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
}


class FilmError(ImageError):
    """A film that cannot be used, or written: the message says which, why, and what would work."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the samples of a film are stored.

    Attributes:
        width, height: of the plane of luma, as coded: before any rotation.
        depth: bits of a sample, 8 to 16.
        across, down: luma samples a chroma sample; (2, 2) is 4:2:0.
        siting: where the chroma samples lie, a key of SITINGS.
        full_range: whether black is 0 and white the largest number; else 16 and 235, times a power
            of two at depths over 8.
        matrix: between R'G'B' and luma with chroma, a key of MATRICES.
        primaries: of red, green and blue, a key of PRIMARIES.
    """

    width: int
    height: int
    depth: int = 8
    across: int = 2
    down: int = 2
    siting: str = "left"
    full_range: bool = False
    matrix: str = "bt709"
    primaries: str = "bt709"

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of it."""
        return format_name(self.across, self.down, self.depth)

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Of the samples of a plane."""
        return np.uint8 if self.depth == 8 else np.uint16

    @property
    def chroma_size(self) -> tuple[int, int]:
        """Height and width of the planes of chroma: rounded up."""
        return -(-self.height // self.down), -(-self.width // self.across)

    @property
    def neutral(self) -> int:
        """The chroma of every grey."""
        return 1 << (self.depth - 1)

    @property
    def black_and_span(self) -> tuple[int, int]:
        """The luma of black, and how far white lies above it."""
        if self.full_range:
            return 0, (1 << self.depth) - 1
        return 16 << (self.depth - 8), 219 << (self.depth - 8)

    @property
    def chroma_span(self) -> int:
        """What a chroma of -1/2 to 1/2 spans in samples."""
        return (1 << self.depth) - 1 if self.full_range else 224 << (self.depth - 8)

    @property
    def luma_shares(self) -> tuple[float, float]:
        """Of red and of blue in luma."""
        return MATRICES[self.matrix]

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """Chromaticities of red, green and blue."""
        return PRIMARIES[self.primaries]

    @property
    def shift(self) -> tuple[float, float]:
        """Where the first chroma sample lies: luma samples across and down from the first one."""
        across, down = SITINGS[self.siting]
        return across * (self.across - 1), down * (self.down - 1)

    def luminance(self, y: Plane) -> Tensor:
        """A plane of luma as lightness, black-and-white and as an sRGB screen shows it.

        Args:
            y: (H, W) of `dtype`.

        Returns:
            (1, H, W) float32 L in [0, 100].
        """
        return planes.luminance(self, y)

    def shrunk(self, y: Plane, size: tuple[int, int]) -> Tensor:
        """As `luminance`, at a smaller size: what a network sees; (1, h, w)."""
        return planes.shrunk(self, y, size)

    def chroma(self, y: Plane, field: "ChromaField") -> tuple[Plane, Plane]:
        """Planes of chroma that give a plane of luma the colours of a field.

        The colour shown has luma `y` and the hue and chroma asked; where no R'G'B' has them it has
        less chroma.

        Args:
            y: (H, W) of `dtype`.
            field: chroma of a picture of this size.

        Returns:
            Cb and Cr, each of `chroma_size` and `dtype`; `neutral` where the field has no chroma.
        """
        return planes.chroma(self, y, field)


def format_name(across: int, down: int, depth: int) -> str:
    """FFmpeg's name of a planar format.

    >>> format_name(2, 2, 10)
    'yuv420p10le'
    """
    return f"yuv{SUBSAMPLINGS[across, down]}p" + ("" if depth == 8 else f"{depth}le")


def subsampling(digits: str) -> tuple[int, int]:
    """Luma samples a chroma sample of "420" and the like."""
    return next(pair for pair, name in SUBSAMPLINGS.items() if name == digits)
