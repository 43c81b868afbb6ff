"""References for models that take hints: what is alike in two pictures has like colours.

The network of our default weights, which are in the package, reads both pictures. Places are
described by its encoder's maps, its decoder's features and the colours that it thinks likely. A
place of the picture takes what the places of the reference most like it have beyond what the
network expected of them; where two places find each other, that becomes a hint, which counts the
more the more alike they are. The model then spreads these hints as a person's.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcolor.guidance import Guidance, Hints, Reference
from deepcolor.models import Colorizer
from deepcolor.models.combined import resized
from deepcolor.models.lite import Lite
from deepcolor.weights import load_model

__all__ = [
    "describer",
    "most_alike",
    "reference_hints",
    "takes_as_hints",
    "with_reference_as_hints",
]

SQUARE = 16  # pixels of the describing network's input, a side of a place
DEEP = 2  # maps of the encoder that describe: the coarsest
WARMTH = 0.05  # of the softmax over likenesses, in [-1, 1]: the nearest places share in a colour
NEAR = 1  # squares: two places find each other if the way there and back ends so near
FLAT = 1e-6  # deviation of a feature that says nothing


def takes_as_hints(model: Colorizer, guidance: Guidance) -> bool:
    """Whether a model that takes no reference is to be told this one by hints."""
    asked = guidance.reference is not None and "reference" not in model.accepts
    return asked and "hints" in model.accepts


def with_reference_as_hints(
    guidance: Guidance, luminance: Tensor, full: tuple[int, int]
) -> Guidance:
    """The same guidance without its reference, whose colours are hints now.

    Args:
        guidance: with a reference; hints given beside it win over those made here.
        luminance: (B, 1, h, w) L in [0, 100] of the pictures, `working_size` of the describer.
        full: height and width that hints are made for.
    """
    assert guidance.reference is not None
    hints, given = reference_hints(luminance, guidance.reference, full), guidance.hints
    if given is not None:
        hints = given.to(hints.mask.device).over(hints)
    return replace(guidance, reference=None, hints=hints)


@torch.no_grad()
def reference_hints(luminance: Tensor, reference: Reference, full: tuple[int, int]) -> Hints:
    """Hints from a reference: one pixel in the middle of each place that found its like.

    Args:
        luminance: (B, 1, h, w) L in [0, 100], sides multiples of 32.
        reference: for the batch, or one for all of it; its swatches find only their like.
        full: height and width of the hints.

    Returns:
        Hints of (B, 2, *full) ab; the mask is how sure they are, in [0, 1].
    """
    model = describer(str(luminance.device))
    told = reference.to(luminance.device)
    small = [side // SQUARE for side in luminance.shape[-2:]]
    hints = torch.zeros(len(luminance), 3, *full, device=luminance.device)
    rows = ((2 * torch.arange(small[0]) + 1) * full[0]) // (2 * small[0])
    columns = ((2 * torch.arange(small[1]) + 1) * full[1]) // (2 * small[1])
    at_row, at_column = torch.meshgrid(rows, columns, indexing="ij")
    with torch.autocast(luminance.device.type, enabled=False):
        for number, one in enumerate(luminance.float()):
            lab, swatches, places = (
                None if x is None else x[number if len(x) > 1 else 0][None].float()
                for x in (told.lab, told.swatches, told.places)
            )
            assert lab is not None
            found = _matched(model, one[None], _sized(lab), swatches, places)
            hints[number][:, at_row, at_column] = found
    return Hints(hints[:, :2], hints[:, 2:])


def _matched(
    model: Lite, luminance: Tensor, lab: Tensor, swatches: Tensor | None, places: Tensor | None
) -> Tensor:
    """Chroma and sureness of the places of one picture: (3, h, w)."""
    here, expected = _described(model, luminance)
    there, theirs = _described(model, lab[:, :1])
    like = _likeness(here, there)  # (N, M)
    grid = (luminance.shape[-2] // SQUARE, luminance.shape[-1] // SQUARE)
    other = (lab.shape[-2] // SQUARE, lab.shape[-1] // SQUARE)
    allowed = torch.ones_like(like, dtype=torch.bool)
    if swatches is not None and places is not None:
        own, of = (
            F.interpolate(x, size=size, mode="nearest-exact").flatten()
            for x, size in ((places, grid), (swatches, other))
        )
        allowed = (own[:, None] == of) & (own[:, None] > 0)
    like = like.masked_fill(~allowed, -2.0)  # below all likenesses
    beyond = F.avg_pool2d(lab[:, 1:], SQUARE) - theirs
    shares = torch.softmax(like / WARMTH, dim=1)
    ab = expected + (shares @ beyond.flatten(2)[0].T).T.view(1, 2, *grid)
    best, to = like.max(dim=1)
    back = like.max(dim=0).indices[to]
    apart = _position(back, grid[1]) - _position(torch.arange(len(back), device=ab.device), grid[1])
    mutual = (apart.abs().amax(dim=1) <= NEAR) & allowed.any(dim=1)
    sure = torch.where(mutual, best.clamp(0, 1).square(), 0.0).view(1, 1, *grid)
    return torch.cat([ab * (sure > 0), sure], dim=1)[0]


def _described(model: Lite, luminance: Tensor) -> tuple[list[Tensor], Tensor]:
    """Maps of (1, C, h, w) that describe places, and the ab expected there, (1, 2, h, w)."""
    pyramid = model.network.encoder((luminance - 50) / 50)
    features = model.network.decoder(pyramid)
    logits = model.network.head(features)
    size = (luminance.shape[-2] // SQUARE, luminance.shape[-1] // SQUARE)
    maps = [*pyramid[-DEEP:], features, torch.softmax(logits, dim=1).sqrt()]
    described = [resized(one, size) for one in maps]
    return described, F.interpolate(model.decode(logits), size=size, mode="area")


def _likeness(here: list[Tensor], there: list[Tensor]) -> Tensor:
    """Mean over the maps of the cosine of two places: (N, M), in [-1, 1]."""
    total = torch.zeros((), device=here[0].device)
    for one, other in zip(here, there, strict=True):
        x, y = one.flatten(2)[0].T, other.flatten(2)[0].T  # (N, C), (M, C)
        both = torch.cat([x, y])
        mean, deviation = both.mean(dim=0), both.std(dim=0) + FLAT
        x, y = (F.normalize((part - mean) / deviation, dim=1) for part in (x, y))
        total = total + x @ y.T
    return total / len(here)


def _position(number: Tensor, columns: int) -> Tensor:
    return torch.stack([number // columns, number % columns], dim=1)


def _sized(picture: Tensor) -> Tensor:
    """(1, C, H, W) at the describing network's size, sides multiples of its stride."""
    height, width = picture.shape[-2:]
    scale = Lite.size / (height * width) ** 0.5 / Lite.stride
    rows, columns = (min(max(1, round(scale * side)), Lite.size) for side in (height, width))
    return resized(picture, (rows * Lite.stride, columns * Lite.stride))


