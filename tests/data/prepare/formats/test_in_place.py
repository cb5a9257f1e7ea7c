"""`data=yolo` and `data=voc`: the same batches as from COCO's format, and nothing stale."""

import json
import logging
import os
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.app.evaluate import evaluate
from yolov9_lit.app.train import train
from yolov9_lit.data.prepare.formats.convert import FORMATS, convert
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """The same data in COCO's format, without ids.json and outlines for VOC's sake, and others."""
    folder = tmp_path_factory.mktemp("sets")
    make_shapes(folder / "coco", train=12, val=6, image_size=96)
    for kind in ("yolo", "voc"):
        formats = {"source": FORMATS["coco"], "target": FORMATS[kind]}
        convert(folder / "coco", folder / kind, **formats, keypoints=False)
    make_shapes(folder / "boxes", train=12, val=6, image_size=96)
    for file in (folder / "boxes/annotations").iterdir():
        content = json.loads(file.read_text())
        for entry in content["annotations"]:
            del entry["segmentation"]
        file.write_text(json.dumps(content))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLOV9_LIT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache/annotations"


def datamodule(kind, root, *overrides):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        options = ["data.image_size=96", "data.batch_size=4", "data.num_workers=0", *overrides]
        cfg = compose("train", overrides=[f"data={kind}", f"data.root={root}", *options])
    return instantiate(cfg.data)


def batches(module):
    module.prepare_data()
    module.setup("fit")
    module.setup("test")
    loader = module.train_dataloader()
    loader.sampler.set_epoch(1)
    return [*loader, *module.val_dataloader(), *module.test_dataloader()]


@pytest.mark.parametrize(("kind", "same"), [("yolo", "coco"), ("voc", "boxes")])
def test_batches_are_bit_equal_to_those_of_the_coco_format(shapes, kind, same):
    ours, theirs = datamodule(kind, shapes / kind), datamodule("coco", shapes / same)
    for a, b in zip(batches(ours), batches(theirs), strict=True):
        assert torch.equal(a.images, b.images)
        assert all(torch.equal(x, y) for x, y in zip(a.targets[:3], b.targets[:3], strict=True))
        assert [i.image_id for i in a.infos] == [i.image_id for i in b.infos]
    assert ours.categories == theirs.categories
    assert a.infos[0].path.startswith(str(shapes / kind))


