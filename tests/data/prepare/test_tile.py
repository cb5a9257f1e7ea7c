"""`data tile`: what tiles show of objects, against pixels that are looked at one by one."""

import json
import logging

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from yolov9_lit.data.annotations import ImageObjects
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.extra import Extra
from yolov9_lit.data.images import read_image
from yolov9_lit.data.keypoints import Keypoints
from yolov9_lit.data.mask_outlines import signed_area
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.data.prepare.tile import Cut, write_tiles
from yolov9_lit.data.prepare.tile_objects import parts_in
from yolov9_lit.data.tiles import Tile, tiles_of
from yolov9_lit.errors import UserError


@settings(max_examples=60, deadline=None)
@given(
    sides=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    size=st.integers(2, 70),
    overlap=st.floats(0, 0.9),
    seed=st.integers(0, 10_000),
)
def test_what_is_no_larger_than_the_overlap_is_whole_in_some_tile(sides, size, overlap, seed):
    height, width = sides
    tiles = tiles_of(height, width, size, overlap)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        w, h = (
            min(rng.uniform(0, min(size * overlap, size - 1)), side) for side in (width, height)
        )
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        assert any(
            t.left <= x and t.top <= y and x + w <= t.right and y + h <= t.bottom for t in tiles
        )


def objects_of(outlines, boxes=None, crowd=None, labels=None, keypoints=None):
    """Objects with their outlines' boxes."""
    boxes = boxes or [[*np.min(o, axis=0), *np.max(o, axis=0)] for o in outlines]
    count = len(boxes)
    points = np.zeros((count, 0, 3)) if keypoints is None else np.array(keypoints)
    return ImageObjects(
        np.array(boxes, np.float32),
        np.array(labels or [0] * count),
        np.array(crowd or [False] * count),
        FlatPolygons.pack([[o] if len(o) else [] for o in outlines]),
        Keypoints(points.astype(np.float32), np.arange(points.shape[1])),
        Extra.none(count),
    )


def drawn(outline, width, height):
    """Which pixels' centres (height, width) an odd number of an outline's edges lies left of."""
    mask = np.zeros((height, width), bool)
    for row in range(height):
        for (x, y), (u, v) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            middle = row + 0.5
            if (y <= middle) != (v <= middle):
                at = x + (middle - y) / (v - y) * (u - x)
                mask[row] ^= np.arange(width) + 0.5 > at
    return mask


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), corners=st.integers(3, 9))
def test_outlines_show_the_pixels_of_their_tile(seed, corners):
    """Of stars that bend inwards, and of polygons that cross themselves."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if seed % 2 else rng.uniform(0, 6, corners)
    radii = rng.uniform(3, 22, corners)
    outline = np.stack((24 + radii * np.cos(angles), 20 + radii * np.sin(angles)), axis=1)
    outline = outline.clip(0, (48, 40)).astype(np.float32)
    whole = drawn(outline, 48, 40)
    area = 0.0
    for tile in tiles_of(40, 48, 17, 0):
        left, top, right, bottom = tile
        seen = np.zeros((bottom - top, right - left), bool)
        for part in parts_in(tile, objects_of([outline]), 0.0):
            for piece in part.outlines:
                assert (piece >= 0).all()
                assert (piece <= (right - left, bottom - top)).all()
                seen ^= drawn(piece, right - left, bottom - top)
            points = np.concatenate(part.outlines)
            bounds = [*points.min(axis=0), *points.max(axis=0)]
            np.testing.assert_allclose(part.box, bounds, atol=1e-4)
        assert (seen == whole[top:bottom, left:right]).all()
    for left, top in ((0, 0), (0, 20), (24, 0), (24, 20)):  # Tiles that do not overlap.
        for part in parts_in(Tile(left, top, left + 24, top + 20), objects_of([outline]), 0.0):
            area += sum(map(signed_area, part.outlines))
    assert area == pytest.approx(signed_area(outline), abs=0.01)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), visible=st.sampled_from([0.0, 0.3, 0.75, 1.0]))
def test_boxes_of_which_enough_is_seen_stay_objects(seed, visible):
    """Of whole numbers, so that pixels can be counted; the rest are regions, nothing is lost."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 40, (12, 2))
    boxes = np.concatenate((corner, corner + rng.integers(1, 24, (12, 2))), axis=1)
    tile = Tile(16, 16, 48, 48)
    objects = objects_of([[]] * 12, boxes.tolist(), labels=[*range(12)])
    parts = {part.row: part for part in parts_in(tile, objects, visible)}
    for k, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        pixels = [(x, y) for x in range(x1, x2) for y in range(y1, y2)]
        inside = [(x - 16, y - 16) for x, y in pixels if 16 <= x < 48 and 16 <= y < 48]
        assert (k in parts) == bool(inside)
        if inside:
            least, most = np.min(inside, axis=0), np.max(inside, axis=0) + 1
            assert parts[k].box == (*least, *most)
            assert parts[k].crowd == (len(inside) < visible * len(pixels))


def test_regions_are_kept_once_and_keypoints_stay_in_their_tile():
    boxes = [[0, 0, 60, 60], [0, 0, 60, 50], [20, 20, 60, 30], [22, 22, 30, 30]]
    keypoints = [[[25, 25, 2], [5, 5, 2]]] * 4
    crowd = [True, True, False, False]
    objects = objects_of([[]] * 4, boxes, crowd, keypoints=keypoints)
    first, cut, inside = parts_in(Tile(20, 20, 40, 40), objects, 0.6)
    assert (first.row, first.box, first.crowd) == (0, (0, 0, 20, 20), True)
    assert (cut.row, cut.box, cut.crowd) == (2, (0, 0, 20, 10), True)
    assert not cut.keypoints.any()
    assert not inside.crowd
    assert inside.keypoints.tolist() == [[5, 5, 2], [0, 0, 0]]


