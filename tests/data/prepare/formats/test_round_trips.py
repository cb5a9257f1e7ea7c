"""COCO -> YOLO or VOC -> COCO: what these formats hold comes back as it was."""

import json
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from pycocotools import mask as mask_api

from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.prepare.formats.coco import CocoFolder
from yolov9_lit.data.prepare.formats.convert import FORMATS, convert
from yolov9_lit.data.prepare.formats.source import read_splits
from yolov9_lit.errors import told

NAMES = st.text("abc XYZ019äß語<&'\":#-", min_size=1, max_size=6).filter(lambda s: s == s.strip())
SIZES = [(40, 60), (33, 21), (7, 500)]


@st.composite
def corners(draw, height, width):
    """x1, y1, x2, y2 in thousandths of a pixel, inside and with area: of a hundredth at least."""
    x1, y1 = (draw(st.integers(0, side * 1000 - 20)) for side in (width, height))
    x2, y2 = draw(st.integers(x1 + 20, width * 1000)), draw(st.integers(y1 + 20, height * 1000))
    return [v / 1000 for v in (x1, y1, x2, y2)]


@st.composite
def objects(draw, height, width, category_ids, outlined):
    x1, y1, x2, y2 = draw(corners(height, width))
    polygons = {"none": 0, "one": 1, "any": draw(st.integers(0, 1))}[outlined]
    outline = [x1, y1, x2, round((y1 + y2) / 2, 3), x1, y2]
    return {
        "category_id": draw(st.sampled_from(category_ids)),
        "bbox": [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)],
        "area": 1.0,
        "iscrowd": int(outlined == "any" and draw(st.booleans())),
        "segmentation": [outline] * polygons,
        **({"difficult": 1} if draw(st.booleans()) else {}),
        **({"truncated": 1} if draw(st.booleans()) else {}),
    }


def identity(entry):
    """What two annotations of an image must not share: class and box, to a hundredth of a pixel."""
    x, y, width, height = entry["bbox"]
    box = (round(v, 2) for v in (x, y, x + width, y + height))
    return entry["category_id"], entry["iscrowd"], *box


