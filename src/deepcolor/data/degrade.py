"""Old photographs from new ones: what the network sees is degraded, what it must answer is not.

Each picture is degraded in the worker that reads it. There the codec of JPEG is at hand, and the
seed of the draw: the degraded picture, like the crop, depends on seed, epoch and draw alone.

The order is that of a photograph's life: the emulsion answers to colours in its own way, light
scatters in the film, the lens blurs, silver grains show, the print fades and is toned, somebody
scans it to a JPEG.
"""

import io
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as T

from deepcolor.color import linear_to_rgb, rgb_to_linear

__all__ = [
    "Degradations",
    "Degraded",
    "blur",
    "expose",
    "fade",
    "grain",
    "halation",
    "jpeg",
    "tone",
]

# How much linear red, green and blue of sRGB blacken an emulsion; each sums to 1. Panchromatic is
# CIE luminance, so that L stays what it was. The others follow from where sensitivity ends, some
# 590 nm (orthochromatic, 1884 to the 1930s: red lips black, skies pale) and 500 nm (wet plates and
# the first dry ones: skies white, foliage dark); the shares are ours.
FILMS = {
    "panchromatic": (0.212671, 0.715160, 0.072169),
    "orthochromatic": (0.03, 0.52, 0.45),
    "blue_sensitive": (0.0, 0.12, 0.88),
}
MOST_GAIN = 3.0  # of the exposure that makes up for what an emulsion does not see
SEPIA = (1.0, 0.86, 0.67)  # a toned print's mid grey, brightest channel 1


class Degraded(NamedTuple):
    """A batch for training on old photographs."""

    rgb: Tensor
    """(B, 3, H, W) uint8: the clean photographs, whose ab is the target."""
    seen: Tensor
    """(B, 3, H, W) uint8: the same degraded, whose L the network sees."""


@dataclass(frozen=True)
class Degradations:
    """How often a training picture gets each degradation; strengths are drawn anew each time.

    Args:
        share: of the pictures that are degraded at all.
        grain: of those, with film grain.
        blur: with a soft lens.
        fading: with lifted blacks, dulled whites and uneven density.
        halation: with light around what is bright.
        jpeg: compressed once more, at quality 25 to 90.
        sepia: toned brown.
        orthochromatic: on film that does not see red.
        blue_sensitive: on plates that see blue only.

    Raises:
        ValueError: for a share outside [0, 1], or the two films above 1 together.
    """

    share: float = 0.7
    grain: float = 0.5
    blur: float = 0.4
    fading: float = 0.4
    halation: float = 0.2
    jpeg: float = 0.4
    sepia: float = 0.2
    orthochromatic: float = 0.25
    blue_sensitive: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a share and lies in [0, 1], got {value}")
        if self.orthochromatic + self.blue_sensitive > 1:
            raise ValueError("orthochromatic and blue_sensitive exclude each other: above 1 in sum")

    def __call__(self, rgb: Tensor) -> Tensor:
        """Degrade a picture at random, by torch's generator.

        Args:
            rgb: (3, H, W) uint8.

        Returns:
            (3, H, W) uint8; the picture itself where nothing was drawn.
        """
        if not chance(self.share):
            return rgb
        film, kind = "panchromatic", between(0, 1)
        if kind < self.orthochromatic + self.blue_sensitive:
            film = "orthochromatic" if kind < self.orthochromatic else "blue_sensitive"
        light = expose(rgb, film)  # (1, H, W)
        if chance(self.halation):
            light = halation(light, between(0.15, 0.5))
        if chance(self.blur):
            light = blur(light, between(0.003, 0.008))
        grey = linear_to_grey(light)
        if chance(self.grain):
            grey = grain(grey, between(0.01, 0.06), between(0.4, 1.0))
        if chance(self.fading):
            grey = fade(grey, between(0, 0.25), between(0.75, 1.0), between(0, 0.15))
        old = tone(grey) if chance(self.sepia) else grey.expand(3, -1, -1)
        old = (255 * old).round().byte()
        return jpeg(old, int(between(25, 91))) if chance(self.jpeg) else old


