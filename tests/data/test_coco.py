"""Reading annotations against pycocotools, and images against what was written."""

import contextlib
import gzip
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from pycocotools.coco import COCO

from yolov9_lit.data import coco
from yolov9_lit.data.coco.faults import Fault
from yolov9_lit.data.coco.file import load_coco
from yolov9_lit.data.coco.judge import judge
from yolov9_lit.data.coco.reader import pack, read_coco
from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.data.images import image_size, load_image, read_image
from yolov9_lit.errors import UserError


def test_reading_needs_neither_torch_nor_lightning():
    """What only looks at annotations, as the report does, starts at once."""
    modules = [path.stem for path in Path(coco.__file__).parent.glob("[a-z]*.py")]
    imports = [f"import yolov9_lit.data.coco.{name}" for name in modules]
    code = "; ".join([*imports, "import sys", "print({'torch', 'lightning'} & set(sys.modules))"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def write_set(folder, **changes):
    """A set of two images and one object; returns what read_coco takes."""
    content = {
        "images": [
            {"id": 9, "file_name": "ä.png", "height": 20, "width": 30},
            {"id": 4, "file_name": "b.png", "height": 20, "width": 30},
        ],
        "annotations": [annotation()],
        "categories": [{"id": 7, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    content |= changes
    (folder / "pictures").mkdir(exist_ok=True)
    for name in ("ä.png", "b.png"):
        Image.new("RGB", (30, 20)).save(folder / "pictures" / name)
    file = folder / "set.json"
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    return file, folder / "pictures"


def annotation(**changes):
    entry = {"id": 1, "image_id": 4, "category_id": 7, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    return entry | {"segmentation": [[1, 2, 4, 2, 4, 6]]} | changes


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_coco_equals_pycocotools(shared, split):
    root = shared / "data" / "coco_tiny"
    file = root / "annotations" / f"instances_{split}.json"
    ours = read_coco(file, root / split)
    with contextlib.redirect_stdout(io.StringIO()):
        oracle = COCO(file)
    assert sorted(ours.image_ids) == sorted(oracle.getImgIds())
    assert len(ours) == 80
    assert ours.num_classes == 80
    assert [category.id for category in ours.categories] == sorted(oracle.getCatIds())
    for i, image_id in enumerate(ours.image_ids):
        image = oracle.loadImgs(int(image_id))[0]
        assert load_image(ours.images, i).shape == (*ours.sizes[i], 3)
        assert tuple(ours.sizes[i]) == (image["height"], image["width"])
        theirs = oracle.imgToAnns[int(image_id)]
        objects = ours.objects(i)
        x, y, w, h = np.array([a["bbox"] for a in theirs]).reshape(-1, 4).T
        boxes = np.stack([x, y, np.minimum(x + w, image["width"]), y + h], axis=1)
        np.testing.assert_allclose(objects.boxes, boxes, atol=0.02)
        names = [oracle.cats[a["category_id"]]["name"] for a in theirs]
        assert [ours.class_names[label] for label in objects.labels] == names
        assert objects.crowd.tolist() == [bool(a["iscrowd"]) for a in theirs]
        for polygons, entry in zip(objects.polygons, theirs, strict=True):
            expected = [] if entry["iscrowd"] else entry["segmentation"]
            assert len(polygons) == len(expected)
            for polygon, numbers in zip(polygons, expected, strict=True):
                np.testing.assert_allclose(polygon.ravel(), numbers, rtol=1e-6)


def test_labels_are_contiguous_and_empty_images_stay(tmp_path):
    ours = read_coco(*write_set(tmp_path))
    assert ours.class_names == ("dog", "cat")
    assert len(ours.objects(0).boxes) == 0
    assert ours.objects(0).boxes.shape == (0, 4)
    assert ours.objects(1).labels.tolist() == [1]
    assert ours.objects(1).boxes.dtype == np.float32
    ours.objects(1).boxes[:] = 0  # A copy.
    assert ours.objects(1).boxes.tolist() == [[1, 2, 4, 6]]


def test_a_set_without_annotations_can_be_read(tmp_path):
    ours = read_coco(*write_set(tmp_path, annotations=[]))
    assert [len(ours.objects(i).polygons) for i in range(2)] == [0, 0]


def test_unusable_boxes_are_counted_once_and_left_out(tmp_path, caplog):
    boxes = [[-5, 1, 10, 4], [1, 1, 0, 4], [31, 1, 5, 5], [float("nan"), 1, 1, 1], [25, 15, 99, 99]]
    entries = [annotation(id=i, bbox=box, segmentation=[]) for i, box in enumerate(boxes)]
    with caplog.at_level(logging.WARNING):
        ours = read_coco(*write_set(tmp_path, annotations=entries))
    assert ours.objects(1).boxes.tolist() == [[0, 1, 5, 5], [25, 15, 30, 20]]
    assert len(ours.objects(1).polygons) == 2
    told = [record.getMessage().split("set.json: ")[1] for record in caplog.records]
    assert told == [
        "2 boxes reach beyond their image's edge and are clipped (annotation 0, annotation 4)",
        "1 box has no area and is left out (annotation 1)",
        "1 box lies outside its image and is left out (annotation 2)",
        "1 annotation has a bbox that is not finite and is left out (annotation 3)",
    ]


def test_faults_that_an_earlier_version_noted_in_a_file_still_count(tmp_path):
    """They are kept by their sentence, which may have changed since."""
    noted = {"boxes without area are left out": 3, "odd": "many", "none": 0}
    faults = read_coco(*write_set(tmp_path, faults=noted)).faults
    assert faults == {"boxes without area are left out": 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": None}, "images"),
        ({"annotations": None}, "annotations"),
        ({"categories": None}, "categories"),
        ({"images": []}, "no images"),
        ({"images": [{"id": 1, "file_name": "x.png", "height": 2, "width": 2}]}, "x.png"),
    ],
)
def test_faults_are_named(tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        read_coco(*write_set(tmp_path, **changes))


@pytest.mark.parametrize("height", [0, 2.5, None, "20", 10**400])
def test_a_height_that_is_none_is_the_images_own_and_without_one_it_is_left_out(tmp_path, height):
    images = [
        {"id": i, "file_name": name, "height": height, "width": 30}
        for i, name in enumerate(["b.png", "broken.png"], start=4)
    ]
    file, folder = write_set(tmp_path, images=images)
    (folder / "broken.png").write_bytes(b"no image")
    found = read_coco(file, folder)
    assert found.sizes.tolist() == [[20, 30]]
    assert found.faults == {
        "image entries lack a whole height or width: taken from the image": 1,
        "images have no height and width, not even in their header, and are left out": 1,
    }


def test_missing_and_broken_files_are_named(tmp_path):
    file, folder = write_set(tmp_path)
    with pytest.raises(UserError, match="absent"):
        read_coco(tmp_path / "absent.json", folder)
    with pytest.raises(UserError, match="nowhere"):
        read_coco(file, tmp_path / "nowhere")
    file.write_text("[1, 2")
    with pytest.raises(UserError, match="not JSON"):
        read_coco(file, folder)
    file.write_text("[1, 2]")
    with pytest.raises(UserError, match="images"):
        read_coco(file, folder)


polygon = st.lists(st.integers(0, 20 * 256).map(lambda n: n / 256), max_size=12)


def is_line(polygon):
    """Tell whether all points lie on a line through the first, exactly."""
    points = [
        (int(x * 256), int(y * 256)) for x, y in zip(polygon[::2], polygon[1::2], strict=True)
    ]
    ways = [(x - points[0][0], y - points[0][1]) for x, y in points]
    return all(a * d == b * c for a, b in ways for c, d in ways)


@settings(deadline=None)
@given(
    segmentations=st.lists(
        st.one_of(st.none(), st.just({"counts": []}), st.lists(polygon, max_size=3))
    )
)
def test_packed_polygons_come_back(tmp_path_factory, segmentations):
    """Those of three corners that together span their box, to two pixels, and enclose something."""
    box = [4, 4, 12, 12]
    entries = [
        annotation(id=i, category_id=i, segmentation=s, bbox=box)
        for i, s in enumerate(segmentations)
    ]
    categories = [{"id": i, "name": str(i)} for i in range(max(1, len(entries)))]
    tables = {"annotations": entries, "categories": categories}
    file, folder = write_set(tmp_path_factory.mktemp("set"), **tables)
    judged = judge(load_coco(file), folder)
    packed = pack(judged).polygons
    faulty = {item.where for item in judged.faults.found}
    for i, segmentation in enumerate(segmentations):
        lists = segmentation if isinstance(segmentation, list) else []
        sound = [p for p in lists if len(p) >= 6 and len(p) % 2 == 0]
        points = np.array([v for p in sound for v in p]).reshape(-1, 2)
        corners = (4, 4, 16, 16)
        spans = not sound or (
            np.abs([*points.min(axis=0), *points.max(axis=0)] - np.array(corners)).max() <= 2
        )
        used = spans and not (sound and all(map(is_line, sound)))
        assert [p.ravel().tolist() for p in packed[i]] == (sound if used else [])
        undecoded = isinstance(segmentation, dict)
        assert (f"annotation {i}" in faulty) == (len(sound) < len(lists) or not used or undecoded)


TRIANGLE = [[4, 4, 16, 4, 16, 16]]


@pytest.mark.parametrize(
    ("outline", "kept"),
    [
        (TRIANGLE, True),
        ([[5, 5, 15, 5, 15, 15]], True),
        ([[0] * 8], False),
        ([[2 * v for v in TRIANGLE[0]]], False),
        ([[4, 4, 9, 4, 9, 16], [10, 5, 16, 5, 16, 9]], True),
        ([[4, 4, 9, 4, 9, 16]], False),
        ([[4, 4, 1e300, 4, 16, 16]], False),
    ],
)
def test_the_box_is_the_truth_where_outlines_disagree(tmp_path, outline, kept):
    entry = annotation(bbox=[4, 4, 12, 12], segmentation=outline)
    ours = read_coco(*write_set(tmp_path, annotations=[entry]))
    assert ours.boxes.tolist() == [[4, 4, 16, 16]]
    assert [p.ravel().tolist() for p in ours.polygons[0]] == (outline if kept else [])
    told = {"annotations have outlines that do not span their box: the box is used": 1}
    assert ours.faults == ({} if kept else told)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *((60.5, True), (144, True), (160, True)),
        *((area, False) for area in (0, -1, 1e9, float("nan"), "100", True, 10**400)),
    ],
)
def test_an_area_that_no_such_box_has_is_told_and_the_boxes_counts(tmp_path, given, kept):
    """One that is negative or beyond COCO's ranges would leave the object out of all figures."""
    entry = annotation(bbox=[4, 4, 12, 12], segmentation=[], area=given)
    file, folder = write_set(tmp_path, annotations=[entry])
    (measured,) = read_ground_truth(file)["annotations"]
    assert measured["area"] == (given if kept else 144)
    told = {} if kept else {Fault.AREA.value: 1}
    assert read_coco(file, folder).faults == told


def test_a_list_that_is_there_twice_is_no_silent_loss(tmp_path):
    """Files that were joined by hand; the same word elsewhere is none."""
    file, folder = write_set(tmp_path, categories=[{"id": 7, "name": "annotations"}])
    assert read_coco(file, folder).faults == {}
    file.write_text(file.read_text()[:-1] + ', "annotations": []}')
    with pytest.raises(UserError, match="has the list 'annotations' 2 times: join them"):
        read_coco(file, folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json.gz", gzip.compress(b"{}", mtime=0), "is packed .gzip."),
        ("a.jsonl", b'{"id": 1}\n{"id": 2}\n', "is JSON lines"),
        ("a.csv", b"ImageID,LabelName\n", "is a table of text"),
        ("a.xml", b"<annotations/>", "is XML or HTML"),
        ("a.json", b'{"id": 1', "is not JSON"),
        ("a.json", b'[{"image_id": 1, "bbox": [], "score": 1}]', "holds detections"),
        ("a.json", b'{"shapes": [], "imagePath": "a.jpg"}', "holds LabelMe's"),
        ("a.json", b"[]", "has no list of objects 'images'"),
        ("a.json", b"[[]]", "has no list of objects 'images'"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} {words}.*: give a COCO annotation file"):
        load_coco(tmp_path / name)


def as_corners(x, y, width, height):
    return [x, y, x + width, y + height]


def as_fractions(x, y, width, height):
    return [x / 30, y / 20, width / 30, height / 20]


@pytest.mark.parametrize(
    ("form", "fault"), [(as_corners, Fault.CORNERS), (as_fractions, Fault.FRACTIONS)]
)
def test_boxes_of_another_form_are_told_and_kept(tmp_path, form, fault):
    boxes = [[2 * i, i, 5, 4] for i in range(12)]

    def read(boxes):
        entries = [annotation(id=i, bbox=box, segmentation=[]) for i, box in enumerate(boxes)]
        return read_coco(*write_set(tmp_path, annotations=entries))

    assert read(boxes).faults == {}
    ours = read([form(*box) for box in boxes])
    assert ours.faults[fault.value] == 1
    assert len(ours.boxes) == len(boxes)


def test_boxes_many_of_which_reach_beyond_their_images_are_told(tmp_path):
    boxes = [[10 + i, 5 + i, 12, 7] for i in range(8)]
    by_centre = [[x + w / 2, y + h / 2, w, h] for x, y, w, h in boxes]
    for stated, told in ((boxes, 0), (by_centre, 1)):
        entries = [annotation(id=i, bbox=box, segmentation=[]) for i, box in enumerate(stated)]
        ours = read_coco(*write_set(tmp_path, annotations=entries))
        assert ours.faults.get(Fault.FORM.value, 0) == told


@pytest.mark.parametrize(
    ("given", "crowd"),
    [(0, 0), (1, 1), ("0", 0), ("1", 1), (None, 0), (True, 1), (0.0, 0), ("no", None), ([], None)],
)
def test_crowds_are_told_from_what_is_no_answer(tmp_path, given, crowd):
    file, folder = write_set(tmp_path, annotations=[annotation(iscrowd=given)])
    ours = read_coco(file, folder)
    assert ours.crowd.tolist() == ([] if crowd is None else [bool(crowd)])
    truth = read_ground_truth(file)["annotations"]
    assert [entry["iscrowd"] for entry in truth] == ours.crowd.tolist()
    assert sum(ours.faults.values()) == (crowd is None)


def test_an_object_that_is_there_twice_counts_once(tmp_path):
    """Another class, another box or a crowd at the same place is another object."""
    first = annotation(bbox=[4, 4, 12, 12], segmentation=[])
    others = [{"category_id": 2}, {"iscrowd": 1}, {"bbox": [4, 4, 12, 12.1]}]
    copies = [{}, {"bbox": [4.0, 4, 12.0001, 12]}, {"segmentation": TRIANGLE}]
    entries = [first | {"id": i} | change for i, change in enumerate([{}, *others, *copies])]
    file, folder = write_set(tmp_path, annotations=entries)
    judged = judge(load_coco(file), folder)
    assert [item.entry["id"] for item in judged.objects] == [0, 1, 2, 3]
    assert [item.where for item in judged.faults.found] == [f"annotation {i}" for i in (4, 5, 6)]
    assert len(read_ground_truth(file)["annotations"]) == 4


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / f"bild_ö.{'tif' if mode == 'CMYK' else 'png'}"
    grey = Image.new("L", (30, 20), 255)
    grey.paste(0, (15, 0, 30, 20))
    image = grey.convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    image.save(path)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert image_size(path) == (20, 30)
    np.testing.assert_array_equal(pixels, np.asarray(grey.convert("RGB")))


def test_channels_are_red_green_blue_and_16_bits_are_scaled(tmp_path):
    deep = np.zeros((4, 4, 3), np.uint16)
    deep[:] = (1000, 30000, 65535)
    path = tmp_path / "deep.png"
    path.write_bytes(cv2.imencode(".png", deep[..., ::-1])[1].tobytes())
    np.testing.assert_allclose(read_image(path)[0, 0], (1000 / 257, 30000 / 257, 255), atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path, orientation):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (32, 16), "black")
    image.paste((255, 0, 0), (0, 0, 8, 8))
    image.save(path, exif=exif, quality=95, subsampling=0)
    pixels = read_image(path)
    assert image_size(path) == pixels.shape[:2] == ((16, 32) if orientation < 5 else (32, 16))
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    red = pixels[-4 if bottom else 4, -4 if right else 4]
    assert red[0] > 200
    assert red[1] < 50


def test_unreadable_images_are_named(tmp_path):
    path = tmp_path / "broken.jpg"
    with pytest.raises(UserError, match="broken"):
        read_image(path)
    for content in (b"", b"junk", b"\xff\xd8\xff\xe0"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="broken"):
            read_image(path)
    deep = tmp_path / "deep.tif"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(deep)
    with pytest.raises(UserError, match="8 bits"):
        read_image(deep)


def test_pillow_reads_what_opencv_does_not(tmp_path):
    path = tmp_path / "image.pcx"
    Image.new("RGB", (8, 4), (10, 20, 30)).save(path)
    np.testing.assert_array_equal(read_image(path), np.full((4, 8, 3), (10, 20, 30), np.uint8))
