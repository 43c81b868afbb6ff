"""The family without parameters: algorithms, which colour by what a person says."""

from typing import Any

import torch
from torch import Tensor

from deepcolor.guidance import Guidance, Kind
from deepcolor.models._training import Colorizer

__all__ = ["ClassicalColorizer"]


class ClassicalColorizer(Colorizer):
    """Colours by an algorithm: there is nothing to train, to trace, or to download.

    A subclass answers `forward`, and names in `needs` the guidance that its colours come from.
    """

    def __init__(self) -> None:
        super().__init__(lr=0.0, weight_decay=0.0)

    def check_input(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Guidance:
        """As `Colorizer.check_input`; tracing is refused with a TypeError."""
        if torch._C._get_tracing_state() is not None:
            raise self._coreless()
        return super().check_input(luminance, guidance)

    def core(self, luminance: Tensor) -> Tensor:
        """Refuse to be taken for a network, with a TypeError."""
        raise self._coreless()

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Refuse to train, with a TypeError."""
        raise self._untrainable()

    def configure_optimizers(self) -> Any:
        """Refuse to train, with a TypeError."""
        raise self._untrainable()

    def _coreless(self) -> TypeError:
        return TypeError(
            f"{type(self).__name__} is an algorithm, whose steps depend on the picture: it cannot"
            " be traced or exported; models with a network can"
        )

    def _untrainable(self) -> TypeError:
        return TypeError(
            f"{type(self).__name__} is an algorithm without parameters: it cannot be trained, nor"
            " has it a loss to validate; it colours as it is made"
        )
