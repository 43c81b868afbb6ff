"""What training pictures go through on their way: crop, flip, rotation, interpolation."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as T

__all__ = ["seeded", "training_transform", "upright_transform"]

# What jitter draws from: cameras, scanners and web sites make pictures small in different ways.
INTERPOLATIONS = (
    v2.InterpolationMode.BILINEAR,
    v2.InterpolationMode.BICUBIC,
    v2.InterpolationMode.LANCZOS,
    v2.InterpolationMode.BOX,
)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with torch's CPU generator at a seed, and put it back; CUDA's stay as they are."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


class SmallRotation(nn.Module):
    """Turn a picture by up to so many degrees, and cut off the corners that come up empty.

    Args:
        degrees: largest angle, either way; below 45.
    """

    def __init__(self, degrees: float) -> None:
        super().__init__()
        self.degrees = degrees

    def forward(self, image: Image.Image) -> Image.Image:
        angle = float(torch.empty(()).uniform_(-self.degrees, self.degrees))
        width, height = filled(*image.size, angle)
        turned = T.rotate(image, angle, interpolation=v2.InterpolationMode.BILINEAR)
        cropped: Image.Image = T.center_crop(turned, [height, width])
        return cropped


def filled(width: int, height: int, angle: float) -> tuple[int, int]:
    """The largest picture of the same shape, in whole pixels, that a turned one fills.

    Its corners, turned back, must lie within the old sides: both |w cos| + |h sin| and
    |w sin| + |h cos| bound the scale.
    """
    sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    scale = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
    return max(1, int(width * scale)), max(1, int(height * scale))


def training_transform(
    size: int,
    zoom: tuple[float, float] = (0.3, 1.0),
    flip: bool = True,
    rotation: float = 0.0,
    jitter: bool = False,
) -> v2.Compose:
    """From an RGB PIL image to (3, size, size) uint8.

    Args:
        size: side in pixels.
        zoom: area of the random crop as a share of the photograph, from least to most.
        flip: mirror half of them.
        rotation: turn by up to so many degrees, either way.
        jitter: draw the interpolation of each picture (bilinear, bicubic, Lanczos, box); without,
            it is bilinear.

    Raises:
        ValueError: for shares or angles out of range.
    """
    if len(zoom) != 2 or not 0 < zoom[0] <= zoom[1] <= 1:
        raise ValueError(f"zoom must be two shares, 0 < least <= most <= 1, got {tuple(zoom)}")
    if not 0 <= rotation < 45:
        raise ValueError(f"rotation must lie in [0, 45) degrees, got {rotation}")
    crops = [
        v2.RandomResizedCrop(size, scale=tuple(zoom), interpolation=way, antialias=True)
        for way in (INTERPOLATIONS if jitter else INTERPOLATIONS[:1])
    ]
    return v2.Compose(
        [
            *([SmallRotation(rotation)] if rotation else []),
            v2.RandomChoice(crops) if jitter else crops[0],
            *([v2.RandomHorizontalFlip()] if flip else []),
            v2.PILToTensor(),
        ]
    )


def upright_transform(size: int) -> v2.Compose:
    """The middle of a photograph, (3, size, size) uint8, the same each time."""
    return v2.Compose(
        [v2.Resize(size, antialias=True), v2.CenterCrop(size), v2.PILToTensor()],
    )
