"""Decoupled anchor-free head with distribution focal loss bins (DFL, arXiv 2006.04388)."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from yolov9_lit.errors import UserError
from yolov9_lit.models.layers import Conv
from yolov9_lit.models.levels import STRIDES
from yolov9_lit.structures import HeadOutput

BINS = 16


class BaseHead(nn.Module):
    """What every head has: it reads feature maps and decodes its output.

    Attributes:
        task: what it finds, by the name of the task's config.
        finds: fields of its output beside boxes and classes.
        num_keypoints: K, of an object; 0 where the head finds none.
        num_classes: C.
        strides: input pixels per cell of each feature map.
    """

    task: ClassVar[str] = "detect"
    finds: ClassVar[tuple[str, ...]] = ()
    num_keypoints = 0

    def __init__(self, num_classes: int, strides: Sequence[int] = STRIDES) -> None:
        """Set the number of classes and the strides."""
        super().__init__()
        self.num_classes = num_classes
        self.strides = tuple(strides)

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Turn maps (B, channels, H / stride, W / stride) into raw outputs of all anchors."""

    @abstractmethod
    def decode(self, output: HeadOutput) -> tuple[Tensor, Tensor]:
        """Turn what this head, or one of its kind, gives into candidates.

        Returns:
            Boxes (B, A, 4) xyxy in input pixels, not clipped, and class probabilities (B, A, C);
            both float32.
        """

    def decode_extra(self, output: HeadOutput) -> Tensor:
        """Turn the extra numbers of a head of one's own into what its detections tell.

        Args:
            output: of a head that gives `extra`, of any float type.

        Returns:
            (B, A, E) float32: by default the raw numbers as they are.
        """
        assert output.extra is not None
        return output.extra.float()

    def captions(self, extra: Tensor) -> list[str]:
        """Say what is drawn beside the score of each of N detections.

        Args:
            extra: (N, E), as decoded.

        Returns:
            N texts: by default the numbers, with three digits.
        """
        return numbers_as_text(extra)


