"""Views of an image: tiles, scales and mirror images, put together as if it had been seen whole."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.images import ImagePredictor
from yolov9_lit.inference.merging import Merging, Suppression, WeightedBoxesFusion
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.inference.views import ScalesAndFlips, Tiles
from yolov9_lit.models.create import create_model
from yolov9_lit.structures import Detections, KeypointLayout
from yolov9_lit.weights.card import ModelCard

SIZE = 64


class FindsRectangles(ImagePredictor):
    """Finds what is red and what is green, exactly; the larger, the surer."""

    def __init__(self, input_shape=None, **card):
        super().__init__(ModelCard({}, ("red", "green"), (1, 2), SIZE, **card), input_shape)

    def detect(self, images, settings):
        return [self._rectangles(image.permute(1, 2, 0).numpy()) for image in images]

    def _rectangles(self, image):
        rows = []
        for label in (0, 1):
            coloured = (image[..., label] > 200) & (image[..., 1 - label] < 50)
            stats = cv2.connectedComponentsWithStats(coloured.astype(np.uint8), connectivity=4)[2]
            rows += [(x, y, x + w, y + h, area, label) for x, y, w, h, area in stats[1:]]
        rows = torch.tensor(sorted(rows, key=lambda row: -row[4])).view(-1, 6)
        scores = 0.5 + rows[:, 4] / (3 * SIZE * SIZE)
        return Detections(rows[:, :4].float(), scores, rows[:, 5].long())


def drawn(height, width, boxes):
    """Coloured rectangles on black; boxes are (x1, y1, x2, y2, label)."""
    image = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2, label in boxes:
        image[y1:y2, x1:x2, label] = 255
    return image


def found(detections):
    return sorted((*map(round, box), label) for *box, label in rows(detections))


def rows(detections):
    return torch.cat((detections.boxes, detections.labels[:, None]), dim=1).tolist()


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    side=st.integers(1, 60),
    overlap=st.floats(0, 0.9),
)
def test_tiles_show_every_pixel_and_overlap(height, width, side, overlap):
    views = Tiles(Merging(), side, overlap, whole=False).of(height, width, SIZE)
    shown = np.zeros((height, width), bool)
    for view in views:
        assert 0 <= view.left < view.right <= width
        assert 0 <= view.top < view.bottom <= height
        shown[view.top : view.bottom, view.left : view.right] = True
    assert shown.all()
    if len(views) > 1:
        assert {view.right - view.left for view in views} == {min(side, width)}
        for edges in ({(v.left, v.right) for v in views}, {(v.top, v.bottom) for v in views}):
            for (_, end), (start, _) in pairwise(sorted(edges)):
                assert end - start >= min(side * overlap, side - 1)
    assert len(set(views)) == len(views)


@st.composite
def scenes(draw, largest):
    """An image's size and rectangles in cells that are apart, so that none touches another."""
    rows, columns = draw(st.integers(3, 5)), draw(st.integers(3, 5))
    cell = largest + 2
    boxes = []
    for row in range(rows):
        for column in range(columns):
            width, height = draw(st.integers(4, largest)), draw(st.integers(4, largest))
            x, y = column * cell + draw(st.integers(0, 1)), row * cell + draw(st.integers(0, 1))
            boxes.append((x, y, x + width, y + height, draw(st.integers(0, 1))))
    return rows * cell, columns * cell, boxes


@settings(max_examples=15, deadline=None)
@given(scene=scenes(largest=25), merge=st.sampled_from([Merging(), Suppression()]))
def test_objects_as_large_as_the_overlap_are_found_as_they_are(scene, merge):
    """Whatever border cuts them, wherever they lie: each once, at its own place."""
    height, width, boxes = scene
    views = Tiles(merge, overlap=0.45, whole=False)
    (detections,) = FindsRectangles().predict(drawn(height, width, boxes), views=views)
    assert found(detections) == sorted(boxes)
    assert detections.scores.tolist() == sorted(detections.scores.tolist(), reverse=True)


def test_what_is_larger_than_a_tile_is_put_together():
    """By merging alone, which suppression is not; the whole image shows it too, coarsely."""
    boxes = [(10, 20, 190, 60, 0), (20, 90, 50, 240, 1), (100, 100, 110, 110, 0)]
    image = drawn(256, 200, boxes)
    detector = FindsRectangles()
    (merged,) = detector.predict(image, views=Tiles(Merging(ios=0.2), whole=False))
    assert found(merged) == sorted(boxes)
    (suppressed,) = detector.predict(image, views=Tiles(Suppression(), whole=False))
    assert len(suppressed.scores) > 3
    (whole,) = detector.predict(image, views=Tiles(Merging()))
    assert len(whole.scores) == 3
    assert np.abs(np.subtract(found(whole), sorted(boxes))).max() <= 4


@pytest.mark.parametrize("shift", [(1, 0), (7, 13), (40, 3)])
def test_boxes_move_with_the_image(shift):
    dx, dy = shift
    boxes = [(20, 30, 40, 45, 0), (70, 60, 85, 85, 1), (100, 20, 120, 30, 0)]
    moved = [(x1 + dx, y1 + dy, x2 + dx, y2 + dy, label) for x1, y1, x2, y2, label in boxes]
    views = Tiles(Merging(), overlap=0.5, whole=False)
    for objects in (boxes, moved):
        (detections,) = FindsRectangles().predict(drawn(120, 180, objects), views=views)
        assert found(detections) == sorted(objects)


