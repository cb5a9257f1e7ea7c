"""The detector: backbone, neck, main head, and PGI's auxiliary branches that deployment drops."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from torch import Tensor, nn

from yolov9_lit.models.gelan import BackboneFactory, GelanSpec, PathAggregation, Pyramid
from yolov9_lit.models.head import BaseHead, require_extra_of_anchors
from yolov9_lit.models.levels import STRIDES
from yolov9_lit.models.pgi import AuxiliaryFactory
from yolov9_lit.models.pose import decode_keypoints
from yolov9_lit.models.segment import SegmentHead
from yolov9_lit.structures import Candidates, HeadOutput, Prediction


class HeadFactory(Protocol):
    """Makes a head for feature maps of the given channels."""

    def __call__(
        self, channels: Sequence[int], num_classes: int, strides: Sequence[int] = STRIDES
    ) -> BaseHead:
        """Build the head of one branch."""
        ...


class Detector(nn.Module):
    """A one-stage detector with any number of auxiliary branches.

    Attributes:
        aux_detached: whether the auxiliary branches' gradient stops at what they read of backbone
            and neck, so that it trains them alone.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: nn.Module,
        head: BaseHead,
        aux_branches: Mapping[str, nn.Module] | None = None,
        aux_heads: Mapping[str, BaseHead] | None = None,
    ) -> None:
        """Join the parts.

        Args:
            backbone: (B, C, H, W) -> BackboneOutput.
            neck: pyramid of the backbone -> maps that the head reads, and after them any others
                that auxiliary branches read.
            head: main head.
            aux_branches: auxiliary branches by name; see `models.pgi`.
            aux_heads: their heads, by the same names.
        """
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.aux_branches = nn.ModuleDict(aux_branches or {})
        self.aux_heads = nn.ModuleDict(aux_heads or {})
        self.aux_detached = False

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.head.num_classes

    def forward(self, images: Tensor, auxiliary: bool = True) -> Prediction:
        """Compute the raw outputs of every branch.

        Args:
            images: (B, in_channels, H, W) float in 0..1, H and W multiples of 32.
            auxiliary: whether to compute the auxiliary branches as well.
        """
        features = self.backbone(images)
        neck = self.neck(features.main)
        read: tuple[Pyramid, Pyramid] = (features.auxiliary, neck)
        if self.aux_detached:
            read = (_detached(features.auxiliary), _detached(neck))
        aux = tuple(
            _found(self.aux_heads[name], branch(images, *read))
            for name, branch in self.aux_branches.items()
            if auxiliary
        )
        return Prediction(_found(self.head, neck[: len(self.head.strides)]), aux)

    def decode(self, output: HeadOutput) -> tuple[Tensor, Tensor]:
        """Turn one branch's raw output into candidates.

        Returns:
            Boxes (B, A, 4) xyxy in input pixels and class probabilities (B, A, C).
        """
        return self.head.decode(output)

    @property
    def finds_masks(self) -> bool:
        """Whether the main branch's objects have masks."""
        return isinstance(self.head, SegmentHead)

    def candidates(self, output: HeadOutput) -> Candidates:
        """Turn one branch's raw output into all that its anchors say."""
        boxes, scores = self.decode(output)
        masks = (output.coefficients, output.prototypes)
        coefficients, prototypes = (None if part is None else part.float() for part in masks)
        keypoints = None
        if output.keypoints is not None:
            keypoints = decode_keypoints(output.keypoints, output.anchor_points, output.strides)
        extra = None if output.extra is None else self.head.decode_extra(output)
        return Candidates(boxes, scores, coefficients, prototypes, keypoints, extra)

    def without_auxiliary(self) -> Detector:
        """Return the main branch alone; its modules are shared with this detector, not copied."""
        main = Detector(self.backbone, self.neck, self.head)
        main.training = self.training  # Its modules keep their own mode: some may be frozen.
        return main

    def auxiliary_alone(self, name: str) -> Detector:
        """Return a detector whose main output is that of an auxiliary branch; modules are shared.

        Args:
            name: of the branch.

        Raises:
            ValueError: there is no branch of this name.
        """
        if name not in self.aux_branches:
            names = ", ".join(self.aux_branches) or "none"
            raise ValueError(f"the detector has no branch {name!r}, its auxiliary ones: {names}")
        alone = _AuxiliaryAlone(self, name)
        alone.training = self.training
        return alone

    def deploy(self, branch: str | None = None) -> Detector:
        """Copy in evaluation mode: one branch only, RepConv and batch normalisation fused.

        Gives the same outputs of that branch as this detector in evaluation mode, to rounding.

        Args:
            branch: name of an auxiliary branch; the main one by default.

        Raises:
            ValueError: there is no branch of this name.
        """
        alone = self.without_auxiliary() if branch is None else self.auxiliary_alone(branch)
        detector = copy.deepcopy(alone).eval().requires_grad_(False)
        _fuse(detector)
        return detector


class _AuxiliaryAlone(Detector):
    """What an auxiliary branch and its head find by themselves, as the main output."""

    def __init__(self, detector: Detector, name: str) -> None:
        head = detector.aux_heads[name]
        assert isinstance(head, BaseHead)
        super().__init__(detector.backbone, detector.neck, head)
        self.branch = detector.aux_branches[name]

    def forward(self, images: Tensor, auxiliary: bool = True) -> Prediction:
        features = self.backbone(images)
        maps = self.branch(images, features.auxiliary, self.neck(features.main))
        return Prediction(_found(self.head, maps), ())

    def without_auxiliary(self) -> Detector:
        """Return itself: its branch is its main one."""
        return self


def _detached(maps: Pyramid) -> Pyramid:
    return tuple(x.detach() for x in maps)


def _fuse(module: nn.Module) -> None:
    """Fuse what can be fused; of a module that changes its parts by that, the new ones."""
    fuse = getattr(module, "fuse", None)
    if callable(fuse):
        fuse()
    for child in module.children():
        _fuse(child)


def _found(head: nn.Module, maps: Sequence[Tensor]) -> HeadOutput:
    return require_extra_of_anchors(head(maps), head)


def gelan_detector(
    *,
    num_classes: int,
    backbone: BackboneFactory,
    head: HeadFactory,
    pgi: Mapping[str, AuxiliaryFactory] | None = None,
    **spec: Annotated[Any, GelanSpec],
) -> Detector:
    """Build a GELAN detector, or YOLOv9 where `pgi` names auxiliary branches.

    Args:
        num_classes: C >= 1.
        backbone: `Backbone` or `CompositeBackbone`.
        head: factory of the heads, main and auxiliary.
        pgi: auxiliary branches by name.
        **spec: the widths, block, down-sampling and depths: the fields of `GelanSpec`.

    Raises:
        ValueError: a depth or the number of classes is below 1, or heads cannot read the levels.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, it must be at least 1")
    gelan = GelanSpec(**spec)
    # The main parts come first: from one state of the random generator their weights are the same
    # with any auxiliary branches, and trainings with and without are compared seed by seed.
    neck = PathAggregation(gelan)
    column = backbone(gelan)
    main_head = head(neck.channels, num_classes, strides=gelan.strides)
    branches: dict[str, Any] = {
        name: make(gelan, neck.channels) for name, make in (pgi or {}).items()
    }
    heads = {
        name: head(branch.channels, num_classes, strides=gelan.strides)
        for name, branch in branches.items()
    }
    return Detector(column, neck, main_head, branches, heads)
