"""Detections beside the truth, as hotcoco and pycocotools take them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, Literal, NamedTuple

import hotcoco
import numpy as np

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.mask_entries import box_mask
from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.coco_columns import (
    Masks,
    Objects,
    Poses,
    are_known,
    numbers,
    sorted_ids,
    true_keypoints,
)
from yolov9_lit.evaluation.found import Found

Kind = Literal["bbox", "segm", "keypoints"]
"""What is compared, as the backends call it: boxes, masks or keypoints."""

MOST_POSES = 20
"""Detections of a category in an image whose keypoints COCO compares."""


class Task(NamedTuple):
    """What a backend compares; images and categories are numbered from 1 in the order of their ids.

    The backends keep ids in floats, which cannot hold all of them.

    Attributes:
        images: (I,) numbers of those that are measured.
        categories: how many there are.
        objects: the truth, of these and perhaps more images.
        rows: (N, 7) detections: image, x, y, width, height, score, category.
        masks: of objects and detections, where these are compared and not the boxes.
        poses: their keypoints, where these are compared.
    """

    images: np.ndarray
    categories: int
    objects: Objects
    rows: np.ndarray
    masks: Masks | None = None
    poses: Poses | None = None

    @property
    def ignored(self) -> np.ndarray:
        """(M,) bool: objects that need not be found: crowds, and poses of no keypoint."""
        if self.poses is None:
            return self.objects.crowd
        return np.asarray(self.objects.crowd | ~(self.poses.objects[..., 2] > 0).any(axis=1))

    @property
    def measured(self) -> np.ndarray:
        """(M,) bool: objects to be found, which are in images that were evaluated."""
        return np.asarray(np.isin(self.objects.images, self.images) & ~self.ignored)

    @classmethod
    def of(cls, truth: Truth, found: Found) -> Task:
        """Give numbers; leave out detections of a category that the truth lacks."""
        images, categories = sorted_ids(truth["images"]), sorted_ids(truth["categories"])
        known = are_known(found, truth)
        columns = (
            numbers(found.image_ids[known], images),
            found.boxes[known],
            found.scores[known],
            numbers(found.category_ids[known], categories),
        )
        return cls(
            numbers(found.images, images),
            len(categories),
            Objects.of(truth["annotations"], images, categories),
            np.column_stack(columns),
        )

    @classmethod
    def of_masks(cls, truth: Truth, found: Found) -> Task:
        """Take the masks of what `of` takes; an object without one is ignored, as a crowd is.

        As in pycocotools, a detection is small, medium or large by its box where it has one.
        """
        assert found.masks is not None
        task = cls.of(truth, found)
        known = are_known(found, truth)
        entries = truth["annotations"]
        bare = np.array(["segmentation" not in entry for entry in entries], dtype=bool)
        sizes = dict(zip(found.image_ids.tolist(), found.masks.sizes.tolist(), strict=True))
        objects = [
            entry.get("segmentation")
            or box_mask(entry["bbox"], tuple(sizes.get(entry["image_id"], (0, 0))))
            for entry in entries
        ]
        return task._replace(
            objects=task.objects._replace(crowd=task.objects.crowd | bare),
            masks=Masks(objects, found.masks.take(known).rles()),
        )

    @classmethod
    def of_keypoints(cls, truth: Truth, found: Found) -> Task:
        """Take the keypoints of what `of` takes, of detections the best that are compared.

        As in pycocotools, an object without any is ignored, and a detection is medium or large by
        its box where it has one.
        """
        assert found.keypoints is not None
        task = cls.of(truth, found)
        best = _best_of_each(task.rows, MOST_POSES)
        keypoints = found.keypoints[are_known(found, truth)][best]
        poses = Poses(true_keypoints(truth), keypoints, truth["categories"][0]["sigmas"])
        return task._replace(rows=task.rows[best], poses=poses)

    @classmethod
    def of_kind(cls, kind: Kind, truth: Truth, found: Found) -> Task:
        """Take what is to be compared, which both must have."""
        takes = {"bbox": cls.of, "segm": cls.of_masks, "keypoints": cls.of_keypoints}
        return takes[kind](truth, found)

    def annotations(self) -> list[Entry]:
        """Return entries of the objects."""
        keys = ("image_id", "category_id", "bbox", "area", "iscrowd")
        columns = zip(*(column.tolist() for column in self.objects), strict=True)
        entries = [
            {"id": i} | dict(zip(keys, row, strict=True)) for i, row in enumerate(columns, start=1)
        ]
        if self.masks:
            _add(entries, "segmentation", self.masks.objects)
        if self.poses:
            _add(entries, "keypoints", [one.ravel().tolist() for one in self.poses.objects])
            counts = (self.poses.objects[..., 2] > 0).sum(axis=1)
            _add(entries, "num_keypoints", counts.tolist())
        return entries

    def results(self) -> list[Entry]:
        """Return entries of the detections."""
        entries: list[Entry] = [
            {"image_id": int(image), "category_id": int(kind), "bbox": box, "score": score}
            for image, *box, score, kind in self.rows.tolist()
        ]
        if self.masks:
            _add(entries, "segmentation", self.masks.found)
        if self.poses:
            _add(entries, "keypoints", [one.ravel().tolist() for one in self.poses.found])
        return entries

    def take(self, objects: np.ndarray, found: np.ndarray) -> Task:
        """Return a part of it.

        Args:
            objects: (M,) bool, of the truth.
            found: (N,) bool, of the detections.
        """
        masks = self.masks and Masks(
            [*compress(self.masks.objects, objects)], [*compress(self.masks.found, found)]
        )
        poses = self.poses and Poses(
            self.poses.objects[objects], self.poses.found[found], self.poses.sigmas
        )
        return self._replace(
            objects=Objects(*(values[objects] for values in self.objects)),
            rows=self.rows[found],
            masks=masks,
            poses=poses,
        )

    def entries(self) -> tuple[list[Entry], list[Entry]]:
        """Return entries of `images` and `categories`."""
        images = np.union1d(self.images, self.objects.images)
        categories = range(1, self.categories + 1)
        return [{"id": i} for i in images.tolist()], [{"id": i, "name": f"{i}"} for i in categories]

    @property
    def compared(self) -> Kind:
        """Tell what is compared."""
        return "keypoints" if self.poses else "segm" if self.masks else "bbox"

    def comparison(self) -> hotcoco.COCOeval:
        """Return hotcoco's comparison, to be evaluated."""
        evaluation = hotcoco.COCOeval(*self._sides(), self.compared)
        # Of no images hotcoco takes all; there is none of number 0.
        evaluation.params.img_ids = self.images.tolist() or [0]
        if self.poses:
            evaluation.params.kpt_oks_sigmas = [*self.poses.sigmas]
        return evaluation

    def _sides(self) -> tuple[hotcoco.COCO, hotcoco.COCO]:
        """Return the objects and the detections: in arrays, but for keypoints."""
        if self.poses:
            images, categories = self.entries()
            expected = hotcoco.COCO(
                {"images": images, "annotations": self.annotations(), "categories": categories}
            )
            return expected, expected.load_res(self.results())
        objects = self.objects
        expected = hotcoco.COCO.from_arrays(
            *self.entries(),
            objects.images,
            objects.categories,
            objects.boxes,
            area=objects.areas,
            iscrowd=objects.crowd,
            segmentation=[*self.masks.objects] if self.masks else None,
        )
        given = expected.load_res(
            self.rows, segmentation=[*self.masks.found] if self.masks else None
        )
        return expected, given


def _add(entries: list[Entry], key: str, values: Sequence[Any]) -> None:
    for entry, value in zip(entries, values, strict=True):
        entry[key] = value


def _best_of_each(rows: np.ndarray, most: int) -> np.ndarray:
    """Return which detections (N,) are among the best of their image and category, as COCO cuts.

    Args:
        rows: (N, 7) detections; of equal scores the first counts more.
        most: how many of each.
    """
    image, category, score = rows[:, 0], rows[:, 6], rows[:, 5]
    order = np.lexsort((-score, category, image))
    groups = np.stack([image, category], axis=1)[order]
    begins = np.r_[True, (groups[1:] != groups[:-1]).any(axis=1)][: len(rows)]
    places = np.arange(len(rows))
    first = np.maximum.accumulate(np.where(begins, places, 0))
    best = np.zeros(len(rows), dtype=bool)
    best[order] = places - first < most
    return best
