"""Batches in sizes of their own: which, the same in all circumstances; and what is in them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from yolov9_lit.app.train import make_multi_scale, train
from yolov9_lit.data.masks import index_map
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.errors import UserError
from yolov9_lit.structures import Batch, ImageInfo, Targets
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.multi_scale import MultiScale, resized

BOXES = ((8, 16, 40, 48), (48, 8, 96, 104), (0, 96, 32, 128))
"""In an image of 128 px: on whole pixels of masks in half, three halves and twice the size."""


def rectangle(box):
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float32)


def painted(boxes, side):
    """A batch of one image on which each object is painted in a colour channel of its own."""
    image = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    for channel, (x1, y1, x2, y2) in enumerate(boxes):
        image[0, channel, y1:y2, x1:x2] = 255
    corners = torch.tensor([boxes], dtype=torch.float32)
    masks = index_map(FlatPolygons.pack([rectangle(box)] for box in boxes), (side, side))
    keypoints = torch.cat((corners[..., :2], torch.full((1, len(boxes), 1), 2.0)), dim=-1)
    targets = Targets(
        corners,
        torch.arange(len(boxes))[None],
        torch.ones(1, len(boxes), dtype=torch.bool),
        torch.from_numpy(masks)[None],
        keypoints.unsqueeze(2),
    )
    return Batch(image, targets, (ImageInfo(1, "a.jpg", side, side),))


@given(st.floats(0.01, 1), st.floats(1, 4), st.integers(1, 40))
def test_sizes_are_all_multiples_of_32_between_the_factors(low, high, cells):
    side = 32 * cells
    expected = [s for s in range(32, 8 * side, 32) if low * side <= s <= high * side]
    sides = list(MultiScale((low, high), 0).sides(side))
    assert sides == expected
    assert side in sides


def test_the_published_range_is_320_to_960_and_each_size_is_drawn_as_often():
    scale = MultiScale((0.5, 1.5), 0)
    assert list(scale.sides(640)) == list(range(320, 961, 32))
    batch = painted(((8, 8, 24, 24),), 64)
    drawn = [scale.resized(batch, 3, i).images.shape[-1] for i in range(600)]
    counts = [drawn.count(side) for side in (32, 64, 96)]
    assert sum(counts) == 600
    assert max(abs(count - 200) for count in counts) < 5 * math.sqrt(600 * 2 / 9)


def test_a_size_is_told_by_seed_epoch_and_batch_alone():
    batch = painted(((8, 8, 24, 24),), 64)

    def drawn(seed, epoch):
        scale = MultiScale((0.5, 1.5), seed)
        return [scale.resized(batch, epoch, i).images.shape[-1] for i in range(20)]

    np.random.seed(1)
    first = drawn(0, 0)
    np.random.seed(2)
    assert drawn(0, 0) == first
    assert drawn(0, 1) != first
    assert drawn(1, 0) != first


@pytest.mark.parametrize("side", [64, 192, 256])
def test_boxes_masks_and_keypoints_lie_where_the_image_shows_them(side):
    given, factor = painted(BOXES, 128), side / 128
    batch = resized(given, side)
    assert batch.images.shape == (1, 3, side, side)
    assert 0 <= batch.images.min() <= batch.images.max() <= 1
    for place, box in enumerate(BOXES):
        rows, columns = (batch.images[0, place] > 0.5).nonzero(as_tuple=True)
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert batch.targets.boxes[0, place].tolist() == [float(edge) for edge in seen]
        assert batch.targets.keypoints[0, place, 0].tolist() == [float(x) for x in seen[:2]] + [2.0]
        assert seen == tuple(factor * edge for edge in box)
    scaled = [[factor * rectangle(box)] for box in BOXES]
    drawn = index_map(FlatPolygons.pack(scaled), (side, side))
    assert batch.targets.masks.dtype == given.targets.masks.dtype
    assert torch.equal(batch.targets.masks[0], torch.from_numpy(drawn))
    assert torch.equal(batch.targets.labels, given.targets.labels)
    assert batch.infos == given.infos


def test_uint8_and_float_images_are_resized_alike():
    given = painted(BOXES, 128)
    floats = given._replace(images=given.images.float() / 255)
    assert torch.equal(resized(given, 96).images, resized(floats, 96).images)


@pytest.fixture
def sides(monkeypatch):
    """Sides of the images that training steps compare."""
    seen, compared = [], DetectionModule.compared

    def noted(self, images, targets):
        seen.append(images.shape[-1])
        return compared(self, images, targets)

    monkeypatch.setattr(DetectionModule, "compared", noted)
    return seen


SHORT = ["model=gelan_t", "model.elan_depth=1", "block=conv", "multi_scale=[0.5,1.5]", "test=false"]


@pytest.mark.slow
def test_a_continued_training_has_the_sizes_of_an_uninterrupted_one(config, tmp_path, sides):
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    kept = ["callbacks.best.save_top_k=-1", "callbacks.best.filename='epoch{epoch}'"]
    common = [*SHORT, *kept, "trainer.max_epochs=3"]
    train(config(whole, *common))
    uninterrupted = sides[:]
    assert set(uninterrupted) == {32, 64, 96}
    sides.clear()
    train(config(rest, *common, f"ckpt_path={whole / 'checkpoints' / 'epoch0.ckpt'}"))
    assert sides == uninterrupted[len(uninterrupted) // 3 :]
    ends = [torch.load(p / "checkpoints" / "last.ckpt", weights_only=True) for p in (whole, rest)]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "pose"])
def test_other_tasks_train_in_several_sizes(config, tmp_path, sides, task):
    limits = [
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=3",
        "trainer.limit_val_batches=1",
    ]
    train(config(tmp_path, *SHORT, *limits, f"task={task}"))
    assert len(set(sides)) > 1


def test_what_is_compiled_has_one_size(config, tmp_path):
    assert make_multi_scale(config(tmp_path, "compile=blocks")) is None
    cfg = config(tmp_path, "multi_scale=[0.5,1.5]", "compile=blocks")
    with pytest.raises(UserError, match="multi_scale and compile=blocks do not go together"):
        make_multi_scale(cfg)
