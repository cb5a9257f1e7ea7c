"""Broken annotations and images: told by kind and count, never in the way of a run."""

import io
import json
import logging
import os
import struct
import subprocess
import sys
import zlib
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image

from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.images import UnreadableImage, decode_image
from yolov9_lit.data.prepare.formats.convert import FORMATS, convert
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError, in_number
from yolov9_lit.training.callbacks.data_use import DataUse

NAN = float("nan")


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def image_bytes(kind="JPEG", size=(40, 30), mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)
    return encoded(image, kind, **options)


def enormous_png(side=60_000):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


GREY16 = Image.fromarray(np.linspace(0, 65535, 1200).reshape(30, 40).astype(np.uint16))
FRAMES = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime")]

USABLE = {
    "plain.jpg": image_bytes(),
    "a png named so.jpg": image_bytes("PNG"),
    "größe 大.jpg": image_bytes(),
    "sixteen.png": encoded(GREY16, "PNG"),
    "sixteen.tif": encoded(GREY16, "TIFF"),
    "cmyk.jpg": image_bytes(mode="CMYK"),
    "moving.gif": encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
    "moving.webp": encoded(
        FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:], lossless=True
    ),
    "palette.png": image_bytes("PNG", mode="P"),
    "clear.png": image_bytes("PNG", mode="P", transparency=0),
    "clear.gif": image_bytes("GIF", mode="P", transparency=0),
    "sub/folder.bmp": image_bytes("BMP"),
}


def tiff(channels, bits):
    """A TIFF of 40 x 30 pixels in one strip, as writers of many bands make it."""
    sides = {256: 40, 257: 30, 259: 1, 262: 1, 277: channels, 278: 30}
    pixels = bytes(40 * 30 * channels * bits // 8)
    start = 8 + 2 + 12 * (len(sides) + 3) + 4
    rows = [(tag, 3, 1, value) for tag, value in sides.items()]
    rows += [(258, 3, channels, start), (273, 4, 1, start + 2 * channels), (279, 4, 1, len(pixels))]
    directory = b"".join(struct.pack("<HHII", *row) for row in sorted(rows))
    head = b"II*\0" + struct.pack("<IH", 8, len(rows)) + directory + bytes(4)
    return head + struct.pack(f"<{channels}H", *[bits] * channels) + pixels


UNUSABLE = {
    "cut.jpg": (image_bytes(size=(400, 300))[:3000], "is damaged"),
    "cut.png": (image_bytes("PNG", size=(400, 300))[:3000], "is damaged"),
    "text.jpg": (b"<html>404</html>", "is no image"),
    "lfs.jpg": (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "is Git LFS's stand-in"),
    "enormous.png": (enormous_png(), "has too many pixels"),
    "float.pfm": (b"PF\n40 30\n-1.0\n" + bytes(4 * 40 * 30 * 3), "is no image"),
    "float.tif": (encoded(Image.fromarray(np.zeros((30, 40), np.float32)), "TIFF"), "16 bits"),
    "bands.tif": (tiff(7, 8), "is a TIFF of 7 channels of 8 bits"),
    "deep.tif": (tiff(3, 32), "is a TIFF of 3 channels of 32 bits"),
    "turned.jpg": (image_bytes(size=(30, 40)), "another height and width"),
}
ABSENT = {"empty.jpg": b"", "missing.jpg": None}

FAULTY_ANNOTATIONS = {
    "annotations have a bbox that is not four numbers": [
        {"bbox": None},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, "a", 2, 2]},
    ],
    "annotations have a bbox that is not finite": [
        {"bbox": [NAN, 1, 2, 2]},
        {"bbox": [1, 1, float("inf"), 2]},
    ],
    "boxes have no area": [{"bbox": [1, 1, 0, 5]}, {"bbox": [1, 1, 5, -3]}],
    "boxes lie outside": [{"bbox": [50, 1, 5, 5]}],
    "boxes reach beyond": [{"bbox": [-5, 2, 30, 20]}],
    "unknown image_id": [{"image_id": 999}, {"image_id": "1"}],
    "unknown category_id": [{"category_id": 77}, {"category_id": None}],
    "polygons are broken or of under three corners": [
        {"segmentation": [[1, 1, 9, 9]]},
        {"segmentation": [[1, 1, 9, 9, 1, 9, 4]]},
        {"segmentation": [[1, 1, 9, NAN, 1, 9]]},
        {"segmentation": [1, 2, 3, 4, 5, 6]},
        {"segmentation": "none"},
    ],
    "annotations have outlines that enclose nothing": [
        {"bbox": [3, 3, 20, 19.7], "segmentation": [[3, 3, 23, 22.7, 3, 3]]},
        {"bbox": [3, 3, 20, 19.8], "segmentation": [[3, 3, 23, 22.8, 13, 12.9, 3, 3]] * 2},
    ],
    "annotations have an RLE mask of another size": [
        {"segmentation": {"size": [40, 30], "counts": [100, 1100]}}
    ],
    "annotations have an RLE mask that cannot be decoded": [
        {"segmentation": {"counts": "1"}},
        {"segmentation": {"size": [30, 40], "counts": "Ö"}},
        {"segmentation": {"size": [30, 40], "counts": [100, 9999]}},
    ],
    "annotations have an RLE mask that is empty": [
        {"segmentation": {"size": [30, 40], "counts": [1200]}}
    ],
}
KEPT = ("boxes reach beyond", "polygons are broken", "annotations have an RLE mask")
KEPT += ("annotations have outlines",)


