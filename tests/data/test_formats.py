"""Conversions to COCO format: real BCCD, small sets of known numbers, and the command."""

import contextlib
import io
import json
import os
from xml.etree import ElementTree

import pytest
from PIL import Image
from pycocotools.coco import COCO

from yolov9_lit.data.__main__ import main
from yolov9_lit.data.coco import read_coco
from yolov9_lit.data.formats import convert_voc, convert_yolo
from yolov9_lit.errors import UserError


def read_back(out, split):
    file = out / "annotations" / f"instances_{split}.json"
    with contextlib.redirect_stdout(io.StringIO()):
        COCO(file)
    return json.loads(file.read_text()), read_coco(file, out / split)


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
    size = "<size><width>1</width><height>1</height></size>"
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
    (src / "labels/val/c.txt").write_text("0 0.5 0.5 0 0.4\n")
    (src / "data.yaml").write_text("train: images/train\nval: images/val\ntest:\nnames: [x, y]\n")
    return src


def test_bccd_converts_with_the_numbers_of_its_splits(shared, tmp_path):
    src = shared / "data" / "bccd_voc"
    reports = convert_voc(src, tmp_path / "out")
    counted = [(report.split, report.images) for report in reports]
    assert counted == [("train", 205), ("val", 87), ("test", 72)]
    left_out = [name for report in reports for name in report.left_out]
    assert left_out == ["BloodImage_00343.xml", "BloodImage_00338.xml"]
    for report in reports:
        content, ours = read_back(tmp_path / "out", report.split)
        assert ours.class_names == ("Platelets", "RBC", "WBC")
        assert len(ours.boxes) == report.boxes == len(content["annotations"])
        assert [a["id"] for a in content["annotations"]] == list(range(1, report.boxes + 1))
    stems = [str(name).removesuffix(".jpg") for name in ours.pictures.names]
    assert stems == sorted((src / "ImageSets/Main/test.txt").read_text().split())
    for i, stem in enumerate(stems):
        root = ElementTree.parse(src / "Annotations" / f"{stem}.xml").getroot()
        corners = [[float(v.text) for v in box] for box in root.iter("bndbox")]
        expected = [[x, y, min(u, 640), min(v, 480)] for x, y, u, v in corners]
        assert ours.objects(i).boxes.tolist() == expected


def test_voc_numbers(voc, tmp_path):
    (report,) = convert_voc(voc, tmp_path / "out")
    assert report == ("train", 2, 2, ("b.xml",))
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


def test_pictures_are_copied_where_links_fail(voc, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    convert_voc(voc, tmp_path / "out")
    written = tmp_path / "out" / "train" / "b.jpg"
    assert written.read_bytes() == (voc / "JPEGImages" / "b.jpg").read_bytes()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("Annotations/b.xml", "<annotation><object>", "b.xml"),
        ("Annotations/b.xml", None, "b.xml"),
        ("Annotations/b.xml", "<annotation><object/></annotation>", "b.xml .* <name>"),
        ("Annotations/b.xml", f"<a>{voc_object('x', (1, 2, 'z', 4))}</a>", "b.xml .*z"),
        ("Annotations/b.xml", "<a><object><name>x</name></object></a>", "b.xml .*bndbox"),
        ("JPEGImages/b.jpg", None, "picture of .*b.xml"),
        ("ImageSets/Main/train.txt", None, "no train, val or test"),
        ("ImageSets/Main/train.txt", "c\n", "c.xml"),
    ],
)
def test_voc_faults_are_named_and_nothing_is_written(voc, tmp_path, file, content, words):
    (voc / file).unlink()
    if content is not None:
        (voc / file).write_text(content)
    with pytest.raises(UserError, match=words):
        convert_voc(voc, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_size_of_the_xml_is_a_fallback(voc, tmp_path):
    (voc / "JPEGImages/b.jpg").write_bytes(b"no header")
    convert_voc(voc, tmp_path / "out")
    content, _ = read_back(tmp_path / "out", "train")
    assert [(i["height"], i["width"]) for i in content["images"]] == [(40, 60), (1, 1)]


def test_yolo_numbers(yolo, tmp_path):
    train, val = convert_yolo(yolo, tmp_path / "out")
    assert train == ("train", 2, 2, ())
    assert val == ("val", 1, 0, ("c.txt",))
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
        "path: images\ntrain: ../lists/all.txt\nnames: [x, y]",
        "train: ../images\nnames: [x, y]",
    ],
)
def test_yolo_entries_may_be_folders_or_lists(yolo, tmp_path, config):
    (yolo / "data.yaml").write_text(config)
    (yolo / "lists").mkdir()
    lines = ["../images/train/a.png", "train/b.png", str(yolo / "images/val/c.png")]
    (yolo / "lists" / "all.txt").write_text("\n".join(lines) + "\n")
    (report,) = convert_yolo(yolo, tmp_path / "out")
    assert report == ("train", 3, 2, ("c.txt",))