@st.composite
def data_sets(draw):
    """The content of each split's annotation file; image names are unique among all splits."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    ids = draw(st.lists(st.integers(0, 99), min_size=len(names), max_size=len(names), unique=True))
    categories = sorted(
        ({"id": i, "name": name} for i, name in zip(ids, names, strict=True)),
        key=lambda category: category["id"],
    )
    outlined = draw(st.sampled_from(["none", "one", "any"]))
    stems = iter(draw(st.permutations(["a", "b/c", "7", "007", "x y", "ü"])))
    content = {}
    for split in draw(st.sampled_from([("train",), ("train", "val"), ("val", "test")])):
        image_ids = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=3, unique=True))
        images, annotations = [], []
        for image_id in image_ids:
            height, width = draw(st.sampled_from(SIZES))
            name = f"{next(stems)}.png"
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
            one = objects(height, width, sorted(ids), outlined)
            found = draw(st.lists(one, max_size=3, unique_by=identity))
            for entry in found:
                annotations.append({"id": len(annotations) + 1, "image_id": image_id} | entry)
        content[split] = {"images": images, "annotations": annotations, "categories": categories}
    return content


@pytest.fixture(scope="module")
def image_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for height, width in SIZES:
        Image.new("L", (width, height)).save(folder / f"{height}.png")
    return folder


def write(root, content, image_files):
    (root / "annotations").mkdir(parents=True)
    for split, own in content.items():
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(own))
        for image in own["images"]:
            path = root / split / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image_files / f"{image['height']}.png", path)


def there_and_back(root, kind):
    steps = [("coco", kind, "start", "there"), (kind, "coco", "there", "back")]
    done = [
        convert(root / src, root / out, source=FORMATS[first], target=FORMATS[second], strict=True)
        for first, second, src, out in steps
    ]
    files = sorted((root / "back/annotations").iterdir())
    return done[0].lost, {
        file.stem.removeprefix("instances_"): json.loads(file.read_text()) for file in files
    }


def rectangle(entry):
    x, y, width, height = entry["bbox"]
    right, bottom = round(x + width, 3), round(y + height, 3)
    return [x, y, right, y, right, bottom, x, bottom]


def area(entry, outlined):
    """The triangle's, or the box's."""
    _, _, width, height = entry["bbox"]
    return width * height / (2 if outlined and entry["segmentation"] else 1)


def expected(content, kind):
    """What the format can hold of a data set."""
    every = [a for own in content.values() for a in own["annotations"] if not a["iscrowd"]]
    outlined = kind == "yolo" and sum(bool(a["segmentation"]) for a in every) > len(every) / 2
    lacking = {"yolo": ("difficult", "truncated"), "voc": ()}[kind]
    rows = {}
    for split, own in content.items():
        rank = {image["id"]: i for i, image in enumerate(own["images"])}
        kept = sorted(
            (a for a in own["annotations"] if not a["iscrowd"]), key=lambda a: rank[a["image_id"]]
        )
        changed = [
            {k: v for k, v in a.items() if k not in lacking}
            | {"id": i, "segmentation": (a["segmentation"] or [rectangle(a)]) if outlined else []}
            | {"area": pytest.approx(area(a, outlined))}
            for i, a in enumerate(kept, start=1)
        ]
        rows[split] = own | {"annotations": changed}
    return rows


@pytest.mark.parametrize("kind", ["yolo", "voc"])
@settings(deadline=None, max_examples=40)
@given(content=data_sets())
def test_boxes_ids_names_and_empty_images_come_back(image_files, kind, content):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root / "start", content, image_files)
        lost, back = there_and_back(root, kind)
    wanted = expected(content, kind)
    assert back == wanted
    crowds = sum(a["iscrowd"] for own in content.values() for a in own["annotations"])
    sentences = [sentence for sentence in lost if "crowds" in sentence]
    assert sentences == ([told(crowds, "regions of crowds are left out")] if crowds else [])


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_real_coco_comes_back(shared, tmp_path, kind):
    (tmp_path / "start").symlink_to(shared / "data" / "coco_tiny")
    lost, back = there_and_back(tmp_path, kind)
    told = {
        "voc": ["17 regions of crowds are", "1,503 objects are left without their outlines"],
        "yolo": [
            "17 regions of crowds are left out",
            "111 objects of several parts are one outline",
            "9 objects of parts that overlap are one outline",
            "9 boxes are up to 0.56 pixels off: the bounds of an outline count",
        ],
    }[kind]
    assert all(map(str.startswith, lost, told))
    assert len(lost) == len(told)
    for split in ("train", "val"):
        file = tmp_path / f"start/annotations/instances_{split}2017.json"
        start = json.loads(file.read_text())
        keys = ("id", "file_name", "height", "width")
        assert back[split]["images"] == [{k: i[k] for k in keys} for i in start["images"]]
        assert [(c["id"], c["name"]) for c in back[split]["categories"]] == [
            (c["id"], c["name"]) for c in start["categories"]
        ]
        for before, after in pairs(start, back[split]):
            assert before["category_id"] == after["category_id"]
            tolerance = {"yolo": 2 * 0.57, "voc": 0.01}[kind]
            assert after["bbox"] == pytest.approx(before["bbox"], abs=tolerance)
        if kind == "yolo":
            assert ious(start, back[split]).min() == 1


def pairs(before, after):
    """The objects of both, crowds left out: image by image, in the order of the file."""
    rank = {image["id"]: i for i, image in enumerate(before["images"])}
    left = [a for a in before["annotations"] if not a["iscrowd"]]
    left.sort(key=lambda a: rank[a["image_id"]])
    return zip(left, after["annotations"], strict=True)


def ious(before, after):
    """Of the masks of each object before and after, pixel by pixel as pycocotools draws them."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in before["images"]}
    found = []
    for pair in pairs(before, after):
        one, other = (drawn(entry["segmentation"], sizes[entry["image_id"]]) for entry in pair)
        found.append((one & other).sum() / (one | other).sum())
    return np.array(found)


