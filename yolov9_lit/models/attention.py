"""Computational blocks of a GELAN stage, made of attention; see `models.blocks` for the rest.

Both stay affordable on the 80x80 (and, from M on, 160x160) maps of a 640-pixel input: the first
never forms the matrix of all pairs of positions, the second forms it inside small windows only.
They hold no position code of their own: the 3x3 convolution that a stage puts after every block
tells neighbours apart. Normalisation is BatchNorm, as in LeViT (arXiv 2104.01136), and is fused
away in the deploy form.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolov9_lit.models.layers import Conv

HEAD_WIDTH = 32
WINDOW = 8


def head_count(channels: int) -> int:
    """Heads of about 32 channels: the largest number up to channels / 32 that divides them."""
    most = max(channels // HEAD_WIDTH, 1)
    return next(heads for heads in range(most, 0, -1) if channels % heads == 0)


class EfficientAttention(nn.Module):
    """Attention of linear cost in H * W (arXiv 1812.01243).

    Queries are normalised over their channels and keys over all positions, so that the product
    needs no normalisation of its own and may be taken from the right: keys and values first, one
    (channels x channels) context a head. Every position sees the whole map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = head_count(channels)
        self.qkv = Conv(channels, 3 * channels, activate=False)
        self.project = Conv(channels, channels, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        qkv = self.qkv(x).flatten(2).unflatten(1, (3, self.heads, -1))
        query, key, value = qkv.unbind(1)  # each (B, heads, C / heads, H * W)
        context = value @ key.softmax(dim=-1).transpose(-2, -1)
        return self.project((context @ query.softmax(dim=-2)).flatten(1, 2).view_as(x))


class WindowAttention(nn.Module):
    """Softmax attention inside windows of 8 x 8 positions (Swin, arXiv 2103.14030, unshifted).

    A map that the windows do not tile is padded to the right and below; nothing attends to padding.
    """

    def __init__(self, channels: int, window: int = WINDOW) -> None:
        super().__init__()
        self.heads = head_count(channels)
        self.window = window
        self.qkv = Conv(channels, 3 * channels, activate=False)
        self.project = Conv(channels, channels, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        height, width = x.shape[2:]
        rows, columns = math.ceil(height / self.window), math.ceil(width / self.window)
        padding = (0, columns * self.window - width, 0, rows * self.window - height)
        query, key, value = self._split(F.pad(self.qkv(x), padding), 3 * self.heads).chunk(3, dim=1)
        mask = None
        if any(padding):
            inside = F.pad(torch.ones_like(x[:1, :1], dtype=torch.bool), padding)
            mask = self._split(inside, 1).transpose(-2, -1).repeat(1, self.heads, 1, 1)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.project(self._join(seen, rows, columns)[..., :height, :width])

    def _split(self, x: Tensor, heads: int) -> Tensor:
        """(B, C, H, W) -> (B, heads * windows, positions, C / heads).

        Windows lie beside the heads: the batch's axis of CUDA's kernels ends at 65,535.
        """
        size = self.window
        tiles = x.unflatten(3, (-1, size)).unflatten(2, (-1, size)).unflatten(1, (heads, -1))
        return tiles.permute(0, 1, 3, 5, 4, 6, 2).flatten(4, 5).flatten(1, 3)

    def _join(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """(B, heads * windows, positions, C / heads) -> (B, C, H, W), padded."""
        size = self.window
        tiles = x.unflatten(2, (size, size)).unflatten(1, (self.heads, rows, columns))
        return tiles.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4).flatten(1, 2)


class MixMLP(nn.Module):
    """The transformer's MLP with a depth-wise 3x3 inside (SegFormer's Mix-FFN, arXiv 2105.15203).

    The 3x3 carries position and lets neighbouring windows meet.
    """

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__()
        hidden = ratio * channels
        self.layers = nn.Sequential(
            Conv(channels, hidden),
            Conv(hidden, hidden, 3, groups=hidden),
            Conv(hidden, channels, activate=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.layers(x)


class _Stack(nn.Module):
    """A 1x1 convolution where the width changes, then layers that each add to their input."""

    def __init__(self, in_channels: int, out_channels: int, *layers: nn.Module) -> None:
        super().__init__()
        same = in_channels == out_channels
        self.enter = nn.Identity() if same else Conv(in_channels, out_channels)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        x = self.enter(x)
        for layer in self.layers:
            x = x + layer(x)
        return x


class AttentionBlock(_Stack):
    """Efficient attention over the whole map, `depth` times, residual."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        layers = (EfficientAttention(out_channels) for _ in range(depth))
        super().__init__(in_channels, out_channels, *layers)


class TransformerBlock(_Stack):
    """A transformer's layer, `depth` times: attention in windows, then an MLP, both residual."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        layers = [(WindowAttention(out_channels), MixMLP(out_channels)) for _ in range(depth)]
        super().__init__(in_channels, out_channels, *(part for pair in layers for part in pair))
