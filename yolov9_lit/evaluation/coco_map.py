"""COCO's figures as a torchmetrics Metric, on the data set's own annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from yolov9_lit.data.coco.truth import ReadTruth, Truth
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.backends import BACKENDS
from yolov9_lit.evaluation.coco_figures import CocoResult, evaluate
from yolov9_lit.evaluation.found import BOX_DECIMALS, KEYPOINT_DECIMALS, SCORE_DECIMALS, Found
from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.evaluation.metric import DetectionMetric
from yolov9_lit.structures import Detections

STATES = {
    "seen": (torch.int64, ()),
    "counts": (torch.int64, ()),
    "boxes": (torch.float32, (4,)),
    "scores": (torch.float32, ()),
    "labels": (torch.int64, ()),
    "masked": (torch.int64, ()),
    "mask_sizes": (torch.int64, (2,)),
    "mask_bytes": (torch.int64, ()),
    "mask_text": (torch.uint8, ()),
    "layouts": (torch.int64, ()),
    "keypoints": (torch.float32, ()),
    "widths": (torch.int64, ()),
    "extra": (torch.float32, ()),
}
"""Type and row shape of each state."""


class CocoMetric(DetectionMetric):
    """Collect detections over all processes; rank 0 evaluates, all ranks get the result.

    Where masks are given, if only of no image, theirs are twelve figures more, and those of
    keypoints ten.

    Only images that were given are evaluated, and an image given twice (as samplers do to even out
    ranks) counts once. Equal to pycocotools, whose re-implementation hotcoco is the default.
    """

    full_state_update = False
    seen: list[Tensor]
    counts: list[Tensor]
    boxes: list[Tensor]
    scores: list[Tensor]
    labels: list[Tensor]
    masked: list[Tensor]
    mask_sizes: list[Tensor]
    mask_bytes: list[Tensor]
    mask_text: list[Tensor]
    layouts: list[Tensor]
    keypoints: list[Tensor]
    widths: list[Tensor]
    extra: list[Tensor]

    def __init__(
        self,
        truth: ReadTruth,
        category_ids: Sequence[int],
        backend: Literal["hotcoco", "pycocotools"] = "hotcoco",
    ) -> None:
        """Set the parts.

        Args:
            truth: gives the ground truth; called on rank 0, when the figures are computed.
            category_ids: the data set's id of each class index.
            backend: the library that evaluates.

        Raises:
            UserError: there is no such backend.
        """
        super().__init__()
        if backend not in BACKENDS:
            raise UserError(f"There is no backend={backend}: choose from {', '.join(BACKENDS)}.")
        self.truth = truth
        self.category_ids = tuple(int(i) for i in category_ids)
        self.backend = backend
        # One row an image (its id and number of detections), one a detection, and of the masks'
        # texts one a byte, in the same order; and one an update with masks. What is of masks is in
        # the host's memory until processes share it. Of keypoints and of extra numbers there is how
        # many a detection has, once an image, and one number after the other.
        for state in STATES:
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(
        self,
        detections: Sequence[Detections],
        image_ids: Sequence[int],
        masks: Sequence[EncodedMasks] | None = None,
    ) -> None:
        """Add images; see `DetectionMetric`."""
        counts = [len(d.scores) for d in detections]
        self.seen.append(torch.tensor(image_ids, dtype=torch.int64, device=self.device))
        self.counts.append(torch.tensor(counts, dtype=torch.int64, device=self.device))
        for d in detections:
            self.boxes.append(d.boxes.float())
            self.scores.append(d.scores.float())
            self.labels.append(d.labels)
            if d.keypoints is not None:
                self.layouts.append(d.labels.new_tensor([d.keypoints.shape[1]]))
                self.keypoints.append(d.keypoints.float().flatten())
            if d.extra is not None:
                self.widths.append(d.labels.new_tensor([d.extra.shape[1]]))
                self.extra.append(d.extra.float().flatten())
        if masks is not None:
            self.masked.append(torch.ones(1, dtype=torch.int64))
            self._keep_masks(EncodedMasks.joined(masks))

    def _keep_masks(self, masks: EncodedMasks) -> None:
        lengths = [len(counts) for counts in masks.counts]
        text = np.frombuffer(b"".join(masks.counts), dtype=np.uint8)
        self.mask_sizes.append(torch.from_numpy(masks.sizes))
        self.mask_bytes.append(torch.tensor(lengths, dtype=torch.int64))
        self.mask_text.append(torch.from_numpy(text.copy()))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all ranks; one without images takes part with empty tensors."""
        for state in STATES:
            setattr(self, state, [self._column(state).to(self.device)])
        super().sync(*args, **kwargs)

    def _column(self, state: str) -> Tensor:
        """Return one state as a tensor, gathered or not."""
        rows = getattr(self, state)
        if isinstance(rows, Tensor):
            return rows
        if rows:
            return torch.cat(rows)
        return torch.zeros((0, *STATES[state][1]), dtype=STATES[state][0], device=self.device)

    def compute(self) -> CocoResult:
        """Evaluate everything given so far; an error on rank 0 is raised on all ranks."""
        outcome: list[CocoResult | Exception | None] = [None]
        if _rank() == 0:
            try:
                outcome = [self._evaluated()]
            except Exception as error:  # The other ranks are waiting for it.
                outcome = [error]
        if dist.is_available() and dist.is_initialized():
            dist.broadcast_object_list(outcome, src=0)
        (result,) = outcome
        if isinstance(result, Exception):
            raise result
        assert result is not None
        return result

    def _evaluated(self) -> CocoResult:
        found = self._found()
        return self.measured(self.truth(**found.wanted), found)

    def measured(self, truth: Truth, found: Found) -> CocoResult:
        """Compare all detections with the truth, on the first rank; a subclass may add figures."""
        return evaluate(truth, found, self.backend)

    def detections(self) -> Found:
        """Return all detections; see `DetectionMetric`."""
        with self.sync_context(should_unsync=True):
            return self._found()

    def _found(self) -> Found:
        """Return the detections of each image once, with the decimals that are written.

        What is measured is what a file holds: a box at the edge of an IoU threshold may count one
        way with all its digits and the other without.
        """
        columns = {state: self._column(state).cpu().numpy() for state in STATES}
        seen, counts = columns["seen"], columns["counts"]
        images, first = np.unique(seen, return_index=True)
        keep_image = np.zeros(len(seen), dtype=bool)
        keep_image[first] = True
        keep = np.repeat(keep_image, counts)
        boxes = columns["boxes"][keep].astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        labels = columns["labels"][keep]
        category_ids = np.asarray(self.category_ids, dtype=np.int64)[labels]
        scores = columns["scores"][keep].astype(float).round(SCORE_DECIMALS)
        boxes = boxes.round(BOX_DECIMALS)
        masks = self._masks(columns).take(keep) if len(columns["masked"]) else None
        keypoints = (
            self._keypoints(columns)[keep]
            if len(columns["layouts"]) or self.num_keypoints
            else None
        )
        extra = self._extra(columns)[keep] if len(columns["widths"]) else None
        image_ids = np.repeat(seen, counts)[keep]
        return Found(images, image_ids, boxes, scores, category_ids, masks, keypoints, extra)

    @staticmethod
    def _masks(columns: Mapping[str, np.ndarray]) -> EncodedMasks:
        text = columns["mask_text"].tobytes()
        ends = columns["mask_bytes"].cumsum().tolist()
        parts = [text[start:end] for start, end in pairwise([0, *ends])]
        return EncodedMasks.packed(columns["mask_sizes"], parts)

    def _keypoints(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        number = int(max(columns["layouts"], default=self.num_keypoints))
        shape = (len(columns["scores"]), number, 3)
        return columns["keypoints"].astype(float).round(KEYPOINT_DECIMALS).reshape(shape)

    @staticmethod
    def _extra(columns: Mapping[str, np.ndarray]) -> np.ndarray:
        shape = (len(columns["scores"]), int(columns["widths"].max()))
        return columns["extra"].astype(float).reshape(shape)


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
