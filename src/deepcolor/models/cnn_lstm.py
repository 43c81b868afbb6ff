"""The CNN-LSTM video colorizer: a convolutional network that remembers the frames before.

Five stages of convolutions read the luminance of a frame, a ConvLSTM joins them with what was kept
of the film, and a 313-bin head says which colours are likely. Single pictures, and the first frame
of each shot, go past the memory. What the paper leaves open (all but the outline) is ours.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.batch import Batch
from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.blocks.hints import HintSpread
from deepcolor.blocks.recurrent import Memory
from deepcolor.color import lightness_to_grey, rgb_to_lab, split_lab
from deepcolor.guidance import Guidance, Kind
from deepcolor.losses.temporal import TEMPORAL_SHARE, temporal_loss
from deepcolor.models._classification import ClassificationColorizer
from deepcolor.models._cnn_lstm import (
    CLASSES,
    FUSED,
    CNNLSTMNetwork,
    LiteFilmNetwork,
    begins_shot,
)
from deepcolor.models._training import Colorizer
from deepcolor.models.koalarization import CLASSIFIER, CLASSIFIER_MEAN, CLASSIFIER_STD, SIDE
from deepcolor.models.lite import WIDTHS, Lite, read_encoder_weights
from deepcolor.models.prediction import BinPrediction
from deepcolor.quantize import AbQuantizer

__all__ = ["CNNLSTM", "Memory"]

WHOLE = 0.99  # of a square that was visible
BAND = 16  # rows that are decoded at once: softmax copies its input
TRUNCATED = 4  # frames that gradients go back through


class CNNLSTM(ClassificationColorizer):
    """A video colorizer with a convolutional memory.

    Without memory, or with `first_memory()`, `predict` colours past it, as a single picture; its
    prediction's `memory` goes with the next frame. Frames that begin a shot are found, or told so.

    Training takes batches of clips, (B, T, 3, H, W), and single pictures.

    Args:
        encoder: "paper", or "lite": the encoder, decoder and head of the model of that name, whose
            weights it can start from. It then colours single pictures as that does until trained.
        features: a global vector of the picture beside the paper's encoder: "none", "live" by a
            frozen Inception-ResNet-v2 within the network, or "given" as `vector=`.
        literal: pool after every stage, and tell one distribution for each square of 32 pixels, as
            the paper says it to the letter. No picture comes of it: a control.
        hidden: channels of the memory; None is 256 of the paper's encoder, 64 of lite's.
        temperature: of the annealed mean, in [0, 1].
        gain: chroma is the annealed mean times this, in (0, 2].
        mix: lambda of class rebalancing, in [0, 1]; 1 is none.
        neighbours: bins that share a pixel in soft encoding.
        temporal: share of the temporal term in the loss of clips.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW.
        encoder_weights: to start from: a file of Inception-ResNet-v2's for features="live", or
            what Lite takes for encoder="lite".
        trains: "all", or "memory": only what remembers, so that single pictures keep their colours
            to the bit.
    """

    size: ClassVar[int] = 192
    stride: ClassVar[int] = 32
    grain: ClassVar[int] = 4
    takes: ClassVar[frozenset[str]] = frozenset({"hints"})
    remembers: ClassVar[bool] = True
    inputs: ClassVar[tuple[str, ...]] = ("vector",)
    unsaved: ClassVar[tuple[str, ...]] = ("encoder_weights", "trains")
    network: CNNLSTMNetwork | LiteFilmNetwork

    def __init__(
        self,
        encoder: Literal["paper", "lite"] = "paper",
        features: Literal["none", "live", "given"] = "none",
        literal: bool = False,
        hidden: int | None = None,
        temperature: float = 0.38,
        gain: float = 1.0,
        mix: float = 0.5,
        neighbours: int = 5,
        temporal: float = TEMPORAL_SHARE,
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        encoder_weights: str | None = None,
        trains: Literal["all", "memory"] = "all",
    ) -> None:
        super().__init__(AbQuantizer.gamut313(neighbours), temperature, mix, lr, weight_decay)
        for name, value, among in (
            ("encoder", encoder, ("paper", "lite")),
            ("features", features, ("none", "live", "given")),
            ("trains", trains, ("all", "memory")),
        ):
            if value not in among:
                raise ValueError(f"{name} must be one of {', '.join(among)}, got {value!r}")
        if encoder == "lite" and (literal or features != "none"):
            raise ValueError("literal= and features= are of the paper's encoder, not of lite's")
        if hidden is not None and hidden < 1:
            raise ValueError(f"hidden must be at least 1 channel, got {hidden}")
        if not 0 < gain <= 2:
            raise ValueError(f"gain must lie in (0, 2], got {gain}; 1 leaves chroma as it is")
        if temporal < 0:
            raise ValueError(f"temporal must be at least 0, got {temporal}")
        if encoder == "paper" and features != "live" and encoder_weights is not None:
            raise ValueError('encoder_weights are for features="live" or encoder="lite"')
        self.save_hyperparameters(ignore=["encoder_weights", "trains"])
        self.told = features != "none"
        self.gain = gain
        self.temporal = temporal
        self.trains = trains
        bins = self.quantizer.bins
        if encoder == "lite":
            weights = None if encoder_weights is None else read_encoder_weights(encoder_weights)
            self.network = LiteFilmNetwork(bins, hidden or WIDTHS[-1], weights)
        else:
            inception = self.classifier(encoder_weights) if features == "live" else None
            self.network = CNNLSTMNetwork(bins, hidden or FUSED, literal, inception, self.told)
            self.spread = HintSpread().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)
        for part in self._frozen():
            part.requires_grad_(False).eval()

    @staticmethod
    def classifier(weights: str | None) -> GlobalFeatures:
        """The Inception-ResNet-v2 that sees whole pictures."""
        return GlobalFeatures(
            CLASSIFIER, SIDE, "logits", CLASSIFIER_MEAN, CLASSIFIER_STD, classes=CLASSES,
            weights=weights,
        )  # fmt: skip

    def _frozen(self) -> list[nn.Module]:
        if self.trains == "all":
            return []
        return [part for name, part in self.network.named_children() if name != "recurrence"]

    def train(self, mode: bool = True) -> "CNNLSTM":
        """As `Module.train`; what is frozen stays in evaluation mode and keeps its statistics."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def kin(self) -> tuple[type[Colorizer], ...]:
        """Its own class, and Lite where that is its encoder."""
        return (type(self), *([Lite] if isinstance(self.network, LiteFilmNetwork) else []))

    def start_from(self, trained: Colorizer) -> None:
        """Take the weights of a trained model of this kind, or of Lite all but the memory."""
        weights = trained.network.state_dict()
        if isinstance(self.network, LiteFilmNetwork):
            own = self.network.state_dict()
            weights = {k: own[k] for k in own if k.startswith("recurrence.")} | weights
        self.network.load_state_dict(weights, strict=True)

    @property
    def spreads_hints(self) -> bool:
        return True

    def decode(self, logits: Tensor, temperature: float | None = None) -> Tensor:
        if isinstance(self.network, LiteFilmNetwork):
            return self.gain * super().decode(logits, temperature)
        parts = torch.split(logits, BAND, dim=2)
        bands = [super(CNNLSTM, self).decode(part, temperature) for part in parts]
        return self.gain * torch.cat(bands, dim=2)

    def core(self, luminance: Tensor, vector: Tensor | None = None) -> Tensor:
        return self.network.told(self.seen(luminance, vector))

    def seen(self, luminance: Tensor, vector: Tensor | None = None) -> Tensor:
        """What the network makes of frames by themselves: (B, 1, H, W) L -> (B, C, h, w)."""
        if not self.told:
            vector = None
        elif vector is None:
            vector = self.global_vector(luminance)
        return self.network.seen((luminance - 50) / 50, vector)

    def global_vector(self, luminance: Tensor) -> Tensor:
        """What the live classifier says: (B, 1, H, W) L -> (B, 1000)."""
        features: Any = self.network.features
        if features is None:
            raise ValueError(
                f'CNNLSTM with features="given" needs vector=(B, {CLASSES}), or batches'
                " (rgb, vector)"
            )
        vector: Tensor = features(lightness_to_grey(luminance))
        return vector

    def remember(
        self, features: Tensor, luminance: Tensor, memory: Memory | None
    ) -> tuple[Tensor, Memory]:
        """Join a frame's features with what is kept of the film.

        Args:
            features: (B, C, h, w), by `seen`.
            luminance: (B, 1, H, W) L in [0, 100].
            memory: of the frame before; None at the beginning of a film.

        Returns:
            Features for the head, and what to keep. Where a shot begins the features are those
            given, to the bit.
        """
        recurrence = self.network.recurrence
        small = F.interpolate((luminance - 50) / 50, size=features.shape[-2:], mode="area").to(
            features
        )
        if memory is None or not memory.luminance.numel():
            return features, recurrence.begin(features, small)
        if memory.luminance.shape != small.shape:
            raise ValueError(
                f"memory of {len(memory.luminance)} frames of {tuple(memory.luminance.shape[-2:])}"
                f" squares, and {len(small)} frames of {tuple(small.shape[-2:])}: the frames of a"
                " film have one size"
            )
        mixed, kept = recurrence(features, small, memory)
        fresh = begins_shot(small, memory.luminance)
        if bool(fresh.any()):
            mixed = torch.where(fresh[:, None, None, None], features, mixed)
            kept = recurrence.begin(features, small).where(fresh, kept)
        return mixed, kept

    def first_memory(self) -> Memory:
        return Memory.empty()

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
        vector: Tensor | None = None,
    ) -> BinPrediction:
        """As `Colorizer.predict`; memory is a `Memory`, `vector` is (B, 1000)."""
        given = self.check_input(luminance, guidance)
        if memory is not None and not isinstance(memory, Memory):
            raise TypeError(f"CNNLSTM remembers a Memory, got {type(memory).__name__}")
        features = self.seen(luminance, vector)
        mixed, kept = self.remember(features, luminance, memory)
        plain = self.prediction(luminance, self.network.told(mixed))
        if isinstance(self.network, LiteFilmNetwork):
            told = replace(plain, memory=kept, features=features, spread=self.network.hints)
        else:
            told = replace(plain, memory=kept, spread=self.spread)
        return told if given.hints is None else told.with_hints(given.hints)

    def forward(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """As `Colorizer.forward`; `vector` is (B, 1000), which features="given" needs."""
        if self.check_input(luminance, guidance).hints is None:  # no memory is begun
            ab = self.decode(self.core(luminance, vector)).float()
        else:
            ab = self.predict(luminance, guidance, vector=vector).ab()
        return F.interpolate(ab, size=luminance.shape[-2:], mode="bilinear", align_corners=False)

    def film(self, luminance: Tensor, vector: Tensor | None = None) -> list[Tensor]:
        """Logits of the frames of clips, each with the memory of those before.

        Args:
            luminance: (B, T, 1, H, W) L in [0, 100].
            vector: (B, 1000), of the clips.

        Returns:
            T times (B, Q, H/4, W/4). Gradients go back through four frames.
        """
        batch, frames = luminance.shape[:2]
        if vector is not None:
            vector = vector.repeat_interleave(frames, dim=0)
        self.check_input(luminance.flatten(0, 1))
        features = self.seen(luminance.flatten(0, 1), vector)
        return self._unrolled(features.view(batch, frames, *features.shape[1:]), luminance)

    def _unrolled(self, features: Tensor, luminance: Tensor) -> list[Tensor]:
        """As `film`, of (B, T, C, h, w) features."""
        memory: Memory | None = None
        logits = []
        for number in range(features.shape[1]):
            if memory is not None and number % TRUNCATED == 0:
                memory = memory.detached()
            mixed, memory = self.remember(features[:, number], luminance[:, number], memory)
            logits.append(self.network.told(mixed))
        return logits

    def film_terms(
        self,
        logits: Sequence[Tensor],
        luminance: Tensor,
        ab: Tensor,
        flow: Tensor | None = None,
        visible: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Cross-entropy of the frames of clips, and what flickers from one to the next.

        Args:
            logits: T times (B, Q, H/4, W/4), by `film`.
            luminance: (B, T, 1, H, W) L in [0, 100], by which places are told to be alike.
            ab: (B, T, 2, H, W), the truth.
            flow: (B, T, 2, H, W), as of `Batch`; None where nothing is known of motion.
            visible: (B, T, 1, H, W), as of `Batch`.
        """
        size = logits[0].shape[-2:]
        entropy = torch.stack([self.cross_entropy(z, ab[:, t]) for t, z in enumerate(logits)])
        terms = {"cross_entropy": entropy.mean()}
        if len(logits) == 1 or self.temporal == 0:
            return terms

        def small(x: Tensor) -> Tensor:
            return F.interpolate(x.float(), size=size, mode="area")

        change, before = [], self.decode(logits[0])
        for t in range(1, len(logits)):
            chroma = self.decode(logits[t])
            moved = None if flow is None else small(flow[:, t]) / self.grain
            shown = None if visible is None else small(visible[:, t]) > WHOLE
            grey = small(luminance[:, t]), small(luminance[:, t - 1])
            change.append(temporal_loss(chroma, before, *grey, moved, shown))
            before = chroma
        terms["temporal"] = self.temporal * torch.stack(change).mean()
        return terms

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Of clips: the loss of their frames, and of what flickers between them."""
        if not batch.is_clips:
            return super().terms(batch)
        luminance, ab = batch.lab()
        clean, _ = split_lab(rgb_to_lab(batch.truth()))
        logits = self.film(luminance, batch.vector)
        return self.film_terms(logits, clean, ab, batch.flow, batch.visible)

    def loss(
        self, luminance: Tensor, ab: Tensor, vector: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Of single pictures; in training each is a film of two frames that are alike."""
        self.check_input(luminance)
        features = self.seen(luminance, vector)
        if not self.training:
            return {"cross_entropy": self.cross_entropy(self.network.told(features), ab)}
        features, luminance, ab = (torch.stack([x, x], dim=1) for x in (features, luminance, ab))
        return self.film_terms(self._unrolled(features, luminance), luminance, ab)
