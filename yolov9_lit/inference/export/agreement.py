"""How well a file and PyTorch agree, and what counts as the same."""

from __future__ import annotations

import math
from typing import NamedTuple


class Limits(NamedTuple):
    """What counts as the same: the largest differences, and the smallest shares.

    The fields are those of `Agreement`, besides `overlap` (IoU) beyond which two detections of one
    class are the same.
    """

    boxes: float
    scores: float
    parts: float
    keypoints: float
    visible: float
    extra: float
    matched: float
    masks: float
    overlap: float = 0.9


FLOAT = Limits(
    0.1, 1e-3, parts=1e-3, keypoints=0.1, visible=1e-3, extra=1e-3, matched=0.99, masks=0.99
)
HALF = Limits(
    8.0, 0.05, parts=0.05, keypoints=8.0, visible=0.05, extra=0.05, matched=0.9, masks=0.9
)

INT8 = Limits(
    *(math.inf, 1.0),
    parts=math.inf,
    keypoints=math.inf,
    visible=1.0,
    extra=math.inf,
    matched=0.5,
    masks=0.5,
    overlap=0.75,
)
"""Single anchors of an int8 file may be far off: what counts is that it finds the same objects.

Not at an IoU of 0.9, which a box of ten pixels loses by a third of a pixel each way. At 0.75 a
GELAN-T of the shapes kept 100 % of its detections, and 18 % if it was calibrated on noise. How well
boxes fit is for AP to tell, on more images than are compared.
"""


class Agreement(NamedTuple):
    """How well a file and PyTorch agree.

    Attributes:
        boxes: largest difference of a box coordinate in input pixels, over all candidates, or over
            matched detections if NMS is inside; NaN if one side has others than the other.
        scores: largest difference of a probability, over the same.
        parts: largest difference of what masks are computed from, over the same: of a coefficient
            as a share of the largest coefficient, of a prototype's cell likewise.
        keypoints: largest difference of a keypoint's coordinate in input pixels, over the same;
            None if there are none.
        visible: largest difference of how sure it is that one is visible.
        extra: largest difference of an extra number as a share of the largest, over the same.
        matched: share of both sides' detections that the other side has too, 0..1.
        masks: mean overlap (IoU) of the masks of matched detections, 0..1; None if there are none.
        detections: number of PyTorch's detections.
        images: number of images compared.
    """

    boxes: float
    scores: float
    parts: float
    keypoints: float | None
    visible: float
    extra: float
    matched: float
    masks: float | None
    detections: int
    images: int

    def faults(self, limits: Limits) -> list[str]:
        """Tell what is beyond the limits; NaN always is."""
        masks = 1.0 if self.masks is None else self.masks
        apart = self.keypoints or 0.0
        judged = (
            (self.boxes <= limits.boxes, f"boxes differ by {self.boxes:.3g} pixels", limits.boxes),
            (self.scores <= limits.scores, f"scores differ by {self.scores:.3g}", limits.scores),
            (self.parts <= limits.parts, f"masks' parts differ by {self.parts:.1%}", limits.parts),
            (
                apart <= limits.keypoints,
                f"keypoints differ by {apart:.3g} pixels",
                limits.keypoints,
            ),
            (
                self.visible <= limits.visible,
                f"how visible they are differs by {self.visible:.3g}",
                limits.visible,
            ),
            (
                self.extra <= limits.extra,
                f"extra numbers differ by {self.extra:.1%}",
                limits.extra,
            ),
        )
        shares = (
            (self.matched, "of the detections agree", limits.matched),
            (masks, "is what masks overlap by", limits.masks),
        )
        return [f"{words} (at most {limit:g})" for within, words, limit in judged if not within] + [
            f"{share:.1%} {words} (at least {limit:.0%})"
            for share, words, limit in shares
            if not share >= limit
        ]

    def __str__(self) -> str:
        """Return it in a line."""
        told = f"boxes differ by at most {self.boxes:.2g} pixels, scores by {self.scores:.2g}"
        if self.keypoints is not None:
            told += f", keypoints by {self.keypoints:.2g} pixels"
        if self.detections:
            told += f", {self.matched:.1%} of {self.detections} detections agree"
        if self.masks is not None:
            told += f", masks overlap by {self.masks:.1%}"
        return told
