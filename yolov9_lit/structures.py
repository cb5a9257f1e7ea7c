"""The named shapes of the data that flows between the parts; plain tensors, no framework.

Letters in shapes: B images of a batch, H and W input pixels, G ground-truth boxes (padded to the
fullest image), A anchors over all levels (one a cell, several where they have sizes), C classes, N
detections of one image, M mask coefficients, K keypoints of an object, E further numbers of an
object, whatever a task of one's own makes of them. What only some tasks have is None in the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from yolov9_lit.errors import UserError

if TYPE_CHECKING:  # What only reads annotations starts without torch.
    import supervision
    from torch import Tensor

MASK_STRIDE = 4
"""Input pixels per pixel of a target's mask, and of a prototype."""

USUAL_SIGMA = 0.05
"""Of a keypoint of which nothing is known, see `KeypointLayout`: about the mean of COCO's."""


class KeypointLayout(NamedTuple):
    """What the K keypoints of a data set's objects are.

    Attributes:
        names: of the K, in the order of the annotations.
        edges: pairs of keypoints, from 0, that a drawn skeleton joins.
        mirrored: which keypoint takes the place of each in a mirrored image: a permutation.
        sigmas: how far from the true place each may lie, as a share of the object's size, in COCO's
            object keypoint similarity.
    """

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    mirrored: tuple[int, ...]
    sigmas: tuple[float, ...]


class Targets(NamedTuple):
    """Ground truth of a batch, padded to the fullest image.

    Attributes:
        boxes: (B, G, 4) float, xyxy in input pixels; zeros where padded.
        labels: (B, G) int64, contiguous class indices in 0..C-1; zeros where padded.
        valid: (B, G) bool, False where padded.
        masks: (B, H/4, W/4) int16, 0 where nothing is, k on the k-th box of that image; where
            objects overlap the smaller one is on top. None where the task needs no masks.
        keypoints: (B, G, K, 3) float: x and y in input pixels, and 0 (not annotated, or outside the
            image), 1 (hidden) or 2 (visible). None where the task needs none.
        extra: (B, G, E) float, finite, as `data.extra` names and orders them; zeros where padded.
            None where the task needs none.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor
    masks: Tensor | None = None
    keypoints: Tensor | None = None
    extra: Tensor | None = None


class ImageInfo(NamedTuple):
    """Where an input image came from and how to map its pixels back.

    A point of the original image at (x, y) lies at (x * scale_x + left, y * scale_y + top) of the
    network's input. Training samples have no such mapping; theirs is the identity.

    `position` is the image's index in its data set, `drawn` counts the annotated boxes of all
    images that the sample is made of, before any is lost.
    """

    image_id: int
    path: str
    height: int
    width: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    left: float = 0.0
    top: float = 0.0
    position: int = 0
    drawn: int = 0


class SkippedImage(NamedTuple):
    """An image that could not be used.

    Attributes:
        image: its index in the data set.
        name: its path.
        fault: what is wrong, in a few words: "is damaged".
    """

    image: int
    name: str
    fault: str


class Batch(NamedTuple):
    """A batch as the data module gives it.

    Attributes:
        images: (B, 3, H, W) RGB, uint8 in 0..255 or float in 0..1.
        targets: the boxes to find.
        infos: one entry an image.
        skipped: images that could not be used for it; they are not among the images.
    """

    images: Tensor
    targets: Targets
    infos: tuple[ImageInfo, ...]
    skipped: tuple[SkippedImage, ...] = ()


class HeadOutput(NamedTuple):
    """Raw output of one detection head; anchors are ordered by level, then row, then column.

    The anchors of a cell that has several are beside each other.

    Attributes:
        box_logits: (B, A, 4 * bins), distributions of the distances left, top, right, bottom; of
            anchors with sizes (B, A, 4), the logits of the box's centre and size.
        class_logits: (B, A, C).
        anchor_points: (A, 2), xy of the cell centres in input pixels.
        strides: (A, 1), input pixels per cell.
        coefficients: (B, A, M), how much of each prototype an anchor's mask has, any sign; None
            where the head finds no masks.
        prototypes: (B, M, H/4, W/4), any sign; with the coefficients or None.
        keypoints: (B, A, K, 3), raw: offsets in x and y, and the logit of being visible; None where
            the head finds none.
        extra: (B, A, E), raw: what `Head.decode_extra` takes; None where the head gives none. It
            need not be as many numbers as the targets have.
        objectness: (B, A), the logit of there being an object; None where the head has none.
        anchor_sizes: (A, 2), width and height in input pixels; with the objectness or None.
    """

    box_logits: Tensor
    class_logits: Tensor
    anchor_points: Tensor
    strides: Tensor
    coefficients: Tensor | None = None
    prototypes: Tensor | None = None
    keypoints: Tensor | None = None
    extra: Tensor | None = None
    objectness: Tensor | None = None
    anchor_sizes: Tensor | None = None


class Prediction(NamedTuple):
    """What a detector computes: the main head's output and one for each auxiliary branch."""

    main: HeadOutput
    aux: tuple[HeadOutput, ...]


