"""Labels in plots lie over nothing, and keep their order in a column."""

import warnings
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from yolov9_lit.reporting.labels import Label, place_labels, spread, spread_labels


@pytest.fixture
def axes():
    figure = Figure(figsize=(7.2, 4.5), dpi=160)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 50)
    figure.canvas.draw()
    return axes


def crowded_labels():
    rng = np.random.default_rng(0)
    spots = np.vstack([rng.normal((4, 25), (0.8, 5), (10, 2)), rng.uniform(1, 9, (4, 2))])
    return [Label(x, y, f"block=csp no {i}", "black") for i, (x, y) in enumerate(spots)]


def boxes_of(axes):
    axes.figure.canvas.draw()
    return [Text.get_window_extent(text) for text in axes.texts]


def test_placed_labels_lie_on_no_line(axes):
    x, y = np.array([1, 2, 5, 9]), np.array([10, 30, 38, 44])
    axes.plot(x, y)
    axes.plot(x, y - 4, linestyle="none", marker="o")
    place_labels(axes, [Label(*spot, "yolov9_c", "black") for spot in zip(x, y, strict=True)], [])
    along = np.linspace(1, 9, 500)
    line = axes.transData.transform(np.stack([along, np.interp(along, x, y)], axis=1))
    assert not any(box.count_contains(line) for box in boxes_of(axes))


def test_placed_labels_overlap_neither_each_other_nor_points_nor_obstacles(axes):
    labels = crowded_labels()
    bar = Bbox.from_bounds(500, 100, 4, 500)
    place_labels(axes, labels, [bar])
    boxes = boxes_of(axes)
    assert [text.get_text() for text in axes.texts] == [
        label.text for label in sorted(labels, key=lambda label: -label.y)
    ]
    assert not any(one.overlaps(other) for one, other in combinations([*boxes, bar], 2))
    points = axes.transData.transform([(label.x, label.y) for label in labels])
    assert not any(box.count_contains(points) for box in boxes)
    assert all(box.x0 >= axes.bbox.x0 and box.y0 >= axes.bbox.y0 for box in boxes)


def test_a_lone_label_stands_right_beside_its_point(axes):
    place_labels(axes, [Label(5, 25, "alone", "black")], [])
    (box,) = boxes_of(axes)
    x, y = axes.transData.transform((5, 25))
    assert 0 < box.x0 - x < 30
    assert box.y0 < y < box.y1


def test_labels_in_a_column_do_not_overlap_and_keep_their_order(axes):
    labels = [Label(10, y, f"line {y}", "black") for y in (20.2, 20.0, 20.1, 45.0)]
    spread_labels(axes, labels)
    boxes = boxes_of(axes)
    assert [text.get_text() for text in axes.texts] == [
        f"line {y}" for y in (20.0, 20.1, 20.2, 45.0)
    ]
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))
    assert all(box.x0 > axes.bbox.x1 for box in boxes)


def test_positions_are_spread_in_their_order():
    wanted = np.array([0.1, 0.11, 0.12, 0.5, 0.9])
    found = spread(wanted, 0.05)
    np.testing.assert_allclose(found, [0.06, 0.11, 0.16, 0.5, 0.9])
    assert (np.diff(spread(np.zeros(6), 0.1)) > 0.0999).all()


def test_letters_that_no_font_has_are_boxes_without_a_warning(axes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        place_labels(axes, [Label(5, 25, "\u060d \U000f0000", "black")], [])
    assert len(axes.texts) == 1