def drawn(segmentation, size):
    """(H, W) bool."""
    given = mask_api.frPyObjects(segmentation, *size) if not is_compressed(segmentation) else None
    parts = given if isinstance(given, list) else [given or segmentation]
    return mask_api.decode(mask_api.merge(parts)).astype(bool)


def is_compressed(segmentation):
    return isinstance(segmentation, dict) and isinstance(segmentation["counts"], str)


def test_splits_may_share_names_in_voc(image_files, tmp_path):
    image = {"id": 5, "file_name": "a.png", "height": 40, "width": 60}
    content = {"images": [image], "annotations": [], "categories": [{"id": 2, "name": "x"}]}
    write(tmp_path / "start", {"train": content, "val": content}, image_files)
    _, back = there_and_back(tmp_path, "voc")
    for split in ("train", "val"):
        assert back[split] == content | {"images": [image | {"file_name": f"{split}/a.png"}]}


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_names_that_would_share_a_label_file_are_told_apart(image_files, tmp_path, kind):
    names = ["a.png", "a.jpg", "a_jpg.jpg", "b/a.png"]
    size = {"height": 40, "width": 60}
    images = [{"id": i, "file_name": name} | size for i, name in enumerate(names)]
    annotations = [
        {"id": i + 1, "image_id": i, "category_id": 1, "bbox": [i, i, 9, 9], "iscrowd": 0}
        for i in range(len(names))
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}
    write(tmp_path / "start", {"train": content}, image_files)
    lost, back = there_and_back(tmp_path, kind)
    assert lost == (
        "1 name differs from another in its ending only, or fit no line: a.jpg is a_jpg_.jpg",
    )
    new = {image["file_name"]: image["id"] for image in back["train"]["images"]}
    assert new == {"a.png": 0, "a_jpg_.jpg": 1, "a_jpg.jpg": 2, "b/a.png": 3}
    boxes = {entry["image_id"]: entry["bbox"][0] for entry in back["train"]["annotations"]}
    assert boxes == {i: pytest.approx(i, abs=1e-3) for i in range(len(names))}


def test_names_that_fit_no_line_of_a_list_get_others(image_files, tmp_path):
    size = {"height": 40, "width": 60}
    names = ["a\nb.png", " c.png"]
    images = [{"id": i, "file_name": name} | size for i, name in enumerate(names)]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    write(tmp_path / "start", {"train": content}, image_files)
    lost, back = there_and_back(tmp_path, "voc")
    assert lost[0].startswith("2 names")
    new = {image["file_name"]: image["id"] for image in back["train"]["images"]}
    assert new == {"a\\nb.png": 0, "c.png": 1}


def masked(masks, *, compressed):
    """A data set of one class; an object of each mask (H, W) in an image of its own."""
    images, annotations = [], []
    for i, mask in enumerate(masks):
        height, width = mask.shape
        size = {"height": height, "width": width}
        images.append({"id": i, "file_name": f"{i}.png"} | size)
        rle = mask_api.encode(np.asfortranarray(mask))
        flat = mask.ravel(order="F")
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0] * (1 + int(flat[0])) + [*edges, flat.size]).tolist()
        rle["counts"] = rle["counts"].decode() if compressed else counts
        box = {"bbox": mask_api.toBbox(mask_api.encode(np.asfortranarray(mask))).tolist()}
        entry = {"id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0} | box
        annotations.append(entry | {"area": int(mask.sum()), "segmentation": rle})
    categories = [{"id": 1, "name": "x"}]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_come_back_as_outlines(image_files, tmp_path, compressed):
    """Masks of many parts, with holes and islands in them, to the pixel; their boxes, too."""
    rng = np.random.default_rng(0)
    noise = [cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), s) for s in (0.4, 1, 2, 4, 8)]
    content = masked([(n > 0).astype(np.uint8) for n in noise], compressed=compressed)
    write(tmp_path / "start", {"train": content}, image_files)
    lost, back = there_and_back(tmp_path, "yolo")
    assert ious(content, back["train"]).tolist() == [1] * 5
    for before, after in pairs(content, back["train"]):
        assert after["bbox"] == before["bbox"]
        assert after["area"] == before["area"]
        assert len(after["segmentation"]) == 1
    assert len(lost) == 1, "no box is off"
    assert "of several parts are one outline, joined by cuts of no width" in lost[0]


