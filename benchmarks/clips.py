"""Clips whose motion is known: colour stills under a camera, with things that move before them.

    python benchmarks/clips.py OUT [--stills PHOTOS] [--kind pan] [--seed 0]

writes one clip as numbered PNGs, truth above what a film of it shows, for looking at. The camera
and the things move by similarities, so that for each pixel of a frame it is known exactly where it
was in the frame before, and whether it could be seen there. A film of it is grey; where asked, its
exposure jitters (gain and offset of L) and it has grain: the true colours have neither.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.data import open_photos

__all__ = ["KINDS", "Clip", "Kind", "make_clip", "stills_of"]

SHARPER = 2  # samples a pixel and side
BUNDLED = ("astronaut", "chelsea", "coffee", "rocket")  # come with scikit-image
Matrix = NDArray[np.float64]  # (2, 3)


@dataclass(frozen=True)
class Kind:
    """What happens in a clip.

    Attributes:
        pan: pixels a frame that the camera goes, at most.
        shake: pixels that a hand moves it by, at most.
        zoom: share a frame.
        things: that move before the still.
        jitter: standard deviation of the exposure: of the gain, and of the offset in 20 L.
        grain: standard deviation of L, of each pixel.
    """

    pan: float = 0
    shake: float = 0
    zoom: float = 0
    things: int = 0
    jitter: float = 0
    grain: float = 0


KINDS = {
    "static": Kind(things=2),
    "static, old film": Kind(things=2, jitter=0.05, grain=2),
    "pan": Kind(pan=3, zoom=0.002, things=1),
    "handheld": Kind(shake=2, things=2),
    "handheld, old film": Kind(shake=2, things=2, jitter=0.05, grain=2),
}


@dataclass(frozen=True)
class Clip:
    """A clip and the truth of it.

    Attributes:
        rgb: (T, 3, H, W) in [0, 1], true colours.
        luminance: (T, 1, H, W) L in [0, 100] of the film.
        flow: (T - 1, 2, H, W), columns and rows to add to each pixel of frame t + 1 to find it in
            frame t.
        seen: (T - 1, 1, H, W) bool, whether it can be seen there.
    """

    rgb: Tensor
    luminance: Tensor
    flow: Tensor
    seen: Tensor


@dataclass
class _Layer:
    """A still that moves: as background, or as a thing within an outline."""

    still: NDArray[np.float32]  # (H, W, 3)
    ways: list[Matrix]  # per frame, from the frame's pixels to the still's
    outline: NDArray[np.float64] | None = None  # radius at 64 angles, in the still's pixels
    centre: tuple[float, float] = (0, 0)

    def has(self, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which (..., 2) places of the still belong to it."""
        if self.outline is None:
            return np.ones(places.shape[:-1], bool)
        away = places - np.array(self.centre)
        angle = np.arctan2(away[..., 1], away[..., 0]) / (2 * np.pi) % 1 * len(self.outline)
        radius = np.interp(
            angle, np.arange(len(self.outline) + 1), [*self.outline, self.outline[0]]
        )
        return np.hypot(away[..., 0], away[..., 1]) <= radius


def _through(matrix: Matrix, places: NDArray[np.float64]) -> NDArray[np.float64]:
    return places @ matrix[:, :2].T + matrix[:, 2]


