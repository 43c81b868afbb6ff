"""Sparse systems of pixels and their eight neighbours, solved by multigrid.

In the rows of a system each pixel draws towards its neighbours, by weights that vary by orders of
magnitude and need not be alike to and fro, and some pixels towards given values. Coarse grids
follow the weights: what lies between coarse pixels is interpolated as the fine rows say, and coarse
systems are products of these (Dendy 1982, black box multigrid), so that an edge without passage
stays one on every grid. The answer climbs from the coarsest grid to the finest once, a warm start;
then BiCGSTAB (van der Vorst 1992), preconditioned by V-cycles, ends it.

A grid is held in four planes, of even and odd rows and columns. No pixels of a plane are
neighbours, so that Gauss-Seidel goes plane by plane; and the first plane is the next coarser grid.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["NEIGHBOURS", "PixelSystem"]

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Rows and columns to the eight neighbours, in the order that weights have."""
NW, N, NE, W, E, SW, S, SE = range(8)
PLANES = ((0, 0), (0, 1), (1, 0), (1, 1))  # parity of row and column
BALANCING = 3  # sweeps; without them a photograph of 1 megapixel takes twice the iterations
SWEEPS = 2  # of Gauss-Seidel before and after each coarser grid
CLOSE = 1e-7  # 0.01 CIELAB units off the exact answer, on photographs of 1 megapixel
LEAST_ANCHOR = 1e-6  # on coarse grids, as a share of what a pixel draws in all
TINY = 1e-30  # keeps quotients of pixels without neighbours finite

Parts = list[dict[tuple[int, int], Tensor]]
"""Of each plane, by rows and columns from its cells to those of the coarse pixels: (h, w) each."""


def _place(plane: int, number: int) -> tuple[int, int, int]:
    """The plane that a neighbour lies in, and rows and columns to its cell."""
    down, row = divmod(PLANES[plane][0] + NEIGHBOURS[number][0], 2)
    right, column = divmod(PLANES[plane][1] + NEIGHBOURS[number][1], 2)
    return PLANES.index((row, column)), down, right


def _moved(x: Tensor, down: int, right: int) -> Tensor:
    """(..., h, w) as seen from cells that lie that far before; 0 from beyond."""
    if not down and not right:
        return x
    height, width = x.shape[-2:]
    return F.pad(x, (1, 1, 1, 1))[..., 1 + down : 1 + down + height, 1 + right : 1 + right + width]


