"""Several folders of VOC as one data set, and its objects marked as difficult."""

import json
import os

import pytest
from PIL import Image

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError


def image(year, stem, names, lists):
    """Write an image of 20 x 10 pixels with an object of each name; `!` marks a difficult one."""
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (year / folder).mkdir(parents=True, exist_ok=True)
    shade = sum(map(ord, f"{year.name}{stem}")) % 256
    Image.new("RGB", (20, 10), (shade, 0, 0)).save(year / "JPEGImages" / f"{stem}.jpg")
    objects = "".join(
        f"<object><name>{name.strip('!')}</name><difficult>{int('!' in name)}</difficult><bndbox>"
        "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object>"
        for name in names
    )
    (year / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{objects}</annotation>")
    for listed in lists:
        with (year / "ImageSets/Main" / f"{listed}.txt").open("a") as file:
            file.write(f"{stem}\n")


@pytest.fixture
def voc(tmp_path, monkeypatch):
    """Both years, as the download leaves them; one image has the same name in both."""
    monkeypatch.setenv("YOLOV9_LIT_DATA", str(tmp_path / "cache"))
    kit = tmp_path / "voc/VOCdevkit"
    image(kit / "VOC2007", "000001", ["dog", "cat!"], ["trainval", "val"])
    image(kit / "VOC2007", "000002", ["cat"], ["test"])
    image(kit / "VOC2012", "000001", ["bird"], ["trainval", "train"])
    image(kit / "VOC2012", "2008_000003", ["dog!"], ["trainval"])
    return tmp_path / "voc"


def prepared(voc, *overrides):
    """Return the annotations of each split, as a training reads them."""
    cfg = compose("train", ["experiment=voc", f"data.root={voc}", *overrides])
    folder = build(cfg.data.prepare)(voc)
    return {
        split: json.loads((folder / f"annotations/instances_{split}.json").read_bytes())
        for split in ("train", "val")
    }


def objects(content):
    """Return the classes by image, a `!` after those that are left out."""
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    files = {entry["id"]: entry["file_name"] for entry in content["images"]}
    found = {name: [] for name in files.values()}
    for entry in content["annotations"]:
        mark = "!" if entry["iscrowd"] else ""
        found[files[entry["image_id"]]].append(names[entry["category_id"]] + mark)
    return {os.path.relpath(name, name.split("VOCdevkit")[0]): v for name, v in found.items()}


def test_both_years_are_trained_on(voc):
    splits = prepared(voc)
    kit = "VOCdevkit"
    assert objects(splits["train"]) == {
        f"{kit}/VOC2007/JPEGImages/000001.jpg": ["dog", "cat!"],
        f"{kit}/VOC2012/JPEGImages/000001.jpg": ["bird"],
        f"{kit}/VOC2012/JPEGImages/2008_000003.jpg": ["dog!"],
    }
    assert objects(splits["val"]) == {f"{kit}/VOC2007/JPEGImages/000002.jpg": ["cat"]}


def test_difficult_objects_may_count(voc):
    prepared(voc)  # What it leaves in the cache is not of these settings.
    train = prepared(voc, "data.prepare.source.ignore_difficult=false")["train"]
    assert not any(entry["iscrowd"] for entry in train["annotations"])
    assert len(train["annotations"]) == 4


def test_a_missing_part_is_told(voc):
    (voc / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").unlink()
    with pytest.raises(UserError, match=r"VOC2007/ImageSets/Main/test\.txt is missing: download"):
        prepared(voc)
