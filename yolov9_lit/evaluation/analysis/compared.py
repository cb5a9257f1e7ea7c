"""Detections beside the truth, matched once, as all analyses are given them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import hotcoco
import numpy as np

from yolov9_lit.data.coco.truth import Truth
from yolov9_lit.evaluation.analysis.overlaps import Overlaps, overlaps_of
from yolov9_lit.evaluation.analysis.skeletons import Skeletons
from yolov9_lit.evaluation.backends import Curves
from yolov9_lit.evaluation.coco_columns import sorted_ids
from yolov9_lit.evaluation.coco_task import Task
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.matches import Matches
from yolov9_lit.structures import KeypointLayout


class Pictures(NamedTuple):
    """Where the images are.

    Attributes:
        read: given an image's id, returns it: (H, W, 3) uint8 RGB.
        name: given an image's id, returns its file's name.
    """

    read: Callable[[int], np.ndarray]
    name: Callable[[int], str]


@dataclass(frozen=True, eq=False)
class Compared:
    """N detections and M objects of the images that were evaluated.

    Images and classes are numbered from 1 in the order of their ids, as in `Task`.

    Attributes:
        task: detections (its `rows`) and objects; of objects also those of other images.
        image_ids: the data set's id by number - 1.
        class_names: by number - 1.
        pictures: the images themselves.
        of_boxes: the same by boxes, where masks or keypoints are compared; else None.
        layout: of the keypoints, where these are compared.
    """

    task: Task
    image_ids: np.ndarray
    class_names: tuple[str, ...]
    pictures: Pictures
    of_boxes: Compared | None = None
    layout: KeypointLayout | None = None

    @classmethod
    def of(
        cls, truth: Truth, found: Found, pictures: Pictures, layout: KeypointLayout | None = None
    ) -> Compared:
        """Compare detections with the truth of these and perhaps more images.

        Their keypoints are compared where they have some, else their masks where they have these.

        Args:
            truth: with masks or keypoints where the detections have some.
            found: the detections.
            pictures: where the images are.
            layout: of their keypoints, if they have any.
        """
        names = {entry["id"]: str(entry["name"]) for entry in truth["categories"]}
        ids = sorted_ids(truth["images"])
        named = tuple(names[i] for i in sorted(names))
        boxes = cls(Task.of(truth, found), ids, named, pictures)
        if found.keypoints is not None:
            return cls(Task.of_keypoints(truth, found), ids, named, pictures, boxes, layout)
        if found.masks is not None:
            return cls(Task.of_masks(truth, found), ids, named, pictures, boxes)
        return boxes

    @property
    def overlap(self) -> str:
        """What an overlap is called."""
        return {"bbox": "IoU", "segm": "mask IoU", "keypoints": "OKS"}[self.task.compared]

    @property
    def an_overlap(self) -> str:
        """The same with its article."""
        return f"{'a' if self.task.masks else 'an'} {self.overlap}"

    @property
    def prefix(self) -> str:
        """What comes before the name of a figure."""
        return {"bbox": "", "segm": "mask ", "keypoints": "pose "}[self.task.compared]

    @property
    def located(self) -> Compared:
        """The same by where objects are, of any class: by boxes where keypoints are compared.

        Keypoints that are far off say nothing of whether an object is there.
        """
        return self.of_boxes if self.task.poses and self.of_boxes else self

    @property
    def poses(self) -> Skeletons | None:
        """Keypoints of detections and objects, where these are compared."""
        return Skeletons(self.task.poses, self.layout) if self.task.poses and self.layout else None

    @cached_property
    def evaluation(self) -> hotcoco.COCOeval:
        """The evaluation that COCO's figures come from."""
        evaluation = self.task.comparison()
        evaluation.evaluate()
        evaluation.accumulate()
        return evaluation

    @cached_property
    def without_ignored(self) -> hotcoco.COCOeval:
        """The same without ignored objects and detections on them, which count nowhere.

        Where hotcoco tells kinds of error it takes a crowd for an object that is not quite found.
        """
        ignored = self.task.ignored
        if not ignored.any():
            return self.evaluation
        evaluation = self.task.take(~ignored, self.matches.counted).comparison()
        evaluation.evaluate()
        return evaluation

    @cached_property
    def curves(self) -> Curves:
        """Precision and recall."""
        accumulated = self.evaluation.eval
        assert accumulated is not None
        return Curves(*(np.asarray(accumulated[name]) for name in Curves._fields))

    @cached_property
    def measured(self) -> np.ndarray:
        """(M,) bool: objects to be found, see `Task.measured`."""
        return self.task.measured

    @property
    def scores(self) -> np.ndarray:
        """(N,) of the detections."""
        return self.task.rows[:, 5]

    @property
    def images(self) -> np.ndarray:
        """(N,) numbers of the detections' images."""
        return self.task.rows[:, 0].astype(np.int64)

    @property
    def classes(self) -> np.ndarray:
        """(N,) numbers of the detections' classes."""
        return self.task.rows[:, 6].astype(np.int64)

    @cached_property
    def matches(self) -> Matches:
        """Which detection finds which object."""
        return Matches.of(self.evaluation, len(self.scores), len(self.measured))

    @cached_property
    def threshold(self) -> float:
        """Confidence of the best F1 over all detections; 0.25 where no object was found."""
        scores, f1 = self.f1(np.ones(len(self.scores), dtype=bool), int(self.measured.sum()))
        return float(scores[f1.argmax()]) if f1.any() else 0.25

    def confidence(self, given: float | None) -> float:
        """Return the confidence that an analysis looks at: the given one, or `threshold`."""
        return self.threshold if given is None else given

    def most_confident(self, chosen: np.ndarray) -> np.ndarray:
        """Return the places of the detections that are chosen, (N,) bool, by falling score."""
        places = np.flatnonzero(chosen)
        return places[np.argsort(-self.scores[places], kind="stable")]

    def f1(self, chosen: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
        """Return falling scores (T,), and F1 (T,) of the detections that score as much or more.

        Args:
            chosen: (N,) bool, the detections to look at.
            objects: how many there are to be found.
        """
        scores, hits, wrong = self.ranked(chosen)
        return scores, 2 * hits / np.maximum(hits + wrong + objects, 1)

    def ranked(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return falling scores (T,), each once, with the hits and the others that score as much.

        Args:
            chosen: (N,) bool, the detections to look at.
        """
        counted = chosen & self.matches.counted
        order = np.argsort(-self.scores[counted], kind="stable")
        scores, hits = self.scores[counted][order], self.matches.hits[counted][order]
        last = np.flatnonzero(np.diff(scores, append=-1.0))
        found = hits.cumsum()[last]
        return scores[last], found, last + 1 - found

    @cached_property
    def overlaps(self) -> Overlaps:
        """Overlaps of all detections and objects of an image."""
        return overlaps_of(self.task)

    def missed(self, confidence: float) -> np.ndarray:
        """(M,) bool: objects that no detection of at least this confidence finds."""
        found_by = self.matches.found_by
        missed: np.ndarray = np.append(self.scores, -1.0)[found_by] < confidence
        return np.asarray(self.measured & missed)

    def wrong(self, confidence: float) -> np.ndarray:
        """(N,) bool: detections of at least this confidence that find nothing."""
        wrong = self.matches.counted & ~self.matches.hits
        return np.asarray(wrong & (self.scores >= confidence))
