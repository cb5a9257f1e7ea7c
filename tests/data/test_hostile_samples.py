"""From the entries of an annotation file to a sample: whatever they hold, nothing sound is lost."""

from collections import Counter
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from yolov9_lit.data.cache import ScaledImage
from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.coco.file import CocoContent
from yolov9_lit.data.coco.judge import judge_annotations
from yolov9_lit.data.coco.reader import pack
from yolov9_lit.data.dataset import TrainDataset, TrainKey
from yolov9_lit.data.letterbox import resize_longest
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.albumentations import Albumentations
from yolov9_lit.data.transforms.color import RandomHSV
from yolov9_lit.data.transforms.copy_paste import CopyPaste
from yolov9_lit.data.transforms.flip import RandomFlip
from yolov9_lit.data.transforms.mixup import MixUp
from yolov9_lit.data.transforms.mosaic import Mosaic
from yolov9_lit.data.transforms.pipeline import Augmentation

PROFILE = settings(max_examples=60, deadline=None, derandomize=True, database=None)
SIZE = 64
SHAPES = [(64, 64), (48, 64), (130, 90), (1, 70), (6, 300), (1, 1), (1, 90_000)]

OUTLINES = {
    "none": lambda box: None,
    "its corners": lambda box: [corners(box)],
    "zeros": lambda box: [[0] * 8],
    "one point": lambda box: [[box[0], box[1]] * 4],
    "twice the size": lambda box: [[2 * v for v in corners(box)]],
    "elsewhere": lambda box: [[v + 500 for v in corners(box)]],
    "far away": lambda box: [[1e30, -1e30, 1e30, 1e30, -1e30, 1e30]],
    "a sliver": lambda box: [[box[0], box[1], box[0] + 0.1, box[1], box[0], box[1] + 0.1]],
    "sound and zeros": lambda box: [corners(box), [0] * 6],
    "no corners": lambda box: [[]],
    "a mask": lambda box: {"counts": "abc", "size": [64, 64]},
}
PIPELINES = {
    "paper": lambda: [
        Mosaic(SIZE), CopyPaste(0.5), RandomAffine(SIZE), MixUp(0.5), RandomHSV(), RandomFlip(),
    ],
    "apart": lambda: [type("Own", (Mosaic,), {})(SIZE, 0.8), CopyPaste(1.0), RandomAffine(SIZE)],
    "turned": lambda: [Mosaic(SIZE), CopyPaste(0.5), RandomAffine(SIZE, degrees=30, shear=5)],
    "closed": lambda: [RandomAffine(SIZE), RandomFlip(0.5, 0.5)],
    "mixed": lambda: [MixUp(1.0), Mosaic(SIZE, 0.5), MixUp(1.0)],
    "spatial": lambda: [
        Albumentations([A.HorizontalFlip(p=0.5), A.Rotate(20)]), RandomAffine(SIZE),
    ],
    "none": lambda: [],
}  # fmt: skip


def corners(box):
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


@st.composite
def contents(draw, outlines=tuple(OUTLINES)):
    """The content of a file: 1 to 4 images, 0 to 6 objects in each, 1 to 3 classes."""
    images, annotations = [], []
    classes = draw(st.integers(1, 3))
    for image_id in range(draw(st.integers(1, 4))):
        height, width = draw(st.sampled_from(SHAPES))
        images.append({"id": image_id, "file_name": "", "height": height, "width": width})
        for _ in range(draw(st.integers(0, 6))):
            # Eighths of the image: edges, whole images and boxes without area are frequent.
            x, x2, y, y2 = (
                draw(st.integers(-1, 9)) / 8 * side for side in [width] * 2 + [height] * 2
            )
            box = [x, y, x2 - x, y2 - y]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": draw(st.integers(1, classes)),
                    "bbox": box,
                    "iscrowd": int(draw(st.integers(0, 9)) == 0),
                    "segmentation": OUTLINES[draw(st.sampled_from(outlines))](box),
                }
            )
    return images, annotations, classes


