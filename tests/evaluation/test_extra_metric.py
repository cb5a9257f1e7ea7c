"""The metric of a task of one's own: which found number belongs to which object."""

import json

import numpy as np
import pytest
import torch

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation import CocoMetric, ExtraMetric
from yolov9_lit.structures import Detections


class Error(ExtraMetric):
    def extra_figures(self, found, true):
        return {"error": float(np.abs(found - true).mean()) if len(true) else -1.0}


def truth(*, masks=False, keypoints=False, extra=True):
    boxes = {1: [(0, 0, 10, 10), (40, 40, 20, 20)], 2: [(5, 5, 30, 30)]}
    entries = [
        {"image_id": image, "category_id": 7, "bbox": [*map(float, box)], "area": box[2] * box[3]}
        | {"iscrowd": 0}
        | ({"extra": [float(10 * image + place)]} if extra else {})
        for image, found in boxes.items()
        for place, box in enumerate(found)
    ]
    return {
        "images": [{"id": 1}, {"id": 2}],
        "annotations": [{"id": i} | entry for i, entry in enumerate(entries, start=1)],
        "categories": [{"id": 7, "name": "fruit"}],
    }


def found(boxes, scores, extra):
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores),
        torch.zeros(len(scores), dtype=torch.int64),
        extra=None if extra is None else torch.tensor(extra).reshape(len(scores), 1),
    )


FIRST = ([[40, 40, 60, 60], [0, 0, 10, 10], [0, 0, 9, 9], [80, 80, 90, 90]], [0.9, 0.8, 0.7, 0.6])


def measured(metric, *images):
    for image_id, detections in enumerate(images, start=1):
        metric.update([detections], [image_id])
    return metric


def test_each_object_is_compared_with_the_detection_that_finds_it():
    """The second detection of an object, and one of none, count for nothing."""
    first = found(*FIRST, [11.5, 10.25, 500.0, 900.0])
    missed = found([[60.0, 60, 90, 90]], [0.9], [77.0])
    figures = measured(Error(truth, [7]), first, missed).compute().figures()
    assert figures["error"] == pytest.approx((0.5 + 0.25) / 2)
    assert figures["AP50"] == pytest.approx(
        measured(CocoMetric(truth, [7]), first, missed).compute().figures()["AP50"]
    )


def test_the_file_of_detections_has_them(tmp_path):
    metric = measured(Error(truth, [7]), found(*FIRST, [11.5, 10.25, 500.0, 900.0]))
    metric.detections().write(tmp_path / "detections.json")
    rows = json.loads((tmp_path / "detections.json").read_text())
    assert [row["extra"] for row in rows] == [[11.5], [10.25], [500], [900]]
    assert metric.detections().of_images([2]).extra.shape == (0, 1)


def test_nothing_found_is_not_measured():
    nothing = found([], [], [])
    assert measured(Error(truth, [7]), nothing, nothing).compute().figures()["error"] == -1


def test_data_or_detections_without_numbers_are_told():
    first = found(*FIRST, [1.0, 2, 3, 4])
    with pytest.raises(UserError, match=r"but the data have none: give data\.extra"):
        measured(Error(lambda: truth(extra=False), [7]), first).compute()
    with pytest.raises(UserError, match="but the detector gives none"):
        measured(Error(truth, [7]), found(*FIRST, None)).compute()
