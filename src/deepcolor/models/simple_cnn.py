"""The four-layer network of the simple-CNN report: grey to RGB.

The report's text tells of 313 classes and of features fused in; its code, which this follows, is a
regression of RGB. Its last activation, a ReLU, cannot reach the lower half of its targets.
"""

from typing import ClassVar, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcolor.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from deepcolor.models._regression import RegressionColorizer

__all__ = ["SimpleCNN"]

CHANNELS = 12
BIAS = 0.05  # biases start uniform within
LAST = {"relu": nn.ReLU, "tanh": nn.Tanh, "linear": nn.Identity}


class SimpleCNNNetwork(nn.Module):
    """Two valid convolutions and two transposed ones, which give the size back."""

    def __init__(self, inputs: int, last: str) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, CHANNELS, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(CHANNELS, CHANNELS, 3),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 3),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(CHANNELS, 3, 3),
            LAST[last](),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert layer.bias is not None
                nn.init.xavier_uniform_(layer.weight)  # Keras's default
                nn.init.uniform_(layer.bias, -BIAS, BIAS)

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) in [-1, 1], H and W above 4 -> (B, 3, H, W) RGB, of which -1 is black."""
        rgb: Tensor = self.layers(grey.expand(-1, self.inputs, -1, -1))
        return rgb


class SimpleCNN(RegressionColorizer):
    """Regression of RGB by four layers: 3,279 parameters, 3,063 with one channel in.

    Args:
        last: activation of the output: "relu" as the report's code, whose outputs leave the darker
            half of all targets out of reach; "tanh" or "linear" mend that.
        inputs: 3 for the grey copied, as the report trains, or 1.
        regression: "mse", or "pairwise", the mean squared error of all differences between two
            values of a picture, blind to what all its values are off by. The report's loss is cut
            off in its source: "mse" is assumed; notebooks of the same ancestry take "pairwise".
        lr: of Adam; the report's is not known.
        weight_decay: of Adam.
    """

    size: ClassVar[int] = 224
    stride: ClassVar[int] = 8  # any height above 4 would do; padded strips always are
    network: SimpleCNNNetwork

    def __init__(
        self,
        last: Literal["relu", "tanh", "linear"] = "tanh",
        inputs: Literal[1, 3] = 3,
        regression: Literal["mse", "pairwise"] = "mse",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(lr, weight_decay)
        if last not in LAST:
            raise ValueError(f"last must be one of {', '.join(LAST)}, got {last!r}")
        if inputs not in (1, 3):
            raise ValueError(f"inputs must be 1 or 3, got {inputs}")
        if regression not in ("mse", "pairwise"):
            raise ValueError(f"regression must be mse or pairwise, got {regression!r}")
        self.save_hyperparameters()
        self.regression = regression
        self.network = SimpleCNNNetwork(inputs, last)

    def core(self, luminance: Tensor) -> Tensor:
        """(B, 1, H, W) L -> (B, 3, H, W): this network answers RGB, x / 127.5 - 1 of bytes."""
        rgb: Tensor = self.network(luminance / 50 - 1)  # L as a byte, 2.55 L, scaled alike
        return rgb

    def encode_target(self, luminance: Tensor, ab: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [-1, 1]."""
        return 2 * lab_to_rgb(join_lab(luminance, ab)) - 1

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        """The chroma of the RGB, clipped; the photograph's own luminance takes the place of L."""
        return split_lab(rgb_to_lab(((output + 1) / 2).clamp(0, 1)))[1]

    def regression_loss(self, output: Tensor, luminance: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """As the family's, or pairwise: a mean over pictures, where TensorFlow's is a sum."""
        if self.regression == "mse":
            return super().regression_loss(output, luminance, ab)
        error = output.float() - self.encode_target(luminance, ab)
        # The mean of (d_i - d_j)^2 over all pairs is twice the variance of d.
        return {"pairwise": 2 * error.flatten(1).var(dim=1).mean()}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return torch.optim.Adam(self.parameters(), self.lr, weight_decay=self.weight_decay)
