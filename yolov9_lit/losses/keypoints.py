"""How well the keypoints of assigned anchors fit those of their objects.

YOLO-Pose (arXiv 2204.06806), section 3.3: one minus COCO's object keypoint similarity, and the
binary cross-entropy of being visible.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.losses.assigners import Assignment
from yolov9_lit.models.pose import decode_keypoints
from yolov9_lit.structures import HeadOutput

_LEAST_AREA = 1e-9  # Square pixels; it keeps anchors without an object from dividing by zero.


class KeypointTerms(NamedTuple):
    """Means over the anchors whose object has keypoints, each a scalar; 0 where there are none.

    Attributes:
        pose: 1 - similarity, in 0..1, the mean over an object's annotated keypoints.
        vis: binary cross-entropy, the mean over all of an object's keypoints.
    """

    pose: Tensor
    vis: Tensor


def keypoint_loss(
    output: HeadOutput, assignment: Assignment, keypoints: Tensor, sigmas: Tensor
) -> KeypointTerms:
    """Compare the keypoints of all anchors with those of their objects.

    Args:
        output: of a head that finds keypoints.
        assignment: of its anchors.
        keypoints: (B, G, K, 3) of the targets.
        sigmas: (K,) of the keypoints.

    Returns:
        Terms in which an object without any annotated keypoint counts for nothing.
    """
    assert output.keypoints is not None
    decoded = decode_keypoints(output.keypoints, output.anchor_points, output.strides)
    true = assignment.of_objects(keypoints)
    annotated = (true[..., 2] > 0) & assignment.foreground.unsqueeze(-1)
    missed = 1 - similarities(decoded, true, assignment.boxes, sigmas)
    count = annotated.sum(dim=-1)
    of_anchor = (missed * annotated).sum(dim=-1) / count.clamp(min=1)
    entropy = F.binary_cross_entropy_with_logits(
        output.keypoints[..., 2].float(), annotated.float(), reduction="none"
    ).mean(dim=-1)
    taught = count > 0
    anchors = taught.sum().clamp(min=1)
    return KeypointTerms(of_anchor.sum() / anchors, (entropy * taught).sum() / anchors)


def similarities(found: Tensor, true: Tensor, boxes: Tensor, sigmas: Tensor) -> Tensor:
    """Return exp(-d^2 / (2 * (2 sigma)^2 * area)) of each keypoint, in 0..1.

    Args:
        found: (..., K, 3), x and y in pixels first.
        true: (..., K, 3), likewise.
        boxes: (..., 4) xyxy of the true objects, whose area that of COCO's outline is taken to be.
        sigmas: (K,).
    """
    square_distance = (found[..., :2] - true[..., :2]).square().sum(dim=-1)
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    area = (width * height).clamp(min=_LEAST_AREA).unsqueeze(-1)
    return (-square_distance / (2 * (2 * sigmas).square() * area)).exp()
