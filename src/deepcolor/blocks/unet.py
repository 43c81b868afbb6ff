"""U-Nets on ResNets as fastai builds them, deep and wide, with one self-attention on the way up.

Layers stand in the order and under the names of DeOldify's release, which were fastai's.
"""

from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcolor.blocks.backbones import load_backbone
from deepcolor.blocks.normed import Enlarge, SpectralConv, WeightNormConv

__all__ = ["DynamicUnet", "SelfAttention", "UpBlock"]

BODIES = ("resnet18", "resnet34", "resnet50", "resnet101")
SKIPS = (2, 4, 5, 6)  # children of the body whose answers the way up joins: after its first ReLU,
# and after three of its four stages
ATTENTIVE = 1  # number of the block with self-attention, the deepest being 0
WIDE = 512  # channels that a wide network's factor multiplies
REACH = 3.0  # of the answer, in deviations: beyond black and white on ImageNet


def unit(inputs: int, outputs: int, attention: bool = False) -> nn.Sequential:
    """Convolution, ReLU, batch normalization: in this order."""
    layers = [SpectralConv(inputs, outputs, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([SelfAttention(outputs)] if attention else []))


class SelfAttention(nn.Module):
    """Each place adds what it finds at all others, by a factor that starts at zero.

    The softmax runs over the places that `query` reads, as in the release: those that `key` reads
    do the asking. Zhang et al. 2019.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = SpectralConv(channels, channels // 8, dimensions=1)
        self.key = SpectralConv(channels, channels // 8, dimensions=1)
        self.value = SpectralConv(channels, channels, dimensions=1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        places = x.flatten(2)  # (B, C, HW)
        asked, asking = self.query(places), self.key(places)  # (B, C / 8, HW)
        found = F.scaled_dot_product_attention(
            asking.transpose(1, 2), asked.transpose(1, 2), self.value(places).transpose(1, 2),
            scale=1.0,
        )  # fmt: skip
        return x + self.gamma * found.transpose(1, 2).reshape(x.shape)


class UpBlock(nn.Module):
    """Enlarge twofold, join what the way down saw at that size, convolve once or twice.

    Args:
        inputs: channels from below.
        skip: channels of what is joined.
        up: channels after enlarging.
        outputs: channels out.
        convs: 1, wide, or 2, deep.
        attention: whether the last convolution is followed by self-attention.
    """

    def __init__(
        self,
        inputs: int,
        skip: int,
        up: int,
        outputs: int,
        convs: Literal[1, 2] = 1,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.shuf = Enlarge.normalized(inputs, up)
        self.bn = nn.BatchNorm2d(skip)
        if convs == 1:
            self.conv = unit(up + skip, outputs, attention)
        else:
            self.conv1 = unit(up + skip, outputs)
            self.conv2 = unit(outputs, outputs, attention)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, inputs, h, w) and (B, skip, H, W), H about 2 h -> (B, outputs, H, W)."""
        x = self.shuf(x)
        if x.shape[-2:] != skip.shape[-2:]:  # below an odd number of rows or columns
            x = F.interpolate(x, size=skip.shape[-2:], mode="nearest")
        x = torch.relu_(torch.cat([x, self.bn(skip)], dim=1))
        for name, layer in self.named_children():
            x = layer(x) if name.startswith("conv") else x
        return x


class Join(nn.Module):
    """The picture itself beside what was made of it."""

    def forward(self, x: Tensor, picture: Tensor) -> Tensor:
        """(B, C, H, W) and (B, 3, H, W) -> (B, C + 3, H, W)."""
        if x.shape[-2:] != picture.shape[-2:]:
            x = F.interpolate(x, size=picture.shape[-2:], mode="nearest")
        return torch.cat([x, picture], dim=1)


class Residual(nn.Module):
    """Two convolutions, each with bias and ReLU, added to what they read."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(SpectralConv(channels, channels, 3, bias=True), nn.ReLU(inplace=True))
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        one, two = self.layers
        out: Tensor = x + two(one(x))
        return out


class Within(nn.Module):
    """Sigmoid stretched to -REACH..REACH."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return torch.sigmoid(x) * (2 * REACH) - REACH


class DynamicUnet(nn.Module):
    """A picture less its mean, by its deviation, to another of the same kind and size.

    Args:
        body: one of `BODIES`.
        deep: two convolutions a step up, of `factor` times the channels that are joined; else one,
            of `factor` times 256 (half of that in the last).
        factor: of the channels.
        weights: a file of the body's ImageNet weights, for `load_backbone`; None leaves it random.
    """

    def __init__(self, body: str, deep: bool, factor: float, weights: str | None = None) -> None:
        super().__init__()
        if body not in BODIES:
            raise ValueError(f"no body named {body!r}; there are: {', '.join(BODIES)}")
        # Random residual branches must not start at zero: nothing would reach their convolutions.
        whole: Any = timm.create_model(body, zero_init_last=False)
        if weights is not None:
            load_backbone(whole, body, weights)
        down = nn.Sequential(*list(whole.children())[:-2])  # all but the pooling and the classifier
        down.pretrained_cfg = whole.pretrained_cfg  # its licence
        *skips, channels = (level["num_chs"] for level in whole.feature_info)
        layers: list[nn.Module] = [
            down,
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Sequential(unit(channels, 2 * channels), unit(2 * channels, channels)),
        ]
        for number, skip in enumerate(reversed(skips)):
            last, attention = number == len(skips) - 1, number == ATTENTIVE
            if deep:
                up = channels // 2
                outputs = int(factor * ((up + skip) // 2 if last else up + skip))
                layers.append(UpBlock(channels, skip, up, outputs, 2, attention))
            else:
                outputs = int(factor * WIDE) // (4 if last else 2)
                layers.append(UpBlock(channels, skip, outputs, outputs, 1, attention))
            channels = outputs
        enlarging = WeightNormConv(channels, 4 * channels, shuffle=2)
        layers += [
            Enlarge(nn.Sequential(enlarging)),
            Join(),
            Residual(channels + 3),
            nn.Sequential(SpectralConv(channels + 3, 3, bias=True)),
            Within(),
        ]
        self.layers = nn.ModuleList(layers)

    @property
    def body(self) -> nn.Module:
        """The ResNet: the way down."""
        return self.layers[0]

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W) in [-3, 3]; H and W multiples of 16."""
        down, norm, relu, middle, *ups = self.layers[:-5]
        enlarge, join, residual, last, within = self.layers[-5:]
        x, skips = picture, []
        for number, layer in enumerate(down.children()):
            x = layer(x)
            if number in SKIPS:
                skips.append(x)
        x = middle(relu(norm(x)))  # (B, C, H/32, W/32)
        for up in ups:
            x = up(x, skips.pop())  # to (B, C', H/2, W/2)
        x = residual(join(enlarge(x), picture))
        answer: Tensor = within(last(x))
        return answer