def one_object(*segmentations, box=(0, 0, 60, 40)):
    """An object for each, in an image of its own; the box is x, y, width and height."""
    size = {"height": 40, "width": 60}
    return {
        "images": [{"id": i, "file_name": f"{i}.png"} | size for i in range(len(segmentations))],
        "annotations": [
            {"id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "segmentation": s}
            | {"bbox": list(box), "area": 1.0}
            for i, s in enumerate(segmentations)
        ],
        "categories": [{"id": 1, "name": "x"}],
    }


SQUARES = [[0, 0, 20, 0, 20, 40, 0, 40], [40, 0, 40, 40, 60, 40, 60, 0]]
CROSS = [[0, 15, 60, 15, 60, 25, 0, 25], [25, 0, 35, 0, 35, 40, 25, 40]]


def test_parts_are_joined_whichever_way_they_turn_and_overlap(image_files, tmp_path):
    content = one_object(SQUARES, CROSS, SQUARES[:1] * 2 + SQUARES[1:])
    write(tmp_path / "start", {"train": content}, image_files)
    lost, back = there_and_back(tmp_path, "yolo")
    assert ious(content, back["train"]).tolist() == [1] * 3
    assert [a["area"] for a in back["train"]["annotations"]] == [1600, 600 + 400 - 100, 1600]
    assert [sentence.split(":")[0] for sentence in lost] == [
        "1 object of several parts is one outline, joined by cuts of no width",
        "2 objects of parts that overlap are one outline, along the pixels that they cover",
    ]


def test_what_has_no_outline_among_those_that_have_gets_its_box(image_files, tmp_path):
    beyond = [[-3, -4, 60, 0, 63, 44, 0, 40]]  # No line of fractions may leave the image.
    content = one_object(SQUARES[:1], beyond, [], [], box=(0, 0, 60, 40))
    content["annotations"][0]["bbox"] = [1, 0, 20, 39]
    write(tmp_path / "start", {"train": content}, image_files)
    lost, back = there_and_back(tmp_path, "yolo")
    assert lost == ("2 objects are left without their outlines: most have none",)
    assert [a["segmentation"] for a in back["train"]["annotations"]] == [[]] * 4

    shutil.rmtree(tmp_path)
    del content["images"][3], content["annotations"][3]
    write(tmp_path / "start", {"train": content}, image_files)
    lost, back = there_and_back(tmp_path, "yolo")
    assert lost == (
        "1 object has no outline: its box is written as one",
        "1 box is up to 1 pixels off: the bounds of an outline count",
    )
    first, clipped, boxed = (a["segmentation"] for a in back["train"]["annotations"])
    assert first == SQUARES[:1]
    assert clipped == [[0, 0, 60, 0, 60, 40, 0, 40]]
    assert boxed == [[0, 0, 60, 0, 60, 40, 0, 40]]


def test_masks_are_lost_in_voc_and_told(image_files, tmp_path):
    content = masked([np.eye(40, 60, dtype=np.uint8)], compressed=True)
    write(tmp_path / "start", {"train": content}, image_files)
    lost, back = there_and_back(tmp_path, "voc")
    assert back["train"]["annotations"][0]["bbox"] == [0, 0, 40, 40]
    assert lost == ("1 object is left without its outlines",)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"bbox": [1, 2, 3]}, "not four numbers"),
        ({"bbox": [1, 2, 3, "x"]}, "not four numbers"),
        ({"bbox": None}, "not four numbers"),
        ({"category_id": 9}, "unknown category_id"),
        ({"image_id": 9}, "unknown image_id"),
        ({"bbox": [1, 2, float("nan"), 4]}, "not finite"),
        ({"bbox": [1, 2, 0, 4]}, "no area"),
        ({"segmentation": [[1, 2, 3, 4]]}, "under three corners"),
        ({"segmentation": [[1, 2, 3, 2, 3, 4, 5]]}, "broken"),
        ({"segmentation": [[1, 2, 3, 2, float("nan"), 4]]}, "broken"),
        ({"bbox": [1, 2, 500, 4]}, "reach beyond"),
        ({"segmentation": [[11, 12, 14, 12, 14, 16]]}, "do not span their box"),
        ({"iscrowd": "yes"}, "neither 0 nor 1"),
    ],
)
def test_faulty_annotations_are_told(image_files, tmp_path, change, fault):
    image = {"id": 0, "file_name": "a.png", "height": 40, "width": 60}
    entry = {"id": 7, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]} | change
    content = {"images": [image], "annotations": [entry], "categories": [{"id": 1, "name": "x"}]}
    write(tmp_path / "start", {"train": content}, image_files)
    done = convert(
        tmp_path / "start", tmp_path / "out", source=FORMATS["coco"], target=FORMATS["voc"]
    )
    (found,) = done.faults.found
    assert fault in found.sentence
    assert found.where == "annotation 7"


