"""Learned colour queries that look at a pyramid of features (Kang et al. 2023, after Mask2Former).

Names are those of DDColor's release.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ColourDecoder", "sine_positions"]

HEADS = 8
FEED_FORWARD = 8  # times the width, within a dense layer
TEMPERATURE = 10_000.0  # of the wave lengths
EPSILON = 1e-6


def sine_positions(like: Tensor, width: int) -> Tensor:
    """Where each place lies, in waves (Carion et al. 2020), the picture being 2 pi high and wide.

    Args:
        like: (B, C, H, W), for its size.
        width: of the answer, a multiple of 4: half for rows, half for columns.

    Returns:
        (1, HW, width), sine and cosine in turns.
    """
    ones = torch.ones_like(like[:1, 0], dtype=torch.float32)  # (1, H, W)
    step = torch.arange(width // 2, device=like.device) // 2
    lengths = TEMPERATURE ** (4 * step / width)
    waves = []
    for axis in (1, 2):
        place = ones.cumsum(axis)
        place = 2 * math.pi * place / (place.amax(axis, keepdim=True) + EPSILON)
        angle = place[..., None] / lengths  # (1, H, W, width / 2)
        waves.append(torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], 4).flatten(3))
    return torch.cat(waves, dim=3).flatten(1, 2)


class CrossAttention(nn.Module):
    """Queries read a memory; what they find is added, and the sum normalized."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, place: Tensor, memory: Tensor, where: Tensor) -> Tensor:
        """(B, Q, C), their places, (B, HW, C) and its places -> (B, Q, C)."""
        found, _ = self.multihead_attn(x + place, memory + where, memory, need_weights=False)
        normed: Tensor = self.norm(x + found)
        return normed


class QueryAttention(nn.Module):
    """Queries read each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        """(B, Q, C) and their places -> (B, Q, C)."""
        found, _ = self.self_attn(x + place, x + place, x, need_weights=False)
        normed: Tensor = self.norm(x + found)
        return normed


class FeedForward(nn.Module):
    """Two dense layers with a ReLU between, added and normalized."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, FEED_FORWARD * width)
        self.linear2 = nn.Linear(FEED_FORWARD * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, Q, C) -> (B, Q, C)."""
        normed: Tensor = self.norm(x + self.linear2(torch.relu(self.linear1(x))))
        return normed


class Perceptron(nn.Module):
    """Three dense layers with ReLUs between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, Q, C) -> (B, Q, C)."""
        one, two, three = self.layers
        out: Tensor = three(torch.relu(two(torch.relu(one(x)))))
        return out


class ColourDecoder(nn.Module):
    """Queries that become colours by reading features, and say how much of each a pixel has.

    Args:
        channels: of the features to read, coarse to fine.
        width: of the queries and of the pixels' features, a multiple of 8.
        queries: how many.
        layers: how many times they read, each time the next features.
    """

    def __init__(self, channels: Sequence[int], width: int, queries: int, layers: int) -> None:
        super().__init__()
        self.query_feat = nn.Embedding(queries, width)
        self.query_embed = nn.Embedding(queries, width)
        self.level_embed = nn.Embedding(len(channels), width)
        self.input_proj = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.transformer_self_attention_layers = nn.ModuleList(
            QueryAttention(width) for _ in range(layers)
        )
        self.transformer_cross_attention_layers = nn.ModuleList(
            CrossAttention(width) for _ in range(layers)
        )
        self.transformer_ffn_layers = nn.ModuleList(FeedForward(width) for _ in range(layers))
        self.decoder_norm = nn.LayerNorm(width)
        self.color_embed = Perceptron(width)
        self.width = width
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, features: Sequence[Tensor], pixels: Tensor) -> Tensor:
        """Features (B, channels[i], h, w) and pixels (B, width, H, W) -> (B, queries, H, W)."""
        memories, places = [], []
        for number, (project, feature) in enumerate(zip(self.input_proj, features, strict=True)):
            places.append(sine_positions(feature, self.width).to(feature.dtype))
            memory = project(feature).flatten(2).transpose(1, 2)  # (B, hw, width)
            memories.append(memory + self.level_embed.weight[number])
        place = self.query_embed.weight[None]  # (1, Q, width)
        x = self.query_feat.weight.expand(len(pixels), -1, -1)
        layers = zip(
            self.transformer_cross_attention_layers,
            self.transformer_self_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        )
        for number, (look, talk, think) in enumerate(layers):
            level = number % len(memories)
            x = think(talk(look(x, place, memories[level], places[level]), place))
        colours = self.color_embed(self.decoder_norm(x))  # (B, Q, width)
        return torch.einsum("bqc,bchw->bqhw", colours, pixels)
