"""ConvNeXt (Liu et al. 2022) under its authors' names, with a normalized answer of each stage."""

import re
from collections.abc import Mapping
from itertools import pairwise

import torch
from timm.layers import LayerNorm2d  # type: ignore[attr-defined]
from torch import Tensor, nn

from deepcolor.blocks.backbones import read_weights
from deepcolor.blocks.fitting import listed, misfits

__all__ = ["CONVNEXTS", "ConvNeXt", "authors_names"]

CONVNEXTS = {  # blocks of the stages, channels of the stages
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}
EPSILON = 1e-6  # of the normalizations
FIRST_SCALE = 1e-6  # of what a block adds, when it is made
WIDER = 4  # within a block
RENAMED = (  # timm's names, the authors'
    (r"^stem\.", "downsample_layers.0."),
    (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
    (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
    (r"\.conv_dw\.", ".dwconv."),
    (r"\.mlp\.fc(\d)\.", r".pwconv\1."),
)


class Block(nn.Module):
    """A 7x7 convolution of each channel, then two dense layers at each place, scaled and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.pwconv1 = nn.Linear(channels, WIDER * channels)
        self.pwconv2 = nn.Linear(WIDER * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), FIRST_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        y = self.dwconv(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        y = self.pwconv1(self.norm(y))
        y = self.pwconv2(nn.functional.gelu(y))
        out: Tensor = x + (self.gamma * y).permute(0, 3, 1, 2)
        return out


class ConvNeXt(nn.Module):
    """The stages without the classifier.

    The answer of each stage is normalized for those who read it; the next stage reads it as it was.

    Args:
        name: of `CONVNEXTS`.
        weights: a .safetensors or .pth file of ImageNet weights, in timm's names or the authors',
            classifier or not; None leaves it random.
    """

    def __init__(self, name: str, weights: str | None = None) -> None:
        super().__init__()
        if name not in CONVNEXTS:
            raise ValueError(f"no ConvNeXt named {name!r}; there are: {', '.join(CONVNEXTS)}")
        depths, self.channels = CONVNEXTS[name]
        first = self.channels[0]
        self.downsample_layers = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(3, first, 4, stride=4), LayerNorm2d(first, eps=EPSILON))]
        )
        for inputs, outputs in pairwise(self.channels):
            norm = LayerNorm2d(inputs, eps=EPSILON)
            self.downsample_layers.append(
                nn.Sequential(norm, nn.Conv2d(inputs, outputs, 2, stride=2))
            )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for depth, width in zip(depths, self.channels, strict=True)
        )
        for number, width in enumerate(self.channels):
            self.add_module(f"norm{number}", LayerNorm2d(width, eps=EPSILON))
        self.norm = nn.LayerNorm(self.channels[-1], eps=EPSILON)
        self.norm.requires_grad_(False)  # of the classifier: published, and never read
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        if weights is not None:
            self._load(name, weights)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W), normalized -> the stages' answers, at 1/4, 1/8, 1/16 and 1/32."""
        answers = []
        for number, (down, stage) in enumerate(
            zip(self.downsample_layers, self.stages, strict=True)
        ):
            x = stage(down(x))
            answers.append(self.get_submodule(f"norm{number}")(x))
        return answers

    def _load(self, name: str, file: str) -> None:
        """Load a classifier's stages, strictly; norm0 to norm3 are not in it."""
        given = authors_names(read_weights(file))
        wanted = {k: v for k, v in self.state_dict().items() if k.startswith(("down", "stages"))}
        given = {key: value for key, value in given.items() if key.startswith(("down", "stages"))}
        problems = misfits(wanted, given)
        if problems:
            raise ValueError(f"{file}: the weights do not fit ConvNeXt {name}: {listed(problems)}")
        self.load_state_dict(given, strict=False)  # what is left out was compared above


def authors_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' names for weights in timm's; others stay as they are."""
    return {_authors_name(key): value for key, value in weights.items()}


def _authors_name(key: str) -> str:
    for pattern, name in RENAMED:
        key = re.sub(pattern, name, key)
    return key
