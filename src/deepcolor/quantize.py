"""Chroma as classes: codebooks on the ab plane, soft encoding, annealed mean.

The 313-bin ab gamut and both formulas are those of Zhang, Isola and Efros, "Colorful Image
Colorization", 2016 (sections 2.1 to 2.3). Targets stay sparse: k bin numbers and k weights a
pixel, never a (B, Q, H, W) tensor, unless `densify` is asked for one.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["AbQuantizer", "SoftBins"]

GRID = 10  # spacing of the published grids, in CIELAB units
SIGMA = 5.0  # of the Gaussian over distance in soft encoding, Zhang et al. 2016
NEIGHBOURS = 5  # soft encoding, Zhang et al. 2016; the published training code takes 10
TEMPERATURE = 0.38  # annealed mean, Zhang et al. 2016, section 2.3

# b_min and b_max of each column a of the published 313-bin table (pts_in_hull), which is sorted by
# a, then b. Each column is contiguous; no simple rule on displayable colours gives these 313.
GAMUT_SPANS = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100),
    -40: (-40, 100), -30: (-50, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100),
    10: (-80, 90), 20: (-80, 90), 30: (-90, 90), 40: (-100, 90), 50: (-100, 80),
    60: (-110, 80), 70: (-110, 80), 80: (-110, 70), 90: (-110, 70), 100: (-90, 0),
}  # fmt: skip
GRID529_SIDE = 110  # 23 centres from -110 to 110: the square grid that the 313 are taken from
GRID625_SIDE = 120  # 25 centres from -120 to 120 cover every sRGB ab, at the published grid size

# The lookup table covers [-TABLE_EXTENT, TABLE_EXTENT)^2 in square cells; sRGB stays within 108.
TABLE_EXTENT = 128.0
CELL = 2.0
CELLS = int(2 * TABLE_EXTENT / CELL)
TABLE_SLACK = 0.01  # squared distance: more than float32 errs by, so that no candidate is missed


class SoftBins(NamedTuple):
    """A soft-encoded chroma image: k bins a pixel, nearest first."""

    bins: Tensor
    """(B, k, H, W) int64, bin numbers."""
    weights: Tensor
    """(B, k, H, W), at least 0, summing to 1 over k."""


class AbQuantizer(nn.Module):
    """A codebook on the ab plane, with encoding to it and decoding from it.

    Holds no trained state: centres and tables are rebuilt, not stored in checkpoints.

    Args:
        centres: (Q, 2) ab of each bin, in CIELAB units, distinct.
        neighbours: bins that share a pixel in soft encoding, 1 to Q.
        sigma: of the Gaussian that weighs them, in CIELAB units.
    """

    centres: Tensor

    def __init__(self, centres: Tensor, neighbours: int = NEIGHBOURS, sigma: float = SIGMA) -> None:
        super().__init__()
        if centres.ndim != 2 or centres.shape[1] != 2 or not len(centres):
            raise ValueError(f"centres must be (Q, 2), got shape {tuple(centres.shape)}")
        if not torch.isfinite(centres).all():
            raise ValueError("centres must be finite")
        if len(torch.unique(centres, dim=0)) != len(centres):
            raise ValueError("centres must be distinct")
        if not 1 <= neighbours <= len(centres):
            raise ValueError(f"neighbours must be 1 to {len(centres)}, got {neighbours}")
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.neighbours = neighbours
        self.sigma = sigma
        self.register_buffer("centres", centres.float().clone(), persistent=False)
        # Built at the first encoding on a device: colorizing never needs it. No buffers, because
        # copies of a model, such as its weight average, must keep the shapes of its buffers.
        self._tables: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}

    @classmethod
    def gamut313(cls, neighbours: int = NEIGHBOURS) -> "AbQuantizer":
        """The 313 bins of Zhang et al. 2016, in the published order.

        Example:
            >>> bins = AbQuantizer.gamut313().centres
            >>> len(bins), bins[0].tolist(), bins[-1].tolist()
            (313, [-90.0, 50.0], [100.0, 0.0])
        """
        points = [
            (a, b) for a, (low, high) in GAMUT_SPANS.items() for b in range(low, high + GRID, GRID)
        ]
        return cls(torch.tensor(points, dtype=torch.float32), neighbours)

    @classmethod
    def grid529(cls, neighbours: int = NEIGHBOURS) -> "AbQuantizer":
        """23 x 23 bins from -110 to 110; bin 23 * i + j is (10 * i - 110, 10 * j - 110)."""
        axis = torch.arange(-GRID529_SIDE, GRID529_SIDE + GRID, GRID).float()
        return cls(torch.cartesian_prod(axis, axis), neighbours)

    @classmethod
    def grid625(cls, neighbours: int = NEIGHBOURS) -> "AbQuantizer":
        """25 x 25 bins from -120 to 120; bin 25 * i + j is (10 * i - 120, 10 * j - 120)."""
        axis = torch.arange(-GRID625_SIDE, GRID625_SIDE + GRID, GRID).float()
        return cls(torch.cartesian_prod(axis, axis), neighbours)

    @property
    def bins(self) -> int:
        """Q, the number of bins."""
        return len(self.centres)

    def extra_repr(self) -> str:
        return f"bins={self.bins}, neighbours={self.neighbours}, sigma={self.sigma}"

    @torch.no_grad()
    def soft_encode(self, ab: Tensor) -> SoftBins:
        """Spread each colour over its k nearest bins (Zhang et al. 2016, section 2.2).

        Exact for every finite colour: a table over the ab plane lists, cell by cell, each bin
        that can be among the k nearest of any colour in that cell, and only those are compared.

        Args:
            ab: (B, 2, H, W), in CIELAB units.

        Returns:
            Bins and weights, (B, k, H, W) each, nearest bin first.
        """
        batch, height, width = self._check_ab(ab)
        points = ab.movedim(1, -1).reshape(-1, 2).float()  # (N, 2)
        index, square = self._nearest(points)  # (N, k) each
        # Shifted by the nearest, so that a colour far outside the codebook does not underflow.
        weight = torch.exp((square[:, :1] - square) / (2 * self.sigma**2))
        weight = weight / weight.sum(dim=1, keepdim=True)
        shape = (batch, height, width, self.neighbours)
        return SoftBins(
            index.reshape(shape).movedim(-1, 1), weight.reshape(shape).movedim(-1, 1).to(ab.dtype)
        )

    @torch.no_grad()
    def hard_encode(self, ab: Tensor) -> Tensor:
        """Number of the nearest bin: (B, 2, H, W) in CIELAB units -> (B, H, W) int64."""
        batch, height, width = self._check_ab(ab)
        index, _ = self._nearest(ab.movedim(1, -1).reshape(-1, 2).float())
        return index[:, 0].reshape(batch, height, width)

    def densify(self, soft: SoftBins) -> Tensor:
        """Write a soft encoding out as (B, Q, H, W), zeros included."""
        batch, _, height, width = soft.bins.shape
        dense = soft.weights.new_zeros(batch, self.bins, height, width)
        return dense.scatter_(1, soft.bins, soft.weights)

    def decode(self, index: Tensor) -> Tensor:
        """Centres of bins: (B, H, W) int64 -> (B, 2, H, W), in CIELAB units."""
        return self.centres[index].movedim(-1, 1)

    def annealed_mean(self, logits: Tensor, temperature: float = TEMPERATURE) -> Tensor:
        """Decode bin logits to chroma (Zhang et al. 2016, eq. 5).

        Args:
            logits: (B, Q, H, W), any scale.
            temperature: 1 gives the mean, 0 the mode; 0.38 is the paper's choice.

        Returns:
            (B, 2, H, W) ab, in CIELAB units, float32.
        """
        if logits.ndim != 4 or logits.shape[1] != self.bins:
            raise ValueError(f"logits must be (B, {self.bins}, H, W), got {tuple(logits.shape)}")
        if not 0 <= temperature <= 1:
            raise ValueError(f"temperature must lie in [0, 1], got {temperature}")
        if temperature == 0:
            return self.decode(logits.argmax(dim=1))
        with torch.autocast(logits.device.type, enabled=False):
            probability = torch.softmax(logits.float() / temperature, dim=1)
            return torch.einsum("bqhw,qc->bchw", probability, self.centres)

    def _check_ab(self, ab: Tensor) -> tuple[int, int, int]:
        if ab.ndim != 4 or ab.shape[1] != 2:
            raise ValueError(f"ab must be (B, 2, H, W), got {tuple(ab.shape)}")
        if not torch.isfinite(ab).all():
            raise ValueError("ab holds NaN or infinity")
        return ab.shape[0], ab.shape[2], ab.shape[3]

    def _nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Nearest bins of (N, 2) colours: (N, k) numbers and squared distances, near to far."""
        if points.device not in self._tables:
            self._tables[points.device] = self._build_table(points.device)
        candidates, candidate_a, candidate_b = self._tables[points.device]
        cell = ((points + TABLE_EXTENT) / CELL).floor()
        far = ((cell < 0) | (cell >= CELLS)).any(dim=1)
        cell = cell.clamp(0, CELLS - 1).long()
        row = cell[:, 0] * CELLS + cell[:, 1]
        square = (candidate_a.index_select(0, row) - points[:, :1]).square_()  # (N, M)
        square += (candidate_b.index_select(0, row) - points[:, 1:]).square_()
        square, slot = square.topk(self.neighbours, dim=1, largest=False)
        index = candidates.take(row[:, None] * candidates.shape[1] + slot)
        if far.any():  # outside the table: compare with every bin
            every = (points[far][:, None] - self.centres).square().sum(-1)
            square[far], index[far] = every.topk(self.neighbours, dim=1, largest=False)
        return index, square

    def _build_table(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """List for each cell the bins that can be among the k nearest of a colour inside it.

        A bin can, unless k bins are surely nearer: its least distance to the cell must not exceed
        the k-th smallest of all greatest distances.

        Returns:
            (cells, M) bin numbers, and their a and b, (cells, M) each.
        """
        centres = self.centres.cpu()
        edge = torch.arange(CELLS) * CELL - TABLE_EXTENT
        # Least and greatest distance along each axis, then over the plane: (cells a, cells b, Q).
        away = (centres.T[:, None] - (edge[:, None] + CELL / 2)).abs()  # (2, CELLS, Q)
        near, far = (away - CELL / 2).clamp(min=0).square(), (away + CELL / 2).square()
        least = (near[0][:, None] + near[1]).flatten(0, 1)  # (cells, Q)
        greatest = (far[0][:, None] + far[1]).flatten(0, 1)
        bound = greatest.kthvalue(self.neighbours, dim=1).values
        possible = least <= bound[:, None] + TABLE_SLACK
        most = int(possible.sum(1).max())
        distance, order = least.topk(most, dim=1, largest=False)
        real = distance <= bound[:, None] + TABLE_SLACK
        # Cells with fewer candidates are filled up with a point that is never near.
        places = torch.where(real[..., None], centres[order], 1e6)
        a, b = places.unbind(-1)
        return order.to(device), a.contiguous().to(device), b.contiguous().to(device)
