"""What each augmentation does; what holds of all of them is in `test_transform_properties`."""

import albumentations as A
import numpy as np
import pytest

from yolov9_lit.data.sample import Sample
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.albumentations import Albumentations
from yolov9_lit.data.transforms.color import RandomHSV
from yolov9_lit.data.transforms.copy_paste import CopyPaste
from yolov9_lit.data.transforms.flip import RandomFlip
from yolov9_lit.data.transforms.pipeline import Augmentation

SIZE = 64


def make_sample(rng, objects=None, shape=(48, 64), outlined=True):
    """Each object is a filled rectangle of a grey value that tells its class."""
    objects = int(rng.integers(0, 6)) if objects is None else objects
    image = np.full((*shape, 3), 200, dtype=np.uint8)
    boxes, labels, polygons = [], [], []
    for _ in range(objects):
        x1, y1 = rng.integers(0, shape[1] - 12), rng.integers(0, shape[0] - 12)
        x2, y2 = x1 + rng.integers(6, 12), y1 + rng.integers(6, 12)
        label = int(rng.integers(0, 5))
        image[y1:y2, x1:x2] = 20 * label
        boxes.append((x1, y1, x2, y2))
        labels.append(label)
        outline = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float32)
        polygons.append((outline,) if outlined else ())
    return Sample(
        image,
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(labels, dtype=np.int64),
        tuple(polygons),
    )


def run(transform, sample, rng):
    return transform(sample, rng, lambda: make_sample(rng, shape=sample.image.shape[:2]))


def test_flip_twice_is_the_identity():
    rng = np.random.default_rng(0)
    sample = make_sample(rng, objects=3)
    result = run(RandomFlip(1, 1), run(RandomFlip(1, 1), sample, rng), rng)
    assert np.array_equal(result.image, sample.image)
    np.testing.assert_allclose(result.boxes, sample.boxes)


def test_copy_paste_copies_pixels_of_outlined_objects_only():
    rng = np.random.default_rng(0)
    sample = make_sample(rng, objects=1, shape=(40, 200))
    result = run(CopyPaste(1.0), sample, rng)
    assert len(result.labels) == 2
    x, y = ((result.boxes[1, :2] + result.boxes[1, 2:]) / 2).astype(int)
    assert result.image[y, x, 0] == 20 * sample.labels[0]
    bare = make_sample(rng, objects=3, outlined=False)
    assert run(CopyPaste(1.0), bare, rng) is bare


def test_copy_paste_hides_less_than_30_percent():
    image = np.zeros((20, 100, 3), dtype=np.uint8)
    boxes = np.array([[10, 5, 30, 15], [70, 5, 90, 15]], dtype=np.float32)  # mirror images
    outlines = tuple((b[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2),) for b in boxes)
    sample = Sample(image, boxes, np.array([0, 1]), outlines)
    assert len(run(CopyPaste(1.0), sample, np.random.default_rng(0)).labels) == 2


def test_affine_drops_what_is_hardly_seen():
    rng = np.random.default_rng(0)
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    boxes = np.array([[0, 0, 1, 1], [10, 10, 40, 40]], dtype=np.float32)
    sample = Sample(image, boxes, np.array([0, 1]), ((), ()))
    result = run(RandomAffine(SIZE, translate=0, scale=0), sample, rng)
    assert result.labels.tolist() == [1]


@pytest.mark.parametrize("nest", [A.OneOf, A.Sequential, A.Compose])
def test_nested_spatial_transforms_leave_no_old_outlines(nest):
    rng = np.random.default_rng(0)
    sample = make_sample(rng, objects=3)
    result = run(Albumentations([nest([A.HorizontalFlip(p=1)], p=1)]), sample, rng)
    np.testing.assert_allclose(result.boxes[:, 0], sample.image.shape[1] - sample.boxes[:, 2])
    assert list(result.polygons) == [(), (), ()]


def test_colour_transforms_of_albumentations_keep_the_smallest_objects():
    image = np.full((SIZE, SIZE, 3), (90, 30, 10), dtype=np.uint8)
    outline = np.array([(2, 2), (2.5, 2), (2.5, 2.5)], dtype=np.float32)
    boxes = np.array([[2, 2, 2.5, 2.5]], dtype=np.float32)
    sample = Sample(image, boxes, np.array([1]), ((outline,),))
    result = run(Albumentations([A.ToGray(p=1)]), sample, np.random.default_rng(0))
    assert np.ptp(result.image, axis=2).max() == 0
    assert result.boxes is sample.boxes
    assert result.polygons is sample.polygons


def test_hue_only_moves_hue():
    rng = np.random.default_rng(1)
    image = np.full((4, 4, 3), (255, 0, 0), dtype=np.uint8)
    sample = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), ())
    result = run(RandomHSV(0, 0, 0.4), sample, rng)
    assert result.image[..., 1:].max() == 0


class Stamp:
    """Counts the stages a sample has passed in its first pixel."""

    def __init__(self, closes=False):
        self.closes = closes

    def __call__(self, sample, rng, another):
        image = sample.image.copy()
        image[0, 0, 0] += 1
        return Sample(image, sample.boxes, sample.labels, sample.polygons)


class Partner:
    """Remembers what stage its partner had reached."""

    def __call__(self, sample, rng, another):
        self.seen = int(another().image[0, 0, 0])
        return sample


def test_partners_have_passed_the_same_stages():
    blank = Sample(np.zeros((8, 8, 3), np.uint8), np.zeros((0, 4)), np.zeros(0, int), ())
    first, last = Partner(), Partner()
    pipeline = Augmentation([first, Stamp(), Stamp(closes=True), last])
    rng = np.random.default_rng(0)
    pipeline(lambda i: blank, 0, range(5), image_size=8, rng=rng)
    assert (first.seen, last.seen) == (0, 2)
    pipeline(lambda i: blank, 0, range(5), image_size=8, rng=rng, closing=True)
    assert (first.seen, last.seen) == (0, 1)
