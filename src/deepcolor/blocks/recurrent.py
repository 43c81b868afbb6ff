"""What a network keeps from one frame of a film to the next.

A ConvLSTM (Shi et al. 2015) holds a map of what was seen. Between two frames that map is carried
along the motion: each place looks around itself for where it came from, by luminance and features.
What is remembered is then mixed into the features of the new frame, as far as it is trusted.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ConvLSTM", "Memory", "Recurrence", "around", "carried"]

KEYS = 16  # channels that places are matched by
SHARPNESS = 12.0  # of the match at the start: a cosine of 1 against 0.8 wins eleven to one
NEARNESS = 0.3  # log of what a match loses with each step of distance, squared, at the start
KEPT = 0.6  # log odds of the cell's gates at the start: a memory of some two frames


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What is kept of a film up to a frame; all of one size (h, w).

    Attributes:
        hidden: (B, hidden, h, w), in [-1, 1].
        cell: (B, hidden, h, w).
        keys: (B, KEYS, h, w), what places of the frame are recognized by; (B, 0, h, w) where
            memory stays in place.
        luminance: (B, 1, h, w) of the frame, as the network sees it, about in [-1, 1].
    """

    hidden: Tensor
    cell: Tensor
    keys: Tensor
    luminance: Tensor

    @classmethod
    def empty(cls) -> "Memory":
        """Of a film that has not begun: tensors without numbers."""
        return cls(**{field.name: torch.zeros(0, 0, 0, 0) for field in fields(cls)})

    def detached(self) -> "Memory":
        """The same, through which no gradient flows back."""
        return Memory(**{field.name: getattr(self, field.name).detach() for field in fields(self)})

    def where(self, chosen: Tensor, other: "Memory") -> "Memory":
        """Of some pictures this, of the others `other`: by (B,) bool."""
        pick = chosen[:, None, None, None]
        return Memory(
            **{
                field.name: torch.where(pick, getattr(self, field.name), getattr(other, field.name))
                for field in fields(self)
            }
        )


class ConvLSTM(nn.Module):
    """A long short-term memory whose products are convolutions.

    Args:
        inputs: channels of what it reads.
        hidden: channels of what it keeps.
        kernel: side of the kernel, odd.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.hidden = hidden
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2)
        with torch.no_grad():
            assert self.gates.bias is not None
            self.gates.bias.zero_()
            self.gates.bias[:hidden] = -KEPT
            self.gates.bias[hidden : 2 * hidden] = KEPT

    def begin(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden and cell where nothing came before: all that is seen is taken in, and given."""
        weight, bias = self.gates.weight, self.gates.bias
        assert bias is not None
        own = weight[3 * self.hidden :, : x.shape[1]]  # nothing is hidden yet
        cell = torch.tanh(F.conv2d(x, own, bias[3 * self.hidden :], padding=self.gates.padding))
        return torch.tanh(cell), cell

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """One frame.

        Args:
            x: (B, inputs, h, w).
            hidden: (B, hidden, h, w), after the frame before.
            cell: the same.

        Returns:
            Hidden and cell after this frame.
        """
        take, keep, give, seen = self.gates(torch.cat([x, hidden], dim=1)).chunk(4, dim=1)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(take) * torch.tanh(seen)
        return torch.sigmoid(give) * torch.tanh(cell), cell


def carried(values: Tensor, match: Tensor, reach: int) -> Tensor:
    """Bring a map along: each place takes from those around it, by shares.

    Args:
        values: (B, C, h, w), of the frame before.
        match: (B, (2 * reach + 1)^2, h, w), the shares of the places from `reach` rows above to as
            many below, from left to right in each.
        reach: how far places look, in rows and columns.

    Returns:
        (B, C, h, w).
    """
    height, width = values.shape[-2:]
    padded = F.pad(values, [reach] * 4, mode="replicate")
    side = 2 * reach + 1
    result = torch.zeros_like(values)
    for number in range(side * side):
        down, across = divmod(number, side)
        part = padded[..., down : down + height, across : across + width]
        result = result + match[:, number : number + 1] * part
    return result


def around(here: Tensor, before: Tensor, reach: int) -> Tensor:
    """How alike each place is to those around it in another map: the products over channels.

    Args:
        here: (B, C, h, w).
        before: (B, C, h, w); beyond its borders all is 0.
        reach: as for `carried`.

    Returns:
        (B, (2 * reach + 1)^2, h, w), in the order that `carried` takes.
    """
    height, width = here.shape[-2:]
    padded = F.pad(before, [reach] * 4)
    side = range(2 * reach + 1)
    parts = [padded[..., i : i + height, j : j + width] for i in side for j in side]
    return torch.stack([(here * part).sum(dim=1) for part in parts], dim=1)


