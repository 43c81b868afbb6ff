"""The plain convolutional autoencoder that three systems share, and what its chroma means."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.color import (
    join_lab,
    lab_to_rgb,
    lightness_to_grey,
    rgb_to_ycbcr,
    ycbcr_chroma_to_ab,
)

__all__ = ["CODE", "ENCODER", "TABLE", "UP", "ChromaCode", "SameConv2d", "conv_decoder",
           "conv_encoder"]  # fmt: skip

ENCODER = (  # channels, stride; all 3x3, ReLU
    (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 1), (256, 1),
)  # fmt: skip
ENCODED = ENCODER[-1][0]
UP = 0  # in the tables below: twice the size, by the nearest pixel
CODE = (128, UP, 64, UP, 32, 16, 2, UP)  # channels; the autoencoder notebook's code
TABLE = (128, UP, 64, 64, UP, 32, 2, UP)  # its table, which is Deep Koalarization's decoder

BYTE = 255.0
AB_SCALE = 128.0  # of signed ab; sRGB's reach 0.843, so that tanh never saturates
CENTRE = 128.0
NOTEBOOK_YCBCR = (  # rounded as printed; elsewhere color.rgb_to_ycbcr has all digits
    (0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813),
)  # fmt: skip


class SameConv2d(nn.Conv2d):
    """A 3x3 convolution that pads as Keras' "same": at stride 2 right and below alone."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, keras_padding: bool) -> None:
        aside = keras_padding and stride == 2
        super().__init__(inputs, outputs, 3, stride=stride, padding=0 if aside else 1)
        self.aside = aside

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) of even sides -> (B, outputs, H / stride, W / stride)."""
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.aside else x)


def _glorot(layers: list[nn.Module]) -> nn.Sequential:
    """Keras' initialization: uniform after Glorot and Bengio, biases 0."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def conv_encoder(inputs: int, *, keras_padding: bool = False) -> nn.Sequential:
    """(B, inputs, H, W) -> (B, 256, H/8, W/8): the eight convolutions of `ENCODER`.

    Args:
        inputs: channels in.
        keras_padding: pad as Keras does at stride 2, for parity pixel by pixel.
    """
    layers: list[nn.Module] = []
    for channels, stride in ENCODER:
        layers += [
            SameConv2d(inputs, channels, stride, keras_padding=keras_padding),
            nn.ReLU(inplace=True),
        ]
        inputs = channels
    return _glorot(layers)


def conv_decoder(inputs: int, plan: tuple[int, ...]) -> nn.Sequential:
    """(B, inputs, h, w) -> (B, 2, 8h, 8w) in [-1, 1]: ReLU within, tanh after the last.

    Args:
        inputs: channels in.
        plan: `CODE`, `TABLE` or another row of channels and `UP`.
    """
    layers: list[nn.Module] = []
    for step in plan:
        if step == UP:
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
            continue
        layers += [
            SameConv2d(inputs, step, 1, keras_padding=False),
            nn.Tanh() if step == 2 else nn.ReLU(inplace=True),
        ]
        inputs = step
    return _glorot(layers)


@dataclass(frozen=True)
class ChromaCode:
    """How the autoencoder models write grey and chroma in numbers, after the notebook.

    Attributes:
        space: "lab": L / 100 in, ab / 128 out. "ycbcr": Y / 255 in, (Cb, Cr) / 255 out.
        center: "ycbcr" only: (Cb - 128, Cr - 128) / 128 out, which uses all of tanh's range.
        legacy_truncate: "ycbcr" only: cut Y, Cb and Cr to whole numbers before use, as the
            notebook does, which lowers Y by one for 65 of the 256 greys.

    The contract gives a lightness, not a luma: Y is that of the grey with this lightness, in
    training as in use. Chroma is exact: decoding what was encoded gives the same ab.
    """

    space: Literal["ycbcr", "lab"] = "lab"
    center: bool = False
    legacy_truncate: bool = False

    def __post_init__(self) -> None:
        if self.space not in ("ycbcr", "lab"):
            raise ValueError(f"space must be ycbcr or lab, got {self.space!r}")
        for name in ("center", "legacy_truncate"):
            if getattr(self, name) and self.space == "lab":
                raise ValueError(f'{name} is an option of space="ycbcr"; lab has none')

    def grey(self, luminance: Tensor) -> Tensor:
        """The network's input: (B, 1, H, W) L in [0, 100] -> (B, 1, H, W) in [0, 1]."""
        if self.space == "lab":
            return luminance / 100
        grey = lightness_to_grey(luminance)
        if self.legacy_truncate:
            grey = _truncated_ycbcr(torch.cat([grey] * 3, dim=1))[:, :1] / BYTE
        return grey.to(luminance.dtype)

    def encode(self, luminance: Tensor, ab: Tensor) -> Tensor:
        """Chroma in the network's units: (B, 1, H, W) L and (B, 2, H, W) ab -> (B, 2, H, W)."""
        if self.space == "lab":
            return ab / AB_SCALE
        rgb = lab_to_rgb(join_lab(luminance, ab))
        ycbcr = _truncated_ycbcr(rgb) if self.legacy_truncate else rgb_to_ycbcr(rgb)
        chroma = ycbcr[:, 1:]
        return (chroma - CENTRE) / CENTRE if self.center else chroma / BYTE

    def decode(self, output: Tensor, luminance: Tensor) -> Tensor:
        """The inverse of `encode`; values beyond 0..255 are clipped, where bytes would wrap."""
        if self.space == "lab":
            return AB_SCALE * output
        chroma = CENTRE + CENTRE * output if self.center else BYTE * output
        return ycbcr_chroma_to_ab(luminance, chroma)


def _truncated_ycbcr(rgb: Tensor) -> Tensor:
    """The notebook's YCbCr, cut to whole numbers: (B, 3, H, W) in [0, 1] -> 0..255."""
    whole = (BYTE * rgb).round()  # the bytes of the picture
    whole = whole.cpu() if whole.device.type == "mps" else whole  # which has no float64
    red, green, blue = whole.double().unbind(1)
    rows = [r * red + g * green + b * blue for r, g, b in NOTEBOOK_YCBCR]
    offset = torch.tensor([0, CENTRE, CENTRE], dtype=torch.float64, device=whole.device)
    ycbcr = (torch.stack(rows, dim=1) + offset[:, None, None]).floor().clamp(0, BYTE)
    return ycbcr.float().to(rgb.device)
