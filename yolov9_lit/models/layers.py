"""The layers GELAN is made of (YOLOv9, arXiv 2402.13616, sections 4.1 and 4.2).

All take and give (B, channels, H, W). Layers with a `fuse` method fold their batch normalisation
(and parallel branches) into one convolution, in place, for deployment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

BN_EPS = 1e-3
BN_MOMENTUM = 0.03


def _conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels, eps=BN_EPS, momentum=BN_MOMENTUM))


def _fused(conv_bn: nn.Module) -> nn.Conv2d:
    if isinstance(conv_bn, nn.Conv2d):  # is fused already
        return conv_bn
    assert isinstance(conv_bn, nn.Sequential)
    conv, bn = conv_bn
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(bn, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, bn)


class Conv(nn.Module):
    """Bias-free convolution, batch normalisation, SiLU; "same" padding for odd kernels.

    `activate=False` leaves SiLU out: for queries, keys, values and what is added to a residual.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        *,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.conv: nn.Module = _conv_bn(in_channels, out_channels, kernel, stride, groups)
        self.act = nn.SiLU() if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        return self.act(self.conv(x))

    def fuse(self) -> None:
        """Fold the batch normalisation into the convolution, activate in place."""
        self.conv = _fused(self.conv)
        if isinstance(self.act, nn.SiLU):
            self.act.inplace = True


class RepConv(nn.Module):
    """RepVGG-style 3x3 convolution: trains a 3x3 and a 1x1 branch, deploys one 3x3 (section 4.2).

    There is no identity branch, as in planned re-parameterisation (YOLOv7, arXiv 2207.02696).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv3: nn.Module = _conv_bn(in_channels, out_channels, 3)
        self.conv1: nn.Module | None = _conv_bn(in_channels, out_channels, 1)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        y = self.conv3(x)
        if self.conv1 is not None:
            y = y + self.conv1(x)
        return self.act(y)

    def fuse(self) -> None:
        """Merge both branches and their batch normalisations into the 3x3, activate in place."""
        if self.conv1 is None:
            return
        conv3, conv1 = _fused(self.conv3), _fused(self.conv1)
        assert conv3.bias is not None
        assert conv1.bias is not None
        conv3.weight.data += F.pad(conv1.weight.data, (1, 1, 1, 1))
        conv3.bias.data += conv1.bias.data
        self.conv3, self.conv1 = conv3, None
        self.act.inplace = True


class AConv(nn.Module):
    """Down-sampling by 2: 2x2 average pooling of stride 1, then a 3x3 convolution of stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv(in_channels, out_channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / 2, W / 2)."""
        return self.conv(F.avg_pool2d(x, 2, 1))


class ADown(nn.Module):
    """Down-sampling by 2 in two halves, after the pooling of AConv.

    One half of the channels goes through a 3x3 convolution of stride 2, the other through a 3x3
    max-pool of stride 2 and a 1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv3 = Conv(in_channels // 2, out_channels // 2, 3, 2)
        self.conv1 = Conv(in_channels // 2, out_channels // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / 2, W / 2)."""
        strided, pooled = F.avg_pool2d(x, 2, 1).chunk(2, dim=1)
        return torch.cat((self.conv3(strided), self.conv1(F.max_pool2d(pooled, 3, 2, 1))), dim=1)


class SPPELAN(nn.Module):
    """Spatial pyramid pooling in ELAN form: 1x1, three chained 5x5 max-pools, concat, 1x1."""

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int) -> None:
        super().__init__()
        self.reduce = Conv(in_channels, mid_channels)
        self.expand = Conv(4 * mid_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W)."""
        scales = [self.reduce(x)]
        for _ in range(3):
            scales.append(F.max_pool2d(scales[-1], 5, 1, 2))
        return self.expand(torch.cat(scales, dim=1))


class CBLinear(nn.Module):
    """Composite-backbone link, sending end: a biased 1x1 convolution split by target level.

    From CBNet (arXiv 1909.03625, 2107.00420); the "DHLC" linkage of the YOLOv9 paper, appendix.
    """

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.conv = nn.Conv2d(in_channels, sum(self.widths), 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in, H, W) -> one (B, width, H, W) for each width."""
        return self.conv(x).split(self.widths, dim=1)


def cb_fuse(x: Tensor, links: Sequence[Tensor]) -> Tensor:
    """Composite-backbone link, receiving end: add the links, nearest-up-sampled to x's size.

    Args:
        x: (B, C, H, W).
        links: each (B, C, h, w) with h <= H and w <= W.

    Returns:
        (B, C, H, W).
    """
    for link in links:
        x = x + F.interpolate(link, size=x.shape[2:], mode="nearest")
    return x


@contextmanager
def statistics_as_they_are(module: nn.Module) -> Iterator[None]:
    """Keep batch normalisation from counting a batch twice that a module is given again."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    usual = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, usual, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