@lru_cache(maxsize=1)
def describer(device: str) -> Lite:
    """The network that describes, on a device."""
    model = load_model()
    assert isinstance(model, Lite)
    return model.to(device).eval()


@torch.no_grad()
def most_alike(luminance: Tensor, others: Sequence[Tensor], n: int = 1) -> list[int]:
    """Which pictures are most like one, as the describing network sees them in grey.

    Args:
        luminance: (1, 1, H, W) L in [0, 100], of any size.
        others: the same of the pictures to choose among, each of its own size.
        n: how many.

    Returns:
        Numbers of n of the others, the most alike first.

    Raises:
        ValueError: for n below 1, or above their number.
    """
    if not 1 <= n <= len(others):
        raise ValueError(f"n must lie in 1..{len(others)}, the number of pictures, got {n}")
    model, vectors = describer(str(luminance.device)), []
    for one in (luminance, *others):
        coarse = model.network.encoder((_sized(one.to(luminance.device)) - 50) / 50)[-1]
        vectors.append(coarse.float().mean(dim=(2, 3)))
    all_of_them = torch.cat(vectors)
    centred = F.normalize(all_of_them - all_of_them[1:].mean(dim=0), dim=1)
    found: list[int] = (centred[1:] @ centred[0]).topk(n).indices.tolist()
    return found
