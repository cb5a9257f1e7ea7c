"""A sound data set in COCO's format, and what can be wrong with its annotations."""

import json
import math
from functools import cache
from typing import Any

from hostile_files import Files, image, of_images, of_texts
from hostile_values import mutation, numbers, texts, values
from hypothesis import strategies as st

SPLITS = ("train", "val")
SIZES = [(40, 30), (24, 32), (64, 48), (8, 8)]
IMAGES = {s: [f"{s}/{n:06}.jpg" for n in range(1, 5 if s == "train" else 3)] for s in SPLITS}
ANNOTATIONS = {split: f"annotations/instances_{split}.json" for split in SPLITS}
KEYPOINTS = ("nose", "left_ear", "right_ear")
KEYS = {
    "images": ["id", "file_name", "height", "width"],
    "annotations": [
        *("id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation"),
        *("keypoints", "num_keypoints"),
    ],
    "categories": [
        *("id", "name", "supercategory", "keypoints", "skeleton", "sigmas", "mirrored"),
    ],
}


@cache
def sound_coco() -> Files:
    """Four images to train on, two to validate on; boxes, outlines, a crowd, an empty image."""
    files: Files = {}
    for split, names in IMAGES.items():
        content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
        content["categories"] = [
            {"id": i, "name": n} for i, n in ((1, "dog"), (3, "cat"), (7, "x"))
        ]
        content["categories"][0] |= {"keypoints": [*KEYPOINTS], "skeleton": [[1, 2], [1, 3]]}
        for number, name in enumerate(names, start=1):
            width, height = SIZES[number - 1]
            files[name] = image((width, height), seed=number)
            entry = {"id": number, "file_name": name.split("/")[1], "height": height}
            content["images"].append(entry | {"width": width})
            for k in range(0 if number == 4 else 3):
                content["annotations"].append(_object(content, number, width, height, k))
        files[ANNOTATIONS[split]] = json.dumps(content).encode()
    return files


