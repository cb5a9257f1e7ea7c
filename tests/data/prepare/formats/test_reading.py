"""Conversions to COCO format: real BCCD, small sets of known numbers, faults and the command."""

import contextlib
import io
import json
import os
from xml.etree import ElementTree

import pytest
from PIL import Image
from pycocotools.coco import COCO

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.prepare.formats.convert import FORMATS, convert
from yolov9_lit.data.prepare.formats.in_place import annotate_in_place
from yolov9_lit.data.prepare.formats.voc import VocFolder
from yolov9_lit.data.prepare.formats.yolo import YoloFolder
from yolov9_lit.errors import UserError


def read_back(out, split):
    file = out / "annotations" / f"instances_{split}.json"
    with contextlib.redirect_stdout(io.StringIO()):
        COCO(file)
    return json.loads(file.read_text()), read_coco(file, out / split)


def to_coco(kind, src, out, **kwargs):
    """Rows of split, images and boxes; and the faults."""
    done = convert(src, out, source=FORMATS[kind], target=FORMATS["coco"], **kwargs)
    rows = [
        (split, len(judged.images), len(judged.objects)) for split, judged in done.splits.items()
    ]
    return rows, [(item.sentence, item.where) for item in done.faults.found]


def voc_object(name, box, difficult=0):
    tags = "".join(
        f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    flags = f"<name>{name}</name><difficult>{difficult}</difficult>"
    return f"<object>{flags}<bndbox>{tags}</bndbox></object>"


@pytest.fixture
def voc(tmp_path):
    src = tmp_path / "voc"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (src / folder).mkdir(parents=True)
    objects = [
        voc_object("dog", (10, 5, 20, 25)),
        voc_object("cat", (-3, 1, 500, 9), difficult=1),
        voc_object("cat", (4, 4, 4, 9)),
    ]
    size = "<size><width>60</width><height>40</height></size>"
    for name, content in (("b", objects), ("a", [])):
        Image.new("RGB", (60, 40)).save(src / "JPEGImages" / f"{name}.jpg")
        xml = f"<annotation>{size}{''.join(content)}</annotation>"
        (src / "Annotations" / f"{name}.xml").write_text(xml)
    (src / "ImageSets/Main/train.txt").write_text("b\na\n")
    return src


@pytest.fixture
def yolo(tmp_path):
    src = tmp_path / "yolo"
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (src / kind / split).mkdir(parents=True)
    for name in ("train/b.png", "train/a.png", "val/c.png"):
        Image.new("RGB", (100, 50)).save(src / "images" / name)
    (src / "labels/train/a.txt").write_text("1 0.5 0.5 0.2 0.4\n\n0 0.1 0.1 0.3 0.1 0.3 0.5\n")
    (src / "labels/train/b.txt").touch()
    (src / "labels/val/c.txt").write_text("0 0.5 0.5 0 0.4\n")
    (src / "data.yaml").write_text("train: images/train\nval: images/val\ntest:\nnames: [x, y]\n")
    return src


def test_bccd_converts_with_the_numbers_of_its_splits(shared, tmp_path):
    src = shared / "data" / "bccd_voc"
    rows, faults = to_coco("voc", src, tmp_path / "out")
    assert [row[:2] for row in rows] == [("train", 205), ("val", 87), ("test", 72)]
    no_area = "boxes have no area and are left out"
    assert faults == [(no_area, "BloodImage_00343.xml"), (no_area, "BloodImage_00338.xml")]
    for split, _, boxes in rows:
        content, ours = read_back(tmp_path / "out", split)
        assert ours.class_names == ("Platelets", "RBC", "WBC")
        assert len(ours.boxes) == boxes == len(content["annotations"])
        assert [a["id"] for a in content["annotations"]] == list(range(1, boxes + 1))
    stems = [str(name).removesuffix(".jpg") for name in ours.images.names]
    assert stems == sorted((src / "ImageSets/Main/test.txt").read_text().split())
    for i, stem in enumerate(stems):
        root = ElementTree.parse(src / "Annotations" / f"{stem}.xml").getroot()
        corners = [[float(v.text) for v in box] for box in root.iter("bndbox")]
        expected = [[x, y, min(u, 640), min(v, 480)] for x, y, u, v in corners]
        assert ours.objects(i).boxes.tolist() == expected


def test_voc_numbers(voc, tmp_path):
    rows, faults = to_coco("voc", voc, tmp_path / "out")
    assert rows == [("train", 2, 2)]
    assert faults == [
        ("boxes reach beyond their image's edge and are clipped", "b.xml"),
        ("boxes have no area and are left out", "b.xml"),
    ]
    content, ours = read_back(tmp_path / "out", "train")
    assert [(i["id"], i["file_name"]) for i in content["images"]] == [(1, "a.jpg"), (2, "b.jpg")]
    assert [(c["id"], c["name"]) for c in content["categories"]] == [(1, "cat"), (2, "dog")]
    dog, cat = content["annotations"]
    assert dog["bbox"] == [10, 5, 10, 20]
    assert (dog["area"], dog["category_id"], dog["iscrowd"]) == (200, 2, 0)
    assert cat["bbox"] == [0, 1, 60, 8]
    assert cat["difficult"] == 1
    assert "difficult" not in dog
    assert ours.sizes.tolist() == [[40, 60], [40, 60]]
    written = tmp_path / "out" / "train" / "b.jpg"
    assert os.path.samefile(written, voc / "JPEGImages" / "b.jpg")


def test_images_are_copied_where_links_fail(voc, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    to_coco("voc", voc, tmp_path / "out")
    written = tmp_path / "out" / "train" / "b.jpg"
    assert written.read_bytes() == (voc / "JPEGImages" / "b.jpg").read_bytes()


@pytest.mark.parametrize("line", ["/", "../b", "x" * 300, "a\0b", "b/../c"])
def test_a_name_in_a_list_that_no_file_can_have_is_told(voc, tmp_path, line):
    listed = voc / "ImageSets/Main/train.txt"
    listed.with_name("val.txt").write_text(listed.read_text())
    listed.write_text(f"{listed.read_text()}{line}\n")
    rows, faults = to_coco("voc", voc, tmp_path / "out")
    assert rows[0][:2] == ("train", 2)
    assert "XML files cannot be read and are left out, like their image" in faults[0][0]
    assert annotate_in_place(voc, VocFolder, tmp_path / "cache").is_dir()


def test_names_that_are_no_unicode_are_read_and_written(yolo, tmp_path):
    for folder, ending in (("images", "png"), ("labels", "txt")):
        place = yolo / folder / "train"
        (place / f"a.{ending}").rename(place / os.fsdecode(b"gr\xf6\xdfe.%s" % ending.encode()))
    assert annotate_in_place(yolo, YoloFolder, tmp_path / "cache").is_dir()
    rows, _ = to_coco("yolo", yolo, tmp_path / "out")
    assert rows[0] == ("train", 2, 2)


@pytest.mark.parametrize(
    ("file", "content", "fault", "boxes"),
    [
        ("Annotations/b.xml", "<annotation><object>", "XML files cannot be read", 0),
        ("Annotations/b.xml", None, "XML files cannot be read", 0),
        ("Annotations/b.xml", "<?xml version='1.0' encoding='x'?><a/>", "XML files cannot", 0),
        (
            "Annotations/b.xml",
            "<?xml version='1.0' encoding='utf-7'?><a/>",
            "XML files cannot",
            0,
        ),
        (
            "Annotations/b.xml",
            "<a><object/></a>",
            "objects lack a name or the four numbers",
            0,
        ),
        (
            "Annotations/b.xml",
            f"<a>{voc_object('x', (1, 2, 'z', 4))}{voc_object('y', (1, 2, 3, 4))}</a>",
            "objects lack a name or the four numbers",
            1,
        ),
        ("Annotations/b.xml", f"<a>{voc_object('x', (1, 2, 'inf', 4))}</a>", "not finite", 0),
        ("JPEGImages/b.jpg", None, "XML files have no image", 0),
        ("JPEGImages/b.jpg", "no header", "images cannot be read", 0),
    ],
)
def test_voc_faults_are_told_and_left_out(voc, tmp_path, file, content, fault, boxes):
    (voc / file).unlink()
    if content is not None:
        (voc / file).write_text(content)
    rows, faults = to_coco("voc", voc, tmp_path / "out")
    assert rows == [("train", 2 if "object" in (content or "") and "</a>" in content else 1, boxes)]
    assert fault in faults[0][0]
    assert faults[0][1].split()[0] in ("b.xml", "b.jpg")
    with pytest.raises(UserError, match=rf"{len(faults)} fault"):
        to_coco("voc", voc, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("ImageSets/Main/train.txt", None, "no train, val or test"),
        ("ImageSets/Main/train.txt", "c\n", r"train\.txt has no images"),
        ("JPEGImages", None, "lacks the folder JPEGImages"),
    ],
)
def test_voc_structure_is_needed(voc, tmp_path, file, content, words):
    (voc / file).rename(tmp_path / "away")
    if content is not None:
        (voc / file).write_text(content)
    with pytest.raises(UserError, match=words):
        to_coco("voc", voc, tmp_path / "out")
    assert os.listdir(tmp_path) in (["away", "voc"], ["voc", "away"])


def test_yolo_numbers(yolo, tmp_path):
    rows, faults = to_coco("yolo", yolo, tmp_path / "out")
    assert rows == [("train", 2, 2), ("val", 1, 0)]
    assert faults == [("boxes have no area and are left out", "labels/val/c.txt:1")]
    content, ours = read_back(tmp_path / "out", "train")
    assert ours.class_names == ("x", "y")
    box, outline = content["annotations"]
    assert (box["bbox"], box["area"], box["category_id"]) == ([40, 15, 20, 20], 400, 2)
    assert box["segmentation"] == []
    assert outline["bbox"] == [10, 5, 20, 20]
    assert outline["segmentation"] == [[10, 5, 30, 5, 30, 25]]
    assert outline["area"] == pytest.approx(200)
    assert [len(ours.objects(i).boxes) for i in range(2)] == [2, 0]
    assert ours.objects(0).polygons[1][0].tolist() == [[10, 5], [30, 5], [30, 25]]


@pytest.mark.parametrize(
    "config",
    [
        "train: [images/train, images/val]\nnames: {0: x, 1: y}",
        "train: images\nnames: {1: y, 0: x}",
        "train: [images/train/a.png, images/train/b.png, images/val]\nnames: [x, y]",
        "path: images\ntrain: ../lists/all.txt\nnames: [x, y]",
        "train: ../images\nnames: [x, y]",
    ],
)
def test_yolo_entries_may_be_folders_or_lists(yolo, tmp_path, config):
    (yolo / "data.yaml").write_text(config)
    (yolo / "lists").mkdir()
    lines = ["../images/train/a.png", "train\\b.png", str(yolo / "images/val/c.png")]
    (yolo / "lists" / "all.txt").write_text("\n".join(lines) + "\n")
    rows, faults = to_coco("yolo", yolo, tmp_path / "out")
    assert rows == [("train", 3, 2)]
    assert [where for _, where in faults] == ["labels/val/c.txt:1"]
    names = {path.name for path in (tmp_path / "out/train").rglob("*.png")}
    assert names == {"a.png", "b.png", "c.png"}


def test_yolo_entry_may_be_a_single_image(yolo, tmp_path):
    (yolo / "data.yaml").write_text("train: images/train/a.png\nnames: [x, y]")
    assert to_coco("yolo", yolo, tmp_path / "out") == ([("train", 1, 2)], [])


def test_yolo_labels_may_lie_beside_the_images(yolo, tmp_path):
    (yolo / "data.yaml").write_text("train: flat\nnames: [x, y]")
    (yolo / "images/train").rename(yolo / "flat")
    (yolo / "labels/train/a.txt").rename(yolo / "flat/a.txt")
    rows, _ = to_coco("yolo", yolo, tmp_path / "out")
    assert rows == [("train", 2, 2)]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("data.yaml", None, "data.yaml"),
        ("data.yaml", "train: [", "not YAML"),
        ("data.yaml", "train: images/train", "names"),
        ("data.yaml", "names: [x]", "no images"),
        ("data.yaml", "train: images\nval: labels\nnames: [x]", "data.yaml:val has no images"),
        ("data.yaml", "train: nowhere\nnames: [x]", "nowhere"),
        ("ids.json", "{}", "ids.json is malformed"),
        ("ids.json", '{"categories": {"x": 1, "y": 1}, "images": {}}', "given twice"),
        ("ids.json", '{"categories": {"x": 1.0, "y": 2}, "images": {}}', "no whole number"),
    ],
)
def test_yolo_structure_is_needed(yolo, tmp_path, file, content, words):
    (yolo / file).unlink(missing_ok=True)
    if content is not None:
        (yolo / file).write_text(content)
    with pytest.raises(UserError, match=words):
        to_coco("yolo", yolo, tmp_path / "out")
    assert os.listdir(tmp_path) == ["yolo"]