@pytest.fixture
def root(tmp_path):
    """Two large images, of 16 bits and turned, one that is small, and one that is cut short."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    for split in ("train2017", "val2017"):
        (folder / split).mkdir(parents=True)
        deep = rng.integers(0, 2**16, (90, 130, 3), dtype=np.uint16)
        cv2.imwrite(str(folder / split / "deep.png"), deep)
        turned = Image.fromarray(rng.integers(0, 255, (100, 70, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6
        turned.save(folder / split / "turned.png", exif=exif)
        Image.new("RGB", (40, 30), "red").save(folder / split / "small.jpg")
        Image.new("RGB", (80, 80)).save(folder / split / "broken.png")
        whole = (folder / split / "broken.png").read_bytes()
        (folder / split / "broken.png").write_bytes(whole[:60])
        named = [("deep.png", 90, 130), ("turned.png", 70, 100), ("small.jpg", 30, 40)]
        images = [
            {"id": i, "file_name": name, "height": height, "width": width}
            for i, (name, height, width) in enumerate([*named, ("broken.png", 80, 80)], start=5)
        ]
        rows = [
            (5, 3, [70, 10, 16, 12], [[70, 10, 86, 10, 86, 22, 70, 22]], 0),
            (5, 9, [0, 0, 130, 90], [], 0),
            (5, 3, [10, 60, 100, 20], [], 1),
            (6, 9, [5, 5, 20, 20], [[5, 5, 25, 5, 15, 25]], 0),
            (7, 3, [1, 2, 30, 20], [], 0),
            (8, 3, [1, 2, 30, 20], [], 0),
        ]
        annotations = [
            {"id": i, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
            | ({"segmentation": outlines} if outlines else {})
            for i, (image, category, box, outlines, crowd) in enumerate(rows, start=1)
        ]
        categories = [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    return folder


def datamodule(root):
    paths = [
        part for s in ("train2017", "val2017") for part in (s, f"annotations/instances_{s}.json")
    ]
    return DetectionDataModule(
        root, *paths, image_size=64, batch_size=2, num_workers=0, augmentation=None, seed=0
    )


def content_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


CUT = Cut(size=48, overlap=0.3, visible=0.3, empty=1, seed=0)


def test_tiles_of_a_data_set_are_a_data_set(root, tmp_path, caplog):
    made = write_tiles(datamodule(root), tmp_path / "a", CUT)
    assert "2 images cannot be read and are left out" in caplog.text
    assert [*made] == ["train", "val"]
    assert made["train"].images == 4
    assert made["train"].lost == 2  # What is larger than three tiles, and that of the broken image.
    caplog.clear()
    folder = tmp_path / "a/train2017"
    file = tmp_path / "a/annotations/instances_train2017.json"
    read = read_coco(file, folder, strict=True)
    assert not caplog.records
    assert len(read) == made["train"].tiles == len([*folder.iterdir()])
    assert int((~read.crowd).sum()) == made["train"].boxes
    assert dict(read.categories) == {3: "cat", 9: "dog"}
    entries = json.loads(file.read_text())["images"]
    for index, entry in enumerate(entries):
        source = entry["source"]
        left, top = source["left"], source["top"]
        stem, ending = entry["file_name"].split("_")[0], entry["file_name"].split(".")[1]
        assert entry["file_name"] == f"{stem}_{left}_{top}.{ending}"
        assert source["file_name"].endswith(f"train2017/{stem}.{ending}")
        pixels = read_image(root / "train2017" / f"{stem}.{ending}")
        shown = pixels[top : top + entry["height"], left : left + entry["width"]]
        assert (read_image(folder / entry["file_name"]) == shown).all()
        for box, outlines in zip(*read.objects(index)[:4:3], strict=True):
            if len(outlines) and source["image_id"] == 5:
                x, y = np.maximum([70 - left, 10 - top], 0)
                assert box[:2].tolist() == [x, y]
    assert (folder / "small_0_0.jpg").read_bytes() == (root / "train2017/small.jpg").read_bytes()
    write_tiles(datamodule(root), tmp_path / "b", CUT)
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")
    with pytest.raises(UserError, match="cannot be written"):
        write_tiles(datamodule(root), tmp_path / "b", CUT)


def test_empty_tiles_are_left_out_of_the_training_alone(root, tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    every = write_tiles(datamodule(root), tmp_path / "every", CUT)
    some = write_tiles(datamodule(root), tmp_path / "some", CUT._replace(empty=0.5))
    none = write_tiles(datamodule(root), tmp_path / "none", CUT._replace(empty=0))
    assert every["val"] == some["val"] == none["val"]
    assert every["train"].left_out == 0
    assert some["train"].left_out == none["train"].left_out - some["train"].left_out > 1
    assert every["train"].boxes == some["train"].boxes == none["train"].boxes
    content = json.loads((tmp_path / "none/annotations/instances_train2017.json").read_text())
    shown = {entry["image_id"] for entry in content["annotations"] if not entry["iscrowd"]}
    assert len(shown) == none["train"].tiles
    with pytest.raises(UserError, match="cannot be written"):
        write_tiles(datamodule(root), root / "train2017/small.jpg/x", CUT)
    for split in ("train2017", "val2017"):
        (root / split / "broken.png").rename(root / split / "deep.png")
        for name in ("turned.png", "small.jpg"):
            (root / split / name).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"^No tile of .*train2017.json can be written \(.*mend"):
        write_tiles(datamodule(root), tmp_path / "nothing", CUT)
    assert not (tmp_path / "nothing").exists()
