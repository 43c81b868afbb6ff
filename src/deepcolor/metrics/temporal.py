"""How steady the colours of a film are, from frame to frame."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from deepcolor.color import rgb_to_lab, split_lab
from deepcolor.metrics.mean import PictureMean

__all__ = ["ChromaFlicker", "ColourDistributionConsistency", "along_motion"]

STEPS = (1, 2, 4)  # frames apart, Liu et al. 2021
LEVELS = 256  # of a channel
FARTHEST = 128  # ab is counted in bins of 1 CIELAB unit up to here; sRGB ends at 109


def along_motion(before: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Bring a frame to where things are in the next one.

    Args:
        before: (B, C, H, W).
        flow: (B, 2, H, W), columns and rows to add to each pixel of the next frame to find it in
            `before`, in pixels.

    Returns:
        (B, C, H, W), bilinear; and (B, 1, H, W) bool, whether the pixel was within the picture.
    """
    height, width = before.shape[-2:]
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=flow.dtype, device=flow.device),
        torch.arange(width, dtype=flow.dtype, device=flow.device),
        indexing="ij",
    )
    column, row = flow[:, 0] + columns, flow[:, 1] + rows
    inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    unit = torch.stack(
        [2 * column / max(1, width - 1) - 1, 2 * row / max(1, height - 1) - 1], dim=-1
    )
    moved = F.grid_sample(before, unit, padding_mode="border", align_corners=True)
    return moved, inside[:, None]


class ChromaFlicker(Metric):
    """Mean distance in ab between a pixel and where it was a frame before; `update(clip, flow)`.

    In CIELAB units; 0 for colours that move with what they are of. Pixels that could not be seen in
    the frame before, or lay outside of it, count for nothing; all others of all clips count alike.
    With true motion (of synthetic clips) the figure is exact. With motion that was estimated, it is
    as good as the estimate, and kind to a method that leans on the same one.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, clip: Tensor, flow: Tensor, seen: Tensor | None = None) -> None:
        """Count the frames of one clip.

        Args:
            clip: (T, 3, H, W) in [0, 1].
            flow: (T - 1, 2, H, W), columns and rows to add to each pixel of frame t + 1 to find it
                in frame t, in pixels.
            seen: (T - 1, 1, H, W), whether it could be seen there, or how sure that is, in [0, 1];
                everything could when None.

        Raises:
            ValueError: for shapes that do not fit each other.
        """
        frames, _, height, width = clip.shape
        wanted = (max(0, frames - 1), 2, height, width)
        masked = seen is None or seen.shape == (wanted[0], 1, height, width)
        if flow.shape != wanted or not masked:
            raise ValueError(
                f"a clip of {tuple(clip.shape)} takes flow of {wanted} and seen of"
                f" {(wanted[0], 1, height, width)}, got {tuple(flow.shape)} and"
                f" {None if seen is None else tuple(seen.shape)}"
            )
        _, before = split_lab(rgb_to_lab(clip[:1]))
        for t in range(1, frames):  # films are long: two frames at a time
            _, now = split_lab(rgb_to_lab(clip[t : t + 1]))
            moved, inside = along_motion(before, flow[t - 1 : t])
            weight = inside.double() if seen is None else inside * seen[t - 1 : t].double()
            change = (now - moved).norm(dim=1, keepdim=True)
            self.total += (change * weight).sum()
            self.count += weight.sum()
            before = now

    def compute(self) -> Tensor:
        """The mean so far."""
        return (self.total / self.count).float()


class ColourDistributionConsistency(PictureMean):
    """CDC: how much the histograms of colours change from frame to frame; `update(clip)`.

    "rgb" is the published figure (Liu et al. 2021, TCVC; used by NTIRE 2023 and ColorMNet): the
    Jensen-Shannon divergence, with natural logarithms, between histograms of 256 levels, mean over
    red, green and blue and over pairs of frames, of frames 1, 2 and 4 apart; mean over clips. It
    compares whole red, green and blue: where the light changes, by motion or exposure, it changes
    too, and a grey film has the CDC of its light, not 0. "ab" is the same of the histograms of
    CIELAB's a and b, in bins of 1 unit: of colour alone. Figures of the two do not compare.

    Args:
        of: "rgb" or "ab".
        steps: how many frames apart; those that a clip is too short for are left out.
    """

    higher_is_better = False

    def __init__(self, of: Literal["rgb", "ab"] = "rgb", steps: Sequence[int] = STEPS) -> None:
        super().__init__()
        if of not in ("rgb", "ab"):
            raise ValueError(f"CDC is of 'rgb' or of 'ab', got {of!r}")
        if not steps or min(steps) < 1:
            raise ValueError(f"steps must be 1 frame or more each, got {tuple(steps)}")
        self.of = of
        self.steps = tuple(steps)

    def update(self, clip: Tensor) -> None:
        """Count one clip: (T, 3, H, W) in [0, 1].

        Raises:
            ValueError: for a clip with fewer frames than two of them lie apart.
        """
        steps = [step for step in self.steps if step < len(clip)]
        if not steps:
            raise ValueError(f"a clip of {len(clip)} frames has none {self.steps[0]} apart")
        shares = torch.stack([self._histograms(frame) for frame in clip])
        values = [_divergence(shares[:-step], shares[step:]).mean() for step in steps]
        self.add(torch.stack(values).mean()[None])

    def _histograms(self, frame: Tensor) -> Tensor:
        """(3, H, W) -> (channels, LEVELS), the share of pixels at each level."""
        if self.of == "rgb":
            levels = (255 * frame.clamp(0, 1)).round().long()
        else:
            _, ab = split_lab(rgb_to_lab(frame[None]))
            levels = (ab[0].round().long() + FARTHEST).clamp(0, LEVELS - 1)
        counts = torch.stack([torch.bincount(one.flatten(), minlength=LEVELS) for one in levels])
        return counts.double() / levels[0].numel()


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """Jensen-Shannon divergence of (..., levels) distributions, in nats."""
    middle = torch.special.entr((one + other) / 2).sum(-1)
    apart = (torch.special.entr(one).sum(-1) + torch.special.entr(other).sum(-1)) / 2
    divergence: Tensor = (middle - apart).clamp(min=0)
    return divergence
