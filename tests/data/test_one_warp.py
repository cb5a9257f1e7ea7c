"""The fused step against the plain one: the same sample, whatever is drawn."""

import cv2
import numpy as np
import pytest

from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.sample import Sample
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.color import RandomHSV
from yolov9_lit.data.transforms.copy_paste import CopyPaste
from yolov9_lit.data.transforms.mosaic import Mosaic
from yolov9_lit.data.transforms.one_warp import OneWarp, fused

SIZE = 160


def smooth_sample(rng, objects=8):
    """An image of slow gradients, on which a shift by half a pixel changes little."""
    height, width = rng.integers(SIZE // 2, SIZE, 2)
    noise = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = cv2.resize(noise, (int(width), int(height)), interpolation=cv2.INTER_CUBIC)
    boxes, polygons = [], []
    for _ in range(objects):
        corner = rng.uniform(0, [width - 32, height - 32])
        centre, radius = corner + 16, rng.uniform(6, 16)
        angles = np.arange(int(rng.integers(4, 12))) * 0.7
        points = centre + radius * np.stack((np.cos(angles), np.sin(angles)), 1)
        boxes.append((*points.min(0), *points.max(0)))
        polygons.append((points.astype(np.float32),))
    return Sample(
        image, np.array(boxes, np.float32), rng.integers(0, 5, objects), FlatPolygons.pack(polygons)
    )


def plain(steps, sample, rng, another):
    for step in steps:
        sample = step(sample, rng, another)
    return sample


def both_ways(seed, steps):
    """The sample made by the steps one after the other, and by the fused one."""
    sources = [smooth_sample(np.random.default_rng((seed, i))) for i in range(4)]
    return [
        make(sources[0], np.random.default_rng(seed), iter(sources[1:]).__next__)
        for make in (lambda *arguments: plain(steps, *arguments), OneWarp(*steps))
    ]


@pytest.mark.parametrize("share", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(8))
def test_is_the_same_where_pixels_meet_pixels(seed, share):
    steps = (Mosaic(SIZE), CopyPaste(share), RandomAffine(SIZE, translate=0, scale=0))
    theirs, ours = both_ways(seed, steps)
    # The plain copy of an object at a seam has an outermost pixel of the tile next to it.
    assert (theirs.image != ours.image).mean() <= share * 0.002
    np.testing.assert_allclose(theirs.boxes, ours.boxes, atol=1e-4)
    np.testing.assert_allclose(theirs.polygons.points, ours.polygons.points, atol=1e-4)
    assert np.array_equal(theirs.labels, ours.labels)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_equals_the_three_one_after_the_other(seed, share):
    steps = (Mosaic(SIZE), CopyPaste(share), RandomAffine(SIZE, translate=0.1, scale=0.6))
    theirs, ours = both_ways(seed, steps)
    difference = np.abs(theirs.image.astype(int) - ours.image).max(axis=2)
    edges = cv2.morphologyEx(theirs.image, cv2.MORPH_GRADIENT, np.ones((5, 5))).max(axis=2)
    assert (difference <= edges + 1).mean() > 0.995, "within two pixels of where it was"
    assert difference.mean() < 4
    # A box at the limit of what is kept may fall on the other side of it.
    pairs = np.abs(theirs.boxes[:, None] - ours.boxes[None]).max(axis=2)
    same = pairs + 100 * (theirs.labels[:, None] != ours.labels[None])
    assert (same.min(axis=1) > 1.5).sum() <= 1
    assert abs(len(theirs.boxes) - len(ours.boxes)) <= 1
    for box, outlines in zip(ours.boxes, ours.polygons, strict=True):
        points = np.concatenate(outlines)
        np.testing.assert_allclose([*points.min(0), *points.max(0)], box, atol=1e-3)


def test_the_generator_is_left_as_the_three_leave_it():
    steps = (Mosaic(SIZE), CopyPaste(0.5), RandomAffine(SIZE))
    sources = [smooth_sample(np.random.default_rng(i)) for i in range(4)]
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    plain(steps, sources[0], one, iter(sources[1:]).__next__)
    OneWarp(*steps)(sources[0], other, iter(sources[1:]).__next__)
    assert one.random() == other.random()


def test_what_is_fused():
    mosaic, paste, affine = Mosaic(SIZE), CopyPaste(0.5), RandomAffine(SIZE)
    turning, colour = RandomAffine(SIZE, degrees=10), RandomHSV()

    def kinds(*steps):
        return [type(step) for step in fused(steps)]

    assert kinds(mosaic, paste, affine, colour) == [OneWarp, RandomHSV]
    assert kinds(mosaic, affine) == [OneWarp]
    assert kinds(paste, affine) == [CopyPaste, RandomAffine]
    assert kinds(colour, affine) == [RandomHSV, RandomAffine]
    assert kinds(mosaic, paste, turning) == [Mosaic, CopyPaste, RandomAffine]
    assert kinds(type("Mine", (Mosaic,), {})(SIZE), paste, affine)[1:] == [CopyPaste, RandomAffine]
    assert kinds(mosaic, colour, affine) == [Mosaic, RandomHSV, RandomAffine]
