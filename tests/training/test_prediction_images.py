"""Annotated copies of test images."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.structures import ImageInfo
from yolov9_lit.training.callbacks.images import PredictionImages
from yolov9_lit.training.evaluation import PredictorEvaluation

RIGHT, MISSED = (0, 190, 120), (255, 60, 200)


def run(folder, truth, found, paths, **settings):
    """A test of grey images, from its start to its end, twice."""
    data = SimpleNamespace(
        ground_truth=lambda split: truth,
        test_image=lambda number: np.full((400, 400, 3), 90, np.uint8),
        test_image_name=paths.get,
    )
    module = PredictorEvaluation(nn.Identity(), NMSSettings(), nn.Identity())
    module.found = found
    trainer = SimpleNamespace(datamodule=data)
    callback = PredictionImages(folder, **settings)
    infos = [ImageInfo(i, path, 400, 400) for i, path in paths.items()]
    for _ in range(2):
        callback.on_test_start(trainer, module)
        callback.on_test_batch_end(trainer, module, None, SimpleNamespace(infos=infos[:1]), 0)
        callback.on_test_batch_end(trainer, module, None, SimpleNamespace(infos=infos[1:]), 1)
        callback.on_test_end(trainer, module)


def truth_of(paths, boxes=()):
    return {
        "images": [{"id": i} for i in paths],
        "categories": [{"id": 3, "name": "a"}],
        "annotations": [
            {"image_id": i, "category_id": 3, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, box in boxes
        ],
    }


def found_in(ids, rows=()):
    columns = [*zip(*rows, strict=True)] or [(), (), ()]
    return Found(
        np.array(ids, dtype=np.int64),
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=float).reshape(-1, 4),
        np.array(columns[2], dtype=float),
        np.full(len(columns[0]), 3),
    )


def test_images_of_one_name_in_two_folders_keep_a_copy_each(tmp_path):
    paths = {0: "a/1.jpg", 1: "b/1.jpg", 2: "c/1.jpg"}
    run(tmp_path, truth_of(paths), found_in([0, 1, 2]), paths, count=8)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.jpg", "1_1.jpg", "1_2.jpg"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_as_many_are_drawn_as_are_wanted(tmp_path, count):
    paths = {5: "x.jpg", 9: "y.jpg", 11: "z.jpg"}
    run(tmp_path / "new", truth_of(paths), found_in([5, 9, 11]), paths, count=count)
    assert sorted(p.name for p in tmp_path.glob("new/*")) == ["x.jpg", "y.jpg"][:count]


def near(image, colour):
    """Pixels of about a colour: a JPEG changes it a little."""
    return (np.abs(image.astype(int) - colour).max(axis=2) < 60).sum()


def test_the_truth_stands_beside_the_detections_and_a_miss_is_seen(tmp_path):
    box, other = [50, 60, 100, 80], [220, 250, 90, 90]
    paths = {5: "found.jpg", 9: "missed.jpg"}
    truth = truth_of(paths, [(5, box), (9, box), (9, other)])
    found = found_in([5, 9], [(5, box, 0.9), (9, box, 0.2), (9, other, 0.3)])
    run(tmp_path, truth, found, paths, confidence=0.25)
    seen = {p.stem: np.asarray(Image.open(p))[:400] for p in tmp_path.iterdir()}
    assert near(seen["found"], RIGHT)
    assert not near(seen["found"], MISSED)
    assert near(seen["missed"][:200], MISSED), "a detection below the confidence finds nothing"
    assert near(seen["missed"][220:], RIGHT)
    assert not near(seen["missed"][:200], RIGHT)
    assert not near(seen["missed"][220:], MISSED)
