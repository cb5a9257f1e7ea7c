"""What several heads see of the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torchvision.ops import box_iou

from yolov9_lit.errors import UserError, first_few
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.explaining import Explainer
from yolov9_lit.inference.predictor import Predictor, load, require_checkpoint
from yolov9_lit.kinds import shown
from yolov9_lit.reporting.explanation import one_of
from yolov9_lit.research.figures.inputs import checkpoint_names
from yolov9_lit.structures import Detections

MAIN = "main"

SAME = 0.5
"""Least IoU of two heads' boxes of one object."""


class View(NamedTuple):
    """A head that is looked at.

    Attributes:
        name: its own, behind its checkpoint's where there are several.
        predictor: of this head alone.
    """

    name: str
    predictor: Predictor


class Explained(NamedTuple):
    """A detection and where it comes from.

    Attributes:
        detection: a single one, box in the image's pixels.
        heat: (H, W) in 0..1.
    """

    detection: Detections
    heat: np.ndarray

    def share_inside(self) -> float:
        """Return the share of the heat inside the box, 0..1; not a number where there is none."""
        left, top, right, bottom = self.detection.boxes[0].round().int().clamp(min=0).tolist()
        total = float(self.heat.sum())
        return float(self.heat[top:bottom, left:right].sum()) / total if total else float("nan")


class Object(NamedTuple):
    """What the views see of one object.

    Attributes:
        class_name: by the first view.
        first: its detection.
        seen: by each view; None of one that does not find it.
    """

    class_name: str
    first: Detections
    seen: tuple[Explained | None, ...]


def open_views(files: Sequence[str], heads: Sequence[str] | None) -> list[View]:
    """Open the heads of checkpoints, one after another.

    Args:
        files: checkpoints.
        heads: "main" and names of auxiliary branches, as far as a checkpoint has them; None for
            all that it has.

    Raises:
        UserError: a file is no checkpoint, or none of them has one of the heads.
    """
    opened = [require_checkpoint(load(file), file) for file in files]
    known = [[MAIN, *one.detector.aux_branches] for one in opened]
    everything = list(dict.fromkeys(head for own in known for head in own))
    wanted = everything if heads is None else heads
    if not wanted or not set(wanted) <= set(everything):
        raise UserError(
            f"figure.heads={shown(wanted)}: {first_few(files)} has {', '.join(everything)}: give "
            "some of these, or null for all."
        )
    return [
        View(head if len(files) == 1 else f"{name} {head}", whole.deploy(_branch(head)))
        for name, whole, own in zip(checkpoint_names(files), opened, known, strict=True)
        for head in wanted
        if head in own
    ]


def _branch(head: str) -> str | None:
    return None if head == MAIN else head


def explain(
    views: Sequence[View], explainer: Explainer, image: np.ndarray, settings: NMSSettings
) -> list[Object]:
    """Explain what all views see of the objects that the explainer chooses of the first one's.

    A view's detection of an object is that of its class with the largest IoU, `SAME` or more.
    """
    seen = [explainer.see(view.predictor, image, settings) for view in views]
    names = views[0].predictor.class_names
    objects = []
    for index in explainer.choose(seen[0].detections, names):
        first = one_of(seen[0].detections, index)
        name = names[int(first.labels)]
        found: list[Explained | None] = [Explained(first, explainer.heat(seen[0], index))]
        for view, one in zip(views[1:], seen[1:], strict=True):
            row = _same(first, name, one.detections, view.predictor.class_names)
            found.append(
                None
                if row is None
                else Explained(one_of(one.detections, row), explainer.heat(one, row))
            )
        objects.append(Object(name, first, tuple(found)))
    return objects


def _same(
    first: Detections, class_name: str, others: Detections, names: Sequence[str]
) -> int | None:
    """Return the index of the detection of the same object among another head's."""
    overlaps = box_iou(first.boxes, others.boxes)[0].tolist()
    same = [
        (overlap, -index)  # Of equal ones that with the higher score.
        for index, (overlap, label) in enumerate(zip(overlaps, others.labels, strict=True))
        if names[int(label)] == class_name and overlap >= SAME
    ]
    return -max(same)[1] if same else None