def _object(content, image_id, width, height, k):
    x, y, w, h = width * k / 4, height * k / 5, width / 3, height / 2
    entry = {"id": len(content["annotations"]) + 1, "image_id": image_id}
    entry |= {"category_id": (1, 3, 7)[k], "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
    if k == 0:
        entry |= {"keypoints": [x, y, 2, x + w, y + h, 1, 0, 0, 0], "num_keypoints": 2}
        entry["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    if k == 2 and image_id == 1:
        entry |= {"iscrowd": 1, "segmentation": {"size": [height, width], "counts": [0, 9]}}
    return entry


class _Content:
    """The JSON of a split while a mutation changes it; nothing where it is JSON no more."""

    def __init__(self, files: Files, split: str) -> None:
        self.files, self.file = files, ANNOTATIONS[split]

    def __enter__(self) -> dict[str, Any]:
        try:
            self.content = json.loads(self.files.get(self.file))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            self.content = None
        return self.content if isinstance(self.content, dict) else {}

    def __exit__(self, *_: object) -> None:
        if self.content is not None:
            self.files[self.file] = json.dumps(self.content).encode()


def _entries(content: dict[str, Any], part: str) -> list[Any]:
    entries = content.get(part)
    return entries if isinstance(entries, list) else []


def _entry(content: dict[str, Any], part: str, index: int) -> dict[str, Any]:
    entries = _entries(content, part)
    entry = entries[index % len(entries)] if entries else None
    return entry if isinstance(entry, dict) else {}


def set_value(files: Files, split, place, index, value):
    with _Content(files, split) as content:
        part, key = place
        _entry(content, part, index)[key] = value


def remove_key(files: Files, split, place, index):
    with _Content(files, split) as content:
        part, key = place
        _entry(content, part, index).pop(key, None)


def set_everywhere(files: Files, split, place, value):
    with _Content(files, split) as content:
        part, key = place
        for entry in _entries(content, part):
            if isinstance(entry, dict):
                entry[key] = value


def as_text(files: Files, split, place):
    with _Content(files, split) as content:
        part, key = place
        for entry in _entries(content, part):
            if isinstance(entry, dict) and key in entry:
                entry[key] = str(entry[key])


def set_part(files: Files, split, part, value):
    with _Content(files, split) as content:
        content[part] = value


def set_content(files: Files, split, value):
    files[ANNOTATIONS[split]] = json.dumps(value).encode()


def add_entry(files: Files, split, part, value):
    with _Content(files, split) as content:
        _entries(content, part).append(value)


def repeat_entries(files: Files, split, part, new_ids):
    with _Content(files, split) as content:
        entries = _entries(content, part)
        for number, entry in enumerate([e for e in entries if isinstance(e, dict)], start=9000):
            entries.append(dict(entry, id=number) if new_ids else dict(entry))


def same_value(files: Files, split, place):
    with _Content(files, split) as content:
        part, key = place
        entries = [entry for entry in _entries(content, part) if isinstance(entry, dict)]
        for entry in entries:
            entry[key] = entries[0].get(key)


def set_coordinate(files: Files, split, index, position, value):
    with _Content(files, split) as content:
        box = _entry(content, "annotations", index).get("bbox")
        if isinstance(box, list) and len(box) > position:
            box[position] = value


def move_box(files: Files, split, index, by):
    with _Content(files, split) as content:
        box = _entry(content, "annotations", index).get("bbox")
        if isinstance(box, list) and box and isinstance(box[0], int | float):
            box[0] += by


def set_outline(files: Files, split, index, outline):
    with _Content(files, split) as content:
        _entry(content, "annotations", index)["segmentation"] = [outline]


def set_keypoint(files: Files, split, index, position, value):
    with _Content(files, split) as content:
        keypoints = _entry(content, "annotations", index).get("keypoints")
        if isinstance(keypoints, list) and len(keypoints) > position:
            keypoints[position] = value


def name_keypoints(files: Files, split, index, names):
    with _Content(files, split) as content:
        _entry(content, "categories", index)["keypoints"] = names


def scale_outlines(files: Files, split, by):
    with _Content(files, split) as content:
        for entry in _entries(content, "annotations"):
            outlines = entry.get("segmentation") if isinstance(entry, dict) else None
            if isinstance(outlines, list) and all(isinstance(o, list) for o in outlines):
                numeric = ([v for v in o if isinstance(v, int | float)] for o in outlines)
                entry["segmentation"] = [[v * by for v in o] for o in numeric]


def shift_ids(files: Files, split, by):
    with _Content(files, split) as content:
        for part, key in (("images", "id"), ("annotations", "image_id")):
            for entry in _entries(content, part):
                if isinstance(entry, dict) and isinstance(entry.get(key), int):
                    entry[key] += by


def many_objects(files: Files, split, index, count):
    with _Content(files, split) as content:
        image_id = _entry(content, "images", index).get("id")
        for number in range(count):
            box = [number % 7, number % 5, 1 + number % 3, 2]
            entry = {"id": 10_000 + number, "image_id": image_id, "category_id": 1, "bbox": box}
            _entries(content, "annotations").append(entry)


def _places() -> st.SearchStrategy:
    return st.sampled_from([(part, key) for part, keys in KEYS.items() for key in keys])


def coco_mutations() -> list[st.SearchStrategy]:
    split, index, place = st.sampled_from(SPLITS), st.integers(0, 9), _places()
    part = st.sampled_from([*KEYS])
    at = {"split": split, "index": index}
    sound = st.sampled_from([1, 3, 7, 2.5, "000001.jpg", "/000001.jpg", "../train/000002.jpg"])
    outline = st.lists(numbers | st.floats(-9, 70), max_size=12)
    names = st.sampled_from([[*KEYPOINTS], ["a", "b"], ["l", "r", "l_r"]]) | st.lists(texts)
    by = st.sampled_from([0, 1, -1, 0.5, 2, 1e30, math.inf])
    return [
        mutation(set_value, **at, place=place, value=values),
        mutation(set_value, **at, place=place, value=sound),
        mutation(remove_key, **at, place=place),
        mutation(set_everywhere, split=split, place=place, value=values),
        mutation(as_text, split=split, place=place),
        mutation(set_part, split=split, part=part, value=values),
        mutation(set_content, split=split, value=values),
        mutation(add_entry, split=split, part=part, value=values),
        mutation(repeat_entries, split=split, part=part, new_ids=st.booleans()),
        mutation(same_value, split=split, place=place),
        mutation(set_coordinate, **at, position=st.integers(0, 3), value=values),
        mutation(move_box, **at, by=st.sampled_from([0.4, -0.4, 1.5, -9, 30, 64, 1e9])),
        mutation(set_outline, **at, outline=outline),
        mutation(set_keypoint, **at, position=st.integers(0, 8), value=values | numbers),
        mutation(name_keypoints, **at, names=names),
        mutation(scale_outlines, split=split, by=by),
        mutation(shift_ids, split=split, by=st.sampled_from([1403636579763555585, -99, 2**63 - 4])),
        mutation(many_objects, **at, count=st.sampled_from([1, 60, 300])),
        *of_texts([*ANNOTATIONS.values()]),
        *of_images([name for names in IMAGES.values() for name in names]),
    ]
