"""Detections beside the truth, as hotcoco and pycocotools take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, Literal, NamedTuple

import hotcoco
import numpy as np

from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.mask_entries import RLE, box_mask
from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.found import Found


class Objects(NamedTuple):
    """The M objects of a ground truth, in columns.

    Attributes:
        images: (M,) numbers of their images.
        categories: (M,) numbers.
        boxes: (M, 4), x, y, width and height in pixels.
        areas: (M,) in square pixels.
        crowd: (M,) bool, regions of many objects.
    """

    images: np.ndarray
    categories: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray

    @classmethod
    def of(cls, entries: list[Entry], images: np.ndarray, categories: np.ndarray) -> Objects:
        """Take entries of `annotations`, given the ids that are numbered."""
        return cls(
            _numbers(column(entries, "image_id", np.int64), images),
            _numbers(column(entries, "category_id", np.int64), categories),
            column(entries, "bbox", float).reshape(-1, 4),
            column(entries, "area", float),
            column(entries, "iscrowd", bool),
        )


class Masks(NamedTuple):
    """What a backend compares in place of boxes.

    Attributes:
        objects: M, of the truth.
        found: N, of the detections.
    """

    objects: list[RLE]
    found: list[RLE]


class Task(NamedTuple):
    """What a backend compares; images and categories are numbered from 1 in the order of their ids.

    The backends keep ids in floats, which cannot hold all of them.

    Attributes:
        images: (I,) numbers of those that are measured.
        categories: how many there are.
        objects: the truth, of these and perhaps more images.
        rows: (N, 7) detections: image, x, y, width, height, score, category.
        masks: of objects and detections, where these are compared and not the boxes.
    """

    images: np.ndarray
    categories: int
    objects: Objects
    rows: np.ndarray
    masks: Masks | None = None

    @classmethod
    def of(cls, truth: Truth, found: Found) -> Task:
        """Give numbers; leave out detections of a category that the truth lacks."""
        images, categories = sorted_ids(truth["images"]), sorted_ids(truth["categories"])
        known = np.isin(found.category_ids, categories)
        columns = (
            _numbers(found.image_ids[known], images),
            found.boxes[known],
            found.scores[known],
            _numbers(found.category_ids[known], categories),
        )
        return cls(
            _numbers(found.images, images),
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
        known = np.isin(found.category_ids, sorted_ids(truth["categories"]))
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

    def take(self, objects: np.ndarray, found: np.ndarray) -> Task:
        """Return a part of it.

        Args:
            objects: (M,) bool, of the truth.
            found: (N,) bool, of the detections.
        """
        masks = self.masks and Masks(
            [*compress(self.masks.objects, objects)], [*compress(self.masks.found, found)]
        )
        return self._replace(
            objects=Objects(*(values[objects] for values in self.objects)),
            rows=self.rows[found],
            masks=masks,
        )

    def entries(self) -> tuple[list[Entry], list[Entry]]:
        """Return entries of `images` and `categories`."""
        images = np.union1d(self.images, self.objects.images)
        categories = range(1, self.categories + 1)
        return [{"id": i} for i in images.tolist()], [{"id": i, "name": f"{i}"} for i in categories]

    @property
    def compared(self) -> Literal["bbox", "segm"]:
        """What the backends call that which is compared."""
        return "segm" if self.masks else "bbox"

    def comparison(self) -> hotcoco.COCOeval:
        """Return hotcoco's comparison, to be evaluated."""
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
        evaluation = hotcoco.COCOeval(expected, given, self.compared)
        # Of no images hotcoco takes all; there is none of number 0.
        evaluation.params.img_ids = self.images.tolist() or [0]
        return evaluation


def sorted_ids(entries: Sequence[Entry]) -> np.ndarray:
    """Return the entries' ids in their order, int64."""
    return np.sort(column(entries, "id", np.int64))


def column(entries: Sequence[Mapping[str, Any]], key: str, kind: type) -> np.ndarray:
    """Return what entries have under a key."""
    return np.array([entry[key] for entry in entries], dtype=kind)


def _numbers(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return numbers from 1 in place of ids, all of which are there."""
    return np.searchsorted(ids, values) + 1
