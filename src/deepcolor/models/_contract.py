"""The contract that every colorizer keeps: from luminance to what is said of chroma."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn

from deepcolor.guidance import Guidance, Kind
from deepcolor.models.prediction import ChromaPrediction, Prediction

__all__ = ["Contract"]


class Contract(LightningModule, ABC):
    """What a model says, and how it is asked; `Colorizer` adds how it is trained and measured."""

    size: ClassVar[int] = 256
    """Side that photographs are brought to for the network, in pixels."""
    stride: ClassVar[int] = 8
    """Height and width given to `forward` must be multiples of it."""
    grain: ClassVar[int] = 1
    """Side of the squares that a prediction has one answer for, in pixels; divides the stride."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """Kinds of guidance that models of this class can take: names in `guidance.KINDS`."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Those of them that their colours come from, without which they have none."""
    enlarges: ClassVar[bool] = True
    """Whether pictures smaller than `size` are brought to it; if not, they stay as they are."""
    remembers: ClassVar[bool] = False
    """Whether it colours films: predictions then have a memory, which the next frame's takes."""
    inputs: ClassVar[tuple[str, ...]] = ()
    """Fields of a `Batch` beside the pictures that `forward`, `core` and `loss` take by name."""
    targets: ClassVar[tuple[str, ...]] = ()
    """Fields of a `Batch` beside the pictures that `loss` alone takes by name, such as "label"."""
    network: nn.Module
    """The paper; released weights hold only this."""
    unsaved: ClassVar[tuple[str, ...]] = ("encoder_weights",)
    """Arguments that a weights file neither keeps nor sets: what belongs to one machine or one fit,
    such as the path of a file. A subclass that takes others names them too."""
    # torch.jit.trace looks at every attribute: without a Trainer that one is None, not an error.
    _jit_is_scripting = True

    @abstractmethod
    def forward(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Tensor:
        """Map luminance to chroma.

        Args:
            luminance: (B, 1, H, W) L in [0, 100]; H and W multiples of `stride`.
            guidance: of the kinds that `accepts` names.

        Returns:
            (B, 2, H, W) ab, in CIELAB units.
        """

    @abstractmethod
    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Named loss terms; their sum is minimized.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].
            ab: (B, 2, H, W), the true chroma in CIELAB units.
        """

    def core(self, luminance: Tensor) -> Tensor:
        """The network's own answer, from tensors to a tensor: what can be traced and exported.

        Scaling of the input is part of it, checks of the input are not. The ab itself unless a
        model answers otherwise. Models that take more have further tensors as arguments, by name,
        which are None by default.

        Args:
            luminance: (B, 1, H, W) L in [0, 100].

        Returns:
            (B, C, h, w), in the network's units, at its own resolution.
        """
        return self(luminance)  # type: ignore[no-any-return]

    def prediction(self, luminance: Tensor, answer: Tensor) -> Prediction:
        """What an answer of `core` means.

        Args:
            luminance: (B, 1, H, W) L in [0, 100], that it is an answer to.
            answer: (B, C, h, w), from `core`.
        """
        return ChromaPrediction(model=type(self).__name__, luminance=luminance, chroma=answer)

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
    ) -> Prediction:
        """What the model says about a batch, at its own resolution, before any enlargement.

        Args:
            luminance: as for `forward`.
            guidance: as for `forward`.
            memory: of the frame before, from its prediction; None at the beginning of a film.
                Models of pictures have none, and look at none.

        Returns:
            A prediction on a grid of squares of `grain` pixels; its `memory` is the next frame's.
        """
        return ChromaPrediction(
            model=type(self).__name__, luminance=luminance, chroma=self(luminance, guidance)
        )

    def first_memory(self) -> Any:
        """What to give `predict` with the first frame of a film or shot; None where nothing is.

        Overridden where a single picture, with `memory=None`, is not coloured as a first frame.
        """
        return None

    def forward_frame(
        self, luminance: Tensor, memory: Any = None, guidance: Guidance | Kind | None = None
    ) -> tuple[Tensor, Any]:
        """A frame of a film: `predict` at full size.

        Returns:
            (B, 2, H, W) ab, in CIELAB units, and what to give with the next frame.
        """
        prediction = self.predict(luminance, guidance, memory)
        ab = prediction.ab()
        if ab.shape[-2:] != luminance.shape[-2:]:
            size = luminance.shape[-2:]
            ab = F.interpolate(ab, size=size, mode="bilinear", align_corners=False)
        return ab, prediction.memory

    @property
    def accepts(self) -> frozenset[str]:
        """Kinds of guidance that this model takes, as it was made."""
        return self.takes

    @property
    def spreads_hints(self) -> bool:
        """Whether hints correct what the network says: `Prediction.with_hints`, not `predict`."""
        return False

    def check_input(self, luminance: Tensor, guidance: Guidance | Kind | None = None) -> Guidance:
        """Refuse what `forward` cannot answer for, in words that say what would work.

        Returns:
            The guidance in full.

        Raises:
            ValueError: for a wrong shape, a size that is no multiple of the stride, or guidance
                for pictures of another shape.
            TypeError: for guidance of a kind that this model does not take.
        """
        name = type(self).__name__
        if luminance.ndim != 4 or luminance.shape[1] != 1:
            raise ValueError(f"{name} takes (B, 1, H, W) luminance, got {tuple(luminance.shape)}")
        height, width = luminance.shape[-2:]
        if not height or not width or height % self.stride or width % self.stride:
            raise ValueError(
                f"{name} takes heights and widths that are multiples of {self.stride},"
                f" got {height} x {width}; deepcolor.Predictor pads any size"
            )
        given = self.check_kinds(guidance)
        given.check(luminance)
        return given

    def check_kinds(self, guidance: Guidance | Kind | None) -> Guidance:
        """Refuse guidance of kinds that this model does not take, with a TypeError.

        Returns:
            The guidance in full.
        """
        given = Guidance.of(guidance)
        for kind in sorted(given.kinds - self.accepts):
            from deepcolor.models import list_models  # which imports this module

            able = ", ".join(sorted(self.accepts)) or "none"
            # A reference is told by hints where a model takes these.
            told = {kind, "hints"} if kind == "reference" else {kind}
            others = sorted({name for one in told for name in list_models(guidance=one)})
            raise TypeError(
                f"{type(self).__name__} takes no {kind}; guidance it takes: {able}; models that"
                f" take {kind}: {', '.join(others) or 'none'}"
            )
        for kind in sorted(self.needs - given.kinds):
            raise ValueError(
                f"{type(self).__name__} has no colours of its own: it needs {kind}, as guidance="
            )
        return given
