"""Outlines of masks, drawn again and compared pixel by pixel."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.mask_outlines import outlines_of
from yolov9_lit.data.masks import index_map
from yolov9_lit.data.polygons import FlatPolygons


def drawn(outlines, shape):
    """The pixels that the outlines hold: four times as large, they are those of a map."""
    polygons = FlatPolygons.pack([[4 * points for points in outlines]])
    return index_map(polygons, (4 * shape[0], 4 * shape[1])).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_outlines_hold_the_masks_pixels_and_no_others(seed):
    """Parts, holes, islands in holes, single pixels, what touches the edges."""
    rng = np.random.default_rng(seed)
    mask = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 0.5 + seed / 3) > 0).astype(
        np.uint8
    )
    outlines = outlines_of(mask)
    assert all(points.dtype == np.float32 for points in outlines)
    np.testing.assert_array_equal(drawn(outlines, mask.shape), mask)


def test_a_hole_belongs_to_its_part():
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[2:18, 2:18], mask[6:14, 6:14], mask[9:11, 9:11] = 1, 0, 1
    ring, island = sorted(outlines_of(mask), key=len, reverse=True)
    assert np.abs(ring.min(axis=0) - 2).max() <= 0.25
    assert np.abs(ring.max(axis=0) - 18).max() <= 0.25
    np.testing.assert_allclose(island.mean(axis=0), 10)
    np.testing.assert_array_equal(
        drawn([ring], mask.shape), mask * (1 - drawn([island], mask.shape))
    )


def test_nothing_has_no_outline():
    assert outlines_of(np.zeros((5, 7), dtype=np.uint8)) == []


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_of_a_file_give_outlines(tmp_path, compressed):
    """Of a mask that is sound and spans its box; pycocotools has written it."""
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[5:25, 10:30], mask[10:20, 15:25], mask[2:4, 33:36] = 1, 0, 1
    rle = mask_api.encode(np.asfortranarray(mask))
    counts = rle["counts"].decode()
    if not compressed:
        flat = mask.ravel(order="F")
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *edges.tolist(), flat.size]).tolist()
    whole = {"bbox": [10, 2, 26, 23], "segmentation": {"size": [30, 40], "counts": counts}}
    entries = [
        whole,
        whole | {"bbox": [10, 2, 9, 9]},  # not its box
        whole | {"bbox": [11, 2, 25, 23], "segmentation": {"size": [40, 30], "counts": counts}},
        whole | {"bbox": [11, 3, 25, 22], "segmentation": {"size": [30, 40], "counts": "Ö"}},
        whole | {"bbox": [10, 3, 26, 22], "iscrowd": 1},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 30, "width": 40}],
        "annotations": [
            entry | {"id": number, "image_id": 1, "category_id": 1}
            for number, entry in enumerate(entries, 1)
        ],
        "categories": [{"id": 1, "name": "ring"}],
    }
    Image.fromarray(mask).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps(content))
    polygons = read_coco(tmp_path / "a.json", tmp_path).objects(0).polygons
    assert [len(parts) for parts in polygons] == [2, 0, 0, 0, 0]
    np.testing.assert_array_equal(drawn(polygons[0], mask.shape), mask)
