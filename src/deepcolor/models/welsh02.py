"""Transferring color to greyscale images (Welsh, Ashikhmin and Mueller 2002): by example.

The reference's lightness is brought to the mean and deviation of the picture's. Pixels of the
picture take the chroma of the sample of the reference whose lightness, and its deviation in the
window around, are nearest. With swatches, that happens within each pair of them, and all other
pixels take theirs from the swatch pixels of the picture whose windows of lightness look most alike.
"""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.color import lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.guidance import Guidance, Kind, Reference
from deepcolor.models._classical import ClassicalColorizer

__all__ = ["Welsh02", "lab_to_ruderman", "ruderman_to_rgb"]

WINDOW = 5  # pixels
SAMPLES, SWATCH_SAMPLES = 200, 50
SWATCH_PIXELS = 2000  # of the picture's, that others are compared with; of more, evenly taken ones
ROWS = 8192  # pixels that are compared at once, which bounds memory
SEED = 0  # of the jitter

# Ruderman, Cronin and Chiao 1998, as Welsh's source, Reinhard et al. 2001, prints it. The printed
# inverse is off by up to 0.014: it is worked out instead.
RGB_TO_LMS = ((0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444))
LMS_AXES = ((1.0, 1.0, 1.0), (1.0, 1.0, -2.0), (1.0, -1.0, 0.0))  # over the roots of 3, 6 and 2
LEAST = 1 / 255  # of the cones' answers, before the logarithm


def _axes(like: Tensor) -> tuple[Tensor, Tensor]:
    cones = torch.tensor(RGB_TO_LMS, device=like.device)
    axes = torch.tensor(LMS_AXES, device=like.device)
    return cones, axes / axes.norm(dim=1, keepdim=True)


def lab_to_ruderman(lab: Tensor) -> Tensor:
    """CIELAB to l, alpha, beta of logarithms of cones: (3, H, W) -> (3, H, W)."""
    cones, axes = _axes(lab)
    answers = torch.einsum("ij,jhw->ihw", cones, lab_to_rgb(lab).clamp(0, 1))
    return torch.einsum("ij,jhw->ihw", axes, answers.clamp(min=LEAST).log10())


def ruderman_to_rgb(values: Tensor) -> Tensor:
    """The inverse, clipped to what RGB holds: (3, H, W) -> (3, H, W) in [0, 1]."""
    cones, axes = _axes(values)
    answers = 10 ** torch.einsum("ij,jhw->ihw", axes.T, values)
    rgb: Tensor = torch.einsum("ij,jhw->ihw", torch.linalg.inv(cones), answers)
    return rgb.clamp(0, 1)


def deviation(lightness: Tensor) -> Tensor:
    """Of the lightness in the window around each pixel: (H, W) -> (H, W)."""
    return _windows(lightness).std(dim=0, correction=0)


