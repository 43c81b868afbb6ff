"""Clips of films to train on, and such as are made from photographs, whose motion is known."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as T

from deepcolor.data.degrade import between, chance

__all__ = ["ClipMaker", "Clips", "Motions", "synthetic_clip"]


class Clips(NamedTuple):
    """A batch of clips whose motion is known; of one clip all is without B."""

    rgb: Tensor
    """(B, T, 3, H, W) uint8, whose ab is the target."""
    seen: Tensor
    """(B, T, 3, H, W) uint8: the same with jittered exposure and noise; its L is what is seen."""
    flow: Tensor
    """(B, T, 2, H, W) float32: how far right and down each pixel lay in the frame before, in
    pixels; 0 in the first frame."""
    visible: Tensor
    """(B, T, 1, H, W) uint8: 1 where the pixel was seen in the frame before; 0 in the first."""


@dataclass(frozen=True)
class Motions:
    """How much moves and changes in clips made from photographs; drawn anew for each clip.

    Args:
        still: share of the clips whose camera stands still.
        pan: most that the camera moves from frame to frame, as a share of the side.
        zoom: most that it zooms from frame to frame.
        turn: most that it turns from frame to frame, in degrees.
        occluded: share of the clips through which a piece of another photograph moves.
        cuts: share of the clips in which another shot begins.
        exposure: deviation of the exposure from frame to frame, as a share.
        noise: most deviation of the noise, 1 being white.

    Raises:
        ValueError: for shares outside [0, 1], or amounts below 0.
    """

    still: float = 0.3
    pan: float = 0.03
    zoom: float = 0.015
    turn: float = 1.0
    occluded: float = 0.5
    cuts: float = 0.1
    exposure: float = 0.05
    noise: float = 0.04

    def __post_init__(self) -> None:
        for name in ("still", "occluded", "cuts"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share and lies in [0, 1], got {getattr(self, name)}")
        for name in ("pan", "zoom", "turn", "exposure", "noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


class ClipMaker:
    """Makes clips of photographs; see `synthetic_clip`.

    Args:
        frames: of a clip, at least 2.
        size: of the frames, in pixels.
        motions: how much moves.
    """

    def __init__(self, frames: int, size: int, motions: Motions) -> None:
        if frames < 2:
            raise ValueError(f"a clip has at least 2 frames, got {frames}")
        self.frames = frames
        self.size = size
        self.motions = motions

    def __call__(self, photo: Image.Image, other: Image.Image) -> Clips:
        """A clip of a photograph, in which a piece of another may pass by; without B."""
        scene, piece = T.pil_to_tensor(photo), T.pil_to_tensor(other)
        return synthetic_clip(scene, piece, self.frames, self.size, self.motions)


class _Path(NamedTuple):
    """Where pixels of each frame lie in a picture: matrix @ pixel + shift, about the centres."""

    matrix: Tensor
    """(T, 2, 2)."""
    shift: Tensor
    """(T, 2), in pixels of the picture."""

    def there(self, pixels: Tensor, first: int = 0) -> Tensor:
        """(T - first, N, 2) pixels of the frames but the last `first` -> places in the picture."""
        count = len(self.matrix) - first
        places: Tensor = pixels @ self.matrix[:count].mT + self.shift[:count, None]
        return places

    def back(self, places: Tensor) -> Tensor:
        """(T - 1, N, 2) places, as of the frames from the second on -> pixels one frame earlier."""
        inverse = torch.linalg.inv(self.matrix[:-1])
        pixels: Tensor = (places - self.shift[:-1, None]) @ inverse.mT
        return pixels


def synthetic_clip(
    photo: Tensor, other: Tensor, frames: int, size: int, motions: Motions = Motions()
) -> Clips:
    """Make a clip of a photograph, by torch's generator: a camera moves, something passes by.

    Args:
        photo: (3, H, W) uint8, the scene.
        other: (3, H, W) uint8, of which a piece passes by in some clips.
        frames: T, at least 1.
        size: of the frames, in pixels.
        motions: how much.

    Returns:
        One clip, without B.
    """
    if frames > 1 and chance(motions.cuts):
        cut = int(torch.randint(1, frames, ()))
        shots = (
            _shot(photo, other, cut, size, motions),
            _shot(other, photo, frames - cut, size, motions),
        )
        return Clips(*(torch.cat(parts) for parts in zip(*shots, strict=True)))
    return _shot(photo, other, frames, size, motions)


def _shot(photo: Tensor, other: Tensor, frames: int, size: int, motions: Motions) -> Clips:
    """As `synthetic_clip`, without cuts."""
    still = chance(motions.still)
    amount = 0.0 if still else between(0, 1)
    scene = _path(photo, frames, size, between(0.7, 0.95), motions, amount)
    pixels = _pixels(size)  # (N, 2)
    there = scene.there(pixels)
    picture = _sampled(photo, there, size)
    earlier = scene.back(there[1:])
    cover = torch.zeros(frames, 1, size, size)
    seen_before = torch.ones(frames - 1, size * size, dtype=torch.bool)
    if chance(motions.occluded):
        piece = _path(other, frames, size, between(0.7, 0.95), motions, between(0, 1.5))
        blob = _Blob.drawn(size)
        there = piece.there(pixels)
        # The piece is cut out where the picture is in its first frame, and moves with it.
        cover = blob.cover(_steady(piece, there)).view(frames, 1, size, size)
        picture = torch.lerp(picture, _sampled(other, there, size), cover)
        own_earlier = piece.back(there[1:])
        solid = cover.flatten(1)[1:] > 0.5
        earlier = torch.where(solid[..., None], own_earlier, earlier)
        was = blob.cover(_steady(piece, piece.there(earlier, 1)))
        edge = (cover.flatten(1)[1:] - 0.5).abs() < 0.49
        seen_before = ((was > 0.99) & solid) | ((was < 0.01) & ~solid)
        seen_before &= ~edge
    half = (size - 1) / 2 + 1e-3  # what stands still counts as inside, rounding or not
    seen_before &= (earlier.abs() <= half).all(dim=-1)
    flow = torch.zeros(frames, 2, size, size)
    flow[1:] = (earlier - pixels).mT.reshape(frames - 1, 2, size, size)
    visible = torch.zeros(frames, 1, size, size, dtype=torch.uint8)
    visible[1:] = seen_before.view(frames - 1, 1, size, size)
    rgb = picture.round().clamp(0, 255).byte()
    return Clips(rgb, _exposed(rgb, motions), flow, visible)


def _pixels(size: int) -> Tensor:
    """Columns and rows about the middle of a square, row by row: (size * size, 2)."""
    line = torch.arange(size) - (size - 1) / 2
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], dim=1)


def _path(
    photo: Tensor, frames: int, size: int, share: float, motions: Motions, amount: float
) -> _Path:
    """A steady movement with a little shaking, whose middle frame lies about the photo's middle."""
    time = torch.arange(frames) - (frames - 1) / 2

    def track(most: float) -> Tensor:
        steady = between(-most, most) * time
        return amount * (steady + 0.15 * most * torch.randn(frames))

    scale = share * min(photo.shape[-2:]) / size * torch.exp(track(motions.zoom))
    angle = torch.deg2rad(track(motions.turn))
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([cosine, -sine, sine, cosine], dim=1).view(frames, 2, 2)
    shift = torch.stack([track(motions.pan), track(motions.pan)], dim=1) * size
    return _Path(matrix, shift * share * min(photo.shape[-2:]) / size)


