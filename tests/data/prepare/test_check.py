"""`data check`: what it finds in good, broken and leaking data, its exit code and its page."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.coco.faults import Note
from yolov9_lit.data.coco.layout import find_splits, settings_of
from yolov9_lit.data.prepare.check import check_splits
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError


@pytest.fixture
def root(tmp_path):
    return make_shapes(tmp_path / "data", train=6, val=4, image_size=64)


def edit(root, split, change):
    file = root / "annotations" / f"instances_{split}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def found(root):
    """Faults by split and kind: the items."""
    return {
        report.split.name: {
            sentence: [item.where for item in items]
            for sentence, items in report.faults.by_sentence().items()
        }
        for report in check_splits(find_splits(root), workers=1)
    }


def only(kinds, words):
    (items,) = [items for kind, items in kinds.items() if words in kind]
    return items


def test_real_data_is_clean(shared, capsys):
    assert main(["check", f"root={shared / 'data' / 'coco_tiny'}", "workers=2"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "No faults." in words
    assert re.search(r"train2017 80 0 699 6 228 278 193", words)
    assert re.search(r"val2017 80 0 804 11 268 291 245", words)


@pytest.mark.slow
def test_converted_data_is_clean(shared, tmp_path, capsys):
    """The converter leaves BCCD's two boxes without area out, and says so."""
    src = shared / "data" / "bccd_voc"
    assert main(["convert", "format=voc", f"src={src}", f"out={tmp_path / 'bccd'}"]) == 0
    assert main(["check", f"root={tmp_path / 'bccd'}", "workers=2"]) == 0
    assert "No faults." in capsys.readouterr().out


def test_each_fault_is_found_where_it_is(root):
    def spoil(content):
        content["annotations"][0]["bbox"][2] = 0
        content["annotations"][1]["category_id"] = 99
        content["images"][4]["width"] = 65

    edit(root, "train2017", spoil)
    names = [f.name for f in sorted((root / "train2017").iterdir())]
    (root / "train2017" / names[1]).unlink()
    (root / "train2017" / names[2]).write_bytes(b"")
    (root / "train2017" / names[3]).write_bytes(b"text")
    Image.new("RGB", (9, 9)).save(root / "train2017" / "extra.png")
    shutil.copy(root / "train2017" / names[0], root / "val2017" / names[0])
    reports = {r.split.name: r for r in check_splits(find_splits(root), workers=1)}
    assert reports["train2017"].faults.notes[Note.IMAGES_UNNAMED] == 1
    kinds = found(root)
    train = kinds["train2017"]
    assert only(train, "missing") == [names[1]]
    assert only(train, "empty") == [names[2]]
    assert only(train, "is no image") == [names[3]]
    assert only(train, "another size") == [f"{names[4]}: 64 x 64, not 65 x 64"]
    assert only(train, "no area") == ["annotation 1"]
    assert only(train, "unknown category_id") == ["annotation 2"]
    assert len(train) == 6
    (leak,) = kinds["val2017"]
    assert "train2017: a leak" in leak


def test_a_split_without_a_box_and_doubles_are_told(root):
    def crowds(content):
        for entry in content["annotations"]:
            entry["iscrowd"] = 1

    def twice(content):
        content["annotations"] += [a | {"id": 900 + a["id"]} for a in content["annotations"]]
        content["images"].append(content["images"][0] | {"id": 99})

    edit(root, "train2017", crowds)
    edit(root, "val2017", twice)
    kinds = found(root)
    (sentence,) = kinds["train2017"]
    assert re.fullmatch(
        r"splits have no box to train on or to evaluate, only \d+ regions of crowds", sentence
    )
    assert {where[:13] for where in only(kinds["val2017"], "repeat the class")} == {"annotation 90"}
    assert only(kinds["val2017"], "file of another") == ["image 99: 000001.jpg"]


def test_twelve_bits_in_sixteen_are_told(root):
    deep = np.random.default_rng(0).integers(0, 2**12, (64, 64)).astype(np.uint16)
    Image.fromarray(deep).save(root / "val2017/000001.jpg", "PNG")
    assert only(found(root)["val2017"], "nearly black") == ["000001.jpg"]


def test_equal_pixels_are_found_under_other_names_and_formats(root):
    names = sorted(f.name for f in (root / "train2017").iterdir())
    with Image.open(root / "train2017" / names[0]) as image:
        image.convert("RGB").save(root / "train2017" / names[5], "PNG")
    (copies,) = found(root)["train2017"].values()
    assert copies == [f"{names[5]} = {names[0]}"]


def test_splits_of_other_categories_are_told(root):
    edit(root, "val2017", lambda content: content["categories"][0].update(name="ring"))
    assert only(found(root)["val2017"], "other categories") == [
        "val2017: 1 is 'ring', not 'circle'"
    ]


def test_splits_of_other_keypoints_are_told(root):
    edit(root, "val2017", lambda content: content["categories"][0].update(sigmas=[0.3] * 5))
    assert only(found(root)["val2017"], "other keypoints") == ["val2017"]