def _windows(lightness: Tensor) -> Tensor:
    """(H, W) -> (25, H, W); beyond the border the border."""
    wide = F.pad(lightness[None, None], (WINDOW // 2,) * 4, mode="replicate")
    return F.unfold(wide, WINDOW).view(WINDOW * WINDOW, *lightness.shape)


def jittered(height: int, width: int, count: int) -> Tensor:
    """Pixels of a grid of about so many cells, one anywhere in each: (N,), row by row."""
    rows = min(height, max(1, round((count * height / width) ** 0.5)))
    columns = min(width, max(1, round(count / rows)))
    generator = torch.Generator().manual_seed(SEED)
    down, across = torch.rand(2, rows, columns, generator=generator)
    down = ((torch.arange(rows)[:, None] + down) * height / rows).long().clamp(max=height - 1)
    across = ((torch.arange(columns) + across) * width / columns).long().clamp(max=width - 1)
    pixels: Tensor = down * width + across
    return pixels.flatten()


class Example(nn.Module):
    """Gives one picture the chroma of another; it has no parameters."""

    def forward(
        self,
        target: Tensor,
        source: Tensor,
        samples: int,
        swatches: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """Chroma of the picture.

        Args:
            target: (H, W), the picture's lightness.
            source: (3, h, w), the reference's lightness and chroma.
            samples: of the whole reference, or of each swatch.
            swatches: (h, w), numbers from 1; None for the whole picture.
            places: (H, W), likewise.
        """
        known = torch.stack([target, deviation(target)]).flatten(1).T  # (N, 2)
        if swatches is None or places is None:
            chosen = jittered(source.shape[-2], source.shape[-1], samples).to(source.device)
            chroma = self.nearest(known, target.flatten(), source, chosen, None)
            return chroma.T.view(2, *target.shape)
        chroma = target.new_zeros(target.numel(), 2)
        where, of = places.flatten(), swatches.flatten()
        for number in torch.unique(where[where > 0]):
            own, theirs = (where == number).nonzero()[:, 0], (of == number).nonzero()[:, 0]
            taken = theirs[torch.linspace(0, len(theirs) - 1, min(samples, len(theirs))).long()]
            lightness = target.flatten()[own]
            chroma[own] = self.nearest(known[own], lightness, source, taken, theirs)
        chroma[where == 0] = self.alike(target, where, chroma)
        return chroma.T.view(2, *target.shape)

    def nearest(
        self, known: Tensor, lightness: Tensor, source: Tensor, chosen: Tensor, among: Tensor | None
    ) -> Tensor:
        """Chroma of the nearest samples: (N, 2) lightness and deviation -> (N, 2)."""
        theirs = source[0].flatten()
        part = theirs if among is None else theirs[among]
        scale = lightness.std(correction=0) / part.std(correction=0).clamp(min=1e-6)
        remapped = (source[0] - part.mean()) * scale + lightness.mean()
        candidates = torch.stack([remapped, deviation(remapped)]).flatten(1).T[chosen]
        # Half the difference of each: the nearest is the same without the halves.
        best = [
            torch.cdist(rows, candidates, p=1).argmin(dim=1) for rows in torch.split(known, ROWS)
        ]
        return source[1:].flatten(1).T[chosen][torch.cat(best)]

    def alike(self, target: Tensor, where: Tensor, chroma: Tensor) -> Tensor:
        """Chroma of the pixels outside swatches, from those within whose windows look alike."""
        windows = _windows(target).flatten(1).T  # (N, 25)
        coloured = where.nonzero()[:, 0]
        coloured = coloured[:: -(-len(coloured) // SWATCH_PIXELS)]
        rows = torch.split(windows[where == 0], ROWS)
        best = [torch.cdist(part, windows[coloured]).argmin(dim=1) for part in rows]
        return chroma[coloured][torch.cat(best)] if best else chroma[:0]


class Welsh02(ClassicalColorizer):
    """Colours by example; works on the picture's own pixels, up to `size` x `size` of them.

    Args:
        samples: of the reference; of each swatch a quarter of them.
        space: "ruderman", the paper's l, alpha, beta, or "lab", CIELAB.
    """

    size: ClassVar[int] = 512
    stride: ClassVar[int] = 1
    enlarges: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"reference"})
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def __init__(
        self, samples: int = SAMPLES, space: Literal["ruderman", "lab"] = "ruderman"
    ) -> None:
        super().__init__()
        if samples < 1:
            raise ValueError(f"samples must be at least 1, got {samples}")
        if space not in ("ruderman", "lab"):
            raise ValueError(f"space must be 'ruderman' or 'lab', got {space!r}")
        self.save_hyperparameters()
        self.samples = samples
        self.space = space
        self.network = Example()

    @torch.no_grad()
    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        """As `Colorizer.forward`; a reference larger than `size` is first brought to it."""
        reference = self.check_input(luminance, guidance).reference
        assert reference is not None  # it needs one
        lab, swatches = self._small(reference)
        chroma = []
        with torch.autocast(luminance.device.type, enabled=False):
            for number, one in enumerate(luminance.float()):
                told = [
                    None if x is None else x[number if len(x) > 1 else 0].float()
                    for x in (swatches, reference.places)
                ]
                source = lab[number if len(lab) > 1 else 0]
                chroma.append(self._one(one, source, told[0], told[1]))
        return torch.stack(chroma)

    def _small(self, reference: Reference) -> tuple[Tensor, Tensor | None]:
        """Reference and swatches, of no more pixels than `size` squared."""
        lab, swatches = reference.lab.float(), reference.swatches
        height, width = lab.shape[-2:]
        scale = self.size / math.sqrt(height * width)
        if scale >= 1:
            return lab, swatches
        size = max(1, round(scale * height)), max(1, round(scale * width))
        if swatches is not None:
            swatches = F.interpolate(swatches.float(), size=size, mode="nearest-exact")
        return F.interpolate(lab, size=size, mode="area"), swatches

    def _one(
        self, luminance: Tensor, lab: Tensor, swatches: Tensor | None, places: Tensor | None
    ) -> Tensor:
        """(1, H, W) L, (3, h, w) Lab, and swatches in both -> (2, H, W) ab."""
        samples = self.samples
        if swatches is not None and places is not None:
            swatches, places = swatches[0], places[0]
            samples = max(1, samples * SWATCH_SAMPLES // SAMPLES)
        if self.space == "lab":
            chroma: Tensor = self.network(luminance[0], lab, samples, swatches, places)
            return chroma
        grey = torch.cat([luminance, luminance.new_zeros(2, *luminance.shape[1:])])
        target = lab_to_ruderman(grey)
        chroma = self.network(target[0], lab_to_ruderman(lab), samples, swatches, places)
        return split_lab(rgb_to_lab(ruderman_to_rgb(torch.cat([target[:1], chroma]))))[1]
