"""Convolutions."""

from torch import Tensor, nn

__all__ = ["ConvBlock"]


class ConvBlock(nn.Module):
    """Convolution without bias, batch normalization, activation; keeps height and width.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel, odd.
        groups: `inputs` for a depthwise convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        out: Tensor = self.activation(self.norm(self.conv(x)))
        return out
