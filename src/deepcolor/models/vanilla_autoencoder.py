"""The vanilla autoencoder (the autoencoder notebook): eight convolutions down, five up.

Two variants, told apart by `space`: YCbCr, which its author finds dull, and CIELAB, which looks
more vivid. The notebook gives the decoder twice, in code and as a table; both are here.
"""

from typing import ClassVar, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.blocks.autoencoder import (
    CODE,
    ENCODED,
    TABLE,
    ChromaCode,
    conv_decoder,
    conv_encoder,
)
from deepcolor.models._regression import RegressionColorizer

__all__ = ["VanillaAutoencoder"]

DECODERS = {"code": CODE, "table": TABLE}
INPUTS = {"ycbcr": 3, "lab": 1}  # channels: the YCbCr generator copies Y three times
KERAS_EPSILON = 1e-7  # of Adam


class VanillaAutoencoderNetwork(nn.Module):
    """Grey to scaled chroma at the same size."""

    def __init__(self, inputs: int, plan: tuple[int, ...], keras_padding: bool) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = conv_encoder(inputs, keras_padding=keras_padding)
        self.decoder = conv_decoder(ENCODED, plan)

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] -> (B, 2, H, W) in [-1, 1]."""
        x = self.encoder(grey.expand(-1, self.inputs, -1, -1))  # (B, 256, H/8, W/8)
        chroma: Tensor = self.decoder(x)
        return chroma


class VanillaAutoencoder(RegressionColorizer):
    """Regression by a plain autoencoder: 6,219,410 parameters, 6,220,562 in YCbCr.

    Args:
        space: "lab": L / 100 in, ab / 128 out; "ycbcr": Y / 255 three times in, (Cb, Cr) / 255 out.
        decoder: "code" as programmed, "table" as tabled (6,252,002 parameters with "lab").
        center: with "ycbcr": (Cb - 128, Cr - 128) / 128 out. The literal [0, 1] leaves half of
            tanh's range unused.
        legacy_truncate: with "ycbcr": cut Y, Cb and Cr to whole numbers, as the notebook does.
        keras_padding: pad right and below alone at stride 2, as Keras does.
        lr: of Adam.
        weight_decay: of Adam.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8
    grain: ClassVar[int] = 2  # the last layer but doubles the size
    network: VanillaAutoencoderNetwork

    def __init__(
        self,
        space: Literal["ycbcr", "lab"] = "lab",
        decoder: Literal["code", "table"] = "code",
        center: bool = False,
        legacy_truncate: bool = False,
        keras_padding: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        self.save_hyperparameters()
        self.code = ChromaCode(space, center, legacy_truncate)
        if decoder not in DECODERS:
            raise ValueError(f"decoder must be code or table, got {decoder!r}")
        self.network = VanillaAutoencoderNetwork(INPUTS[space], DECODERS[decoder], keras_padding)

    def core(self, luminance: Tensor) -> Tensor:
        output: Tensor = self.network(self.code.grey(luminance))
        return output

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        return self.code.encode(luminance, ab)

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        return self.code.decode(output, luminance)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam as Keras sets it by default, at a constant rate."""
        return torch.optim.Adam(
            self.parameters(), self.lr, eps=KERAS_EPSILON, weight_decay=self.weight_decay
        )
