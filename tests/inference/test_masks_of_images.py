"""Masks of predict: in the image's own pixels, and drawn."""

import numpy as np
import torch

from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.models.create import create_model
from yolov9_lit.models.segment import SegmentHead
from yolov9_lit.reporting.draw import class_colour, draw_detections
from yolov9_lit.structures import Detections
from yolov9_lit.weights.card import ModelCard


def test_masks_are_in_the_images_pixels_and_inside_their_boxes():
    torch.manual_seed(0)
    detector = create_model("gelan_t", num_classes=2, head=SegmentHead).eval()
    predictor = Predictor(detector, ModelCard({}, ("a", "b"), (1, 2), 64))
    image = np.random.default_rng(0).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    (found,) = predictor.predict(image, confidence=0.0001, max_detections=5)
    assert found.masks.shape == (5, 90, 150)
    assert found.parts is None
    for mask, (x1, y1, x2, y2) in zip(found.masks, found.boxes.tolist(), strict=True):
        rows, columns = mask.nonzero(as_tuple=True)
        assert len(rows) == 0 or (
            # A cell of the prototypes has 4 pixels of the input, 10 of the image.
            rows.min() >= y1 - 10
            and rows.max() <= y2 + 10
            and columns.min() >= x1 - 10
            and columns.max() <= x2 + 10
        )


def test_what_a_mask_covers_is_tinted_and_the_rest_left():
    mask = torch.zeros(1, 60, 60, dtype=torch.bool)
    mask[0, 30:50, 30:50] = True
    found = Detections(
        torch.tensor([[29.0, 29.0, 50.0, 50.0]]), torch.ones(1), torch.zeros(1).long(), mask
    )
    drawn = draw_detections(np.full((60, 60, 3), 100, np.uint8), found, ["a"])
    expected = 0.7 * 100 + 0.3 * np.array(class_colour(0))
    assert np.abs(drawn[40, 40] - expected).max() <= 1
    assert (drawn[55, 55] == 100).all()
