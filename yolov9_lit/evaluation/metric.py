"""What a metric of detections is, to the training and to the commands that evaluate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from torchmetrics import Metric

from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.structures import Detections

UNMEASURED = -1.0
"""Figure of what does not occur in the evaluated images: objects of a size, of a class."""


class ClassResult(NamedTuple):
    """One class's figures; -1 where the evaluated images hold none of it.

    Attributes:
        category_id: the data set's own id.
        name: of the class.
        objects: number of ground-truth boxes, crowds not counted.
        AP: mean over the IoU thresholds 0.50 to 0.95.
        AP50: at IoU 0.50.
        AR_100: mean recall with 100 detections an image.
        mask_AP: the same three of masks; -1 where these are not measured.
        pose_AP: mean over ten thresholds of keypoints' similarity; -1 likewise.
        pose_AP50: at a similarity of 0.50.
        pose_AR: mean recall with 20 detections an image.
    """

    category_id: int
    name: str
    objects: int
    AP: float
    AP50: float
    AR_100: float
    mask_AP: float = UNMEASURED
    mask_AP50: float = UNMEASURED
    mask_AR_100: float = UNMEASURED
    pose_AP: float = UNMEASURED
    pose_AP50: float = UNMEASURED
    pose_AR: float = UNMEASURED


MASK = "mask_"
"""What the names of masks' figures begin with; the rest is that of the boxes' figure."""

POSE = "pose_"
"""What the names of keypoints' figures begin with."""


class MetricResult(Protocol):
    """What a metric finds: figures by name, and figures of each class."""

    @property
    def num_images(self) -> int:
        """Return the number of images that were evaluated."""
        ...

    @property
    def per_class(self) -> Sequence[ClassResult]:
        """Return the classes' figures, in the data set's order."""
        ...

    def figures(self) -> dict[str, float]:
        """Return fractions by name, -1 where nothing could be measured; "AP" is among them."""
        ...


class DetectionMetric(Metric):
    """A torchmetrics Metric that is given detections; `conf/evaluation` names it.

    It is built with `truth`, which returns the ground truth when it is called, and `category_ids`,
    the data set's id of each class index.

    Attributes:
        num_keypoints: of an object, where the detector finds such; told before an evaluation, so
            that it does not depend on what is found which figures there are.
    """

    num_keypoints: int = 0

    @abstractmethod
    def update(
        self,
        detections: Sequence[Detections],
        image_ids: Sequence[int],
        masks: Sequence[EncodedMasks] | None = None,
    ) -> None:
        """Add images.

        Args:
            detections: one entry an image, boxes and keypoints in the original image's pixels.
            image_ids: the data set's own.
            masks: one entry an image, of its detections, in the same pixels; None where the
                detector finds none. Given with no image, they tell that it finds masks.
        """

    @abstractmethod
    def compute(self) -> MetricResult:
        """Return the result over all images so far, on all ranks alike."""

    @abstractmethod
    def detections(self) -> Found:
        """Return all detections of all ranks, with the data set's ids.

        A collective operation: every rank must call it.
        """
