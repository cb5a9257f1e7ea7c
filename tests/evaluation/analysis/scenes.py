"""Made-up truths with detections that err in every way, and plain Python that looks at them."""

from __future__ import annotations

import numpy as np
from pycocotools.mask import encode

from yolov9_lit.evaluation.analysis.compared import Compared, Pictures
from yolov9_lit.evaluation.found import Found
from yolov9_lit.evaluation.masks import EncodedMasks

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


def match(objects, found, threshold=0.5):
    """COCO's matching, by hand: for each detection its object, None, or "crowd"."""
    taken, matches = {}, [None] * len(found)
    for d in sorted(range(len(found)), key=lambda d: -found[d][3]):
        image, kind, box, _ = found[d]
        same = [o for o, row in enumerate(objects) if row[:2] == (image, kind)]
        free = [(iou(box, objects[o][2]), o) for o in same if not objects[o][3] and o not in taken]
        best = max(free, default=(0, None))
        if best[0] >= threshold:
            matches[d] = best[1]
            taken[best[1]] = d
        elif any(objects[o][3] and iou(box, objects[o][2], True) >= threshold for o in same):
            matches[d] = "crowd"
    return matches, taken
