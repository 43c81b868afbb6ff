"""A batch as the steps of a model see it, whatever a loader gives."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from deepcolor.color import rgb_to_lab, split_lab, unit_rgb

__all__ = ["Batch"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Photographs, or clips of films, and what is known beside them.

    A model names the fields that it needs (`Colorizer.inputs`, `Colorizer.targets`).

    Attributes:
        rgb: (B, 3, H, W), or of clips (B, T, 3, H, W), uint8 or float in [0, 1]: the truth.
        seen: the same shape: the pictures whose luminance the network sees, such as degraded ones;
            None where it sees `rgb`.
        vector: (B, width) numbers on each whole picture, by a classifier.
        label: (B,) whole numbers, such as those of scenes.
        reference: (B, 3, h, w) pictures to take colours from.
        flow: (B, T, 2, H, W): how far right and down each pixel lay in the frame before.
        visible: (B, T, 1, H, W): 1 where the pixel was seen in the frame before, else 0.
    """

    rgb: Tensor
    seen: Tensor | None = None
    vector: Tensor | None = None
    label: Tensor | None = None
    reference: Tensor | None = None
    flow: Tensor | None = None
    visible: Tensor | None = None

    def __post_init__(self) -> None:
        if self.rgb.ndim not in (4, 5) or self.rgb.shape[-3] != 3:
            raise ValueError(
                "a batch holds RGB (B, 3, H, W), or clips (B, T, 3, H, W), got"
                f" {tuple(self.rgb.shape)}"
            )
        if self.seen is not None and self.seen.shape != self.rgb.shape:
            raise ValueError(
                f"what is seen, {tuple(self.seen.shape)}, has not the shape of the pictures,"
                f" {tuple(self.rgb.shape)}"
            )

    @classmethod
    def of(cls, given: Any) -> "Batch":
        """The batch that a loader gave.

        Args:
            given: a Batch; a tensor, which is RGB; whatever has a field `rgb`, such as
                `deepcolor.data.Degraded`, of which all fields named as a batch's are taken; or a
                sequence as torchvision's data sets give: RGB first, after it whole numbers, which
                are labels, or floating ones, which are vectors.

        Raises:
            TypeError: for anything else.
            ValueError: for pictures of a wrong shape.
        """
        if isinstance(given, Batch):
            return given
        if isinstance(given, Tensor):
            return cls(rgb=given)
        if hasattr(given, "rgb"):
            found: dict[str, Any] = {f.name: getattr(given, f.name, None) for f in fields(cls)}
            return cls(**found)
        if isinstance(given, Sequence) and given and isinstance(given[0], Tensor):
            known: dict[str, Tensor] = {}
            for value in given[1:]:
                if isinstance(value, Tensor):
                    known.setdefault("vector" if value.is_floating_point() else "label", value)
            return cls(rgb=given[0], **known)
        raise TypeError(
            "a batch is RGB, a sequence that begins with RGB, or has the fields of"
            f" deepcolor.data.Batch; got {type(given).__name__}"
        )

    @property
    def is_clips(self) -> bool:
        """Whether it holds clips, not pictures."""
        return self.rgb.ndim == 5

    def truth(self) -> Tensor:
        """The true pictures: RGB in [0, 1], of the shape of `rgb`."""
        return unit_rgb(self.rgb)

    def lab(self) -> tuple[Tensor, Tensor]:
        """What the network sees, and what it should answer.

        Returns:
            (..., 1, H, W) L in [0, 100] of the pictures seen, and (..., 2, H, W) ab of the true.
        """
        luminance, ab = split_lab(rgb_to_lab(self.truth()))
        if self.seen is not None:
            luminance, _ = split_lab(rgb_to_lab(unit_rgb(self.seen)))
        return luminance, ab

    def known(self, *names: str) -> dict[str, Tensor]:
        """Those of the fields named that the batch has, by name."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def to(self, device: torch.device | str) -> "Batch":
        """All of it on a device; Lightning moves batches by it."""
        return replace(self, **{f.name: v.to(device) for f in fields(self)
                                if (v := getattr(self, f.name)) is not None})  # fmt: skip