def between(low: float, high: float) -> float:
    """A number drawn evenly."""
    return low + (high - low) * float(torch.rand(()))


def chance(share: float) -> bool:
    """True so often."""
    return float(torch.rand(())) < share


def expose(rgb: Tensor, film: str) -> Tensor:
    """What an emulsion makes of colours: (3, H, W) uint8 -> (1, H, W) linear light in [0, 1].

    The exposure is as long as the mean luminance needs, at most three times.
    """
    linear = rgb_to_linear(rgb.float() / 255)
    seen = (linear * torch.tensor(FILMS[film])[:, None, None]).sum(0, keepdim=True)
    if film == "panchromatic":
        return seen.clamp(0, 1)
    meant = (linear * torch.tensor(FILMS["panchromatic"])[:, None, None]).sum(0).mean()
    gain = (meant / seen.mean().clamp(min=1e-6)).clamp(1 / MOST_GAIN, MOST_GAIN)
    return (seen * gain).clamp(0, 1)


def halation(light: Tensor, strength: float) -> Tensor:
    """Light scattered back by the film base around highlights: (1, H, W) linear, both.

    Args:
        light: (1, H, W) linear in [0, 1].
        strength: share of a highlight's light above half of full that spreads, over a fortieth of
            the picture.
    """
    bright = (light - 0.5).clamp(min=0) * 2
    return (light + strength * soften(bright, max(light.shape[-2:]) / 40)).clamp(0, 1)


def blur(light: Tensor, radius: float) -> Tensor:
    """A soft lens: (1, H, W) linear light, Gaussian of `radius` times the longer side."""
    return soften(light, radius * max(light.shape[-2:]))


def soften(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur that does not darken borders; (C, H, W) of at least 2 x 2 pixels."""
    reach = min(int(3 * sigma + 0.5), min(image.shape[-2:]) - 1)
    if reach < 1 or sigma <= 0:
        return image
    blurred: Tensor = T.gaussian_blur(image, [2 * reach + 1] * 2, [sigma, sigma])
    return blurred


def linear_to_grey(light: Tensor) -> Tensor:
    """(1, H, W) linear light in [0, 1] -> (1, H, W) sRGB grey in [0, 1]."""
    return linear_to_rgb(light.expand(3, -1, -1))[:1].clamp(0, 1)


def grain(grey: Tensor, strength: float, size: float) -> Tensor:
    """Film grain: noise that is strongest in the middle tones.

    Args:
        grey: (1, H, W) in [0, 1].
        strength: standard deviation at mid grey.
        size: of the grains, as the deviation of a Gaussian in pixels.
    """
    noise = soften(torch.randn_like(grey), size)
    noise = noise / noise.std().clamp(min=1e-6) if noise.numel() > 1 else noise
    weight = (4 * grey * (1 - grey)).clamp(min=0.04).sqrt()
    return (grey + strength * weight * noise).clamp(0, 1)


def fade(grey: Tensor, black: float, white: float, uneven: float) -> Tensor:
    """A faded print: (1, H, W) grey in [0, 1], both.

    Args:
        grey: (1, H, W) in [0, 1].
        black: what black has become.
        white: what white has become.
        uneven: by how much density differs across the print.
    """
    field = torch.rand(1, 1, 3, 3) - 0.5
    field = F.interpolate(field, size=grey.shape[-2:], mode="bicubic", align_corners=True)[0]
    return (black + (white - black) * grey + uneven * field).clamp(0, 1)


def tone(grey: Tensor) -> Tensor:
    """A brown print: (1, H, W) grey -> (3, H, W) RGB, both in [0, 1]; black and white stay."""
    tint = torch.tensor(SEPIA)[:, None, None]
    strength = 4 * grey * (1 - grey)  # most in the middle tones, where the toner works
    return (grey * (1 + strength * (tint - 1))).clamp(0, 1)


def jpeg(rgb: Tensor, quality: int) -> Tensor:
    """Through JPEG and back: (3, H, W) uint8, both; quality 1 to 100."""
    file = io.BytesIO()
    Image.fromarray(rgb.movedim(0, -1).numpy()).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        decoded: Tensor = T.pil_to_tensor(image)
    return decoded
