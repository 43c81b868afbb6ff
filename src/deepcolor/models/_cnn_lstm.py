"""The networks of the CNN-LSTM video colorizer, and what it takes for a cut."""

import torch
from torch import Tensor, nn

from deepcolor.blocks.backbones import GlobalFeatures
from deepcolor.blocks.recurrent import Recurrence
from deepcolor.models.lite import WIDTHS, LiteNetwork

__all__ = ["CLASSES", "FUSED", "CNNLSTMNetwork", "LiteFilmNetwork", "begins_shot"]

STAGES = (64, 128, 256, 512, 512)  # channels; the first three halve the size, the last is dilated
FUSED = 256  # channels of the fused features, and of the memory
CLASSES = 1000  # of the classifier whose answer is fused
CUT = 0.6  # mean change of (L - 50) / 50 above which a frame begins a new shot: 30 of L
CUT_CHI2 = 0.25  # the same of the histograms of L, in [0, 1]; within a shot it is below 0.01
LEVELS = 16  # of these histograms
LITE_SCALE = 0.25  # lite's features have a deviation of 0.8, and reach 7
REACH = 2  # squares that things may move from frame to frame, with lite's encoder


def stages(pooled: bool) -> nn.Sequential:
    """(B, 1, H, W) -> (B, 512, H/8, W/8), or H/32 where every stage ends in pooling."""
    layers: list[nn.Module] = []
    inputs = 1
    for number, outputs in enumerate(STAGES):
        stride = 2 if number < 3 and not pooled else 1
        wide = 2 if number == 4 and not pooled else 1
        if number:  # before each convolution but the first
            layers.append(nn.BatchNorm2d(inputs))
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride, padding=wide, dilation=wide),
            nn.ReLU(inplace=True),
        ]
        if pooled:
            layers.append(nn.MaxPool2d(2))
        inputs = outputs
    return nn.Sequential(*layers, nn.BatchNorm2d(inputs))


class CNNLSTMNetwork(nn.Module):
    """The paper's outline: five stages, memory, logits; `features` sees the whole picture."""

    def __init__(
        self, bins: int, hidden: int, literal: bool, features: GlobalFeatures | None, told: bool
    ) -> None:
        super().__init__()
        self.encoder = stages(pooled=literal)
        self.fusion = nn.Conv2d(STAGES[-1] + (CLASSES if told else 0), FUSED, kernel_size=1)
        self.recurrence = Recurrence(FUSED, hidden, trust=0.5)
        self.literal = literal
        if literal:  # fully connected, once for each square of 32 pixels
            self.head = nn.Sequential(nn.Conv2d(FUSED, bins, kernel_size=1))
        else:
            self.head = nn.Sequential(
                nn.ConvTranspose2d(FUSED, FUSED, kernel_size=4, stride=2, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(FUSED, bins, kernel_size=1),
            )
        self.features = features

    def seen(self, x: Tensor, vector: Tensor | None) -> Tensor:
        """Features of frames: (B, 1, H, W) in [-1, 1] -> (B, 256, H/8, W/8), or H/32."""
        local = self.encoder(x)
        if vector is not None:
            tiled = vector.to(local)[:, :, None, None].expand(-1, -1, *local.shape[-2:])
            local = torch.cat([local, tiled], dim=1)
        return torch.relu(self.fusion(local))

    def told(self, features: Tensor) -> Tensor:
        """Features -> logits (B, Q, H/4, W/4)."""
        logits: Tensor = self.head(features)
        return logits.repeat_interleave(8, 2).repeat_interleave(8, 3) if self.literal else logits


class LiteFilmNetwork(LiteNetwork):
    """Lite's network with a memory between its decoder and its head."""

    def __init__(
        self, bins: int, hidden: int, encoder_weights: dict[str, Tensor] | None = None
    ) -> None:
        super().__init__(bins, encoder_weights)
        self.recurrence = Recurrence(WIDTHS[-1], hidden, reach=REACH, scale=LITE_SCALE)

    def seen(self, x: Tensor, vector: Tensor | None = None) -> Tensor:
        """Features of frames: (B, 1, H, W) in [-1, 1] -> (B, 64, H/4, W/4)."""
        features: Tensor = self.decoder(self.encoder(x))
        return features

    def told(self, features: Tensor) -> Tensor:
        """Features -> logits (B, Q, H/4, W/4)."""
        logits: Tensor = self.head(features)
        return logits


def begins_shot(luminance: Tensor, before: Tensor) -> Tensor:
    """Which frames begin a new shot, by what they look like beside those before.

    Args:
        luminance: (B, 1, h, w), (L - 50) / 50.
        before: the same, of the frames before.

    Returns:
        (B,) bool.
    """
    change = (luminance - before).abs().mean(dim=(1, 2, 3))
    here, there = (_histogram(x) for x in (luminance, before))
    chi2 = ((here - there).square() / (here + there).clamp(min=1e-9)).sum(dim=1) / 2
    return (change > CUT) | (chi2 > CUT_CHI2)


def _histogram(luminance: Tensor) -> Tensor:
    """Shares of the levels of L: (B, LEVELS)."""
    level = ((luminance.float() + 1) / 2 * LEVELS).long().clamp(0, LEVELS - 1).flatten(1)
    counts = luminance.new_zeros(len(level), LEVELS, dtype=torch.float32)
    counts.scatter_add_(1, level, torch.ones_like(level, dtype=torch.float32))
    return counts / level.shape[1]