class Candidates(NamedTuple):
    """What each anchor says by itself, decoded: what NMS chooses from. All float32.

    Attributes:
        boxes: (B, A, 4), xyxy in input pixels.
        scores: (B, A, C), probabilities.
        coefficients: (B, A, M), see `HeadOutput`.
        prototypes: (B, M, H/4, W/4), see `HeadOutput`.
        keypoints: (B, A, K, 3), x and y in input pixels and how sure it is that each is visible.
        extra: (B, A, E), of `Head.decode_extra`.
    """

    boxes: Tensor
    scores: Tensor
    coefficients: Tensor | None = None
    prototypes: Tensor | None = None
    keypoints: Tensor | None = None
    extra: Tensor | None = None


class MaskParts(NamedTuple):
    """What the masks of one image's detections are computed from; far smaller than they are.

    Attributes:
        coefficients: (N, M).
        prototypes: (M, H/4, W/4).
    """

    coefficients: Tensor
    prototypes: Tensor

    def select(self, rows: Tensor | slice) -> MaskParts:
        """Return those of some of the detections."""
        return self._replace(coefficients=self.coefficients[rows])

    def cpu(self) -> MaskParts:
        """Return them in the host's memory."""
        return MaskParts(self.coefficients.cpu(), self.prototypes.cpu())


class Detections(NamedTuple):
    """Objects found in one image, by falling score.

    Attributes:
        boxes: (N, 4) float, xyxy in pixels.
        scores: (N,) float in 0..1.
        labels: (N,) int64, contiguous class indices.
        masks: (N, H, W) bool, in the pixels that the boxes are given in; None where the detector
            finds no masks.
        parts: what they can be computed from, until they are.
        keypoints: (N, K, 3) float: x and y in the pixels that the boxes are given in, and how sure
            it is that each is visible, 0..1. None where the detector finds none.
        extra: (N, E) float, of `Head.decode_extra`. None where the detector finds none.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None
    parts: MaskParts | None = None
    keypoints: Tensor | None = None
    extra: Tensor | None = None

    def select(self, rows: Tensor | slice) -> Detections:
        """Return some of the detections.

        Args:
            rows: a slice, indices (K,) int64, or (N,) bool.
        """
        return self._each(lambda field: field[rows], lambda parts: parts.select(rows))

    def cpu(self) -> Detections:
        """Return them in the host's memory."""
        return self._each(lambda field: field.cpu(), MaskParts.cpu)

    def to_supervision(self, class_names: Sequence[str] = ()) -> supervision.Detections:
        """Return them as Supervision's, which draws, counts and slices; everything is copied.

        Args:
            class_names: by class index; with them `data` has the "class_name" of each.

        Returns:
            Boxes, scores, class indices and masks in their places, and "keypoints" (N, K, 3) and
            "extra" (N, E) in `data` where there are any.

        Raises:
            UserError: Supervision is not installed.
        """
        try:
            from supervision import Detections as TheirDetections
        except ImportError as error:
            raise UserError(
                "supervision is not installed, which to_supervision needs: pip install supervision."
            ) from error
        import numpy as np  # What only reads annotations starts without it.

        labels = self.labels.cpu().numpy().copy()
        named = {"class_name": np.array(class_names, dtype=str)[labels]} if class_names else {}
        more = {"keypoints": self.keypoints, "extra": self.extra}
        return TheirDetections(
            xyxy=self.boxes.cpu().numpy().copy(),
            mask=None if self.masks is None else self.masks.cpu().numpy().copy(),
            confidence=self.scores.cpu().numpy().copy(),
            class_id=labels,
            data=named
            | {name: v.cpu().numpy().copy() for name, v in more.items() if v is not None},
        )

    def _each(
        self, of_tensor: Callable[[Tensor], Tensor], of_parts: Callable[[MaskParts], MaskParts]
    ) -> Detections:
        """Return them with what functions make of the fields that there are."""
        made: dict[str, Any] = {
            name: of_parts(field) if isinstance(field, MaskParts) else of_tensor(field)
            for name, field in self._asdict().items()
            if field is not None
        }
        return self._replace(**made)