def test_yolo_labels_may_lie_beside_the_pictures(yolo, tmp_path):
    (yolo / "data.yaml").write_text("train: flat\nnames: [x, y]")
    (yolo / "images/train").rename(yolo / "flat")
    (yolo / "labels/train/a.txt").rename(yolo / "flat/a.txt")
    (report,) = convert_yolo(yolo, tmp_path / "out")
    assert report.boxes == 2


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("data.yaml", None, "data.yaml"),
        ("data.yaml", "train: [", "not YAML"),
        ("data.yaml", "train: images/train", "names"),
        ("data.yaml", "names: [x]", "no pictures"),
        ("data.yaml", "train: nowhere\nnames: [x]", "nowhere"),
        ("labels/train/a.txt", "2 0.5 0.5 0.1 0.1", "line 1 of .*a.txt .*class 2"),
        ("labels/train/a.txt", "0 0.5 0.5 0.1", "line 1 of .*a.txt .*3 coordinates"),
        ("labels/train/a.txt", "0 0.5 0.5 0.1 x", "line 1 of .*a.txt"),
        ("labels/train/a.txt", "0 50 50 10 10", "line 1 of .*fractions"),
        ("labels/train/orphan.txt", "", "picture of .*orphan.txt"),
        ("images/train/a.png", "junk", "a.png"),
        ("images/train/a.png", None, "picture of .*a.txt"),
    ],
)
def test_yolo_faults_are_named_and_nothing_is_written(yolo, tmp_path, file, content, words):
    (yolo / file).unlink(missing_ok=True)
    if content is not None:
        (yolo / file).write_text(content)
    with pytest.raises(UserError, match=words):
        convert_yolo(yolo, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pictures_of_one_name_are_refused(yolo, tmp_path):
    (yolo / "images/val/c.png").rename(yolo / "images/val/a.png")
    (yolo / "labels/val/c.txt").unlink()
    (yolo / "data.yaml").write_text("train: images\nnames: [x, y]")
    with pytest.raises(UserError, match="share a file name"):
        convert_yolo(yolo, tmp_path / "out")


def test_the_command_prints_the_reports(voc, tmp_path, capsys):
    assert main(["convert", "format=voc", f"src={voc}", f"out={tmp_path / 'out'}"]) == 0
    assert "b.xml" in capsys.readouterr().out
    assert main(["convert", "format=voc", f"src={voc}", f"out={tmp_path / 'out'}"]) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command"),
        (["polish"], "polish"),
        (["convert", "format=voc"], "src=DIR"),
        (["convert", "format=voc", "src=a", "out=b", "speed=9"], "src=DIR"),
        (["convert", "format=voc", "src={", "out=b"], "src=DIR"),
        (["convert", "format=voc", "src=", "out=b"], "src=DIR"),
        (["convert", "format=csv", "src=a", "out=b"], "csv"),
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
    assert "convert format=voc|yolo src=DIR out=DIR" in capsys.readouterr().out
