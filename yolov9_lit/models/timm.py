"""Networks of timm as backbones: PGI beyond GELAN.

PyTorch Image Models (timm, https://github.com/huggingface/pytorch-image-models) is an extra of this
project and is imported when a network is made.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from yolov9_lit.errors import UserError
from yolov9_lit.models.gelan import BackboneOutput, GelanSpec
from yolov9_lit.models.layers import Conv
from yolov9_lit.models.levels import DEEPEST, strides_of

_OTHERS = "choose a convolutional one, such as resnet18, mobilenetv3_small_050 or convnext_atto"


class TimmBackbone(nn.Module):
    """A network of timm, its maps brought to a GELAN model's widths by 1x1 convolutions.

    Neck and auxiliary branches are built for these widths, so every one of them fits. Images are
    normalised as the network's published weights want it, with fresh weights too.

    Attributes:
        net: timm's network without its classifier.
        projections: the 1x1 convolutions.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: GelanSpec, name: str, pretrained: bool = False) -> None:
        """Build the network with fresh weights; nothing is downloaded.

        Args:
            spec: model whose widths the levels get and whose images are read.
            name: of a network in timm, with or without the tag of its weights: "resnet18",
                "resnet18.a1_in1k".
            pretrained: the published weights are wanted: `load_pretrained` takes them.

        Raises:
            UserError: timm is not installed or has no such network or weights, or the network does
                not give the finest level that heads read to P5 of images of any size.
        """
        super().__init__()
        timm = _timm()
        if not timm.is_model(name):
            near = ", ".join(get_close_matches(name, timm.list_models(), n=3, cutoff=0.0))
            raise UserError(f"timm has no network {name!r}: the nearest are {near}.")
        weights = timm.get_pretrained_cfg(name)
        if pretrained and not weights.has_weights:
            raise UserError(f"timm has no weights of {name}: give pretrained=false.")
        self.name, self.pretrained, self.in_channels = name, pretrained, spec.in_channels
        self.net = self._make(pretrained=False)
        channels, strides = (getattr(self.net.feature_info, k)() for k in ("channels", "reduction"))
        finest = spec.levels[0]
        self.strides = strides_of(range(finest, DEEPEST + 1))
        if not set(self.strides) <= set(strides):
            found, read = (", ".join(map(str, some)) for some in (strides, self.strides))
            raise UserError(
                f"{name} of timm has maps of strides {found}, a detector reads those of {read}: "
                f"{_OTHERS}."
            )
        self.levels = [strides.index(stride) for stride in self.strides]
        self._try([channels[level] for level in self.levels])
        self.projections = nn.ModuleList(
            Conv(channels[level], width)
            for level, width in zip(self.levels, spec.column_channels[finest - 1 :], strict=True)
        )
        for key in ("mean", "std"):
            values = torch.tensor(getattr(weights, key))
            if len(values) != spec.in_channels:
                values = values.mean().expand(spec.in_channels)
            self.register_buffer(key, values.clone().view(-1, 1, 1))

    def forward(self, image: Tensor) -> BackboneOutput:
        """(B, in_channels, H, W) in 0..1, H and W multiples of 32 -> the finest level to P5."""
        maps = self.net((image - self.mean) / self.std)
        pyramid = tuple(
            projection(maps[level])
            for projection, level in zip(self.projections, self.levels, strict=True)
        )
        return BackboneOutput(pyramid, pyramid)

    def load_pretrained(self) -> None:
        """Take the published weights, from timm's cache or the internet.

        Raises:
            UserError: they cannot be read.
        """
        try:
            published = self._make(pretrained=True)
        except Exception as error:  # Of timm, its hub and the network, each with its own.
            first = str(error).strip().split("\n")[0].rstrip(".")
            raise UserError(
                f"The published weights of {self.name} cannot be had ({first}): connect to the "
                "internet, or give model.backbone.pretrained=false."
            ) from error
        self.net.load_state_dict(published.state_dict())

    def fuse(self) -> None:
        """Merge the branches of networks that are re-parameterised (RepVGG, MobileOne, ...)."""
        net = _timm().utils.reparameterize_model(self.net, inplace=True)
        self.net = net.eval().requires_grad_(False)

    def _make(self, pretrained: bool) -> Any:
        return _timm().create_model(
            self.name, pretrained=pretrained, features_only=True, in_chans=self.in_channels
        )

    @torch.no_grad()
    def _try(self, channels: list[int]) -> None:
        """Raise UserError if the maps of a small image are not as wide and large as they should be.

        Some networks take images of one size only.
        """
        height, width = 64, 96
        try:
            maps = self.net.eval()(torch.empty(1, self.in_channels, height, width))
        except (AssertionError, RuntimeError, ValueError) as error:
            first = str(error).split("\n")[0].rstrip(".")
            raise UserError(
                f"{self.name} of timm does not take images of any size ({first}): {_OTHERS}."
            ) from error
        finally:
            self.net.train()
        for level, stride, count in zip(self.levels, self.strides, channels, strict=True):
            found, needed = tuple(maps[level].shape[1:]), (count, height // stride, width // stride)
            if found != needed:
                raise UserError(
                    f"{self.name} of timm gives a map of shape {found} where a detector reads one "
                    f"of {needed}: {_OTHERS}."
                )


def load_pretrained(detector: nn.Module) -> None:
    """Take the published weights of all backbones that want them.

    Raises:
        UserError: they cannot be read.
    """
    for module in detector.modules():
        if isinstance(module, TimmBackbone) and module.pretrained:
            module.load_pretrained()


def _timm() -> Any:
    """Import timm.

    Raises:
        UserError: it is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise UserError(
            "This needs timm, which is not installed: pip install -e '.[timm]'."
        ) from error
    return timm
