"""Drawn detections."""

import numpy as np
import torch

from yolov9_lit.reporting.draw import class_colour, draw_detections, draw_objects
from yolov9_lit.structures import Detections


def test_boxes_are_drawn_in_their_class_colour_on_a_copy():
    image = np.zeros((120, 160, 3), dtype=np.uint8)
    found = Detections(
        torch.tensor([[40.0, 50.0, 90.0, 100.0], [-5.0, -5.0, 500.0, 500.0]]),
        torch.tensor([0.9, 0.3]),
        torch.tensor([1, 0]),
    )
    drawn = draw_detections(image, found, ["a", "b"])
    assert not image.any()
    assert drawn.shape == image.shape
    assert tuple(drawn[100, 65]) == class_colour(1)
    assert not drawn[75, 65].any(), "the inside stays visible"


def test_outlines_are_tinted_inside_and_boxes_are_not():
    image = np.zeros((120, 160, 3), dtype=np.uint8)
    boxes = np.array([[10, 30, 70, 90], [90, 30, 150, 90]], dtype=np.float32)
    triangle = np.array([(10, 30), (70, 30), (10, 90)], dtype=np.float32)
    drawn = draw_objects(image, boxes, np.array([1, 0]), ((triangle,), ()), ["a", "b"])
    assert not image.any()
    assert drawn[50, 30].any()
    assert not drawn[80, 60].any()
    assert tuple(drawn[60, 10]) == class_colour(1)
    assert not drawn[60, 120].any()
    assert tuple(drawn[90, 120]) == class_colour(0)


def test_neighbouring_classes_differ():
    colours = np.array([class_colour(i) for i in range(10)], dtype=int)
    assert np.abs(np.diff(colours, axis=0)).sum(axis=1).min() > 100
