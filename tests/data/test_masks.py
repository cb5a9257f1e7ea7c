"""Masks of a batch's objects, against each pixel by itself and against what the images show."""

import json

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from targets_by_image import by_image

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.masks import index_map
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.sample import Sample
from yolov9_lit.data.shards.stream import StreamDataModule
from yolov9_lit.data.shards.writer import write_shards
from yolov9_lit.data.transforms.affine import RandomAffine
from yolov9_lit.data.transforms.albumentations import Albumentations
from yolov9_lit.data.transforms.copy_paste import CopyPaste
from yolov9_lit.data.transforms.flip import RandomFlip
from yolov9_lit.data.transforms.mixup import MixUp
from yolov9_lit.data.transforms.mosaic import Mosaic
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError

SIZE = 64
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)], dtype=np.uint8)
PARTS = ["train2017", "annotations/instances_train2017.json"]
OTHERS = ["val2017", "annotations/instances_val2017.json"]


def holds(polygon, x, y):
    """Whether a ray from (x, y) to the left crosses an odd number of edges."""
    crossed = 0
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if (y1 <= y) != (y2 <= y):
            crossed += x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x
    return crossed % 2 == 1


def brute_force(objects, shape):
    """Each object by each pixel; the larger areas first, counted with each part by itself."""
    height, width = (side // 4 for side in shape)
    layers, areas = [], []
    for parts in objects:
        masks = [
            [[holds(part, 4 * x + 2, 4 * y + 2) for x in range(width)] for y in range(height)]
            for part in parts
        ]
        layers.append(np.any(masks, axis=0) if masks else np.zeros((height, width), bool))
        areas.append(np.sum(masks))
    drawn = np.zeros((height, width), dtype=np.int16)
    for k in sorted(range(len(objects)), key=lambda k: -areas[k]):
        drawn[layers[k]] = k + 1
    return drawn


@pytest.mark.parametrize("seed", range(8))
def test_map_equals_each_pixel_by_itself(seed):
    """Of outlines that cross themselves, leave the image, have several parts or are not known."""
    rng = np.random.default_rng(seed)
    objects = [
        [rng.uniform(-30, 90, (rng.integers(1, 8), 2)) for _ in range(rng.integers(4))]
        for _ in range(rng.integers(5))
    ]
    objects.append([np.array([[8, 8], [40, 8], [40, 32], [8, 32]])])  # edges on pixels' borders
    shape = (64, 96)
    drawn = index_map(FlatPolygons.pack(objects), shape)
    assert drawn.dtype == np.int16
    np.testing.assert_array_equal(drawn, brute_force(objects, shape))


def test_a_hole_shows_what_lies_beneath():
    ring = [[0, 0], [64, 0], [64, 64], [0, 64], [0, 0], [16, 16], [16, 48], [48, 48], [48, 16]]
    ring = np.array([*ring, [16, 16], [0, 0]])
    smaller = np.array([[24, 24], [40, 24], [40, 40], [24, 40]])
    drawn = index_map(FlatPolygons.pack([[smaller], [ring]]), (64, 64))
    assert (drawn[:4] == 2).all()
    assert (drawn[6:10, 6:10] == 1).all()
    assert (drawn[4:6, 4:12] == 0).all()


def test_dense_outlines_are_the_same_with_short_edges():
    rng = np.random.default_rng(0)
    polygons = FlatPolygons.pack([[rng.uniform(0, 64, (n, 2)) for n in (3, 7)], [], [np.eye(2)]])
    dense = polygons.dense(3.0)
    assert np.hypot(*(dense.edge_ends() - dense.points).T).max() <= 3.0
    assert [len(parts) for parts in dense] == [2, 0, 1]
    for sparse_parts, parts in zip(polygons, dense, strict=True):
        for few, many in zip(sparse_parts, parts, strict=True):
            assert len(many) > len(few) or len(few) == 2
            assert (np.abs(few[:, None] - many).max(axis=2).min(axis=1) < 1e-5).all()
    np.testing.assert_array_equal(index_map(dense, (64, 64)), index_map(polygons, (64, 64)))


def drawn_sample(rng):
    """Black, with a triangle or a star in the colour of its class in some quarters."""
    image, polygons, boxes = np.zeros((SIZE, SIZE, 3), dtype=np.uint8), [], []
    labels = rng.integers(len(COLOURS), size=rng.integers(1, 5))
    for label, quarter in zip(labels, rng.permutation(4), strict=False):
        corner = np.array([quarter % 2, quarter // 2]) * SIZE / 2
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        around = np.stack((np.cos(angles), np.sin(angles)), axis=1) * rng.uniform(8, 15, (7, 1))
        points = (around + corner + SIZE / 4).astype(np.float32)
        fixed = ((points - 0.5) * 16).round().astype(np.int32)
        cv2.fillPoly(image, [fixed], COLOURS[label].tolist(), shift=4)
        polygons.append((points,))
        boxes.append((*points.min(axis=0), *points.max(axis=0)))
    packed = FlatPolygons.pack(polygons).dense(4.0)
    return Sample(image, np.array(boxes, dtype=np.float32), labels, packed)


TRANSFORMS = {
    "letterbox": [],
    "flip": [RandomFlip(0.5, 0.5)],
    "affine": [RandomAffine(SIZE, scale=0.5, degrees=40, shear=15)],
    "mosaic": [Mosaic(SIZE), RandomAffine(SIZE, scale=0.5, degrees=20)],
    "one warp": [Mosaic(SIZE), CopyPaste(0.5), RandomAffine(SIZE, scale=0.5), RandomFlip()],
    "copy-paste": [CopyPaste(1.0)],
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_masks_show_what_the_image_shows(name):
    """Where a pixel of the map is one colour in the image, it is an object of that class."""
    rng = np.random.default_rng(1)
    pipeline = Augmentation(TRANSFORMS[name])
    right = wrong = 0
    for seed in range(40):
        samples = [drawn_sample(rng) for _ in range(4)]
        sample = pipeline(
            samples.__getitem__, 0, range(4), image_size=SIZE, rng=np.random.default_rng(seed)
        )
        drawn = index_map(sample.polygons, (SIZE, SIZE))
        blocks = sample.image.reshape(SIZE // 4, 4, SIZE // 4, 4, 3).astype(int)
        even = (blocks.max(axis=(1, 3)) - blocks.min(axis=(1, 3))).max(axis=-1) < 8
        colours = np.concatenate(([[0, 0, 0]], COLOURS[sample.labels]))
        shown = np.abs(blocks.mean(axis=(1, 3)) - colours[drawn]).max(axis=-1) < 8
        grey = np.abs(blocks.mean(axis=(1, 3)) - 114).max(axis=-1) < 8
        right += (even & shown & ~grey).sum() + (grey & (drawn == 0)).sum()
        wrong += (even & ~shown & ~grey).sum() + (grey & (drawn != 0)).sum()
    assert right > 2000
    assert wrong < 0.01 * right


def test_mixup_shows_both_images_objects():
    rng = np.random.default_rng(0)
    samples = [drawn_sample(rng) for _ in range(2)]
    mixed = Augmentation([MixUp(1.0)])(
        samples.__getitem__, 0, [1], image_size=SIZE, rng=np.random.default_rng(0)
    )
    both = [parts for sample in samples for parts in sample.polygons]
    expected = brute_force(both, (SIZE, SIZE))
    np.testing.assert_array_equal(index_map(mixed.polygons, (SIZE, SIZE)), expected)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("data") / "shapes", train=9, val=5, image_size=64)


def data_module(root, kind=DetectionDataModule, **settings):
    transforms = [Mosaic(SIZE), CopyPaste(0.5), RandomAffine(SIZE, scale=0.5), RandomFlip()]
    settings = {"masks": True, "num_workers": 0, **settings}
    return kind(
        root,
        *(PARTS + OTHERS),
        image_size=SIZE,
        batch_size=4,
        augmentation=Augmentation(transforms),
        **settings,
    )


def batches(module):
    module.setup("fit")
    return [*module.train_dataloader(), *module.val_dataloader()]


@pytest.mark.parametrize("settings", [{"num_workers": 2}, {"cache": "disk"}, {"cache": None}])
def test_masks_are_the_same_by_any_way(shapes, tmp_path, settings):
    given = batches(data_module(shapes, cache_dir=tmp_path))
    for batch, other in zip(
        given, batches(data_module(shapes, cache_dir=tmp_path, **settings)), strict=True
    ):
        assert batch.targets.masks.dtype == torch.int16
        height, width = batch.images.shape[2:]
        assert batch.targets.masks.shape == (len(batch.images), height // 4, width // 4)
        assert torch.equal(batch.targets.masks, other.targets.masks)
        assert torch.equal(batch.images, other.images)


def test_who_asks_for_no_masks_gets_the_same_boxes(shapes, tmp_path):
    with_masks = batches(data_module(shapes, cache_dir=tmp_path))
    without = batches(data_module(shapes, cache_dir=tmp_path, masks=False))
    for batch, other in zip(with_masks, without, strict=True):
        assert other.targets.masks is None
        assert torch.equal(batch.targets.boxes, other.targets.boxes)


def test_each_objects_mask_spans_its_box(shapes, tmp_path):
    seen = 0
    for batch in batches(data_module(shapes, cache_dir=tmp_path)):
        for boxes, valid, drawn in zip(
            batch.targets.boxes, batch.targets.valid, batch.targets.masks, strict=True
        ):
            others = boxes[valid]
            for k, (x1, y1, x2, y2) in enumerate(others.tolist(), 1):
                y, x = np.nonzero(drawn.numpy() == k)
                least = torch.maximum(others[:, :2], others[k - 1, :2])
                most = torch.minimum(others[:, 2:], others[k - 1, 2:])
                touched = int((most > least).all(dim=1).sum()) - 1
                if touched or min(x2 - x1, y2 - y1) < 12:
                    continue
                bounds = np.array([-x.min(), -y.min(), x.max() + 1, y.max() + 1])
                beyond = 4 * bounds + np.array([x1, y1, -x2, -y2])
                assert beyond.max() <= 2.1, "a pixel's centre is outside of the box"
                assert beyond.min() >= -10, "more is lost than a star's tip"
                seen += 1
    assert seen >= 10


def test_shards_have_the_same_masks(shapes, tmp_path):
    for split, folder in (("train2017", "train2017"), ("val2017", "val2017")):
        file = shapes / f"annotations/instances_{split}.json"
        write_shards(file, shapes / folder, tmp_path / "shards" / folder, shard_bytes=9000, seed=0)
    streamed = data_module(tmp_path / "shards", StreamDataModule, shard_cache_dir=tmp_path / "c")
    given = data_module(shapes, cache_dir=tmp_path)
    found = []
    for module in (given, streamed):
        module.setup("test")
        found.append(by_image(module.test_dataloader(), "masks"))
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(masks, found[1][key]) for key, masks in found[0].items())


def test_objects_without_outlines_are_told(shapes, tmp_path):
    annotations = json.loads((shapes / PARTS[1]).read_text())
    for entry in annotations["annotations"][:3]:
        del entry["segmentation"]
    file = tmp_path / "some.json"
    file.write_text(json.dumps(annotations))
    settings = {"image_size": SIZE, "num_workers": 0, "cache_dir": tmp_path}
    module = DetectionDataModule(shapes, PARTS[0], str(file), *OTHERS, masks=True, **settings)
    module.setup("fit")
    assert any(line.startswith("3 of the ") and "outline" in line for line in module.lacks)
    module = DetectionDataModule(shapes, PARTS[0], str(file), *OTHERS, **settings)
    module.setup("fit")
    assert module.lacks == []


def test_refuses_transforms_that_lose_outlines(shapes, tmp_path):
    steps = Augmentation([Albumentations([A.Rotate()])])
    settings = {"image_size": SIZE, "augmentation": steps, "cache_dir": tmp_path}
    module = DetectionDataModule(shapes, *PARTS, *OTHERS, masks=True, **settings)
    module.setup("fit")
    with pytest.raises(UserError, match="Albumentations"):
        module.train_dataloader()