@pytest.mark.parametrize("given", ["", " ", "\u00a0\n", None])
@pytest.mark.parametrize("kind", ["coco", "voc", "yolo"])
def test_objects_of_a_class_without_a_name_are_kept(image_files, tmp_path, kind, given):
    image = {"id": 0, "file_name": "a.png", "height": 40, "width": 60}
    entry = {"id": 1, "image_id": 0, "category_id": 5, "bbox": [1, 2, 3, 4]}
    content = {"images": [image], "annotations": [entry], "categories": [{"id": 5, "name": given}]}
    write(tmp_path / "start", {"train": content}, image_files)
    source, target = FORMATS["coco"], FORMATS[kind]
    done = convert(tmp_path / "start", tmp_path / "out", source=source, target=target)
    assert done.faults.counts() == {"categories have no name: they are called by their id": 1}
    faults = Faults(tmp_path)
    again = read_splits(target.read(tmp_path / "out", faults))["train"]
    assert ({*again.names.values()}, len(again.objects)) == ({"5"}, 1)
    assert not faults.counts()


def test_a_split_of_another_name_is_passed_over_and_told(tmp_path, caplog):
    (tmp_path / "annotations").mkdir()
    for name in ("train", "extra"):
        (tmp_path / name).mkdir()
        (tmp_path / f"annotations/instances_{name}.json").touch()
    assert [path.stem for path in CocoFolder(tmp_path, Faults(tmp_path)).files()] == [
        "instances_train"
    ]
    assert "instances_extra.json is passed over" in caplog.text


def test_images_of_another_size_are_not_converted(image_files, tmp_path):
    images = [{"id": i, "file_name": f"{i}.png", "height": 40, "width": 60} for i in range(2)]
    box = {"category_id": 1, "bbox": [1, 2, 3, 4]}
    annotations = [box | {"id": i + 1, "image_id": i} for i in range(2)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}
    write(tmp_path / "start", {"train": content}, image_files)
    shutil.copy(image_files / "33.png", tmp_path / "start/train/0.png")
    done = convert(
        tmp_path / "start", tmp_path / "out", source=FORMATS["coco"], target=FORMATS["yolo"]
    )
    assert [item.where for item in done.faults.found] == ["0.png: 21 x 33, not 60 x 40"]
    assert [*done.splits["train"].images] == [1]
    assert len(done.splits["train"].objects) == 1
