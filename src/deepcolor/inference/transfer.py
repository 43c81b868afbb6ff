"""The colours of one picture on another."""

import math
from typing import Any

import torch

from deepcolor import images
from deepcolor.inference.options import Options
from deepcolor.pixels import PictureChroma, compose

__all__ = ["same_framing", "transfer_chroma"]

SAME_FRAMING = 0.02  # how far two aspects may differ, as shares


def same_framing(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two heights and widths have the same aspect, within 2 % and a pixel."""
    apart = abs(math.log(one[0] * other[1] / (one[1] * other[0])))
    return apart <= math.log(1 + SAME_FRAMING) + max(1 / side for side in (*one, *other))


@torch.inference_mode()
def transfer_chroma(
    grey: Any,
    coloured: Any,
    *,
    saturation: float = 1.0,
    max_pixels: int | None = images.MAX_PIXELS,
) -> Any:
    """Give a picture the colours of another: its own lightness, the other's chroma.

    For colour made by anything else: an image editor, a generative model, a painter. Whatever that
    did to lightness, sharpness or size is undone.

    Args:
        grey: the picture whose lightness, size, depth and kind the result has; as for `colorize`.
        coloured: a picture of the same framing, of any size; as for `colorize`.
        saturation: chroma is multiplied by it.
        max_pixels: refuse larger pictures; None for no limit.

    Returns:
        As `colorize` for `grey`.

    Raises:
        ImageError: if a picture cannot be used, or the two differ in aspect by over 2 %.
    """
    Options(saturation=saturation)  # refuses what is out of range
    picture, source = images.read(grey, max_pixels), images.read_colours(coloured, max_pixels)
    full = (picture.pixels.shape[-2], picture.pixels.shape[-1])
    height, width = source.pixels.shape[-2:]
    if not (height and width and all(full)) or len(picture.pixels) != len(source.pixels):
        raise images.ImageError(
            f"{source.name} and {picture.name} must both hold pixels, and as many pictures"
        )
    if not same_framing(full, (height, width)):
        raise images.ImageError(
            f"{source.name} is {width} x {height}, {picture.name} {full[1]} x {full[0]}: they must"
            " show the same framing; crop one of them first"
        )
    out = picture.canvas()
    for pixels, colours, result in zip(picture.pixels, source.pixels, out, strict=True):
        compose(pixels, PictureChroma(colours, full, saturation), result)
    return picture.give_back(out)
