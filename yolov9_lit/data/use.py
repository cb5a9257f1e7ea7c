"""Which images and boxes of a split a run has used, and what the split lacks."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.faults import Fault
from yolov9_lit.data.transforms.affine import LEAST_SIDE
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.ranks import is_first_rank
from yolov9_lit.structures import SkippedImage

log = logging.getLogger(__name__)

MOSTLY = 0.1
"""An augmentation that leaves a smaller share of boxes or masks than this loses most of them."""

_TOGETHER = 100_000  # Images whose boxes are looked at together.


class EpochBoxes(NamedTuple):
    """How many boxes the first training epoch had.

    Attributes:
        drawn: of all images that its samples were made of.
        trained: that reached the loss, after augmentation.
        masked: of these with a mask; None where no masks are learnt.
    """

    drawn: int
    trained: int
    masked: int | None = None


@dataclass
class Use:
    """The images of a split that were in batches, and those that could not be.

    Each rank has its own; joining the same one twice changes nothing.

    Attributes:
        images: (N,) bool, which were in a batch, by index up to the largest so far.
        skipped: images that could not be used, by index.
        boxes: by rank, those of the first training epoch.
    """

    images: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    skipped: dict[int, SkippedImage] = field(default_factory=dict)
    boxes: dict[int, EpochBoxes] = field(default_factory=dict)

    def note(self, indices: Sequence[int], skipped: Sequence[SkippedImage]) -> None:
        """Add a batch's images, and those that were skipped for it."""
        self.images = _of_length(self.images, max(indices, default=-1) + 1)
        self.images[list(indices)] = True
        self.skipped.update({image.image: image for image in skipped})

    def join(self, other: Use) -> None:
        """Add what another rank, or an earlier part of the run, has used."""
        ours, theirs = self.images, other.images
        self.images = _of_length(ours, len(theirs)) | _of_length(theirs, len(ours))
        self.skipped.update(other.skipped)
        self.boxes.update(other.boxes)

    @property
    def boxes_drawn(self) -> int:
        """See `EpochBoxes`; of all ranks, as the next two."""
        return sum(boxes.drawn for boxes in self.boxes.values())

    @property
    def boxes_trained(self) -> int:
        """Number of boxes in the batches of the first epoch, after augmentation."""
        return sum(boxes.trained for boxes in self.boxes.values())

    @property
    def boxes_masked(self) -> int | None:
        """Number of these with a mask; None where no masks are learnt."""
        masked = [boxes.masked for boxes in self.boxes.values() if boxes.masked is not None]
        return sum(masked) if masked else None

    def of(self, annotations: Annotations) -> dict[str, Any]:
        """Return what a run's record tells of a split.

        Returns:
            The numbers of "pictures" and their "boxes" (crowds not counted) that were used; after
            a training "boxes_drawn" and "boxes_trained" of the first epoch; under "faults" how many
            of each kind were left out or mended.
        """
        count, names = len(annotations), annotations.images
        # A training resumed on other data has skipped other images.
        skipped = {i: p for i, p in self.skipped.items() if i < count and names.name(i) == p.name}
        images = _of_length(self.images, count)[:count].copy()
        images[list(skipped)] = False
        single = np.diff(np.concatenate([[0], np.cumsum(~annotations.crowd)])[annotations.offsets])
        faults = dict(annotations.faults)
        for fault, number in Counter(image.fault for image in skipped.values()).items():
            faults[Fault.IMAGE_SKIPPED.value.format(fault)] = number
        numbers = {"pictures": int(images.sum()), "boxes": int(single[images].sum())}
        if self.boxes:
            numbers |= {"boxes_drawn": self.boxes_drawn, "boxes_trained": self.boxes_trained}
        return numbers | {"faults": faults}

    def lacks(self) -> list[str]:
        """Say so if augmentation has lost most boxes of the first epoch, or most masks."""
        drawn, trained, masked = self.boxes_drawn, self.boxes_trained, self.boxes_masked
        found = []
        if trained < MOSTLY * drawn:
            found.append(f"augmentation left {trained:,} of the {drawn:,} boxes of the first epoch")
        if masked is not None and masked < MOSTLY * trained:
            found.append(
                f"after augmentation {masked:,} of the {trained:,} boxes of the first epoch have a "
                "mask"
            )
        return found


