"""Samples for tests of transforms, drawn so that their pixels tell where each object is.

All knowledge of how a sample is built and read is here.
"""

import numpy as np

from yolov9_lit.data.sample import Sample

SIZE = 64
COLOURS = np.array(
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)]
)
"""By label. No blend of two of them, of black or of grey comes near another one."""

SHAPES = [(SIZE, SIZE), (48, 64), (64, 40), (90, 130), (1, 70), (80, 1), (6, 300), (1, 1)]
"""Heights and widths of images: usual ones, thin ones, very wide ones."""


def make_sample(image, boxes, labels, outlined):
    """A sample; `outlined` (K,) bool says which objects have their box's corners as outline."""
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    polygons = tuple((c,) if there else () for c, there in zip(corners, outlined, strict=True))
    return Sample(image, boxes, np.array(labels, dtype=np.int64), polygons)


class Forgets:
    """A user's transform that was written for boxes."""

    def __call__(self, sample, rng, another):
        return Sample(sample.image, sample.boxes, sample.labels, sample.polygons)


def outlines(sample):
    """For each object its outlines, a list of (P, 2)."""
    return [list(polygons) for polygons in sample.polygons]


def content(sample):
    """Copies of all arrays, to compare."""
    points = [points for polygons in outlines(sample) for points in polygons]
    arrays = [sample.image, sample.boxes, sample.labels, *points]
    return [np.array(array) for array in arrays]


def same(ours, theirs, atol=0.0):
    """Whether two contents are equal, coordinates within `atol` pixels."""
    return len(ours) == len(theirs) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=0, atol=atol if a.dtype.kind == "f" else 0)
        for a, b in zip(ours, theirs, strict=True)
    )


def augmented(pipeline, samples, seed, *, closing=False):
    """The training sample that a pipeline makes of the first of the raw samples."""
    return pipeline(
        lambda index: samples[index].resized(SIZE),
        0,
        range(len(samples)),
        image_size=SIZE,
        rng=np.random.default_rng(seed),
        closing=closing,
    )


def any_sample(rng, shape=None):
    """Noise with 0 to 5 objects anywhere: at the edges, a quarter of a pixel thin, all over."""
    height, width = SHAPES[rng.integers(len(SHAPES))] if shape is None else shape
    count = int(rng.integers(6))
    size = np.array([width, height]) - 0.25
    start = rng.integers(0, 9, (count, 2)) / 8 * size
    stop = start + rng.integers(0, 9, (count, 2)) / 8 * (size - start) + 0.25
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    boxes = np.concatenate((start, stop), axis=1)
    return make_sample(image, boxes, rng.integers(0, 5, count), rng.random(count) < 0.5)


def drawn_sample(rng, labels, *, outlined=None, shape=None):
    """Black with a filled rectangle for each of `labels`, in its colour, all apart."""
    height, width = shape or [(64, 64), (48, 64), (64, 40)][rng.integers(3)]
    image = np.zeros((height, width, 3), dtype=np.uint8)
    boxes = []
    for label, cell in zip(labels, rng.permutation(4), strict=False):
        left, top = cell % 2 * width // 2, cell // 2 * height // 2
        x1, x2 = _span(rng, left, left + width // 2)
        y1, y2 = _span(rng, top, top + height // 2)
        image[y1:y2, x1:x2] = COLOURS[label]
        boxes.append((x1, y1, x2, y2))
    given = rng.random() < 0.5 if outlined is None else outlined
    return make_sample(image, boxes, labels, [given] * len(labels))


def _span(rng, start, stop):
    """Whole pixels, at least 6 of them, often at the start of the cell."""
    first = int(max(rng.integers(start - 5, stop - 9), start))
    return first, int(rng.integers(first + 6, stop - 1))


def assert_pixels_agree(sample, tolerance, *, cut_tight=True):
    """Each box that lies apart holds the pixels of its object, all of them and no margin.

    Args:
        sample: transformed from `drawn_sample`.
        tolerance: in pixels.
        cut_tight: whether boxes at the image's edge have no margin either.

    Returns:
        How many boxes were looked at.
    """
    seen = 0
    height, width = sample.image.shape[:2]
    for i, (box, label) in enumerate(zip(sample.boxes, sample.labels, strict=True)):
        window = box + np.array([-4, -4, 4, 4])
        if any(_overlap(window, other) for j, other in enumerate(sample.boxes) if j != i):
            continue
        x1, y1, x2, y2 = np.clip(window.round(), 0, [width, height] * 2).astype(int)
        near = np.abs(sample.image[y1:y2, x1:x2].astype(int) - COLOURS[label]).max(axis=2) < 64
        cut = (box[:2] < 1).any() or (box[2:] > np.array([width, height]) - 1).any()
        if (box[2:] - box[:2]).min() < 2 * tolerance:
            continue  # too thin to have a pixel that is all its own
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        assert len(rows), f"nothing of object {i} is in its box {box}"
        found = np.array([x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1])
        outside = np.maximum(box - found, 0)[:2].max(), np.maximum(found - box, 0)[2:].max()
        assert max(outside) <= tolerance, f"object {i} is at {found}, its box {box}"
        if cut_tight or not cut:
            assert np.abs(found - box).max() <= tolerance, f"object {i} is at {found}, box {box}"
        seen += 1
    return seen


def _overlap(box, other):
    return bool((np.minimum(box[2:], other[2:]) > np.maximum(box[:2], other[:2])).all())
