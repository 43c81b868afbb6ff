"""A picture as numbers, with what it was before."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["MAX_PIXELS", "ImageError", "Picture", "check_bytes", "check_size"]

MAX_PIXELS = 500_000_000  # five times the largest camera's; 1.5 GB as 8-bit RGB
BYTES_A_PIXEL = 8  # decoded, of a picture of as many pixels as allowed: RGBA of 16 bits


class ImageError(ValueError):
    """A picture that cannot be used: damaged, too large, of a wrong shape or range.

    The message says which picture, what is wrong with it, and what would work.
    """


@dataclass(frozen=True)
class Picture:
    """A picture as numbers.

    Attributes:
        pixels: (B, 1 | 3, H, W) grey or sRGB: uint8, uint16, or float32 in [0, 1].
        name: what to call it in messages.
        depth: dtype of what goes back: uint8, uint16 or float32.
        give_back: turns (B, 3, H, W) of that dtype into the kind of picture that was read.
        interleaved: whether what goes back keeps the channels of a pixel together.
        owned: whether the pixels may be written over.
        colours: gives sRGB pixels, where a profile left no more than luminance in `pixels`.
    """

    pixels: Tensor
    name: str
    depth: torch.dtype
    give_back: Callable[[Tensor], Any]
    interleaved: bool = True
    owned: bool = False
    colours: Callable[[], Tensor] | None = None

    def canvas(self) -> Tensor:
        """Where the result goes: (B, 3, H, W) of the depth; the pixels' own memory if it may."""
        batch, channels, height, width = self.pixels.shape
        if self.owned and channels == 3 and self.pixels.dtype == self.depth:
            return self.pixels
        device = self.pixels.device
        if self.interleaved:
            memory = torch.empty(batch, height, width, 3, dtype=self.depth, device=device)
            return memory.permute(0, 3, 1, 2)
        return torch.empty(batch, 3, height, width, dtype=self.depth, device=device)


def check_size(height: int, width: int, name: str, max_pixels: int | None) -> None:
    """Refuse pictures of more pixels than allowed, before memory is taken for them.

    Raises:
        ImageError: names the size, the limit and the argument that raises it.
    """
    if max_pixels is not None and height * width > max_pixels:
        raise ImageError(
            f"{name} is too large: {width} x {height} is {height * width / 1e6:,.0f} megapixels,"
            f" the limit {max_pixels / 1e6:,.0f}; max_pixels= raises it"
        )


def check_bytes(count: int, name: str, max_pixels: int | None) -> None:
    """Refuse files that take more memory decoded than RGBA of 16 bits at the most pixels allowed.

    Args:
        count: pixels, padding included, times channels, times bytes of each.
        name: of the picture, for messages.
        max_pixels: as `check_size`; None for no limit.

    Raises:
        ImageError: names the size, the limit and the argument that raises it.
    """
    if max_pixels is not None and count > BYTES_A_PIXEL * max_pixels:
        raise ImageError(
            f"{name} is too large: {count / 1e6:,.0f} MB decoded, the limit"
            f" {BYTES_A_PIXEL * max_pixels / 1e6:,.0f} MB, {BYTES_A_PIXEL} bytes for each of the"
            f" {max_pixels / 1e6:,.0f} megapixels allowed; max_pixels= raises it"
        )
