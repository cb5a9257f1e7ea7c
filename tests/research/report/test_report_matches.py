"""Accumulation on resampled images against pycocotools, also on a physically duplicated set."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from yolov9_lit.research.report.matches import match

CATEGORIES = (3, 17, 44)
RARE = 90  # in one image only: most resamples lack it


def scene(seed, images=14):
    """Truth with crowds, empty images and a rare class; noisy detections with distinct scores."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image in range(images):
        for _ in range(rng.integers(0, 8)):
            x, y, w, h = *rng.uniform(0, 300, 2), *rng.uniform(4, 200, 2)
            category = RARE if image == 3 else int(rng.choice(CATEGORIES))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 * image,
                    "category_id": category,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": int(rng.random() < 0.15),
                }
            )
            for noise in (1, 4, 15)[: rng.integers(0, 4)]:
                box = [*(np.array([x, y]) + rng.normal(0, noise, 2)), w, h]
                detections.append(detection(rng, image, category, box))
        for _ in range(120 if image == 5 else 3):  # more than the 100 that count
            box = rng.uniform(1, 200, 4).tolist()
            detections.append(detection(rng, image, int(rng.choice((*CATEGORIES, RARE))), box))
    truth = {
        "images": [{"id": 10 * i, "width": 500, "height": 500} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": c, "name": f"class {c}"} for c in (*CATEGORIES, RARE)],
    }
    return truth, detections


def detection(rng, image, category, box):
    return {
        "image_id": 10 * image,
        "category_id": category,
        "bbox": [float(v) for v in box],
        "score": float(rng.random()),
    }


def load(truth):
    coco = COCO()
    coco.dataset = copy.deepcopy(truth)
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def oracle(truth, detections, kind="bbox", sigmas=()):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = load(truth)
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(detections)), kind)
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


def duplicated(truth, detections, weights):
    """The data set in which each image is there as often as it was drawn."""
    images, annotations, found = [], [], []
    for image, weight in zip(truth["images"], weights, strict=True):
        for n in range(weight):
            own = image["id"] + n  # ids are ten apart
            images.append({**image, "id": own})
            for a in truth["annotations"]:
                if a["image_id"] == image["id"]:
                    annotations.append({**a, "image_id": own, "id": len(annotations) + 1})
            found += [{**d, "image_id": own} for d in detections if d["image_id"] == image["id"]]
    return {**truth, "images": images, "annotations": annotations}, found


@pytest.mark.parametrize("seed", range(4))
def test_each_image_once_is_pycocotools(seed):
    truth, detections = scene(seed)
    matches = match(truth, detections)
    (ap,) = matches.average_precision(np.ones((1, matches.num_images), dtype=int))
    assert ap == pytest.approx(oracle(truth, detections), abs=1e-12)


def test_long_ids_stay_whole():
    truth, detections = scene(0)
    (expected,) = match(truth, detections).average_precision(
        np.ones((1, len(truth["images"])), int)
    )
    for entry in (*truth["images"], *truth["annotations"], *detections):
        key = "image_id" if "image_id" in entry else "id"
        entry[key] = 2**63 - 1 - entry[key] // 10  # neighbours that a float cannot tell apart
    found = match(truth, detections)
    assert found.average_precision(np.ones((1, found.num_images), int)) == expected


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_is_a_duplicated_data_set(seed):
    truth, detections = scene(seed)
    matches = match(truth, detections)
    rng = np.random.default_rng(seed)
    count = matches.num_images
    weights = rng.multinomial(count, np.full(count, 1 / count), size=3)
    for ap, drawn in zip(matches.average_precision(weights), weights, strict=True):
        assert ap == pytest.approx(oracle(*duplicated(truth, detections, drawn)), abs=1e-12)


def test_replicates_taken_in_parts_are_the_same(monkeypatch):
    matches = match(*scene(0))
    weights = np.random.default_rng(0).multinomial(14, np.full(14, 1 / 14), size=50)
    whole = matches.average_precision(weights)
    monkeypatch.setattr("yolov9_lit.research.report.matches.BLOCK", 500)
    np.testing.assert_array_equal(matches.average_precision(weights), whole)


