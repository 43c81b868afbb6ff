"""What a person can tell a colorizer besides the photograph."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Exemplar", "Guidance", "Hints"]


@dataclass(frozen=True)
class Hints:
    """Local colour hints (Zhang et al. 2017): the chroma wanted at some pixels.

    Args:
        ab: (B, 2, H, W), in CIELAB units; 0 where the mask is 0.
        mask: (B, 1, H, W), 1 where a hint is given, 0 elsewhere.
    """

    ab: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        batch, channels, height, width = _shape("hints.ab", self.ab)
        if channels != 2 or _shape("hints.mask", self.mask) != (batch, 1, height, width):
            raise ValueError(
                "hints need ab (B, 2, H, W) and mask (B, 1, H, W),"
                f" got {tuple(self.ab.shape)} and {tuple(self.mask.shape)}"
            )


@dataclass(frozen=True)
class Exemplar:
    """A colour picture to take the colours from.

    Args:
        lab: (B, 3, H, W) CIELAB, of any size.
    """

    lab: Tensor

    def __post_init__(self) -> None:
        if _shape("exemplar.lab", self.lab)[1] != 3:
            raise ValueError(f"an exemplar needs lab (B, 3, H, W), got {tuple(self.lab.shape)}")


Guidance = Hints | Exemplar


def _shape(name: str, tensor: Tensor) -> tuple[int, int, int, int]:
    if tensor.ndim != 4:
        raise ValueError(f"{name} must have four dimensions, got {tuple(tensor.shape)}")
    batch, channels, height, width = tensor.shape
    return batch, channels, height, width
