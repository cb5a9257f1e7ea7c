"""Made-up truths with detections that err in every way, and plain Python that looks at them."""

from __future__ import annotations

import numpy as np
from pycocotools.mask import encode

from yolov9_lit.evaluation.analysis.compared import Compared, Pictures
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.structures import KeypointLayout

CATEGORIES = {3: "plain", 17: "$[b]$ {x}_1", 40: "猫 и <b>"}
GREY = np.full((300, 400, 3), 90, np.uint8)


def truth_of(rows, images, categories=CATEGORIES):
    """rows: (image, category, box[, crowd])."""
    return {
        "images": [{"id": i, "width": 400, "height": 300} for i in images],
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
        "annotations": [
            {
                "id": n,
                "image_id": image,
                "category_id": category,
                "bbox": [*map(float, box)],
                "area": float(box[2] * box[3]),
                "iscrowd": int(*crowd or [0]),
            }
            for n, (image, category, box, *crowd) in enumerate(rows, start=1)
        ],
    }


def found_of(rows, images):
    """rows: (image, category, box, score)."""
    return Found(
        np.array(sorted(images), dtype=np.int64),
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=float).reshape(-1, 4),
        np.array([row[3] for row in rows], dtype=float),
        np.array([row[1] for row in rows], dtype=np.int64),
    )


def compare(objects, detections, images, categories=CATEGORIES, evaluated=None):
    truth = truth_of(objects, images, categories)
    found = found_of(detections, images if evaluated is None else evaluated)
    return Compared.of(truth, found, Pictures(lambda i: GREY, lambda i: f"folder/{i} [{i}].jpg"))