def test_read_once_and_again_when_something_changes(shapes, cache, tmp_path):
    root = tmp_path / "mine"
    convert(shapes / "coco", root, source=FORMATS["coco"], target=FORMATS["yolo"])
    label = next((root / "labels/train").glob("*.txt"))

    def state():
        module = datamodule("yolo", root)
        module.setup("fit")
        return module.folder, len(module._splits["train"].boxes)

    first, boxes = state()
    stamp = first.stat().st_mtime_ns
    assert state() == (first, boxes)
    assert first.stat().st_mtime_ns == stamp
    assert os.listdir(cache) == [first.name]
    label.write_text(label.read_text() + "0 0.5 0.5 0.25 0.25\n")
    second, more = state()
    assert second != first
    assert more == boxes + 1
    label.with_name("extra.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    image = root / "images/train" / f"{label.stem}.jpg"
    os.link(image, image.with_name("extra.jpg"))
    third, most = state()
    assert third not in (first, second)
    assert most == more + 1
    (root / "data.yaml").touch()
    assert state()[0] not in (first, second, third)


def test_faults_are_told_every_time_and_strict_refuses_them(shapes, tmp_path, caplog):
    root = tmp_path / "mine"
    convert(shapes / "coco", root, source=FORMATS["coco"], target=FORMATS["yolo"])
    label = next((root / "labels/train").glob("*.txt"))
    label.write_text(label.read_text() + "99 0.5 0.5 0.25 0.25\n")
    label.with_name("orphan.txt").touch()
    turned = next((root / "images/val").iterdir())
    with Image.open(turned) as image:
        image.load()
        exif = image.getexif()
        exif[0x0112] = 6
        turned.unlink()  # A hard link.
        image.save(turned, exif=exif)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            module = datamodule("yolo", root)
            module.setup("fit")
        assert "1 label file has no image and is passed over" in caplog.text
        assert "1 image is turned as its EXIF data say" in caplog.text
        assert caplog.text.count("1 line has a class that names lacks and is left out") == 1
        used = module.used({})
        assert used["train"]["faults"] == {
            "lines have a class that names lacks and are left out": 1,
            "label files have no image and are passed over": 1,
        }
        assert not used["val"]["faults"]
    with pytest.raises(UserError, match=rf"labels/train/{label.name}:\d"):
        datamodule("yolo", root, "data.prepare.strict=true").setup("fit")


def test_ids_written_beside_the_annotations_hold_when_images_are_added(shapes, tmp_path):
    root = tmp_path / "mine"
    convert(shapes / "coco", root, source=FORMATS["coco"], target=FORMATS["yolo"])
    (root / "ids.json").unlink()
    for split in ("train", "val"):
        for number, image in enumerate(sorted((root / "images" / split).iterdir())):
            label = root / "labels" / split / f"{image.stem}.txt"
            for path in (image, label):  # Names of 19 digits, the first too long for an id.
                path.rename(path.with_stem(f"{9_900_000_000_000_000_000 - 9 * number}"))

    def ids():
        module = datamodule("yolo", root)
        module.setup("fit")
        data = module._splits["train"]
        names = [Path(data.images.name(i)).name for i in range(len(data))]
        return dict(zip(names, data.image_ids.tolist(), strict=True)), module.folder / "ids.json"

    numbered, file = ids()
    assert sorted(numbered.values()) == list(range(1, 13))
    (root / "ids.json").write_bytes(file.read_bytes())
    new = root / "images/train/1.jpg"
    os.link(next((root / "images/train").iterdir()), new)
    assert ids()[0] == numbered | {"1.jpg": 13}


def test_no_val_split_and_no_folder(shapes, tmp_path, cache):
    root = tmp_path / "mine"
    convert(shapes / "coco", root, source=FORMATS["coco"], target=FORMATS["voc"])
    (root / "ImageSets/Main/val.txt").unlink()
    with pytest.raises(UserError, match=r"mine has no val split, .*ImageSets/Main/val\.txt"):
        datamodule("voc", root).setup("fit")
    assert not cache.exists()
    with pytest.raises(UserError, match=r"no data folder .*nowhere"):
        datamodule("voc", tmp_path / "nowhere").setup("fit")


def config(command, run_dir, *overrides):
    base = ["trainer=cpu", "data.image_size=64", "data.num_workers=0", f"run_dir={run_dir}"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose(command, overrides=[*base, *overrides])


@pytest.mark.slow
def test_train_and_eval_where_the_data_lie(shapes, tmp_path):
    """The same detections, under the same ids, as on the COCO-format copy."""
    data = {kind: [f"data={kind}", f"data.root={shapes / kind}"] for kind in ("yolo", "coco")}
    short = ["model=gelan_t", "trainer.max_epochs=1", "~callbacks.summary", "logger=csv"]
    outcome = train(config("train", tmp_path / "run", *data["yolo"], *short))
    truth = json.loads(Path(outcome.annotations).read_text())
    assert [image["id"] for image in truth["images"]] == list(range(1, 7))
    found = []
    for kind, options in data.items():
        checkpoint = f"ckpt={tmp_path / 'run/checkpoints/best.ckpt'}"
        evaluate(config("eval", tmp_path / kind, *options, checkpoint, "pictures=0"))
        found.append(json.loads((tmp_path / kind / "detections.json").read_text()))
    assert found[0]
    assert found[0] == found[1]
    assert {row["image_id"] for row in found[0]} <= set(range(1, 7))
    assert {row["category_id"] for row in found[0]} <= {1, 3, 7, 12}