def test_on_coco(shared):
    path = shared / "data" / "coco_tiny" / "annotations" / "instances_val2017.json"
    truth = json.loads(path.read_text())
    rng = np.random.default_rng(0)
    detections = [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "bbox": [float(v) for v in np.array(a["bbox"]) + rng.normal(0, 4, 4)],
            "score": float(rng.random()),
        }
        for a in truth["annotations"]
    ]
    matches = match(truth, detections)
    (ap,) = matches.average_precision(np.ones((1, matches.num_images), dtype=int))
    assert ap == pytest.approx(oracle(truth, detections), abs=1e-12)


def test_nothing_found_and_nothing_to_find():
    truth, detections = scene(1)
    nobody = match(truth, [])
    np.testing.assert_array_equal(nobody.average_precision(np.ones((2, 14), dtype=int)), [0, 0])
    empty = match({**truth, "annotations": []}, detections)
    assert np.isnan(empty.average_precision(np.ones((1, 14), dtype=int))).all()
    assert nobody.truth == match(truth, detections).truth != empty.truth


def with_masks(entries, seed):
    """Entries with ellipses in their boxes for masks, those of detections moved a bit."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:500, :500]
    found = []
    for entry in entries:
        left, top, w, h = entry["bbox"]
        dx, dy = rng.normal(0, 3, 2) if "score" in entry else (0, 0)
        inside = ((x - left - w / 2 - dx) / w * 2) ** 2 + ((y - top - h / 2 - dy) / h * 2) ** 2 <= 1
        inside[min(int(top + h / 2), 499), min(int(left + w / 2), 499)] = True
        encoded = mask.encode(np.asfortranarray(inside.astype(np.uint8)))
        found.append(entry | {"segmentation": encoded | {"counts": encoded["counts"].decode()}})
    return found


@pytest.mark.parametrize("seed", range(2))
def test_masks_on_a_resample_are_pycocotools_on_a_duplicated_data_set(seed):
    truth, detections = scene(seed)
    truth["annotations"] = with_masks(truth["annotations"], seed)
    detections = with_masks(detections, seed + 1)
    matches = match(truth, detections, "segm")
    weights = np.random.default_rng(seed).multinomial(14, np.full(14, 1 / 14), size=2)
    weights = np.concatenate([np.ones((1, 14), dtype=int), weights])
    expected = [oracle(*duplicated(truth, detections, w), "segm") for w in weights]
    np.testing.assert_allclose(matches.average_precision(weights), expected, atol=1e-9)
    boxes = match(truth, detections).average_precision(weights)
    assert (np.abs(boxes - expected) > 1e-3).all()


@pytest.mark.parametrize("seed", range(2))
def test_keypoints_on_a_resample_are_pycocotools_on_a_duplicated_data_set(seed):
    """Some objects have no keypoint: they count neither as found nor as missed."""
    sigmas = [0.04, 0.08, 0.12]
    truth, detections = scene(seed)
    rng = np.random.default_rng(seed)
    for entry in (*truth["annotations"], *detections):
        x, y, w, h = entry["bbox"]
        noise = rng.normal(0, 4, (3, 2)) if "score" in entry else 0
        points = np.array([[x, y], [x + w, y], [x + w / 2, y + h]]) + noise
        visible = 0.5 if "score" in entry else rng.choice([0, 2], (3, 1)) * (rng.random() > 0.2)
        keypoints = np.hstack([points, np.broadcast_to(visible, (3, 1))])
        entry["keypoints"] = keypoints.ravel().tolist()
        entry["num_keypoints"] = int((keypoints[:, 2] > 0).sum())
    for category in truth["categories"]:
        category |= {"keypoints": ["a", "b", "c"], "sigmas": sigmas}
    matches = match(truth, detections, "keypoints")
    weights = np.random.default_rng(seed).multinomial(14, np.full(14, 1 / 14), size=2)
    weights = np.concatenate([np.ones((1, 14), dtype=int), weights])
    expected = [oracle(*duplicated(truth, detections, w), "keypoints", sigmas) for w in weights]
    np.testing.assert_allclose(matches.average_precision(weights), expected, atol=1e-9)
    boxes = match(truth, detections).average_precision(weights)
    assert (np.abs(boxes - expected) > 1e-3).all()
    once = np.ones((1, 14), dtype=int)
    np.testing.assert_array_equal(match(truth, [], "keypoints").average_precision(once), [0])
