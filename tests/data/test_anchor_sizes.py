"""Anchors by k-means: what they must reach, on boxes whose best anchors are known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from yolov9_lit.data.anchor_sizes import box_sizes, find_anchor_sizes, fit


@dataclass
class Boxes:
    """The parts of annotations that count: images of one size."""

    boxes: np.ndarray
    crowd: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray
    path: Path = Path("a.json")

    def __len__(self):
        return len(self.sizes)


def annotations(sizes, image=(100, 200), crowd=False):
    """Two images, the boxes in the second one."""
    boxes = np.concatenate((np.zeros_like(sizes), sizes), axis=1).astype(np.float32)
    offsets = np.array([0, 0, len(boxes)])
    return Boxes(boxes, np.full(len(boxes), crowd), np.array([(64, 64), image]), offsets)


def test_nine_kinds_of_boxes_have_an_anchor_each():
    kinds = np.array([(w, h) for w in (6, 20, 70) for h in (6, 20, 70)], dtype=float)
    rng = np.random.default_rng(0)
    boxes = np.repeat(kinds, 40, axis=0) * rng.uniform(0.97, 1.03, (360, 2))
    found = find_anchor_sizes(annotations(boxes), image_size=400)  # twice as large as the image
    flat = np.array(found.by_level).reshape(-1, 2)
    np.testing.assert_allclose(sorted(flat.tolist()), sorted((2 * kinds).tolist()), atol=2)
    areas = flat.prod(axis=1)
    assert (np.diff(areas) >= 0).all(), "from small to large, level by level"
    assert found.reached == 1
    assert found.fitness > 0.95


def test_they_fit_better_than_chance_and_are_the_same_again():
    rng = np.random.default_rng(1)
    boxes = np.exp(rng.normal(3, 0.8, (500, 2)))
    one, other = (find_anchor_sizes(annotations(boxes), 200) for _ in range(2))
    assert one == other
    for seed in range(20):
        chance = np.random.default_rng(seed).choice(boxes, 9)
        assert fit(boxes, chance).mean() < one.fitness


@pytest.mark.parametrize("count", [1, 4])
def test_a_few_boxes_are_enough(count):
    boxes = np.array([(10.0, 20.0), (30.0, 30.0), (0.1, 5.0), (90.0, 40.0)])[:count]
    found = find_anchor_sizes(annotations(boxes), 200)
    assert np.array(found.by_level).shape == (3, 3, 2)
    assert np.array(found.by_level).min() >= 1
    assert found.reached == 1


def test_crowds_and_images_without_boxes_do_not_count():
    crowd = annotations(np.array([(10.0, 20.0)]), crowd=True)
    assert box_sizes(crowd, 200).shape == (0, 2)
    with pytest.raises(ValueError, match=r"a\.json has no boxes to find anchors by"):
        find_anchor_sizes(crowd, 200)


def test_the_fit_is_the_worse_side_of_the_best_anchor_by_brute_force():
    rng = np.random.default_rng(2)
    boxes, anchors = rng.uniform(1, 80, (30, 2)), rng.uniform(1, 80, (4, 2))
    for box, found in zip(boxes, fit(boxes, anchors), strict=True):
        sides = [
            [min(b / a, a / b) for b, a in zip(box, anchor, strict=True)] for anchor in anchors
        ]
        best = max(map(min, sides))
        assert found == pytest.approx(best if best > 0.25 else 0)