def _sampled(photo: Tensor, places: Tensor, size: int) -> Tensor:
    """Colours of places, mirrored at borders: (3, H, W), (T, N, 2) -> (T, 3, size, size)."""
    height, width = photo.shape[-2:]
    grid = (2 * places / torch.tensor([width, height])).view(-1, size, size, 2)
    sampled: Tensor = F.grid_sample(
        photo.float().expand(len(grid), -1, -1, -1), grid,
        mode="bilinear", padding_mode="reflection", align_corners=False,
    )  # fmt: skip
    return sampled


def _steady(path: _Path, places: Tensor) -> Tensor:
    """Places of a picture in pixels of the path's first frame."""
    steady: Tensor = (places - path.shift[:1, None]) @ torch.linalg.inv(path.matrix[:1]).mT
    return steady


class _Blob(NamedTuple):
    """A shape with a wavy outline; radius and waves in pixels and radians."""

    middle: Tensor
    """(2,)"""
    radius: float
    waves: Tensor
    """(3, 2): amplitude as a share of the radius, and phase, of the waves 2, 3 and 5 a turn."""

    @classmethod
    def drawn(cls, size: int) -> "_Blob":
        waves = torch.rand(3, 2) * torch.tensor([0.2, 2 * math.pi])
        return cls((torch.rand(2) - 0.5) * 0.8 * size, between(0.12, 0.3) * size, waves)

    def cover(self, pixels: Tensor) -> Tensor:
        """Share of each pixel that it covers: (..., 2) -> (...), 0 to 1 within a pixel or so."""
        across, down = (pixels - self.middle).unbind(-1)
        angle = torch.atan2(down, across)
        outline = torch.ones_like(angle)
        for number, (amplitude, phase) in zip((2, 3, 5), self.waves, strict=True):
            outline = outline + amplitude * torch.sin(number * angle + phase)
        return (self.radius * outline - torch.hypot(across, down) + 0.5).clamp(0, 1)


def _exposed(rgb: Tensor, motions: Motions) -> Tensor:
    """Frames as a camera would see them, each exposed a little differently, and noisy."""
    frames, _, height, width = rgb.shape
    gain = torch.exp(motions.exposure * torch.randn(frames, 1, 1, 1))
    noise = between(0, motions.noise) * torch.randn(frames, 1, height, width)
    return (255 * (rgb.float() / 255 * gain + noise)).round().clamp(0, 255).byte()
