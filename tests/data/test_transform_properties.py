"""What holds of every transform and of the shipped pipelines, whatever the sample."""

from collections import Counter
from dataclasses import replace

import albumentations as A
import numpy as np
import pytest
from drawn_samples import (
    SHAPES,
    SIZE,
    any_sample,
    assert_pixels_agree,
    augmented,
    content,
    drawn_sample,
    outlines,
    same,
)
from hypothesis import given, settings, strategies as st

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.albumentations import Albumentations
from yolov9_lit.data.transforms.color import RandomHSV
from yolov9_lit.data.transforms.copy_paste import CopyPaste
from yolov9_lit.data.transforms.flip import RandomFlip
from yolov9_lit.data.transforms.mixup import MixUp
from yolov9_lit.data.transforms.mosaic import Mosaic
from yolov9_lit.data.transforms.pipeline import Augmentation

PROFILE = settings(max_examples=50, deadline=None, derandomize=True, database=None)
SEEDS = st.integers(0, 2**32 - 1)
"""One draw an example, which keeps them from being alike."""

TRANSFORMS = {
    "mosaic": Mosaic(SIZE),
    "copy_paste": CopyPaste(1.0),
    "affine": RandomAffine(SIZE),
    "affine_turned": RandomAffine(SIZE, degrees=40, shear=10),
    "mixup": MixUp(1.0),
    "hsv": RandomHSV(),
    "flip": RandomFlip(0.5, 0.5),
    "colour": Albumentations([A.RandomBrightnessContrast(p=1), A.ToGray(p=0.5)]),
    "spatial": Albumentations([A.Affine(rotate=(-20, 20), p=0.5), A.HorizontalFlip(p=0.5)]),
    "resize": lambda sample, rng, another: sample.resized(SIZE),
    "letterbox": lambda sample, rng, another: sample.letterboxed(SIZE),
}
KEEP_ALL = {"hsv", "flip", "colour", "resize", "letterbox"}
DROP_SOME = {"affine", "affine_turned", "spatial"}

IDENTITIES = {
    "mosaic": Mosaic(SIZE, p=0),
    "copy_paste": CopyPaste(0),
    "affine": RandomAffine(SIZE, translate=0, scale=0),
    "mixup": MixUp(0),
    "hsv": RandomHSV(0, 0, 0),
    "flip": RandomFlip(0, 0),
    "colour": Albumentations([A.ToGray(p=0)]),
    "resize": lambda sample, rng, another: sample.resized(SIZE),
    "letterbox": lambda sample, rng, another: sample.letterboxed(SIZE),
}