@pytest.mark.parametrize("place", ["val", "images/val", "val/images", "images"])
def test_folders_are_found_by_convention_or_as_told(tmp_path, place, capsys):
    made = make_shapes(tmp_path / "made", train=2, val=2, image_size=64)
    root = tmp_path / "other"
    (root / "annotations").mkdir(parents=True)
    annotations = made / "annotations" / "instances_val2017.json"
    shutil.copy(annotations, root / "annotations" / "instances_val.json")
    shutil.copytree(made / "val2017", root / place)
    assert [split.images for split in find_splits(root)] == [root / place]
    told = ["annotations=annotations/instances_val.json", f"images={place}", "workers=1"]
    assert main(["check", f"root={root}", *told]) == 0
    assert main(["check", f"root={root}", told[0]]) == 2
    assert "belong together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "folder", "split", "found"),
    [
        ("train/_annotations.coco.json", "train", "train", True),
        ("valid/_annotations.coco.json", "valid", "val", True),
        ("annotations/instances_default.json", "images", "train", True),
        ("result.json", "images", "val", True),
        ("labels.json", "data", "train", True),
        ("test/labels.json", "test/data", "test", True),
        ("else.json", "images", "train", False),
    ],
)
def test_layouts_of_tools_exports_are_found(tmp_path, file, folder, split, found):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    assert settings_of(tmp_path, split) == ((file, folder) if found else ("FILE", "FOLDER"))


def test_the_only_split_is_not_proposed_for_another(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_val2017.json").touch()
    (tmp_path / "val2017").mkdir()
    assert settings_of(tmp_path, "val") == ("annotations/instances_val2017.json", "val2017")
    assert settings_of(tmp_path, "train") == ("FILE", "FOLDER")


def test_annotations_without_images_are_passed_over_and_told(root, caplog):
    shutil.rmtree(root / "train2017")
    assert [split.name for split in find_splits(root)] == ["val2017"]
    assert "instances_train2017.json is passed over" in caplog.text


def test_nothing_to_check_is_said(tmp_path, capsys):
    with pytest.raises(UserError, match=r"instances_.*one in YOLO.* is converted first with"):
        find_splits(tmp_path)
    assert main(["check", f"root={tmp_path / 'absent'}"]) == 2
    assert main(["check", f"root={tmp_path}", "workers=many"]) == 2
    assert "workers=many" in capsys.readouterr().err


def test_the_page_has_the_images_of_each_fault(root, tmp_path, capsys):
    def spoil(content):
        content["annotations"][0] |= {"bbox": [-20, 10, 60, 30], "segmentation": []}
        content["annotations"][0]["id"] = "<script>"
        content["annotations"][1]["bbox"] = None

    edit(root, "train2017", spoil)
    page = tmp_path / "pages" / "check.html"
    assert main(["check", f"root={root}", f"page={page}", "workers=1"]) == 1
    assert "check.html" in "".join(capsys.readouterr().out.split())
    text = page.read_text(encoding="utf-8")
    assert "annotation &lt;script&gt;" in text
    assert not re.search(r"(src|href)=.(?!data:)", text)
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert len(captions) == 2 + 3
    assert "beyond" in captions[0]
    images = re.findall(r"data:image/png;base64,([^\"]+)", text)
    with Image.open(io.BytesIO(base64.b64decode(images[0]))) as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24)}
    assert (224, 0, 0) in colours
    assert (0, 158, 115) in colours


def test_masks_that_cannot_be_used_are_told_each_kind_in_a_line(root):
    def spoil(content):
        entries = content["annotations"]
        size = [64, 64]
        for entry, segmentation in zip(
            entries,
            (
                {"size": [32, 64], "counts": [2048]},
                {"size": size, "counts": "Ö"},
                {"size": size, "counts": [4096]},
                {"size": size, "counts": [0, 4096]},
                [],
            ),
            strict=False,
        ):
            entry["segmentation"] = segmentation
        x, y, width, height = entries[5]["bbox"]
        line = [x, y, x + width, y + height, x, y]
        entries[5]["segmentation"] = [line]
        entries[5]["area"] = 1

    edit(root, "train2017", spoil)
    faults = found(root)["train2017"]
    file = root / "annotations/instances_train2017.json"
    ids = [f"annotation {a['id']}" for a in json.loads(file.read_text())["annotations"]]
    for words, where in (
        ("of another size", ids[:1]),
        ("cannot be decoded", ids[1:2]),
        ("mask that is empty", ids[2:3]),
        ("do not span their box", ids[3:4]),
        ("enclose nothing", ids[5:6]),
    ):
        assert only(faults, words) == where
    (report, _) = check_splits(find_splits(root), workers=1)
    assert report.faults.notes[Note.OUTLINE_NONE] == 6
    (report, _) = check_splits(find_splits(root), workers=1, masks=True)
    bare = only(report.faults.by_sentence(), "no mask is learnt")
    assert [item.where for item in bare] == ids[:6]
    assert main(["check", f"root={root}", "workers=1", "masks=true"]) == 1
    assert main(["check", f"root={root}", "masks=maybe"]) == 2


def test_only_where_masks_are_wanted_boxes_alone_are_a_fault(root):
    for split in ("train2017", "val2017"):
        edit(root, split, lambda c: [a.update(segmentation=[]) for a in c["annotations"]])
    splits = find_splits(root)
    for masks in (False, True):
        for report in check_splits(splits, workers=1, masks=masks):
            assert len(report.faults.found) == masks * len(report.annotations.boxes)
            assert Note.OUTLINE_NONE not in report.faults.notes