def dataset(content, transforms, *, outlined=True):
    images, annotations, classes = content
    if not outlined:
        annotations = [a | {"segmentation": None} for a in annotations]
    categories = [{"id": i + 1, "name": str(i)} for i in range(classes)]
    path = Path("annotations.json")
    content = CocoContent(path, images, annotations, categories, Faults(path))
    found = pack(judge_annotations(content))

    def read(index):
        height, width = found.sizes[index].tolist()
        noise = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return ScaledImage(resize_longest(noise, SIZE, smooth=False), height, width)

    return TrainDataset(found, read, Augmentation(transforms), SIZE, seed=0)


def items(data, seed):
    partners = range(len(data))
    return [data[TrainKey(image, seed, False, partners)] for image in range(len(data))]


def assert_sound(item, classes):
    assert item.image.shape == (SIZE, SIZE, 3)
    assert item.image.dtype == np.uint8
    assert item.boxes.dtype == np.float32
    assert item.boxes.shape == (len(item.labels), 4)
    assert np.isfinite(item.boxes).all()
    assert (item.boxes >= 0).all()
    assert (item.boxes <= SIZE * (1 + 1e-6)).all()
    assert (item.boxes[:, 2:] > item.boxes[:, :2]).all()
    assert ((item.labels >= 0) & (item.labels < classes)).all()


@pytest.mark.parametrize("name", PIPELINES)
@PROFILE
@given(content=contents(), seed=st.integers(0, 1000))
def test_every_sample_is_sound(name, content, seed):
    for item in items(dataset(content, PIPELINES[name]()), seed):
        assert_sound(item, content[2])


@pytest.mark.parametrize("name", PIPELINES)
@PROFILE
@given(content=contents(), seed=st.integers(0, 1000))
def test_an_outline_costs_no_box(name, content, seed):
    """With outlines, sound or broken, each box is there that is there without them."""
    steps = [s for s in PIPELINES[name]() if not isinstance(s, CopyPaste)]  # It adds boxes.
    without = items(dataset(content, steps, outlined=False), seed)
    for ours, theirs in zip(items(dataset(content, steps), seed), without, strict=True):
        assert np.array_equal(ours.image, theirs.image)
        assert boxes_of(theirs) <= boxes_of(ours)


@PROFILE
@given(content=contents())
def test_copies_leave_all_boxes_there(content):
    """Nothing is cropped or shrunk: all boxes of two pixels and more stay, copies come beside."""
    for item, given_boxes in both(content, [CopyPaste(1.0), RandomAffine(SIZE, 0, 0)]):
        assert boxes_of(given_boxes) <= boxes_of(item)


def both(content, steps):
    letterboxed = items(dataset(content, []), 0)
    kept = []
    for item in letterboxed:
        sides = item.boxes[:, 2:] - item.boxes[:, :2]
        large = (sides > 2.1).all(axis=1) & (sides.max(axis=1) < 50 * sides.min(axis=1))
        kept.append(item._replace(boxes=item.boxes[large], labels=item.labels[large]))
    return zip(items(dataset(content, steps), 0), kept, strict=True)


def boxes_of(item):
    rows = np.column_stack((item.boxes.round(2) + 0.0, item.labels))
    return Counter(map(tuple, rows.tolist()))


@pytest.mark.parametrize("name", PIPELINES)
def test_a_thousand_objects_in_an_image(name):
    rng = np.random.default_rng(0)
    boxes = [[*rng.uniform(0, 56, 2).tolist(), 8, 8] for _ in range(1000)]
    annotations = [
        {"id": i, "image_id": 0, "category_id": 1, "bbox": b, "segmentation": [corners(b)]}
        for i, b in enumerate(boxes)
    ]
    image = {"id": 0, "file_name": "", "height": 64, "width": 64}
    data = dataset(([image], annotations, 1), PIPELINES[name]())
    made = [item for seed in range(4) for item in items(data, seed)]
    for item in made:
        assert_sound(item, 1)
    assert sum(len(item.boxes) for item in made) > 1000