def steps(reach: int) -> Tensor:
    """Squared distance of the places around one, in the order of `around`: (n, 1, 1)."""
    line = torch.arange(-reach, reach + 1)
    return (line[:, None] ** 2 + line[None] ** 2).flatten()[:, None, None]


class Recurrence(nn.Module):
    """Features of a frame, and what is remembered of the frames before, in one map.

    Args:
        channels: of the features.
        hidden: channels of the memory.
        reach: how many places away memory is looked for, when things move; 0 leaves it in place.
        trust: share of memory in the mix at the start, in (-1, 1); 0 makes the block the identity
            until it is trained, to the bit.
        scale: of the features in the cell at the start: below 1 over the largest, where tanh is
            nearly straight.
    """

    def __init__(
        self, channels: int, hidden: int, reach: int = 0, trust: float = 0.0, scale: float = 1.0
    ) -> None:
        super().__init__()
        if not -1 < trust < 1:
            raise ValueError(f"trust must lie in (-1, 1), got {trust}")
        if reach < 0:
            raise ValueError(f"reach must be at least 0, got {reach}")
        self.reach = reach
        cues = 1 if reach else 0
        self.memory = ConvLSTM(channels + cues, hidden)
        self.read = nn.Conv2d(hidden, channels, kernel_size=1)
        self.trust = nn.Conv2d(channels + hidden + cues, channels, kernel_size=1)
        self.keys: nn.Conv2d | None = None
        if reach:
            self.keys = nn.Conv2d(channels + 1, KEYS, kernel_size=3, padding=1)
            self.log_sharpness = nn.Parameter(torch.tensor(SHARPNESS).log())
            self.log_nearness = nn.Parameter(torch.tensor(NEARNESS).log())
        with torch.no_grad():
            assert self.read.bias is not None
            assert self.trust.bias is not None
            nn.init.zeros_(self.trust.weight)
            self.trust.bias.fill_(torch.atanh(torch.tensor(trust)))
            if hidden == channels:  # the cell starts as a running mean of the features
                seen = self.memory.gates.weight[3 * hidden :]
                seen.zero_()
                middle = seen.shape[-1] // 2
                for channel in range(hidden):
                    seen[channel, channel, middle, middle] = scale
                nn.init.zeros_(self.read.bias)
                self.read.weight.zero_()
                # The gate that gives is half open at the start.
                self.read.weight[:, :, 0, 0] = torch.eye(channels) * 2 / scale

    def begin(self, x: Tensor, luminance: Tensor) -> Memory:
        """What to keep of the first frame of a shot; as for `forward`."""
        seen = x
        if self.reach:
            seen = torch.cat([x, torch.ones_like(luminance)], dim=1)
        hidden, cell = self.memory.begin(seen)
        return Memory(hidden=hidden, cell=cell, keys=self._keys(x, luminance), luminance=luminance)

    def forward(self, x: Tensor, luminance: Tensor, before: Memory) -> tuple[Tensor, Memory]:
        """One frame that others came before.

        Args:
            x: (B, channels, h, w) features.
            luminance: (B, 1, h, w), about in [-1, 1].
            before: what the frame before left.

        Returns:
            Features, (B, channels, h, w), and what to keep.
        """
        keys = self._keys(x, luminance)
        hidden, cell = before.hidden, before.cell
        seen = x
        if self.reach:
            cosines = around(keys, before.keys, self.reach)
            far = self.log_nearness.exp() * steps(self.reach).to(x)
            match = torch.softmax(self.log_sharpness.exp() * cosines - far, dim=1)
            hidden, cell = (carried(kept, match, self.reach) for kept in (hidden, cell))
            seen = torch.cat([x, (match * cosines).sum(dim=1, keepdim=True)], dim=1)
        hidden, cell = self.memory(seen, hidden, cell)
        trust = torch.tanh(self.trust(torch.cat([seen, hidden], dim=1)))
        mixed = x + trust * (self.read(hidden) - x)
        return mixed, Memory(hidden=hidden, cell=cell, keys=keys, luminance=luminance)

    def _keys(self, x: Tensor, luminance: Tensor) -> Tensor:
        """What places are recognized by, of length 1: (B, KEYS, h, w)."""
        if self.keys is None:
            return x[:, :0]
        return F.normalize(self.keys(torch.cat([x, luminance], dim=1)), dim=1)