def _in_planes(x: Tensor) -> Tensor:
    """(..., H, W) -> (4, ..., h, w), with zeros where sides are odd."""
    height, width = x.shape[-2:]
    x = F.pad(x, (0, width % 2, 0, height % 2))
    return torch.stack([x[..., row::2, column::2] for row, column in PLANES])


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Of each unknown: (C, H, W) twice -> (C, 1, 1)."""
    return (x * y).sum(dim=(1, 2))[:, None, None]


def _ratio(x: Tensor, y: Tensor) -> Tensor:
    """Quotients, and 0 where y is: nothing is left to do there."""
    return torch.where(y == 0, 0.0, x / torch.where(y == 0, 1.0, y))


class PixelSystem:
    """(sum of weights + anchor) u - sum of weight x u of the neighbour = right side, in each pixel.

    Args:
        weights: (8, H, W), from 0, towards the neighbours; 0 towards those beyond the border.
        anchor: (H, W), from 0, how much a pixel draws towards given values; somewhere above 0 in
            each region that weights connect.
    """

    def __init__(self, weights: Tensor, anchor: Tensor) -> None:
        self.weights = weights.double()
        self.own = self.weights.sum(dim=0) + anchor.double()
        self.grid = _Grid(weights.float(), anchor.float())  # it prepares, and needs few digits

    def solve(self, right: Tensor, close: float = CLOSE, most: int = 500) -> Tensor:
        """The u of a right side.

        Args:
            right: (C, H, W), of C unknowns for each pixel.
            close: to end at, the norm of what is left of the right side as a share of it.
            most: iterations.

        Returns:
            (C, H, W) float64.

        Raises:
            ArithmeticError: if so many iterations do not bring it there.
        """
        right = right.double()
        u = self.grid.climb(right.float()).double()
        left = shadow = step = right - self.apply(u)
        enough = close * _dot(right, right).sqrt()
        rho = _dot(left, shadow)
        for _ in range(most):
            if bool((_dot(left, left).sqrt() <= enough).all()):
                return u
            towards = self.grid.answer(step.float()).double()
            change = self.apply(towards)
            alpha = _ratio(rho, _dot(shadow, change))
            half = left - alpha * change
            more = self.grid.answer(half.float()).double()
            changed = self.apply(more)
            omega = _ratio(_dot(changed, half), _dot(changed, changed))
            u = u + alpha * towards + omega * more
            left = half - omega * changed
            before, rho = rho, _dot(left, shadow)
            step = left + _ratio(rho * alpha, before * omega) * (step - omega * change)
        height, width = right.shape[-2:]
        raise ArithmeticError(f"{most} iterations did not solve a system of {height} x {width}")

    def apply(self, u: Tensor) -> Tensor:
        """The left side of the rows: (C, H, W) float64 -> the same."""
        height, width = u.shape[-2:]
        wide, out = F.pad(u, (1, 1, 1, 1)), self.own * u
        for (down, right), weight in zip(NEIGHBOURS, self.weights, strict=True):
            there = wide[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
            out.addcmul_(weight, there, value=-1)
        return out


class _Grid:
    """A system's rows on one grid, and all coarser ones, to answer right sides nearly.

    Args:
        weights: (8, H, W), as of `PixelSystem`.
        anchor: (H, W), as of `PixelSystem`.
    """

    def __init__(self, weights: Tensor, anchor: Tensor) -> None:
        self.size = (weights.shape[-2], weights.shape[-1])
        self.weights = _in_planes(weights)  # (4, 8, h, w)
        scale = self._balance()
        self.scale = scale[:, None]
        self.weights = self.weights * self.scale
        anchor = _in_planes(anchor.clamp(min=0)) * scale
        own = self.weights.sum(dim=1) + anchor
        self.own = torch.where(own > 0, own, 1.0)  # cells beyond the border stand alone
        self.coarser: _Grid | None = None
        if max(self.size) > 1:
            back = self._back()
            left_over = (own - back.sum(dim=1)).clamp(min=0)
            self.spread = _interpolation(self.weights, anchor)
            self.collect = _interpolation(back, left_over)
            self.coarser = self._coarse()

    def answer(self, right: Tensor) -> Tensor:
        """Nearly the u of a right side, by one V-cycle: (C, H, W) -> (C, H, W)."""
        return self._in_one(self._cycle(_in_planes(right) * self.scale))

    def climb(self, right: Tensor) -> Tensor:
        """A first u of a right side, from the coarsest grid up: (C, H, W) -> (C, H, W)."""
        given = _in_planes(right) * self.scale
        start = torch.zeros_like(given)
        if self.coarser is not None:
            start = self._between(self.coarser.climb(self._collected(given)))
        return self._in_one(start + self._cycle(given - self._apply(start)))

    def _cycle(self, given: Tensor) -> Tensor:
        """One V-cycle from 0, which answers a right side nearly: (4, C, h, w) planes."""
        u = torch.zeros_like(given)
        wide = F.pad(u, (1, 1, 1, 1))
        for _ in range(SWEEPS):
            self._relax(wide, given, (0, 1, 2, 3))
        if self.coarser is None:
            return wide[..., 1:-1, 1:-1]
        left = given - self._apply(wide[..., 1:-1, 1:-1])
        wide[..., 1:-1, 1:-1] += self._between(self.coarser.answer(self._collected(left)))
        for _ in range(SWEEPS):
            self._relax(wide, given, (3, 2, 1, 0))
        return wide[..., 1:-1, 1:-1]

    def _apply(self, u: Tensor) -> Tensor:
        """The left side of the rows: planes -> planes."""
        wide, out = F.pad(u, (1, 1, 1, 1)), torch.zeros_like(u)
        for plane in range(4):
            self._add_neighbours(plane, wide, out[plane])
        return self.own[:, None] * u - out

    def _add_neighbours(self, plane: int, wide: Tensor, out: Tensor) -> None:
        """Add what neighbours say to (C, h, w) of a plane, in place."""
        height, width = out.shape[-2:]
        for number in range(8):
            other, down, right = _place(plane, number)
            there = wide[other, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
            out.addcmul_(self.weights[plane, number], there)

    def _relax(self, wide: Tensor, given: Tensor, order: Sequence[int]) -> None:
        """A sweep of Gauss-Seidel over planes with a margin, in place."""
        for plane in order:
            inner = wide[plane, :, 1:-1, 1:-1]
            inner.copy_(given[plane])
            self._add_neighbours(plane, wide, inner)
            inner.div_(self.own[plane])

    def _back(self) -> Tensor:
        """Weights of the neighbours towards each pixel: (4, 8, h, w)."""
        back = torch.empty_like(self.weights)
        for plane in range(4):
            for number in range(8):
                other, down, right = _place(plane, number)
                back[plane, number] = _moved(self.weights[other, 7 - number], down, right)
        return back

    def _balance(self) -> Tensor:
        """Factors of the rows that make pixels draw as much as they are drawn on: (4, h, w)."""
        out, back = self.weights.sum(dim=1), self._back()
        scale = torch.ones_like(out)
        for _ in range(BALANCING):
            for plane in range(4):
                drawn = torch.zeros_like(out[plane])
                for number in range(8):
                    other, down, right = _place(plane, number)
                    drawn.addcmul_(back[plane, number], _moved(scale[other], down, right))
                met = (out[plane] > 0) & (drawn > 0)
                quotient = drawn / out[plane].clamp(min=TINY)
                scale[plane] = torch.where(met, quotient, scale[plane])
        return scale

    def _coarse(self) -> "_Grid":
        """What is collected from the rows of what is spread: nine points again."""
        stencil: dict[tuple[int, int], Tensor] = {}
        for plane, parts in enumerate(self.spread):
            rows = {where: self.own[plane] * part for where, part in parts.items()}
            for number in range(8):
                other, down, right = _place(plane, number)
                for (row, column), part in self.spread[other].items():
                    where = (down + row, right + column)
                    told = self.weights[plane, number] * _moved(part, down, right)
                    rows[where] = rows[where] - told if where in rows else -told
            for (row, column), part in self.collect[plane].items():
                for (to_row, to_column), value in rows.items():
                    where = (to_row - row, to_column - column)
                    told = _moved(part * value, -row, -column)
                    stencil[where] = stencil[where] + told if where in stencil else told
        # Products of unlike weights may draw away a little: clamped, sweeps are sure to end. And
        # what rounding leaves of an anchor must not be divided by.
        anchor = torch.stack([*stencil.values()]).sum(dim=0)
        weights = torch.stack([-stencil[where] for where in NEIGHBOURS]).clamp(min=0)
        return _Grid(weights, torch.maximum(anchor, LEAST_ANCHOR * stencil[0, 0].abs()))

    def _collected(self, left: Tensor) -> Tensor:
        """Planes -> (C, h, w) of the coarse grid."""
        total = torch.zeros_like(left[0])
        for plane, parts in enumerate(self.collect):
            for (row, column), part in parts.items():
                total += _moved(part * left[plane], -row, -column)
        return total

    def _between(self, coarse: Tensor) -> Tensor:
        """(C, h, w) of the coarse grid -> planes."""
        u = coarse.new_zeros(4, *coarse.shape)
        for plane, parts in enumerate(self.spread):
            for (row, column), part in parts.items():
                u[plane].addcmul_(part, _moved(coarse, row, column))
        return u

    def _in_one(self, planes: Tensor) -> Tensor:
        """(4, ..., h, w) -> (..., H, W)."""
        height, width = planes.shape[-2:]
        x = planes.new_empty(*planes.shape[1:-2], 2 * height, 2 * width)
        for (row, column), plane in zip(PLANES, planes, strict=True):
            x[..., row::2, column::2] = plane
        return x[..., : self.size[0], : self.size[1]]


def _interpolation(weights: Tensor, anchor: Tensor) -> Parts:
    """Shares of the coarse pixels around in each pixel, as its row, collapsed, says.

    Args:
        weights: (4, 8, h, w).
        anchor: (4, h, w), what a row draws towards besides.
    """
    _, beside, under, both = weights  # the coarse plane; between two across, between two down
    left, right = beside[NW] + beside[W] + beside[SW], beside[NE] + beside[E] + beside[SE]
    across = (left + right + anchor[1]).clamp(min=TINY)
    left, right = left / across, right / across
    above, below = under[NW] + under[N] + under[NE], under[SW] + under[S] + under[SE]
    along = (above + below + anchor[2]).clamp(min=TINY)
    above, below = above / along, below / along
    corners = {
        (0, 0): both[NW] + both[N] * left + both[W] * above,
        (0, 1): both[NE] + both[N] * right + both[E] * _moved(above, 0, 1),
        (1, 0): both[SW] + both[S] * _moved(left, 1, 0) + both[W] * below,
        (1, 1): both[SE] + both[S] * _moved(right, 1, 0) + both[E] * _moved(below, 0, 1),
    }
    around = (both.sum(dim=0) + anchor[3]).clamp(min=TINY)
    return [
        {(0, 0): torch.ones_like(left)},
        {(0, 0): left, (0, 1): right},
        {(0, 0): above, (1, 0): below},
        {where: share / around for where, share in corners.items()},
    ]
