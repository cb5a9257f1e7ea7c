"""Drawn keypoints."""

import numpy as np
import pytest
import torch

from yolov9_lit.reporting.comparison import Role, Shape, draw_comparison
from yolov9_lit.reporting.draw import draw_detections, draw_objects
from yolov9_lit.reporting.skeleton import (
    LEFT,
    MIDDLE,
    RIGHT,
    Skeleton,
    draw_skeleton,
    edge_colour,
    side_colours,
    skeletons_of,
)
from yolov9_lit.structures import Detections, KeypointLayout

LAYOUT = KeypointLayout(
    ("nose", "left_eye", "right_eye"), ((0, 1), (0, 2), (1, 2)), (0, 2, 1), (0.05,) * 3
)
POINTS = np.array([[100.5, 100.5], [130.5, 60.5], [70.5, 60.5]])


def keypoints(*visible):
    return np.column_stack([POINTS, visible])


def drawn(points, ground=(0, 0, 0), width=2):
    image = np.full((160, 200, 3), ground, dtype=np.uint8)
    draw_skeleton(image, Skeleton(points, LAYOUT), width)
    return image


def at(image, point):
    x, y = np.floor(point).astype(int)
    return tuple(image[y, x].tolist())


def near(pixel, colour):
    return np.abs(np.subtract(pixel, colour)).max() < 90


def test_left_and_right_are_told_by_colour():
    image = drawn(keypoints(2, 2, 2))
    assert [at(image, point) for point in POINTS] == [MIDDLE, LEFT, RIGHT]
    middles = [POINTS[[a, b]].mean(axis=0) for a, b in LAYOUT.edges]
    assert [at(image, point) for point in middles] == [LEFT, RIGHT, MIDDLE]


def test_a_hidden_keypoint_is_a_ring():
    image = drawn(keypoints(1, 2, 2), (90, 90, 90))
    assert at(image, POINTS[0]) == (0, 0, 0)
    assert at(image, POINTS[0] + [4, 0]) == MIDDLE


def test_a_keypoint_that_is_not_there_takes_its_edges_along():
    image = drawn(keypoints(2, 2, 0), (90, 90, 90))
    assert at(image, POINTS[1]) == LEFT
    assert near(at(image, POINTS[[0, 1]].mean(axis=0)), LEFT)
    assert at(image, POINTS[2]) == at(image, POINTS[[0, 2]].mean(axis=0)) == (90, 90, 90)
    untouched = drawn(np.zeros((3, 3)), (90, 90, 90))
    assert (untouched == 90).all()


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), LEFT, RIGHT, MIDDLE, (128,) * 3])
def test_it_is_seen_on_any_ground(ground):
    """Where one of casing and colour is the ground's, the other is not."""
    changed = np.abs(drawn(keypoints(2, 2, 2), ground).astype(int) - ground).max(axis=2) > 60
    for point in (*POINTS, *(POINTS[[a, b]].mean(axis=0) for a, b in LAYOUT.edges)):
        x, y = np.floor(point).astype(int)
        assert changed[y - 8 : y + 9, x - 8 : x + 9].sum() >= 8


@pytest.mark.parametrize(
    ("names", "sides"),
    [
        (("right_hand", "left_hand"), (RIGHT, LEFT)),
        (("handL", "handR"), (LEFT, RIGHT)),
        (("R-hand", "L-hand"), (RIGHT, LEFT)),
        (("hand", "foot"), (LEFT, RIGHT)),
    ],
)
def test_names_tell_the_side(names, sides):
    assert tuple(side_colours(KeypointLayout(names, (), (1, 0), (0.05, 0.05)))) == sides
    assert side_colours(KeypointLayout(names, (), (0, 1), (0.05, 0.05))) == [MIDDLE, MIDDLE]


def test_an_edge_is_of_the_side_that_neither_end_contradicts():
    assert edge_colour(LEFT, MIDDLE) == edge_colour(LEFT, LEFT) == LEFT
    assert edge_colour(LEFT, RIGHT) == edge_colour(MIDDLE, MIDDLE) == MIDDLE


def test_detections_have_their_likely_keypoints_drawn_if_the_layout_is_told():
    image = np.zeros((160, 200, 3), dtype=np.uint8)
    found = Detections(
        torch.tensor([[40.0, 30.0, 160.0, 140.0]]),
        torch.tensor([0.9]),
        torch.tensor([0]),
        keypoints=torch.tensor(keypoints(0.9, 0.6, 0.3), dtype=torch.float32)[None],
    )
    plain = draw_detections(image, found, ["cat"])
    np.testing.assert_array_equal(
        plain, draw_detections(image, found._replace(keypoints=None), ["cat"], LAYOUT)
    )
    seen = draw_detections(image, found, ["cat"], LAYOUT)
    assert (seen != plain).any()
    assert at(seen, POINTS[0]) == MIDDLE
    assert at(seen, POINTS[1]) == LEFT
    assert at(seen, POINTS[2]) == (0, 0, 0)


def test_annotated_keypoints_are_drawn_on_top_of_the_boxes():
    image = np.zeros((160, 200, 3), dtype=np.uint8)
    through = np.array([[*POINTS[1], 180.0, 150.0]])
    skeletons = skeletons_of(keypoints(2, 2, 2)[None], LAYOUT)
    seen = draw_objects(image, through, np.array([0]), [()], ["cat"], skeletons)
    assert at(seen, POINTS[1]) == LEFT
    assert skeletons_of(keypoints(2, 2, 2)[None], None) == []


def test_the_truth_s_keypoints_are_rings_around_those_that_are_found():
    """A small image is enlarged, its keypoints with it."""
    image = np.zeros((100, 80, 3), dtype=np.uint8)
    one = Skeleton(np.array([[40.5, 50.5, 2]]), KeypointLayout(("tip",), (), (0,), (0.05,)))
    boxes = [
        Shape([10, 10, 70, 90], "cat 0.9", Role.RIGHT, skeleton=one),
        Shape([10, 10, 70, 90], "cat", Role.MISSED, skeleton=one),
    ]
    seen = draw_comparison(image, boxes)
    x, y = 3 * 40 + 1, 3 * 50 + 1
    assert tuple(seen[y, x].tolist()) == MIDDLE
    assert near(seen[y, x + 5], Role.MISSED.colour)
