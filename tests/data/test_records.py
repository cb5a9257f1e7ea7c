"""Annotations read as records give what their dictionaries, read by Python's own JSON, give."""

import json

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data import polygons
from yolov9_lit.data.arrays import arrays_of
from yolov9_lit.data.coco import keypoint_entries, outline_entries, records
from yolov9_lit.data.coco.file import load_coco
from yolov9_lit.data.coco.judge import judge
from yolov9_lit.data.coco.reader import pack
from yolov9_lit.data.coco.records import Records, load_records
from yolov9_lit.data.polygons import FlatPolygons
from yolov9_lit.errors import UserError

OUTLINE = "[[4, 3, 24.5, 3, 24.5, 13]]"


def text_of(**values):
    """A file of five annotations in two images, of which the third has some other values."""
    category = {"id": 3, "name": "cat", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
    usual = {
        "id": "7",
        "image_id": "1",
        "category_id": "3",
        "bbox": "[4, 3, 20.5, 10]",
        "area": "90.5",
        "iscrowd": "0",
        "segmentation": OUTLINE,
        "num_keypoints": "1",
        "keypoints": "[5, 4, 2, 0, 0, 0]",
    }
    numbered = [
        usual | {"id": str(i), "image_id": str(2 - i % 2), "bbox": f"[{i}, 3, 20.5, 10]"}
        for i in range(4)
    ]
    entries = [*numbered[:2], usual | values, *numbered[2:]]
    annotations = ", ".join(
        "{" + ", ".join(f'"{key}": {value}' for key, value in entry.items()) + "}"
        for entry in entries
    )
    images = [
        {"id": i, "file_name": f"{i}.png", "height": 50, "width": 60, "licence": "é"}
        for i in (2, 1)
    ]
    return (
        f'{{"info": {{}}, "images": {json.dumps(images, ensure_ascii=False)}, '
        f'"annotations": [{annotations}], "categories": [{json.dumps(category)}]}}'
    )


@pytest.fixture
def read(tmp_path):
    for name in "12":
        Image.new("RGB", (60, 50)).save(tmp_path / f"{name}.png")
    file = tmp_path / "set.json"

    def by(load, text):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            judged = judge(load(file), tmp_path)
        except UserError as error:
            return str(error)
        annotations = pack(judged)
        arrays = {name: array.tolist() for name, array in arrays_of(annotations).items()}
        found = [repr(fault) for fault in judged.faults.found]  # NaN is not equal to itself.
        sound = (judged.sound.given.tolist(), judged.sound.area.tolist())
        named = (annotations.categories, annotations.layout)
        return arrays, named, found, judged.faults.notes, sound

    return by


USUAL = {
    "sound": {},
    "outline of whole numbers": {"segmentation": "[[4, 3, 24, 3, 24, 13]]"},
    "two outlines": {"segmentation": "[[4, 3, 24.5, 3, 24.5, 5], [4, 13, 5, 13, 5, 9]]"},
    "no outline": {"segmentation": "[]"},
    "null for an outline": {"segmentation": "null"},
    "text for an outline": {"segmentation": '"4, 3"'},
    "RLE": {"segmentation": '{"counts": "a", "size": [50, 60]}'},
    "crowd with RLE": {"iscrowd": "1", "segmentation": '{"counts": [3], "size": [50, 60]}'},
    "two corners": {"segmentation": "[[4, 3, 24.5, 13]]"},
    "one number too many": {"segmentation": "[[4, 3, 24.5, 3, 24.5, 13, 1]]"},
    "one of two broken": {"segmentation": f"[[1, 2], {OUTLINE[1:-1]}]"},
    "null in an outline": {"segmentation": "[[4, 3, 24.5, 3, 24.5, null]]"},
    "text in an outline": {"segmentation": '[[4, 3, 24.5, 3, 24.5, "13"]]'},
    "a list in an outline": {"segmentation": "[[4, 3, 24.5, 3, 24.5, [13]]]"},
    "outline elsewhere": {"segmentation": "[[30, 30, 40, 30, 40, 40]]"},
    "outline far away": {"segmentation": "[[4, 3, 1e300, 3, 1e300, 13]]"},
    "sum of an outline too large": {"segmentation": f"[[{', '.join(['1e308'] * 6)}]]"},
    "whole number too large in an outline": {"segmentation": f"[[1{'0' * 400}, 3, 4, 3, 5, 9]]"},
    "box beyond": {"bbox": "[50.5, 3, 20.5, 10]"},
    "box outside": {"bbox": "[150.5, 3, 20.5, 10]"},
    "box without area": {"bbox": "[4, 3, 0, 10]"},
    "box at the end of all numbers": {"bbox": "[1e308, 3, 1e308, 1e308]"},
    "box again": {"image_id": "2", "bbox": "[0, 3, 20.5, 10]"},
    "id again": {"id": "0"},
    "id null": {"id": "null"},
    "largest id": {"id": "9223372036854775807", "image_id": "9223372036854775807"},
    "id beyond 2**53": {"id": "9007199254740993"},
    "unknown image": {"image_id": "9"},
    "unknown category": {"category_id": "0"},
    "crowd of two": {"iscrowd": "2"},
    "null for a crowd": {"iscrowd": "null"},
    "null for an area": {"area": "null"},
    "area below zero": {"area": "-1"},
    "area larger than its box": {"area": "10000000000000000000000"},
    "place": {"where": '"line 5"'},
    "key of another kind of file": {"shapes": "[]"},
    "keypoints of other places": {"keypoints": "[5.25, 4, 1, 60, 50, 2]", "num_keypoints": "2"},
    "too few numbers of keypoints": {"keypoints": "[5, 4, 2, 0, 0]"},
    "true in keypoints": {"keypoints": "[1, 2, true, 0, 0, 0]"},
    "text in keypoints": {"keypoints": '["1", 2, 1, 0, 0, 0]'},
    "text for keypoints": {"keypoints": '"none"'},
    "null for keypoints": {"keypoints": "null", "num_keypoints": "null"},
    "no keypoints": {"keypoints": "[]", "num_keypoints": "0"},
    "keypoint far away": {"keypoints": "[1e300, 4, 2, 0, 0, 0]"},
    "whole number too large in keypoints": {"keypoints": f"[1{'0' * 400}, 4, 2, 0, 0, 0]"},
    "visibility of three": {"keypoints": "[5, 4, 3, 0, 0, 0]"},
    "keypoint beyond": {"keypoints": "[99, 4, 2, 0, 0, 0]"},
    "other number of keypoints": {"num_keypoints": "2"},
}
UNUSUAL = {
    "half a character in an outline": {"segmentation": '["\\ud800"]'},
    "NaN": {"area": "NaN"},
    "infinite coordinate": {"segmentation": "[[Infinity, 3, 24.5, 3, 24.5, 13]]"},
    "number that is infinite": {"bbox": "[1e400, 3, 24.5, 3]"},
    "number that is no JSON": {"area": "01"},
    "text for an id": {"id": '"7"'},
    "fraction for an image": {"image_id": "1.0"},
    "true for an image": {"image_id": "true"},
    "power of ten for a category": {"category_id": "3e0"},
    "id beyond 2**63": {"id": "9223372036854775808"},
    "least id": {"image_id": "-9223372036854775808"},
    "text for a crowd": {"iscrowd": '"1"'},
    "true for a crowd": {"iscrowd": "true"},
    "three numbers": {"bbox": "[1, 2, 3]"},
    "five numbers": {"bbox": "[1, 2, 3, 4, 5]"},
    "null in a box": {"bbox": "[1, 2, null, 4]"},
    "true in a box": {"bbox": "[1, 2, true, 4]"},
    "text for an area": {"area": '"90"'},
    "true for an area": {"area": "true"},
    "text for a number of keypoints": {"num_keypoints": '"1"'},
    "fraction for a number of keypoints": {"num_keypoints": "1.0"},
    "list for a place": {"where": "[1]"},
    "a list of the file in an annotation": {"images": "[]"},
    "half a character beside it": {"id": '7, "note": "\\udc00", "n": NaN'},
}


@pytest.mark.parametrize("values", USUAL.values(), ids=USUAL)
def test_the_usual_is_read_as_records(values, read, tmp_path):
    text = text_of(**values)
    assert read(load_records, text) == read(load_coco, text)
    assert isinstance(load_records(tmp_path / "set.json").annotations, Records)


@pytest.mark.parametrize("values", UNUSUAL.values(), ids=UNUSUAL)
def test_the_unusual_is_left_to_dictionaries(values, read, tmp_path):
    text = text_of(**values)
    told = read(load_records, text)
    assert told == read(load_coco, text)
    assert isinstance(told, str) or isinstance(
        load_records(tmp_path / "set.json").annotations, list
    )


SOUND = text_of()
FILES = {
    "UTF-8 with its mark": b"\xef\xbb\xbf" + SOUND.encode(),
    "UTF-16": SOUND.encode("utf-16"),
    "no UTF-8 in a value that is passed over": SOUND.replace("{}", '"@"')
    .encode()
    .replace(b"@", b"\xff"),
    "cut": SOUND[:-9].encode(),
    "two files": SOUND.encode() * 2,
    "a list twice": SOUND[:-1].encode() + b', "categories": []}',
    "no categories": SOUND.replace('"categories"', '"classes"').encode(),
    "an annotation that is no object": SOUND.replace(
        '"annotations": [', '"annotations": [3, '
    ).encode(),
    "other annotations": SOUND[:-1].encode() + b', "_via_img_metadata": {}}',
    "other annotations, null": SOUND[:-1].encode() + b', "imagePath": null, "shapes": null}',
    "nothing": b"",
    "deep": b"[" * 100_000,
    "deep in a value": SOUND.replace("{}", "[" * 100_000 + "]" * 100_000).encode(),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_what_is_wrong_with_a_file_is_told_in_the_same_words(content, read):
    assert read(load_records, content) == read(load_coco, content)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match="no annotation file"):
        load_records(tmp_path / "none.json")


@pytest.mark.parametrize("some", [1, 2, 3, 5])
def test_outlines_are_the_same_in_parts_of_any_length(some, read, monkeypatch):
    texts = [text_of(**values) for values in USUAL.values()]
    whole = [read(load_records, text) for text in texts]
    for module in (records, outline_entries, keypoint_entries, polygons):
        monkeypatch.setattr(module, "_TOGETHER", some)
    assert [read(load_records, text) for text in texts] == whole
    assert [read(load_coco, text) for text in texts] == whole


def test_an_entry_of_records_says_what_the_file_says(read, tmp_path):
    read(load_records, SOUND)
    plain, ours = (load(tmp_path / "set.json").annotations for load in (load_coco, load_records))
    assert [{k: v for k, v in entry.items() if k != "where"} for entry in ours] == plain
    assert ours[1:3][0] == ours[1]


@pytest.mark.parametrize("some", [1, 3, 4096])
def test_outlines_in_another_order_are_those_of_the_objects(some, monkeypatch):
    monkeypatch.setattr(polygons, "_TOGETHER", some)
    rng = np.random.default_rng(0)
    objects = [
        [rng.uniform(0, 9, (rng.integers(3, 6), 2)) for _ in range(rng.integers(0, 3))]
        for _ in range(12)
    ]
    packed, rows = FlatPolygons.pack(objects), rng.integers(0, 12, 20)
    expected = FlatPolygons.pack([objects[i] for i in rows])
    for name, array in vars(packed.take(rows)).items():
        np.testing.assert_array_equal(array, vars(expected)[name])
