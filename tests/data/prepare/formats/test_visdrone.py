"""VisDrone2019-DET: its lines, what is to be ignored in them, and its folders."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.data.__main__ import main
from yolov9_lit.data.coco.faults import Fault
from yolov9_lit.data.prepare.formats.visdrone import parse_line
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.coco_map import CocoMetric
from yolov9_lit.structures import Detections

CLASSES = ["pedestrian", "people", "bicycle", "car", "van", "truck"]
CLASSES += ["tricycle", "awning-tricycle", "bus", "motor"]
FOLDERS = {"train": "train", "val": "val", "test": "test-dev"}
LINES = {
    "0000001_00001_d_0000001": [
        "10,10,20,30,1,4,0,1",
        "60,20,30,12,1,10,1,2,",
        "100,0,50,40,0,0,0,0",
    ],
    "0000002_00001_d_0000002": [
        "5,50,40,20,0,11,0,0",
        "70,60,12,12,1,1,0,0",
        "20,5,30,30,0,5,0,0,",
    ],
    "9999999_00001_d_0000003": [],
}


@pytest.fixture
def visdrone(tmp_path, monkeypatch):
    """The three splits, each with three images of 160 x 90 pixels."""
    monkeypatch.setenv("YOLOV9_LIT_DATA", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for split in FOLDERS.values():
        folder = tmp_path / f"data/VisDrone2019-DET-{split}"
        for name, lines in LINES.items():
            for part in ("images", "annotations"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"images/{name}.jpg")
            (folder / f"annotations/{name}.txt").write_text("\r\n".join(lines) + "\n")
    return tmp_path / "data"


def datamodule(root, *overrides):
    small = ["data.image_size=96", "data.batch_size=2", "data.num_workers=0", "augment=none"]
    cfg = compose("train", ["experiment=visdrone", f"data.root={root}", *small, *overrides])
    module = build(cfg.data)
    module.setup()
    return module


def plainly_read(lines):
    """Category ids and boxes of objects, and of what is to be ignored."""
    objects, ignored = [], []
    for line in lines:
        fields = line.split(",")
        box, score, category = [int(v) for v in fields[:4]], fields[4], int(fields[5])
        if category == 0 or category == 11:
            for class_id in range(1, 11):
                ignored.append((class_id, box))
        elif score == "0":
            ignored.append((category, box))
        else:
            objects.append((category, box))
    return sorted(objects), sorted(ignored)


def test_lines_are_read_as_a_plain_loop_reads_them(visdrone):
    module = datamodule(visdrone)
    assert list(module.class_names) == CLASSES
    assert [category.id for category in module.categories] == list(range(1, 11))
    for split in FOLDERS:
        content = json.loads(module.annotation_file(split).read_bytes())
        stems = {image["id"]: image["file_name"].split("/")[-1] for image in content["images"]}
        assert sorted(stems.values()) == [f"{name}.jpg" for name in sorted(LINES)]
        for image_id, name in stems.items():
            own = [a for a in content["annotations"] if a["image_id"] == image_id]
            found = [
                sorted((a["category_id"], a["bbox"]) for a in own if a["iscrowd"] == crowd)
                for crowd in (0, 1)
            ]
            assert tuple(found) == plainly_read(LINES[name.removesuffix(".jpg")])


def test_what_is_ignored_is_no_target(visdrone):
    module = datamodule(visdrone)
    count = sum(len(plainly_read(lines)[0]) for lines in LINES.values())
    for loader in (module.train_dataloader(), module.val_dataloader()):
        labels = torch.cat([batch.targets.labels[batch.targets.valid] for batch in loader])
        assert sorted(labels.tolist()) == [0, 3, 9]
        assert len(labels) == count


def measured(truth, extra):
    """AP of detections of all objects and of more confident ones, (class index, xyxy) by name."""
    metric = CocoMetric(lambda **_: truth, range(1, 11))
    for image in truth["images"]:
        own = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        objects = [(a["category_id"] - 1, a["bbox"]) for a in own if not a["iscrowd"]]
        boxes = [(label, [x, y, x + w, y + h]) for label, (x, y, w, h) in objects]
        rows = [
            *((*row, 0.5) for row in boxes),
            *((*row, 0.9) for row in extra.get(image["id"], [])),
        ]
        labels, corners, scores = zip(*rows, strict=True) if rows else ((), np.zeros((0, 4)), ())
        found = Detections(
            torch.tensor(np.array(corners), dtype=torch.float32),
            torch.tensor(scores),
            torch.tensor(labels, dtype=torch.int64),
        )
        metric.update([found], [image["id"]])
    return metric.compute().figures()["AP"]


def test_what_is_found_in_a_region_is_no_error(visdrone):
    module = datamodule(visdrone)
    truth = module.ground_truth("val")
    ids = sorted(image["id"] for image in truth["images"])
    in_regions = {
        ids[0]: [(label, [105, 5, 140, 30]) for label in range(10)],  # An ignored region.
        ids[1]: [(label, [10, 52, 40, 68]) for label in range(10)] + [(4, [20, 5, 50, 35])],
    }
    assert measured(truth, in_regions) == pytest.approx(1)
    single = [a for a in truth["annotations"] if not a["iscrowd"]]
    assert measured(truth | {"annotations": single}, in_regions) < 0.9
    beside = {ids[0]: [(9, [105, 50, 140, 80])], ids[1]: [(0, [20, 5, 50, 35])]}  # A van's place.
    assert measured(truth, beside) < 0.9


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1,2,3,4,1,4,0", Fault.LINE_COLUMNS),
        ("1,2,3,4,1,4,0,0,0", Fault.LINE_COLUMNS),
        ("1 2 3 4 1 4 0 0", Fault.LINE_COLUMNS),
        ("1,2,x,4,1,4,0,0", Fault.LINE_COLUMNS),
        ("1,2,nan,4,1,4,0,0", Fault.LINE_INFINITE),
        ("1,2,3,4,1,12,0,0", Fault.LINE_CATEGORY),
        ("1,2,3,4,1,2.5,0,0", Fault.LINE_CATEGORY),
    ],
)
def test_faulty_lines(line, fault):
    assert parse_line(line) is fault


def test_faults_are_told_and_the_rest_is_used(visdrone, caplog):
    folder = visdrone / "VisDrone2019-DET-train"
    first = folder / "annotations/0000001_00001_d_0000001.txt"
    first.write_text(first.read_text() + "one,line\n3,3,0,9,1,4,0,0\n3,3,9,9,1,40,0,0\n")
    (folder / "annotations/orphan.txt").touch()
    (folder / "annotations/9999999_00001_d_0000003.txt").unlink()
    (folder / "annotations/0000002_00001_d_0000002.txt").write_bytes(b"\xff\xfe1")
    with caplog.at_level("INFO"):
        module = datamodule(visdrone)
    assert [int(count) for count in np.bincount(module.annotations("train").labels)] == [1] * 3 + [
        2
    ] + [1] * 5 + [2]
    for words in (
        f"1 line is not VisDrone's eight numbers with commas between and is left out "
        f"(VisDrone2019-DET-train/annotations/{first.name}:4)",
        f"1 box has no area and is left out (VisDrone2019-DET-train/annotations/{first.name}:5)",
        "1 line has a category other than 0 to 11 and is left out",
        "1 label file has no image and is passed over",
        "1 label file cannot be read: no objects",
        "1 image has no label file: it is taken to hold no objects",
        "7 lines are of no class or have score 0: what is found there is ignored",
    ):
        assert words in caplog.text
    with pytest.raises(UserError, match="has 5 faults and strict=true was given"):
        datamodule(visdrone, "data.strict=true")


def test_a_set_without_test_dev_is_tested_on_val(visdrone):
    (visdrone / "VisDrone2019-DET-test-dev").rename(visdrone / "elsewhere")
    module = datamodule(visdrone)
    assert module.annotations("test").images.name(0) == module.annotations("val").images.name(0)


def test_wrong_layouts_are_one_sentence(visdrone):
    inside = visdrone / "VisDrone2019-DET-val"
    with pytest.raises(UserError, match=r"has no folder VisDrone2019-DET-train, .*unpacked in"):
        datamodule(inside)
    (inside / "annotations").rename(inside / "labels")
    with pytest.raises(UserError, match=r"DET-val lacks the folder annotations: unpack"):
        datamodule(visdrone)
    inside.rename(visdrone / "val")
    with pytest.raises(UserError, match=r"has no val split, .*its folder \(VisDrone"):
        datamodule(visdrone)


def test_it_is_converted(visdrone, tmp_path, capsys):
    convert = ["convert", "format=visdrone", f"src={visdrone}"]
    assert main([*convert, f"out={tmp_path / 'yolo'}", "to=yolo"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "63 regions of crowds are left out" in out
    labels = tmp_path / "yolo/labels/test/0000002_00001_d_0000002.txt"
    assert labels.read_text() == f"0 {76 / 160:g} {66 / 90:.9g} {12 / 160:g} {12 / 90:.9g}\n"
    assert main([*convert, f"out={tmp_path / 'again'}", "to=visdrone"]) == 2
    assert "to=visdrone is unknown: choose coco, voc, yolo." in capsys.readouterr().err
