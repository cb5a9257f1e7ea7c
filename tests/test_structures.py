"""Detections handed over to other libraries."""

import sys

import numpy as np
import pytest
import torch

from yolov9_lit.errors import UserError
from yolov9_lit.structures import Detections


def detections(count=3, **more):
    corner = torch.arange(count * 2.0).view(count, 2)
    scores = torch.linspace(0.9, 0.5, count)
    return Detections(torch.cat((corner, corner + 5), 1), scores, torch.arange(count) % 2, **more)


def test_supervision_has_all_that_was_found():
    pytest.importorskip("supervision")
    ours = detections(
        masks=torch.arange(3 * 6 * 8).view(3, 6, 8) % 3 == 0,
        keypoints=torch.rand(3, 2, 3),
        extra=torch.rand(3, 1),
    )
    theirs = ours.to_supervision(["cat", "dog"])
    assert len(theirs) == 3
    np.testing.assert_array_equal(theirs.xyxy, ours.boxes)
    np.testing.assert_array_equal(theirs.confidence, ours.scores)
    np.testing.assert_array_equal(theirs.class_id, ours.labels)
    np.testing.assert_array_equal(theirs.mask, ours.masks)
    assert theirs.data["class_name"].tolist() == ["cat", "dog", "cat"]
    dogs = theirs[theirs.class_id == 1]
    np.testing.assert_array_equal(dogs.data["keypoints"], ours.keypoints[1:2])
    np.testing.assert_array_equal(dogs.data["extra"], ours.extra[1:2])
    assert dogs.mask.shape == (1, 6, 8)


def test_boxes_alone_and_none_are_handed_over():
    pytest.importorskip("supervision")
    assert detections().to_supervision().data == {}
    empty = detections(0).to_supervision(["cat"])
    assert len(empty) == 0
    assert empty.mask is None


def test_supervision_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match=r"^supervision is not installed.*pip install supervision"):
        detections().to_supervision()
