"""What is kept of large annotation files is what reading them gives."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data.arrays import ARRAYS, arrays_of
from yolov9_lit.data.coco import cache
from yolov9_lit.data.coco.cache import AnnotationCache
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.errors import UserError


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch):
    monkeypatch.setattr(cache, "_LEAST_BYTES", 0)


@pytest.fixture
def data(tmp_path):
    """Images of which one is missing and one states no size; objects of all kinds, not in order."""
    (tmp_path / "pictures").mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (60, 50)).save(tmp_path / "pictures" / f"{name}.png")
    images = [
        {"id": 2**62 + i, "file_name": f"{name}.png", "height": 50, "width": 60}
        for i, name in enumerate("abcd")
    ]
    del images[1]["width"]
    rng = np.random.default_rng(0)
    annotations = [
        {
            "id": i,
            "image_id": 2**62 + i % 4,
            "category_id": int(rng.choice([3, 8])),
            "bbox": [x, y, 20.25, 10],
            "segmentation": [[x, y, x + 20.25, y, x + 20.25, y + 10]] if i % 3 else [[1, 2]],
            "area": 90 if i % 5 else -1,
            "iscrowd": int(i % 7 == 0),
        }
        for i, (x, y) in enumerate(rng.uniform(0, 45, (40, 2)).round(2).tolist())
    ]
    categories = [{"id": 8, "name": "cat"}, {"id": 3, "name": "dög"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    file = tmp_path / "set.json"
    file.write_text(json.dumps(content))
    return file, tmp_path / "pictures"


def forbid_reading(monkeypatch):
    monkeypatch.setattr(cache, "load_records", lambda path: pytest.fail(f"{path} was read"))


def measured(truth):
    rows = [[e[k] for k in ("image_id", "category_id", "bbox", "area", "iscrowd")] for e in truth]
    return sorted(rows)


def test_the_second_reading_gives_what_the_first_gave(tmp_path, data, monkeypatch):
    kept = AnnotationCache(tmp_path / "cache")
    first = kept.read(*data)
    forbid_reading(monkeypatch)
    second, plain = kept.read(*data), read_coco(*data)
    for read in (first, second):
        ours = read.annotations
        assert ours.path == data[0]
        assert ours.categories == plain.categories
        assert ours.faults == plain.faults
        assert [ours.images.name(i) for i in range(3)] == [plain.images.name(i) for i in range(3)]
        for name in ARRAYS:
            np.testing.assert_array_equal(arrays_of(ours)[name], arrays_of(plain)[name])
            assert arrays_of(ours)[name].dtype == arrays_of(plain)[name].dtype
    assert second.faults.found == first.faults.found
    assert len({item.fault for item in second.faults.found}) > 3
    assert second.faults.notes == first.faults.notes
    with pytest.raises(UserError, match="faults and strict=true"):
        second.faults.raise_or_warn(strict=True)
    truth = first.truth()
    again = second.truth()
    assert measured(again["annotations"]) == measured(truth["annotations"])
    assert again["categories"] == truth["categories"]
    assert [e["id"] for e in again["images"]] == [e["id"] for e in truth["images"]]
    everywhere = measured(read_ground_truth(data[0])["annotations"])
    assert [row for row in everywhere if row[0] < 2**62 + 3] == measured(again["annotations"])


def other_content(file, folder):
    file.write_text(file.read_text().replace("20.25", "20.75"))


def image_missing(file, folder):
    (folder / "a.png").unlink()


def image_emptied(file, folder):
    (folder / "a.png").write_bytes(b"")


def image_of_another_size(file, folder):
    Image.new("RGB", (90, 50)).save(folder / "b.png")


def image_added(file, folder):
    Image.new("RGB", (60, 50)).save(folder / "d.png")


CHANGES = [other_content, image_missing, image_emptied, image_of_another_size, image_added]


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_read_anew(tmp_path, data, change):
    kept = AnnotationCache(tmp_path / "cache")
    before = kept.read(*data)
    change(*data)
    for _ in range(2):
        now, plain = kept.read(*data).annotations, read_coco(*data)
        assert now.faults == plain.faults
        assert now.sizes.tolist() == plain.sizes.tolist()
        np.testing.assert_array_equal(now.boxes, plain.boxes)
    same = arrays_of(now)["boxes"].tolist() == before.annotations.boxes.tolist()
    assert not same or now.sizes.tolist() != before.annotations.sizes.tolist()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_other_rules_give_other_entries(tmp_path, data, monkeypatch):
    kept = AnnotationCache(tmp_path / "cache")
    kept.read(*data)
    monkeypatch.setattr(cache, "_code", lambda: b"other")
    forbid_reading(monkeypatch)
    with pytest.raises(pytest.fail.Exception):
        kept.read(*data)


@pytest.mark.parametrize("name", ["facts.json", "boxes.npy", "points.npy", "names.npy"])
@pytest.mark.parametrize("left", [None, 0, 100])
def test_a_broken_entry_is_made_anew(tmp_path, data, name, left):
    kept = AnnotationCache(tmp_path / "cache")
    expected = kept.read(*data).annotations.boxes
    (entry,) = (tmp_path / "cache").iterdir()
    if left is None:
        (entry / name).unlink()
    else:
        os.truncate(entry / name, left)
    for _ in range(2):
        np.testing.assert_array_equal(kept.read(*data).annotations.boxes, expected)
    assert (entry / name).stat().st_size > 100


def test_readers_at_once_do_not_disturb_each_other(tmp_path, data):
    kept = AnnotationCache(tmp_path / "cache")
    expected = read_coco(*data).boxes
    with ThreadPoolExecutor(4) as threads:
        for read in threads.map(lambda _: kept.read(*data), range(12)):
            np.testing.assert_array_equal(read.annotations.boxes, expected)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_what_cannot_be_kept_is_read(tmp_path, data):
    (tmp_path / "cache").write_text("a file")
    kept = AnnotationCache(tmp_path / "cache")
    assert len(kept.read(*data).annotations) == 3
    with pytest.raises(UserError, match="no annotation file"):
        kept.read(tmp_path / "none.json", data[1])


def test_small_files_are_not_kept(tmp_path, data, monkeypatch):
    monkeypatch.setattr(cache, "_LEAST_BYTES", 1 << 20)
    AnnotationCache(tmp_path / "cache").read(*data)
    assert not (tmp_path / "cache").exists()