@pytest.mark.parametrize(
    ("file", "content", "fault", "where"),
    [
        ("labels/train/a.txt", "2 0.5 0.5 0.1 0.1", "class that names lacks", "a.txt:1"),
        ("labels/train/a.txt", "0.5 0.5 0.5 0.1 0.1", "class that names lacks", "a.txt:1"),
        ("labels/train/a.txt", "\n0 0.5 0.5 0.1", "not a class and 4 (a box)", "a.txt:2"),
        ("labels/train/a.txt", "0 0.5 0.5 0.1 x", "not a class and 4 (a box)", "a.txt:1"),
        ("labels/train/a.txt", "0 50 50 10 10", "not in fractions", "a.txt:1"),
        ("labels/train/a.txt", "0 0.5 0.5 nan 0.1", "not finite", "a.txt:1"),
        ("labels/train/a.txt", "0 0.1 0.1 0.5 nan 0.5 0.5", "not finite", "a.txt:1"),
        ("labels/train/a.txt", b"\xff\xfe\x00", "cannot be read: no objects", "a.txt"),
        ("labels/train/orphan.txt", "", "have no image", "orphan.txt"),
        (
            "images/train/b.png",
            "junk",
            "images cannot be read",
            "b.png is no image of a known kind",
        ),
        ("images/train/b.png", "", "images cannot be read", "b.png is empty"),
        ("images/train/a.png", None, "have no image", "a.txt"),
    ],
)
def test_yolo_faults_are_told_and_left_out(yolo, tmp_path, file, content, fault, where):
    (yolo / file).unlink(missing_ok=True)
    (yolo / "labels/val/c.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    if content is not None:
        (yolo / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    rows, faults = to_coco("yolo", yolo, tmp_path / "out")
    ((kind, place),) = faults
    assert fault in kind
    assert place.endswith(where)
    assert rows[0][1] == (1 if file.startswith("images") else 2)
    assert rows[0][2] == (2 if file in ("labels/train/orphan.txt", "images/train/b.png") else 0)
    assert rows[1] == ("val", 1, 1)
    with pytest.raises(UserError, match=r"has 1 fault and"):
        to_coco("yolo", yolo, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_keypoints_are_no_outline(yolo, tmp_path):
    with (yolo / "data.yaml").open("a") as file:
        file.write("kpt_shape: [2, 2]\n")
    (yolo / "labels/train/a.txt").write_text("1 0.5 0.5 0.2 0.4 0.9 0.9 0.95 0.95\n")
    to_coco("yolo", yolo, tmp_path / "out")
    content, _ = read_back(tmp_path / "out", "train")
    (entry,) = content["annotations"]
    assert (entry["bbox"], entry["segmentation"]) == ([40, 15, 20, 20], [])


def test_listed_images_may_be_missing(yolo, tmp_path):
    (yolo / "data.yaml").write_text("train: all.txt\nnames: [x, y]")
    (yolo / "all.txt").write_text("images/train/a.png\nimages/train/z.png\n")
    rows, faults = to_coco("yolo", yolo, tmp_path / "out")
    assert rows == [("train", 1, 2)]
    assert faults == [("listed images are missing and are left out", "images/train/z.png")]


def test_images_of_one_name_keep_their_folders(yolo, tmp_path):
    (yolo / "images/val/c.png").rename(yolo / "images/val/a.png")
    (yolo / "labels/val/c.txt").unlink()
    (yolo / "data.yaml").write_text("train: images\nnames: [x, y]")
    to_coco("yolo", yolo, tmp_path / "out")
    content, _ = read_back(tmp_path / "out", "train")
    names = [entry["file_name"] for entry in content["images"]]
    assert names == ["train/a.png", "train/b.png", "val/a.png"]


def test_the_command_prints_what_came_of_it(voc, tmp_path, capsys, caplog):
    assert main(["convert", "format=voc", f"src={voc}", f"out={tmp_path / 'out'}"]) == 0
    assert "train" in capsys.readouterr().out
    assert "1 box has no area and is left out (b.xml)" in caplog.text
    assert main(["convert", "format=voc", f"src={voc}", f"out={tmp_path / 'out'}"]) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stems", "by_order"),
    [
        (("000000000139", "25"), False),
        (("1403636579763555586", "9223372036854775807"), False),
        (("9223372036854775808", "1"), True),
        (("7", "007"), True),
        (("1.5", "2"), True),
        (("٣", "4"), True),
    ],
)
def test_ids_are_the_names_numbers_or_their_order(yolo, tmp_path, stems, by_order):
    for old, new in zip("ab", stems, strict=True):
        (yolo / f"images/train/{old}.png").rename(yolo / f"images/train/{new}.png")
    (yolo / "labels/train/a.txt").rename(yolo / f"labels/train/{stems[0]}.txt")
    to_coco("yolo", yolo, tmp_path / "out")
    _, ours = read_back(tmp_path / "out", "train")
    expected = [1, 2] if by_order else sorted(map(int, stems))
    assert sorted(ours.image_ids.tolist()) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command"),
        (["polish"], "polish"),
        (["convert", "format=voc"], "src=DIR"),
        (["convert", "format=voc", "src=a", "out=b", "speed=9"], "src=DIR"),
        (["convert", "format=voc", "src={", "out=b"], "no data folder {: give src=DIR"),
        (["convert", "format=voc", "src=007", "out=b"], "no data folder 007"),
        (["convert", "format=voc", "src=set (1)", "out=b"], "no data folder set (1)"),
        (["convert", "format=voc", "src=2024_01_05=a", "out=b"], "no data folder 2024_01_05=a"),
        (["convert", "format=voc", "src=${größe}", "out=b"], "no data folder ${größe}"),
        (["convert", "format=voc", "src=a", "out=b", "strict=1"], "strict=1 is not valid"),
        (["download", "name=coco", "root=a", "keep=yes"], "keep=yes is not valid: give true or"),
        (["convert", "format=voc", "src=", "out=b"], "src=DIR"),
        (["convert", "format=csv", "src=a", "out=b"], "csv"),
        (["convert", "format=voc", "to=voc", "src=a", "out=b"], "nothing to convert"),
        (["convert", "format=voc", "to=csv", "src=a", "out=b"], "to=csv"),
        (["convert", "format=voc", "src=/nowhere", "out=b"], "/nowhere"),
    ],
)
def test_mistakes_on_the_command_line_give_one_sentence(arguments, words, capsys):
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def test_help_shows_the_usage(capsys):
    assert main(["--help"]) == 0
    assert (
        "convert format=voc|yolo|coco|cvat|visdrone|roboflow src=DIR out=DIR [to=coco|voc|yolo]"
        in capsys.readouterr().out
    )
