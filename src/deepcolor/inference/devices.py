"""Where to work, and what to say when its memory ends."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deepcolor.images import ImageError

__all__ = ["choose_device", "memory_in_words"]


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The device of that name; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ValueError: for a name that torch does not know, or a device that is not there.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.zeros((), device=device).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise ValueError(f"device {device!r} is not available here; use auto or cpu") from error


@contextmanager
def memory_in_words(name: str) -> Iterator[None]:
    """Make an ImageError that names the picture of what allocators say when memory ends."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        short = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not short and "allocate memory" not in str(error):  # as torch's on the CPU says it
            raise
        reason = (str(error).splitlines() or ["no memory left"])[0]
        raise ImageError(
            f"{name}: not enough memory to colour it; a smaller size= takes less for the network, a"
            f" smaller picture less for the rest ({reason})"
        ) from error