def filled(box):
    """Run lengths of a box whose sides lie between pixels."""
    x, y, width, height = map(int, box)
    mask = np.zeros(GREY.shape[:2], np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    return encode(mask)


def compare_masks(objects, detections, images, categories=CATEGORIES, shift=0.0, bare=()):
    """Compare masks that fill the boxes; the boxes themselves lie elsewhere by some pixels.

    Objects of the bare images have no outline.
    """
    truth, found = truth_of(objects, images, categories), found_of(detections, images)
    for entry, row in zip(truth["annotations"], objects, strict=True):
        if entry["image_id"] not in bare:
            entry["segmentation"] = filled(row[2])
    masks = [filled(row[2]) for row in detections]
    found = found._replace(
        boxes=found.boxes + np.array([shift, shift, 0, 0]),
        masks=EncodedMasks.packed([GREY.shape[:2]] * len(masks), [m["counts"] for m in masks]),
    )
    return Compared.of(truth, found, Pictures(lambda i: GREY, lambda i: f"folder/{i} [{i}].jpg"))


LAYOUT = KeypointLayout(
    ("left", "middle", "right", "tail"), ((0, 1), (1, 2)), (2, 1, 0, 3), (0.06, 0.08, 0.06, 0.1)
)


def compare_poses(objects, detections, images, categories=CATEGORIES):
    """Compare keypoints; rows have (box, keypoints (K, 3)) where others have a box."""

    def boxed(rows):
        return [(image, kind, pose[0], *more) for image, kind, pose, *more in rows]

    truth = truth_of(boxed(objects), images, categories)
    for category in truth["categories"]:
        category |= {"keypoints": [*LAYOUT.names], "sigmas": [*LAYOUT.sigmas]}
    for entry, row in zip(truth["annotations"], objects, strict=True):
        entry["keypoints"] = row[2][1].ravel().tolist()
    keypoints = np.array([row[2][1] for row in detections]).reshape(-1, len(LAYOUT.names), 3)
    found = found_of(boxed(detections), images)._replace(keypoints=keypoints)
    pictures = Pictures(lambda i: GREY, lambda i: f"folder/{i} [{i}].jpg")
    return Compared.of(truth, found, pictures, LAYOUT)


def posed(objects, detections, seed):
    """Give the rows of a scene keypoints: of detections some are near those of an object."""
    rng = np.random.default_rng(seed)
    number = len(LAYOUT.names)

    def keypoints(box):
        places = np.array(box[:2]) + rng.random((number, 2)) * box[2:]
        return np.c_[places.round(2), rng.choice([0, 1, 2], number, p=[0.2, 0.2, 0.6])]

    true = [(*row[:2], (row[2], keypoints(row[2]))) for row in objects]
    for *_, (_, points) in true:
        points[0, 2] = 2  # An object without any is another case.
    found = []
    for image, kind, box, score in detections:
        near = [row[2] for row in true if row[0] == image and iou(box, row[2][0]) > 0.3]
        points = near[0][1].copy() if near else keypoints(box)
        points[:, :2] += rng.normal(0, rng.choice([1, 4, 16]), (number, 2)).round(2)
        points[:, 2] = rng.random(number).round(2)
        found.append((image, kind, (box, points), score))
    return true, found


def oks(found, true, crowd=False):
    """COCO's similarity of the keypoints of (box, keypoints)."""
    assert not crowd
    area, alike = true[0][2] * true[0][3], []
    for (x, y, _), (a, b, seen), sigma in zip(found[1], true[1], LAYOUT.sigmas, strict=True):
        if seen:
            square = (x - a) ** 2 + (y - b) ** 2
            alike.append(np.exp(-square / (2 * area * (2 * sigma) ** 2)))
    return sum(alike) / len(alike)


def whole(rows):
    """Rows whose boxes have whole numbers, inside of the image."""
    height, width = GREY.shape[:2]
    found = []
    for image, kind, box, *more in rows:
        x, y, w, h = (max(int(v), 1) for v in box)
        x, y = min(x, width - 1), min(y, height - 1)
        found.append((image, kind, [x, y, min(w, width - x), min(h, height - y)], *more))
    return found


def random_scene(seed, images=25, crowd=0.12):
    """Objects and detections of images with ids that leave gaps; no two scores are equal."""
    rng = np.random.default_rng(seed)
    ids = [int(i) for i in rng.choice(10**6, images, replace=False)]
    kinds = [*CATEGORIES]
    objects, found = [], []
    for image in ids:
        for _ in range(rng.integers(0, 6)):
            box = [*rng.uniform(0, 250, 2), *rng.uniform(8, 120, 2)]
            objects.append((image, int(rng.choice(kinds)), box, int(rng.random() < crowd)))
            for _ in range(rng.integers(0, 3)):
                near = (np.array(box) + rng.normal(0, rng.choice([2, 12]), 4)).clip(1)
                kind = objects[-1][1] if rng.random() < 0.7 else int(rng.choice(kinds))
                found.append((image, kind, near.round(3).tolist()))
        for _ in range(rng.integers(0, 3)):
            box = [*rng.uniform(0, 250, 2), *rng.uniform(8, 120, 2)]
            found.append((image, int(rng.choice(kinds)), [round(v, 3) for v in box]))
    scores = (rng.permutation(len(found)) + 1) / (len(found) + 1)
    found = [(*row, round(float(s), 6)) for row, s in zip(found, scores, strict=True)]
    return objects, found, ids


def iou(first, second, crowd=False):
    """Of two boxes x, y, width, height; with a crowd the share of the first in the second."""
    sides = [
        min(first[i] + first[i + 2], second[i] + second[i + 2]) - max(first[i], second[i])
        for i in (0, 1)
    ]
    shared = max(sides[0], 0) * max(sides[1], 0)
    area, other = first[2] * first[3], second[2] * second[3]
    return shared / (area if crowd else area + other - shared)


def match(objects, found, threshold=0.5, overlap=iou):
    """COCO's matching, by hand: for each detection its object, None, or "crowd"."""
    taken, matches = {}, [None] * len(found)
    for d in sorted(range(len(found)), key=lambda d: -found[d][3]):
        image, kind, box, _ = found[d]
        same = [o for o, row in enumerate(objects) if row[:2] == (image, kind)]
        crowds = [o for o in same if any(objects[o][3:])]
        free = [(overlap(box, objects[o][2]), o) for o in same if o not in {*crowds, *taken}]
        best = max(free, default=(0, None))
        if best[0] >= threshold:
            matches[d] = best[1]
            taken[best[1]] = d
        elif any(overlap(box, objects[o][2], True) >= threshold for o in crowds):
            matches[d] = "crowd"
    return matches, taken