def lacks(
    split: str,
    annotations: Annotations,
    image_size: int,
    *,
    masks: bool = False,
    keypoints: bool = False,
) -> list[str]:
    """Say what is missing of a split, so that little can be learnt from it or measured.

    Args:
        split: "train", "val" or "test".
        annotations: of it.
        image_size: longest side of an image in pixels.
        masks: whether these are learnt too.
        keypoints: whether these are.
    """
    by_class, tiny = _counted(annotations, image_size)
    count = int(by_class.sum())
    if count == 0:
        why = "its images have no object"
        if crowds := len(annotations.crowd):
            why = f"all {crowds:,} objects are marked as crowds"
        elif annotations.faults:
            why = "what was annotated is left out"
        lost = "nothing is learnt" if split == "train" else "there is no AP"
        return [f"{split} has no box ({why}), so {lost}"]
    found = []
    if keypoints and not (annotations.keypoints[~annotations.crowd, :, 2] > 0).any():
        lost = "none is learnt" if split == "train" else "there is no pose AP"
        found.append(f"no box of {split} has a keypoint, so {lost}")
    if split != "train":
        return found
    if unseen := [annotations.class_names[i] for i in np.flatnonzero(by_class == 0)]:
        found.append(
            f"{split} has no box of {len(unseen):,} of {len(by_class):,} classes "
            f"({first_few(unseen)})"
        )
    if masks and len(bare := _without_outline(annotations)):
        rows = np.searchsorted(annotations.offsets, bare, side="right") - 1
        images = [annotations.images.name(i) for i in np.unique(rows)[:4].tolist()]
        found.append(
            f"{len(bare):,} of the {count:,} boxes of {split} have no outline "
            f"({first_few([PurePath(name).name for name in images])}), so no mask is learnt of them"
        )
    if tiny > count / 2:
        found.append(
            f"{tiny:,} of the {count:,} boxes of {split} are under {LEAST_SIDE:g} pixels wide or "
            f"high at data.image_size={image_size}, and most of them are lost"
        )
    return found


def require_outlines(annotations: Annotations) -> None:
    """Refuse objects to learn masks of, none of which has an outline.

    Raises:
        UserError: it is so.
    """
    if 0 < int((~annotations.crowd).sum()) == len(_without_outline(annotations)):
        raise UserError(
            f"{annotations.path} has no outline that can be used, which task=segment learns: give "
            "annotations with `segmentation` (in YOLO's format, lines of outlines), or task=detect."
        )


def tell_lacks(source: str, found: Sequence[str], *, strict: bool = False) -> None:
    """Warn of what `lacks` has found, in one line; only the first rank does.

    Raises:
        UserError: `strict`, and there is something.
    """
    if not found:
        return
    # The preview takes every format, and the settings of the command that tells this.
    line = f"{source}: {'; '.join(found)}: look at it with `python -m yolov9_lit.data preview`"
    if strict:
        raise UserError(f"{line}, or leave strict=true out.")
    if is_first_rank():
        log.warning("%s.", line)


def _counted(annotations: Annotations, image_size: int) -> tuple[np.ndarray, int]:
    """Count the boxes of each class, crowds left out, and those too small for a training."""
    by_class, tiny = np.zeros(annotations.num_classes, dtype=np.int64), 0
    for first in range(0, len(annotations), _TOGETHER):
        offsets = annotations.offsets[first : first + _TOGETHER + 1]
        scale = image_size / annotations.sizes[first : first + _TOGETHER].max(axis=1)
        span = slice(int(offsets[0]), int(offsets[-1]))
        boxes, single = annotations.boxes[span], ~annotations.crowd[span]
        sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) * np.repeat(scale, np.diff(offsets))
        tiny += int((single & (sides < LEAST_SIDE)).sum())
        by_class += np.bincount(annotations.labels[span][single], minlength=len(by_class))
    return by_class, tiny


def _without_outline(annotations: Annotations) -> np.ndarray:
    """Return the objects (K,), crowds left out, whose outline is not known."""
    bare = np.diff(annotations.polygons.object_offsets) == 0
    return np.flatnonzero(~annotations.crowd & bare)


def _of_length(mask: np.ndarray, length: int) -> np.ndarray:
    """Return a mask of at least that length, False where it was shorter."""
    return np.pad(mask, (0, max(length - len(mask), 0)))
