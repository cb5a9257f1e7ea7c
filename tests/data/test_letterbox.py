"""The letterbox, there and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from yolov9_lit.data.letterbox import (
    GREY,
    evaluation_letterbox,
    evaluation_shape,
    pad_centred,
    place_boxes,
    prediction_shape,
    resize_longest,
    restore,
    restore_boxes,
)
from yolov9_lit.structures import Detections, ImageInfo

SIDES = st.integers(20, 900)


@given(height=SIDES, width=SIDES, size=st.sampled_from([320, 640]))
def test_boxes_come_back(height, width, size):
    shape = evaluation_shape([(height, width)], size)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    boxed, placement = evaluation_letterbox(image, shape, size)
    assert boxed.shape == (*shape, 3)
    assert all(side % 32 == 0 for side in shape)
    boxes = np.array([[0, 0, width, height], [3, 4, 10, 15]], dtype=np.float32)
    info = ImageInfo(1, "", height, width, *placement)
    restored = restore_boxes(torch.from_numpy(place_boxes(boxes, placement)), info)
    np.testing.assert_allclose(restored, boxes, atol=1e-3 * max(height, width))


def test_image_lies_where_the_placement_says():
    image = np.full((100, 200, 3), 255, dtype=np.uint8)
    boxed, placement = evaluation_letterbox(image, evaluation_shape([(100, 200)], 320), 320)
    x1, y1, x2, y2 = place_boxes(np.array([[0, 0, 200, 100]]), placement)[0].astype(int)
    assert (boxed[y1:y2, x1:x2] == 255).all()
    outside = boxed.copy()
    outside[y1:y2, x1:x2] = GREY
    assert (outside == GREY).all()


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ([(480, 640)], (512, 672)),  # 480 + 16 -> 512, 640 + 16 -> 672
        ([(640, 480), (640, 400)], (672, 512)),
        ([(480, 640), (640, 480)], (672, 672)),
        ([(640, 640)], (672, 672)),
    ],
)
def test_shapes_of_batches(sizes, shape):
    assert evaluation_shape(sizes, 640) == shape


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((480, 640), (480, 640)),
        ((640, 640), (640, 640)),
        ((427, 640), (448, 640)),
        ((1920, 1080), (640, 384)),  # Scaled: 640 x 360.
        ((60, 80), (480, 640)),
        ((1, 4000), (64, 640)),
    ],
)
def test_prediction_pads_to_the_next_multiples_alone(size, shape):
    assert prediction_shape(size, 640) == shape


@given(height=SIDES, width=SIDES, size=st.integers(20, 900))
def test_prediction_shape_holds_the_image_and_not_a_stride_more(height, width, size):
    shape = prediction_shape((height, width), size)
    image = np.zeros((height, width, 1), dtype=np.uint8)
    scaled = resize_longest(image, size, smooth=True).shape[:2]
    for space, side in zip(shape, scaled, strict=True):
        assert space >= side
        assert space == 64 or space - side < 32


def test_padding_is_centred_and_never_cuts():
    padded, left, top = pad_centred(np.zeros((3, 4, 3), np.uint8), (6, 8))
    assert (left, top) == (2, 1)
    assert padded.shape == (6, 8, 3)
    with pytest.raises(ValueError, match="does not fit"):
        pad_centred(np.zeros((7, 4, 3), np.uint8), (6, 8))


def test_restored_boxes_are_clipped_to_the_image():
    info = ImageInfo(1, "", 50, 80, 2.0, 2.0, 8.0, 4.0)
    boxes = restore_boxes(torch.tensor([[-9.0, 0.0, 900.0, 900.0]]), info)
    assert boxes.tolist() == [[0.0, 0.0, 80.0, 50.0]]


def test_keypoints_come_back_as_boxes_do():
    """To where they lay in the image, those beyond it to its border; visibility stays."""
    info = ImageInfo(0, "", 100, 200, scale_x=0.5, scale_y=0.4, left=8.0, top=12.0)
    placed = torch.tensor([[[18.0, 16.0, 0.3], [0.0, 500.0, 0.9]]])
    boxes = torch.tensor([[8.0, 12.0, 108.0, 52.0]])
    found = restore(Detections(boxes, torch.ones(1), torch.zeros(1), keypoints=placed), info)
    assert found.boxes.tolist() == [[0, 0, 200, 100]]
    expected = torch.tensor([[[20.0, 10.0, 0.3], [0.0, 100.0, 0.9]]])
    torch.testing.assert_close(found.keypoints, expected)
