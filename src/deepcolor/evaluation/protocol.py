"""What two tables must share to be compared: which photographs, and how they were prepared."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as T

__all__ = ["LEAST_SIDE", "Preparation", "Protocol"]

CROPS = ("none", "centre")
FILTER = "lanczos"
ROUNDING = "8 bits, after colouring"
# Of the definitions in deepcolor.metrics: raised when one changes its figures.
DEFINITIONS = 1
LEAST_SIDE = 16  # pixels; SSIM's window has 11


@dataclass(frozen=True)
class Preparation:
    """What is done to each photograph before it is greyed; the result is the truth.

    Attributes:
        crop: "none", or "centre" for the largest square in the middle.
        short_side: in pixels; None for the size as it is.
        filter: of resizing: Pillow's Lanczos, which averages where it shrinks.
        rounding: of what is compared.
    """

    crop: str = "none"
    short_side: int | None = None
    filter: str = FILTER
    rounding: str = ROUNDING

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise ValueError(f"no crop named {self.crop!r}; there are: {', '.join(CROPS)}")
        if self.short_side is not None and self.short_side < LEAST_SIDE:
            raise ValueError(f"short_side must be at least {LEAST_SIDE}, got {self.short_side}")

    def __call__(self, rgb: Tensor) -> Tensor:
        """(3, H, W) uint8 -> (3, H', W') uint8.

        Raises:
            ValueError: if a side comes out too short to measure anything on.
        """
        if self.crop == "centre":
            rgb = T.center_crop(rgb, [min(rgb.shape[-2:])])
        if self.short_side is not None and min(rgb.shape[-2:]) != self.short_side:
            scale = self.short_side / min(rgb.shape[-2:])
            height, width = (max(1, round(side * scale)) for side in rgb.shape[-2:])
            image = T.to_pil_image(rgb).resize((width, height), Image.Resampling.LANCZOS)
            rgb = T.pil_to_tensor(image)
        if min(rgb.shape[-2:]) < LEAST_SIDE:
            raise ValueError(
                f"{rgb.shape[-1]} x {rgb.shape[-2]} pixels are too few to measure on; each side"
                f" needs {LEAST_SIDE}"
            )
        return rgb.to(torch.uint8)


@dataclass(frozen=True)
class Protocol:
    """Photographs and their preparation. Tables of equal hash may be compared.

    Attributes:
        photographs: name and sha256 of each file that was measured, sorted by name.
        preparation: what was done to them.
        definitions: version of the metrics' definitions.

    Example:
        >>> one = Protocol((("a.jpg", "0" * 64), ("b.jpg", "1" * 64)), Preparation())
        >>> other = Protocol((("a.jpg", "1" * 64), ("c.jpg", "0" * 64)), Preparation())
        >>> one.hash == other.hash  # the same photographs, under other names
        True
    """

    photographs: tuple[tuple[str, str], ...]
    preparation: Preparation
    definitions: int = DEFINITIONS

    @property
    def hash(self) -> str:
        """Sha256 over the photographs' contents, the preparation and the definitions."""
        said = {
            "photographs": sorted(digest for _, digest in self.photographs),
            "preparation": asdict(self.preparation),
            "definitions": self.definitions,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """What a file of results says of it."""
        return {
            "hash": self.hash,
            "count": len(self.photographs),
            **asdict(self.preparation),
            "definitions": self.definitions,
            "rebalancing_prior": "of these photographs",
            "photographs": [{"name": name, "sha256": digest} for name, digest in self.photographs],
        }
