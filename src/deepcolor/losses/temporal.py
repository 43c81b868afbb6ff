"""What two frames of a film should have in common: like colours where they look alike."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["TEMPORAL_SHARE", "temporal_loss", "warped"]

TEMPORAL_SHARE = 0.1  # of the loss of a clip, beside the cross-entropy
ALIKE = 0.05  # deviation of the luminance, 1 being white, within which places look alike


def warped(before: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Bring a map of the frame before to the places that its things have now.

    Args:
        before: (B, C, h, w).
        flow: (B, 2, h, w): how far to the right, and how far down, each place of this frame lay in
            the frame before, in places.

    Returns:
        (B, C, h, w), and whether it is known, (B, 1, h, w) bool: not where things come in from
        beyond the frame.
    """
    batch, _, height, width = before.shape
    if flow.shape != (batch, 2, height, width):
        raise ValueError(
            f"flow for {tuple(before.shape)} must be {(batch, 2, height, width)},"
            f" got {tuple(flow.shape)}"
        )
    rows = torch.arange(height, device=flow.device, dtype=torch.float32)
    columns = torch.arange(width, device=flow.device, dtype=torch.float32)
    across = columns + flow[:, 0].float()  # (B, h, w)
    down = rows[:, None] + flow[:, 1].float()
    inside = (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
    grid = torch.stack([(2 * across + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1)
    moved = F.grid_sample(
        before.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return moved, inside[:, None]


def temporal_loss(
    ab: Tensor,
    ab_before: Tensor,
    luminance: Tensor,
    luminance_before: Tensor,
    flow: Tensor | None = None,
    visible: Tensor | None = None,
) -> Tensor:
    """Mean of w * |ab(r) - ab_before(s)|^2, with w = exp(-(dL)^2 / (2 * 0.05^2)).

    s is where r was in the frame before: by the flow, or the same place without one. Where the two
    do not look alike, or it is known that r was not seen before, a change costs nothing.

    Args:
        ab: (B, 2, h, w) in CIELAB units.
        ab_before: (B, 2, h, w), of the frame before.
        luminance: (B, 1, h, w) L in [0, 100].
        luminance_before: (B, 1, h, w), of the frame before.
        flow: (B, 2, h, w), as for `warped`; None where nothing is known of motion.
        visible: (B, 1, h, w), above 0 where a place was seen in the frame before; everywhere when
            None.

    Returns:
        A scalar: the mean over places, in squared CIELAB units.
    """
    shapes = {tuple(x.shape) for x in (ab, ab_before)}
    grey = {tuple(x.shape) for x in (luminance, luminance_before)}
    if len(shapes) != 1 or len(grey) != 1 or ab.ndim != 4 or ab.shape[1] != 2:
        raise ValueError(
            f"two (B, 2, h, w) ab and two (B, 1, h, w) luminances needed, got {tuple(ab.shape)},"
            f" {tuple(ab_before.shape)}, {tuple(luminance.shape)} and"
            f" {tuple(luminance_before.shape)}"
        )
    ab_before, luminance_before = ab_before.float(), luminance_before.float()
    seen = torch.ones_like(luminance_before) if visible is None else (visible > 0).float()
    if flow is not None:
        both, inside = warped(torch.cat([ab_before, luminance_before], dim=1), flow)
        ab_before, luminance_before = both[:, :2], both[:, 2:]
        seen = seen * inside
    unlike = (luminance.float() - luminance_before) / 100 / ALIKE
    weight = seen * torch.exp(-unlike.square() / 2)
    change = (ab.float() - ab_before).square().sum(dim=1, keepdim=True)
    return (weight * change).mean()