class Head(BaseHead):
    """A box and a class branch for each level."""

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        box_groups: int = 4,
        class_width_factor: int = 1,
        class_width_limit: int = 128,
        depthwise_classes: bool = False,
        depthwise_boxes: bool = False,
        strides: Sequence[int] = STRIDES,
    ) -> None:
        """Build the branches.

        With c0 the channels of the finest level, the box branch is max(c0 / 4, 64) wide, rounded up
        to a multiple of 4, and the class branch max(c0, min(factor * num_classes, limit)).

        Args:
            channels: of the feature maps.
            num_classes: C >= 1.
            box_groups: groups of the box branch's second and third convolution.
            class_width_factor: 1, or 2 as in the published T.
            class_width_limit: 128 as published.
            depthwise_classes: depth-wise separable class branches, as Ultralytics 8.3 trains.
            depthwise_boxes: depth-wise separable box branches.
            strides: of the feature maps.
        """
        super().__init__(num_classes, strides)
        class_layer = _separable if depthwise_classes else partial(Conv, kernel=3)
        box_layer = _separable if depthwise_boxes else partial(Conv, kernel=3)
        box_width = math.ceil(max(channels[0] // 4, 4 * BINS) / 4) * 4
        class_width = max(channels[0], min(class_width_factor * num_classes, class_width_limit))
        self.box = nn.ModuleList(
            nn.Sequential(
                box_layer(c, box_width),
                box_layer(box_width, box_width, groups=box_groups),
                nn.Conv2d(box_width, 4 * BINS, 1, groups=box_groups),
            )
            for c in channels
        )
        self.cls = nn.ModuleList(
            nn.Sequential(
                class_layer(c, class_width),
                class_layer(class_width, class_width),
                nn.Conv2d(class_width, num_classes, 1),
            )
            for c in channels
        )
        self._init_biases()

    def _init_biases(self) -> None:
        """Start from about five objects in an image of 640 x 640."""
        for box, cls, stride in zip(self.box, self.cls, self.strides, strict=True):
            objects = 5 / self.num_classes / (640 / stride) ** 2
            nn.init.constant_(box.get_parameter("2.bias"), 1.0)
            nn.init.constant_(cls.get_parameter("2.bias"), math.log(objects))

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Turn maps (B, channels, H / stride, W / stride) into raw outputs of all anchors."""
        points, strides = anchor_points(features, self.strides)
        return HeadOutput(
            box_logits=by_anchor(self.box, features),
            class_logits=by_anchor(self.cls, features),
            anchor_points=points,
            strides=strides,
        )

    def decode(self, output: HeadOutput) -> tuple[Tensor, Tensor]:
        """Turn distributions into boxes and logits into probabilities; see `BaseHead`."""
        return decode_boxes(output), output.class_logits.float().sigmoid()


class DepthwiseClassHead(Head):
    """A head with `depthwise_classes`, by the name that cards of such files have."""

    def __init__(
        self, channels: Sequence[int], num_classes: int, **settings: Annotated[Any, Head]
    ) -> None:
        """Build the branches; all settings are those of `Head`."""
        super().__init__(channels, num_classes, **({"depthwise_classes": True} | settings))


def _separable(in_channels: int, out_channels: int, groups: int = 1) -> nn.Module:
    """Build a depth-wise 3x3 and a 1x1 convolution, the latter with groups."""
    return nn.Sequential(
        Conv(in_channels, in_channels, 3, groups=in_channels),
        Conv(in_channels, out_channels, groups=groups),
    )


def branches(channels: Sequence[int], width: int, outputs: int) -> nn.ModuleList:
    """Build what a task adds to a level's numbers: 3x3, 3x3 and 1x1 convolution for each level.

    Args:
        channels: of the feature maps.
        width: channels between the convolutions.
        outputs: numbers of an anchor.
    """
    return nn.ModuleList(
        nn.Sequential(Conv(c, width, 3), Conv(width, width, 3), nn.Conv2d(width, outputs, 1))
        for c in channels
    )


def by_anchor(levels: Iterable[nn.Module], features: Sequence[Tensor]) -> Tensor:
    """Apply each level's branch: (B, A, channels), an anchor's numbers beside each other."""
    maps = [level(x) for level, x in zip(levels, features, strict=True)]
    return torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)


def numbers_as_text(extra: Tensor) -> list[str]:
    """Return the numbers (N, E) of each of N detections with three digits."""
    return [" ".join(f"{number:.3g}" for number in row) for row in extra.tolist()]


def require_extra_of_anchors(output: HeadOutput, head: nn.Module) -> HeadOutput:
    """Return the output of a head, if its extra numbers are of its anchors or there are none.

    Raises:
        UserError: they have another shape.
    """
    if output.extra is None:
        return output
    images, anchors = output.class_logits.shape[:2]
    shape = tuple(output.extra.shape)
    if len(shape) != 3 or shape[:2] != (images, anchors):
        raise UserError(
            f"{type(head).__name__} gives extra of shape {shape}, it must be (images, anchors, "
            f"numbers), here ({images}, {anchors}, any): make it with `by_anchor` of models.head."
        )
    return output


def anchor_points(
    features: Sequence[Tensor], level_strides: Sequence[int] = STRIDES
) -> tuple[Tensor, Tensor]:
    """Cell centres of the feature maps, by level, then row, then column.

    Args:
        features: maps (B, C, h, w).
        level_strides: input pixels per cell of each.

    Returns:
        Points (A, 2) xy in input pixels and strides (A, 1), of the features' type and device.
    """
    points, strides = [], []
    for feature, stride in zip(features, level_strides, strict=True):
        height, width = feature.shape[2:]
        y = torch.arange(height, device=feature.device, dtype=torch.float32) + 0.5
        x = torch.arange(width, device=feature.device, dtype=torch.float32) + 0.5
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        points.append(torch.stack((grid_x, grid_y), dim=-1).view(-1, 2) * stride)
        strides.append(torch.full_like(points[-1][:, :1], stride))
    return torch.cat(points), torch.cat(strides)


def decode_boxes(output: HeadOutput) -> Tensor:
    """Turn the box distributions into boxes: the expected distance of each side, in cells, by DFL.

    Returns:
        (B, A, 4) xyxy in input pixels, not clipped; float32.
    """
    logits = output.box_logits.float().unflatten(-1, (4, -1))
    bins = torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    distances = (logits.softmax(dim=-1) * bins).sum(dim=-1) * output.strides
    left_top, right_bottom = distances.chunk(2, dim=-1)
    return torch.cat((output.anchor_points - left_top, output.anchor_points + right_bottom), dim=-1)