def group(rng):
    """Four samples of one shape, which mixup needs."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    return tuple(any_sample(rng, shape) for _ in range(4))


def run(transform, samples, seed):
    """Partners come in their order, again and again."""
    partners = iter(samples[1:] * 4)
    return transform(samples[0], np.random.default_rng(seed), lambda: next(partners))


def assert_sound(sample):
    height, width = sample.image.shape[:2]
    assert sample.image.dtype == np.uint8
    assert sample.image.shape == (height, width, 3)
    assert sample.image.flags.c_contiguous
    assert sample.boxes.dtype == np.float32
    assert sample.boxes.shape == (len(sample.labels), 4)
    assert sample.labels.dtype == np.int64
    assert np.isfinite(sample.boxes).all()
    assert (sample.boxes >= 0).all()
    assert (sample.boxes[:, 2:] <= np.float32([width, height]) * (1 + 1e-6)).all()
    assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()
    assert len(outlines(sample)) == len(sample.boxes)
    for box, polygons in zip(sample.boxes, outlines(sample), strict=True):
        if polygons:
            points = np.concatenate(polygons)
            assert points.dtype == np.float32
            np.testing.assert_allclose([*points.min(0), *points.max(0)], box, atol=1e-2)


def labels_of(*samples):
    return Counter(label for sample in samples for label in sample.labels.tolist())


def assert_labels_kept(name, samples, result):
    """Nothing new, and nothing lost but by transforms that may cut objects off."""
    ours, own, found = labels_of(samples[0]), labels_of(*samples), labels_of(result)
    if name in KEEP_ALL:
        assert result.labels.tolist() == samples[0].labels.tolist()
    elif name in DROP_SOME:
        assert found <= ours
    elif name == "copy_paste":
        copied = [p for p, o in zip(samples[0].labels, outlines(samples[0]), strict=True) if o]
        assert ours <= found <= ours + Counter(copied)
    elif name == "mixup":
        assert found == labels_of(*samples[:2])
    else:
        assert found <= own


@pytest.mark.parametrize("name", TRANSFORMS)
@PROFILE
@given(seed=SEEDS)
def test_transforms_give_sound_samples(name, seed):
    samples = group(np.random.default_rng(seed))
    before = [content(sample) for sample in samples]
    result = run(TRANSFORMS[name], samples, seed)
    assert_sound(result)
    assert_labels_kept(name, samples, result)
    assert all(same(content(s), b) for s, b in zip(samples, before, strict=True)), "input changed"
    assert same(content(run(TRANSFORMS[name], samples, seed)), content(result))


@pytest.mark.parametrize("name", IDENTITIES)
@PROFILE
@given(seed=SEEDS)
def test_identity_settings_change_nothing(name, seed):
    sample = any_sample(np.random.default_rng(seed), (SIZE, SIZE))
    big = sample.resized(3 * SIZE)
    if name == "affine":  # It drops what is tiny.
        sizes = sample.boxes[:, 2:] - sample.boxes[:, :2]
        sample = sample.keep((sizes > 2.5).all(axis=1))
    result = run(IDENTITIES[name], (sample, big, big, big), seed)
    assert same(content(result), content(sample), atol=1e-4)


@pytest.mark.parametrize("closing", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("name", ["paper", "light", "none"])
@PROFILE
@given(seed=SEEDS)
def test_pipelines_give_sound_squares(name, closing, seed):
    rng = np.random.default_rng(seed)
    samples = [any_sample(rng) for _ in range(3)]
    pipeline = shipped(name)
    before = [content(sample) for sample in samples]
    result = augmented(pipeline, samples, seed, closing=closing)
    assert_sound(result)
    assert result.image.shape == (SIZE, SIZE, 3)
    assert set(labels_of(result)) <= set(labels_of(*samples))
    if closing or name != "paper":
        assert labels_of(result) <= labels_of(samples[0])
    if name == "none":
        assert result.labels.tolist() == samples[0].labels.tolist()
    assert all(same(content(s), b) for s, b in zip(samples, before, strict=True)), "input changed"
    again = augmented(pipeline, samples, seed, closing=closing)
    assert same(content(again), content(result))


_SHIPPED = {}


def shipped(name):
    if name not in _SHIPPED:
        overrides = [f"augment={name}", f"data.image_size={SIZE}"]
        _SHIPPED[name] = build(compose("train", overrides).augment)
    return _SHIPPED[name]


PIXELS = {  # transform and tolerance in pixels
    "mosaic": (Mosaic(SIZE), 0.1),
    "copy_paste": (CopyPaste(1.0), 1.0),
    "shifted": (RandomAffine(SIZE, translate=0.4, scale=0), 1.0),
    "scaled": (RandomAffine(SIZE, translate=0.3, scale=0.5), 1.5),
    "flip": (RandomFlip(0.5, 0.5), 0.1),
    "letterbox": (lambda sample, rng, another: sample.letterboxed(SIZE), 0.1),
    "enlarged": (lambda sample, rng, another: sample.letterboxed(2 * SIZE), 1.5),
    "spatial": (Albumentations([A.HorizontalFlip(p=0.5), A.RandomCrop(40, 40)]), 1.0),
}


@pytest.mark.parametrize("name", PIXELS)
@PROFILE
@given(seed=SEEDS)
def test_boxes_are_where_the_pixels_are(name, seed):
    rng = np.random.default_rng(seed)
    samples = [drawn_sample(rng, labels) for labels in ([0, 1, 2], [3], [4], [5])]
    transform, tolerance = PIXELS[name]
    assert_pixels_agree(run(transform, samples, seed), tolerance)


@PROFILE
@given(seed=SEEDS)
def test_turned_outlines_are_where_the_pixels_are(seed):
    sample = drawn_sample(np.random.default_rng(seed), [0, 1, 2], outlined=True)
    turned = RandomAffine(SIZE, translate=0.1, scale=0.2, degrees=45, shear=10)
    assert_pixels_agree(run(turned, (sample,), seed), 2.0, cut_tight=False)


@PROFILE
@given(seed=SEEDS)
def test_the_papers_geometry_is_where_the_pixels_are(seed):
    """All of its transforms but those that change colours."""
    rng = np.random.default_rng(seed)
    samples = [drawn_sample(rng, labels) for labels in ([0, 1], [2, 3], [4, 5])]
    colourless = [t for t in shipped("paper").transforms if not isinstance(t, RandomHSV | MixUp)]
    result = augmented(Augmentation(colourless), samples, seed)
    assert_pixels_agree(result, 2.0)


def test_the_oracle_looks_at_most_boxes_and_sees_a_shift_of_two_pixels():
    """A test of the tests: a box that is off by two pixels is found."""
    looked = 0
    for seed in range(30):
        sample = drawn_sample(np.random.default_rng(seed), [0, 1, 2])
        looked += assert_pixels_agree(sample, 0.1)
        boxes = sample.boxes + np.float32([2, 0, 2, 0])
        with pytest.raises(AssertionError, match="object"):
            assert_pixels_agree(replace(sample, boxes=boxes), 1.5)
    assert looked > 45