@pytest.mark.parametrize("merge", [WeightedBoxesFusion(), Suppression()])
@pytest.mark.parametrize("scales", [[1.0], [0.5, 1.0, 2.0]])
def test_mirrored_and_scaled_views_find_the_same(merge, scales):
    boxes = [(2, 4, 20, 24, 0), (30, 8, 60, 40, 1)]
    views = ScalesAndFlips(merge, scales)
    assert len(views.of(48, 64, SIZE)) == 2 * len(scales)
    (detections,) = FindsRectangles().predict(drawn(48, 64, boxes), views=views)
    assert found(detections) == sorted(boxes)


@pytest.fixture(scope="module")
def predictor():
    """Of two classes, whose random weights find something everywhere."""
    torch.manual_seed(0)
    detector = create_model("gelan_t", num_classes=2)
    for branch in detector.head.cls:
        torch.nn.init.normal_(branch[2].weight, std=1.0)
        torch.nn.init.constant_(branch[2].bias, -1.0)
    return Predictor(detector, ModelCard({}, ("a", "b"), (1, 2), SIZE)).deploy()


@pytest.mark.parametrize(
    "views",
    [
        Tiles(Merging(), size=80),
        Tiles(Merging(), size=80, whole=False),
        ScalesAndFlips(WeightedBoxesFusion(), flip=False),
    ],
)
def test_one_view_is_no_view(predictor, views):
    """Where an image is looked at once its detections are what they were, bit by bit."""
    images = [*np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), dtype=np.uint8)]
    plain, viewed = predictor.predict(images), [predictor.predict(i, views=views) for i in images]
    assert min(len(found.scores) for found in plain) > 5
    for expected, (got,) in zip(plain, viewed, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected[:3], got[:3], strict=True))


def test_a_tile_is_seen_as_an_image_of_its_own(predictor):
    """What is found in a tile, away from the others, is what it holds alone."""
    image = np.random.default_rng(0).integers(0, 255, (SIZE, 2 * SIZE, 3), dtype=np.uint8)
    views = Tiles(Suppression(iou=1.0), overlap=0.0, whole=False)
    (both,) = predictor.predict(image, views=views, max_detections=1000)
    halves = [image[:, :SIZE], image[:, SIZE:]]
    alone = predictor.predict(halves, max_detections=1000)
    expected = torch.cat(
        (alone[0].boxes, alone[1].boxes + torch.tensor([SIZE, 0.0, SIZE, 0.0]))
    ).tolist()
    assert sorted(both.boxes.tolist()) == sorted(expected)


def test_limits_hold_for_all_views_together():
    boxes = [(i * 30, 10, i * 30 + 5 + i, 20, 0) for i in range(6)]
    image = drawn(64, 200, boxes)
    (best,) = FindsRectangles().predict(image, views=Tiles(Merging()), max_detections=2)
    assert found(best) == sorted(boxes[-2:])
    views = ScalesAndFlips(WeightedBoxesFusion())
    (none,) = FindsRectangles().predict(image, views=views, confidence=0.9)
    assert len(none.scores) == 0


class FindsMasks(FindsRectangles):
    finds_masks = True


class FindsAges(FindsRectangles):
    def detect(self, images, settings):
        return [d._replace(extra=d.scores[:, None]) for d in super().detect(images, settings)]


@pytest.mark.parametrize(
    ("detector", "told"),
    [
        (FindsMasks(), "masks"),
        (FindsRectangles(keypoints=KeypointLayout(("a",), (), (0,), (0.05,))), "keypoints"),
        (FindsAges(), "further numbers"),
    ],
)
def test_more_than_boxes_is_refused(detector, told):
    image = drawn(100, 100, [(10, 10, 20, 20, 0)])
    with pytest.raises(UserError, match=f"^This model finds {told} too, .*: leave views out"):
        detector.predict(image, views=Tiles(Merging()))


def test_what_does_not_fit_each_other_is_refused():
    with pytest.raises(ValueError, match="merge=wbf averages over views of the whole image"):
        Tiles(WeightedBoxesFusion())
    fixed = FindsRectangles(input_shape=(SIZE, SIZE))
    image = drawn(100, 100, [(10, 10, 30, 30, 0)])
    with pytest.raises(UserError, match=r"takes 64x64 only, .*: give views.scales=\[1\]"):
        fixed.predict(image, views=ScalesAndFlips(WeightedBoxesFusion(), [1.0, 2.0]))
    (tiled,) = fixed.predict(image, views=Tiles(Merging(), overlap=0.5))
    assert found(tiled) == [(10, 10, 30, 30, 0)]


def test_nothing_found_is_nothing():
    (detections,) = FindsRectangles().predict(drawn(100, 150, []), views=Tiles(Merging()))
    assert [tensor.shape for tensor in detections[:3]] == [(0, 4), (0,), (0,)]
    views = Tiles(Merging()).of(100, 150, SIZE)
    none = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    merged = ScalesAndFlips(WeightedBoxesFusion()).merged(
        views, [none] * len(views), (100, 150), NMSSettings()
    )
    assert merged.labels.dtype == torch.int64
    assert len(merged.boxes) == 0
