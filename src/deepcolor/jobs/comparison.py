"""A picture of before and after, for showing around."""

import numpy as np
import torch
from PIL import Image

from deepcolor import images
from deepcolor.images.result import ColorizedImage
from deepcolor.listing import MARK, SOFTWARE

__all__ = ["before", "side_by_side"]

LONGEST = 1200  # pixels of each picture's longer side
GAP = 0.02  # of it, white between the pictures


def before(picture: images.Picture) -> Image.Image:
    """A small copy of a photograph as it was, in RGB; colouring may write over its pixels."""
    pixels = picture.pixels[0]
    height, width = pixels.shape[-2:]
    step = max(1, max(height, width) // (4 * LONGEST))  # far more than is looked at
    some = pixels[:, ::step, ::step]
    if some.dtype == torch.uint16:
        some = (some.int() + 128) // 257
    elif some.is_floating_point():
        some = (255 * some).round()
    array = some.clamp(0, 255).to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
    return _small(Image.fromarray(np.ascontiguousarray(array)), (width, height))


def side_by_side(grey: Image.Image, coloured: list[Image.Image]) -> Image.Image:
    """The grey picture and what was made of it: side by side if tall, one below the other if wide.

    It is marked as a result, and says nothing else of where and when the photograph was taken.
    """
    panels = [grey, *(_small(image.convert("RGB"), image.size) for image in coloured)]
    width, height = grey.size
    gap = max(1, round(GAP * max(width, height)))
    across = width <= height
    count = len(panels)
    size = (
        (count * (width + gap) - gap, height) if across else (width, count * (height + gap) - gap)
    )
    sheet = Image.new("RGB", size, "white")
    for number, panel in enumerate(panels):
        place = (number * (width + gap), 0) if across else (0, number * (height + gap))
        sheet.paste(panel.resize((width, height)) if panel.size != grey.size else panel, place)
    exif = Image.Exif()
    exif[SOFTWARE] = MARK
    return ColorizedImage.of(np.asarray(sheet), None, {"exif": exif.tobytes()})


def _small(image: Image.Image, full: tuple[int, int]) -> Image.Image:
    scale = min(1.0, LONGEST / max(1, *full))
    size = (max(1, round(full[0] * scale)), max(1, round(full[1] * scale)))
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