def _similarity(scale: float, angle: float, source: Sequence[float], to: Sequence[float]) -> Matrix:
    """Turns and scales about `source`, which comes to lie at `to`."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, np.asarray(to) - turn @ np.asarray(source)])


def _places(size: tuple[int, int], sharper: int = 1) -> NDArray[np.float64]:
    """(H, W, 2) columns and rows of the samples, in pixels."""
    rows, columns = ((np.arange(side * sharper) + 0.5) / sharper - 0.5 for side in size)
    return np.stack(np.meshgrid(columns, rows), axis=-1)


def _smooth(random: np.random.Generator, frames: int, every: int = 6) -> NDArray[np.float64]:
    """A random walk without jerks, in [-1, 1]."""
    knots = random.uniform(-1, 1, frames // every + 4)
    at = np.arange(frames) / every + 1
    left = np.floor(at).astype(int)
    t = at - left
    return (
        knots[left] * (1 - t) ** 2 / 2
        + knots[left + 1] * (0.5 + t * (1 - t))
        + knots[left + 2] * t**2 / 2
    )


def make_clip(
    stills: Sequence[NDArray[np.uint8]], kind: Kind, seed: int, frames: int = 40,
    size: tuple[int, int] = (192, 256),
) -> Clip:  # fmt: skip
    """A clip: of the first still as background, of the others as things.

    Args:
        stills: (H, W, 3) each, at least 1 + kind.things of them.
        kind: what happens.
        seed: of all chances.
        frames: how many.
        size: height and width of the frames.
    """
    random = np.random.default_rng(seed)
    layers = [_background(stills[0], kind, random, frames, size)]
    layers += [
        _thing(still, layers[0], random, frames, size) for still in stills[1:][: kind.things]
    ]
    rgb, flow, seen = [], [], []
    for t in range(frames):
        rgb.append(_rendered(layers, t, size))
        if t:
            there, visible = _where(layers, t, size)
            flow.append(there - _places(size))
            seen.append(visible)
    truth = torch.from_numpy(np.stack(rgb)).permute(0, 3, 1, 2)
    film, _ = split_lab(rgb_to_lab(truth))
    gain = 1 + kind.jitter * random.standard_normal(frames)
    offset = 20 * kind.jitter * random.standard_normal(frames)
    grain = kind.grain * random.standard_normal(film.shape)
    for t in range(frames):
        film[t] = film[t] * gain[t] + offset[t] + torch.from_numpy(grain[t]).float()
    return Clip(
        rgb=truth,
        luminance=film.clamp(0, 100),
        flow=torch.from_numpy(np.stack(flow)).permute(0, 3, 1, 2).float(),
        seen=torch.from_numpy(np.stack(seen))[:, None],
    )


def _background(
    still: NDArray[np.uint8], kind: Kind, random: np.random.Generator, frames: int,
    size: tuple[int, int],
) -> _Layer:  # fmt: skip
    height, width = still.shape[:2]
    room = 1.35 if kind.pan or kind.shake else 1.0  # of the still around the frame
    scale = min(height / size[0], width / size[1]) / room
    direction = random.uniform(0, 2 * np.pi)
    there = np.array([np.cos(direction), np.sin(direction)])
    ways = []
    shakes = [_smooth(random, frames) for _ in range(2)]
    for t in range(frames):
        # the pan turns back in the middle of its way, so that it stays within the still
        along = (abs((2 * t / frames) % 2 - 1) - 0.5) * frames / 2 * kind.pan
        along = float(np.clip(along, -0.15 * size[0], 0.15 * size[0]))
        shift = there * along + kind.shake * np.array([shake[t] for shake in shakes]) * 3
        middle = (np.array(size[::-1]) - 1) / 2
        zoom = scale * (1 - kind.zoom * (t - frames / 2))
        centre = (np.array([width, height]) - 1) / 2 + shift * scale
        ways.append(_similarity(zoom, 0.0005 * kind.pan * (t - frames / 2), middle, centre))
    return _Layer(still.astype(np.float32) / 255, ways)


def _thing(
    still: NDArray[np.uint8], ground: _Layer, random: np.random.Generator, frames: int,
    size: tuple[int, int],
) -> _Layer:  # fmt: skip
    """A blob of a still that crosses the frame, turning a little; it moves with the camera."""
    height, width = still.shape[:2]
    angles = np.arange(64) / 64 * 2 * np.pi
    waves = sum(
        random.uniform(-0.12, 0.12) * np.cos(n * angles + random.uniform(0, 7)) for n in (2, 3, 4)
    )
    radius = random.uniform(0.15, 0.25) * size[0]  # in pixels of the frame
    scale = 0.4 * min(height, width) / radius / 1.4
    centre = ((width - 1) / 2, (height - 1) / 2)
    starts, ends = (random.uniform(0.1, 0.9, 2) * size[::-1] for _ in range(2))
    side = random.integers(4)  # half of the things come in from outside
    if side < 2:
        starts[0] = (-radius, size[1] + radius)[side]
    turn = random.uniform(-0.5, 0.5)
    ways = []
    for t in range(frames):
        share = t / max(1, frames - 1)
        at = starts + (ends - starts) * share
        # seen through the camera: its motion since the first frame moves the thing as well
        inverse = cv2.invertAffineTransform(ground.ways[t])
        at = _through(inverse, _through(ground.ways[0], at))
        ways.append(_similarity(scale, turn * share, at, centre))
    outline = radius * scale * (1 + waves)
    return _Layer(still.astype(np.float32) / 255, ways, outline, centre)


def _rendered(layers: list[_Layer], t: int, size: tuple[int, int]) -> NDArray[np.float32]:
    places = _places(size, SHARPER)
    picture = np.zeros((*places.shape[:2], 3), np.float32)
    for layer in layers:
        there = _through(layer.ways[t], places)
        samples = cv2.remap(
            layer.still, there.astype(np.float32), None, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip
        inside = layer.has(there)
        picture[inside] = samples[inside]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)


def _top(layers: list[_Layer], t: int, places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of the layer that is seen at places of frame t."""
    top = np.zeros(places.shape[:-1], np.int64)
    for number, layer in enumerate(layers):
        top[layer.has(_through(layer.ways[t], places))] = number
    return top


def _where(
    layers: list[_Layer], t: int, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where the pixels of frame t were in the frame before, and whether they could be seen."""
    places = _places(size)
    top = _top(layers, t, places)
    there = np.zeros_like(places)
    for number, layer in enumerate(layers):
        back = cv2.invertAffineTransform(layer.ways[t - 1])
        one = _through(back, _through(layer.ways[t], places))
        there[top == number] = one[top == number]
    inside = ((there >= 0) & (there <= np.array(size[::-1]) - 1)).all(axis=-1)
    return there, inside & (_top(layers, t - 1, there) == top)


def stills_of(photos: str | None) -> list[NDArray[np.uint8]]:
    """(H, W, 3) each, of a folder or tar archives of photographs; scikit-image's when None."""
    if photos is None:
        return [getattr(skimage.data, name)() for name in BUNDLED]
    opened = open_photos(photos)
    return [opened[i].permute(1, 2, 0).numpy() for i in range(len(opened))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--stills", help="photographs; scikit-image's if not given")
    parser.add_argument("--kind", choices=KINDS, default="pan")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    stills = stills_of(asked.stills)
    order = np.random.default_rng(asked.seed).permutation(len(stills))
    clip = make_clip([stills[i] for i in order], KINDS[asked.kind], asked.seed)
    asked.out.mkdir(parents=True, exist_ok=True)
    for t, (rgb, film) in enumerate(zip(clip.rgb, clip.luminance, strict=True)):
        both = torch.cat([rgb, film.expand(3, -1, -1) / 100], dim=1)
        pixels = (255 * both.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(asked.out / f"{t:04d}.png")


if __name__ == "__main__":
    main()