def write_hostile(root, split):
    """A split with every fault of the lists above, and some more in the file itself."""
    files = USABLE | {name: content for name, (content, _) in UNUSABLE.items()} | ABSENT
    folder = root / split
    for name, content in files.items():
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    size = {"height": 30, "width": 40}
    images = [{"id": i, "file_name": name} | size for i, name in enumerate(files)]
    good = {"category_id": 3, "iscrowd": 0, "segmentation": []}
    good |= {"bbox": [4, 4, 20, 20], "area": 100}
    annotations = [good | {"id": 100 + i, "image_id": i} for i in range(len(files))]
    for changes in chain.from_iterable(FAULTY_ANNOTATIONS.values()):
        number = 100 + len(annotations)
        entry = good | {"id": number, "image_id": 2, "bbox": [3, 3, 20, number / 10]}
        annotations.append(entry | changes)
    annotations.append(annotations[0])  # a copy
    annotations.append(annotations[0] | {"bbox": [2, 2, 9, 9]})  # another of the same id
    annotations.append(good | {"id": 901, "image_id": 2})  # the same under another id
    zeros = {"bbox": [6, 6, 9, 9], "segmentation": [[0] * 8]}
    annotations.append(good | {"id": 902, "image_id": 2} | zeros)
    del images[0]["height"]
    images.append(images[1])
    images += [{"id": 500, "file_name": f"{name}.jpg"} | size for name in ("x", "y")]
    images += [{"id": "str", "file_name": "z.jpg"} | size, {"id": 501} | size]
    categories = [{"id": 3, "name": "cell"}, {"id": 9, "name": "none of it"}, {"id": 3}, {}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    file = root / "annotations" / f"instances_{split}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file, folder


IN_THE_FILE = {
    **{words: len(entries) for words, entries in FAULTY_ANNOTATIONS.items()},
    "images are missing": 1,
    "images are empty": 1,
    "repeat the class and box": 2,
    "do not span their box": 1,
    "share an id with another annotation": 1,
    "lack a whole height or width": 1,
    "image entries repeat another": 1,
    "share their id with another image": 2,
    "images without a whole-number id": 1,
    "images without a file_name": 1,
    "categories repeat an id": 1,
    "categories without a whole-number id": 1,
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile ö")
    for split in ("train", "val"):
        write_hostile(root, split)
    return root


def test_each_kind_is_told_once_with_its_count(hostile, caplog):
    with caplog.at_level(logging.INFO):
        ours = read_coco(hostile / "annotations" / "instances_train.json", hostile / "train")
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == len(IN_THE_FILE)
    for words, count in IN_THE_FILE.items():
        (message,) = [m for m in told if in_number(count, words) in m]
        assert f".json: {count} " in message, message
    notes = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert any("5 objects have an RLE mask" in note for note in notes)
    assert any("2 boxes are left out together with their image" in note for note in notes)
    kept = sum(len(FAULTY_ANNOTATIONS[k]) for k in FAULTY_ANNOTATIONS if k.startswith(KEPT))
    assert len(ours) == len(USABLE) + len(UNUSABLE)
    assert len(ours.boxes) == len(ours) + kept + 2
    assert [c.name for c in ours.categories] == ["cell", "none of it"]
    assert ours.sizes[0].tolist() == [30, 40]
    assert sum(ours.faults.values()) == sum(IN_THE_FILE.values()) + 7


def test_strict_lists_every_fault(hostile):
    with pytest.raises(UserError) as caught:
        read_coco(hostile / "annotations" / "instances_train.json", hostile / "train", strict=True)
    message = str(caught.value)
    assert message.count("\n") == sum(IN_THE_FILE.values())
    assert all(in_number(1, words) in message for words in IN_THE_FILE)


def test_good_data_passes_strict_in_silence(shared, caplog):
    root = shared / "data" / "coco_tiny"
    read_coco(root / "annotations" / "instances_val2017.json", root / "val2017", strict=True)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_the_metric_leaves_out_what_training_does(hostile):
    file = hostile / "annotations" / "instances_val.json"
    truth = read_ground_truth(file)
    ours = read_coco(file, hostile / "val")
    seen = set(ours.image_ids.tolist())
    theirs = [a for a in truth["annotations"] if a["image_id"] in seen]
    assert len(theirs) == len(ours.boxes)
    assert len({a["id"] for a in theirs}) == len(theirs)


def test_hostile_data_is_converted_as_it_is_trained_on(hostile, tmp_path):
    done = convert(hostile, tmp_path / "out", source=FORMATS["coco"], target=FORMATS["coco"])
    kinds = [item.sentence for item in done.faults.found if item.split == "train"]
    for words, count in IN_THE_FILE.items():
        assert sum(words in kind for kind in kinds) == count, words
    other_size = ["turned.jpg", "enormous.png"]
    assert sum("images have another size" in kind for kind in kinds) == len(other_size)
    usable = len(USABLE) + len(UNUSABLE) - len(other_size)
    assert [len(judged.images) for judged in done.splits.values()] == [usable] * 2


def test_images_none_of_which_is_there_are_an_error(tmp_path):
    file, folder = write_hostile(tmp_path, "train")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match=r"no images that can be used .*missing .*empty"):
        read_coco(file, empty)
    assert folder.is_dir()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def entries(*keys):
    mostly = st.sampled_from([1, 2, [1, 1, 5, 5], [[1, 1, 5, 5, 1, 5]], "a.png", 8])
    return st.lists(st.dictionaries(st.sampled_from(keys), mostly | json_values), max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    entries("id", "file_name", "height", "width"),
    entries("id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "area"),
    entries("id", "name"),
)
def test_any_json_is_read_or_answered_in_a_sentence(
    tmp_path_factory, images, annotations, categories
):
    root = tmp_path_factory.getbasetemp() / "any"
    root.mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(root / "a.png")
    file = root / "any.json"
    images = [*images, {"id": 8, "file_name": "a.png", "height": 8, "width": 8}]
    categories = [*categories, {"id": 1, "name": "one"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content))
    try:
        ours = read_coco(file, root)
    except UserError:
        return
    assert (ours.boxes >= 0).all()
    assert (ours.boxes[:, 2:] > ours.boxes[:, :2]).all()
    assert len(read_ground_truth(file)["annotations"]) >= len(ours.boxes)


@pytest.mark.parametrize("name", USABLE)
def test_odd_but_whole_images_are_read(name):
    pixels = decode_image(USABLE[name], name)
    assert pixels.shape == (30, 40, 3)
    if name.startswith("moving"):
        assert pixels[0, 0].tolist() == [255, 0, 0]
    if name.startswith("sixteen"):
        assert pixels[0, 0, 0] == 0
        assert pixels[-1, -1, 0] == 255
    if name.startswith(("cmyk", "clear")):
        with Image.open(io.BytesIO(USABLE[name])) as opened:
            theirs = np.asarray(opened.convert("RGB"), dtype=int)
        assert np.abs(pixels - theirs).max() <= 2


@pytest.mark.parametrize("name", sorted(set(UNUSABLE) - {"turned.jpg"}))
def test_the_fault_of_a_image_is_said(name):
    content, fault = UNUSABLE[name]
    with pytest.raises(UnreadableImage, match=fault):
        decode_image(content, name)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_a_image_cut_short_is_never_taken_for_another(kind, options):
    whole = image_bytes(kind, size=(320, 240), **options)
    pixels = decode_image(whole, "whole")
    rng = np.random.default_rng(0)
    for length in {*rng.integers(1, len(whole), 30).tolist(), len(whole) - 1, len(whole) - 2}:
        try:
            cut = decode_image(whole[:length], "cut")
        except UnreadableImage:
            continue
        np.testing.assert_array_equal(cut, pixels)


def datamodule(root, **options):
    module = DetectionDataModule(
        root,
        "train",
        "annotations/instances_train.json",
        "val",
        "annotations/instances_val.json",
        image_size=64,
        batch_size=4,
        **options,
    )
    module.setup("fit")
    return module


@pytest.mark.parametrize("split", ["train", "val"])
def test_samples_and_skipped_images_do_not_depend_on_workers(hostile, split):
    batches = []
    for workers in (0, 2):
        module = datamodule(hostile, num_workers=workers)
        loader = module.train_dataloader() if split == "train" else module.val_dataloader()
        batches.append(list(loader))
    for alone, shared_out in zip(*batches, strict=True):
        assert alone.skipped == tuple(shared_out.skipped)
        assert (alone.images == shared_out.images).all()
    skipped = {os.path.basename(s.name) for batch in batches[0] for s in batch.skipped}
    assert skipped == set(UNUSABLE)
    count = sum(len(batch.infos) for batch in batches[0])
    assert count == len(USABLE) + (len(UNUSABLE) if split == "train" else 0)


def test_when_no_image_can_be_used_the_loader_says_so(hostile, tmp_path):
    for split in ("train", "val"):
        _, folder = write_hostile(tmp_path, split)
        for name in USABLE:
            (folder / name).write_bytes(b"junk")
    with pytest.raises(UserError, match="100 images in a row"):
        list(datamodule(tmp_path, num_workers=0).train_dataloader())


def train(root, run_dir, *overrides):
    command = [sys.executable, "-m", "yolov9_lit.train", "data=bccd", f"data.root='{root}'"]
    command += ["data.test_images=null", "data.test_annotations=null", "model=gelan_t"]
    command += ["trainer=cpu", "trainer.max_epochs=2", "trainer.enable_progress_bar=false"]
    command += ["data.image_size=64", "data.batch_size=4", "data.eval_batch_size=1"]
    command += [f"hydra.run.dir='{run_dir}'", "~callbacks.summary", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_of_hostile_files_trains_to_the_end(hostile, tmp_path, workers):
    code, output = train(hostile, tmp_path, f"data.num_workers={workers}")
    assert code == 0, output[-3000:]
    output = " ".join(output.split())
    faults = {fault for _, fault in UNUSABLE.values()}
    for words in {*(in_number(n, w) for w, n in IN_THE_FILE.items()), *faults}:
        assert words in output, words
    usable = len(USABLE)
    assert f"Trained on {usable} images with {usable + 15} boxes" in output
    data = json.loads((tmp_path / "run.json").read_text())["data"]
    assert data["train"]["pictures"] == data["val"]["pictures"] == usable
    in_images = len(UNUSABLE)
    assert sum(data["train"]["faults"].values()) == sum(IN_THE_FILE.values()) + 7 + in_images
    assert json.loads((tmp_path / "results.json").read_text())["num_images"] == usable


@pytest.fixture
def cut_short(tmp_path):
    """A data set, and the two of its images that are cut short."""
    root = make_shapes(tmp_path / "data", train=6, val=3, image_size=64)
    broken = [next((root / split).iterdir()) for split in ("train2017", "val2017")]
    for path in broken:
        path.write_bytes(path.read_bytes()[:900])
    return root, broken


@pytest.mark.slow
def test_a_strict_training_lists_unreadable_images_before_it_begins(cut_short, tmp_path):
    root, broken = cut_short
    code, output = train(root, tmp_path / "run", "data=shapes", "~data.prepare", "data.strict=true")
    assert code == 2, output[-3000:]
    assert "2 faults" in output
    assert all(str(path) in output for path in broken)
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_strict_set_up_reads_every_image_and_draws_no_random_number(cut_short, workers):
    root, broken = cut_short
    names = [f"{split}2017" for split in ("train", "val")]
    paths = [text for n in names for text in (n, f"annotations/instances_{n}.json")]
    state = torch.random.get_rng_state()
    with pytest.raises(UserError, match="2 faults") as error:
        DetectionDataModule(root, *paths, strict=True, num_workers=workers).setup("fit")
    assert all(f"{path}: image cannot be used: it is" in str(error.value) for path in broken)
    assert torch.equal(torch.random.get_rng_state(), state)


FITTING = SimpleNamespace(
    state=SimpleNamespace(fn=TrainerFn.FITTING), current_epoch=0, global_rank=0
)


def test_what_becomes_unreadable_during_a_strict_training_is_an_error_too(hostile):
    use = DataUse("data", strict=True)
    for batch in datamodule(hostile, num_workers=0).train_dataloader():
        use.on_train_batch_end(FITTING, None, None, batch, 0)
    with pytest.raises(UserError, match=f"{len(UNUSABLE)} faults"):
        use.on_train_epoch_end(FITTING, None)


def test_a_resumed_training_remembers_what_was_skipped_an_evaluation_does_not(hostile, caplog):
    module = datamodule(hostile, num_workers=0)
    use = DataUse("data")
    for batch in module.train_dataloader():
        use.on_train_batch_end(FITTING, None, None, batch, 0)
    use.on_train_epoch_end(FITTING, None)
    checkpoint = {}
    use.on_save_checkpoint(FITTING, None, checkpoint)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    buffer.seek(0)
    checkpoint = torch.load(buffer, weights_only=True)
    caplog.clear()
    resumed, testing = DataUse("data"), DataUse("data")
    resumed.on_load_checkpoint(FITTING, None, checkpoint)
    resumed.on_train_epoch_end(FITTING, None)
    assert not caplog.records, "told before the resume"
    assert module.used(resumed.by_split) == module.used(use.by_split)
    assert module.used(resumed.by_split)["train"]["pictures"] == len(USABLE)
    other = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.TESTING))
    testing.on_load_checkpoint(other, None, checkpoint)
    assert not any(use.skipped or use.images.any() for use in testing.by_split.values())
    moved = resumed.by_split["train"]
    moved.skipped = {i + 999: p for i, p in moved.skipped.items()}
    assert module.used({"train": moved})["train"]["pictures"] == len(USABLE) + len(UNUSABLE)


def test_faults_are_told_by_kind(caplog):
    faults = Faults("data")
    for i in range(1200):
        faults.add(Fault.IMAGE_SKIPPED, f"{i}.jpg", detail="is odd")
    faults.raise_or_warn(strict=False)
    (record,) = caplog.records
    assert record.getMessage() == (
        "data: 1,200 images are skipped: each is odd (0.jpg, 1.jpg, 2.jpg, ...)"
    )
