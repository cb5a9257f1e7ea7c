"""What must hold of a data set, whatever lies in its folder: nothing lost, nothing wrong."""

import dataclasses
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from counts import Counts, count_coco
from hostile_coco import ANNOTATIONS, SPLITS
from hostile_files import Files, write
from hostile_values import Mutation
from PIL import Image
from watching import watched

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.layout import find_splits
from yolov9_lit.data.coco.reader import read_coco
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.dataset import TrainKey
from yolov9_lit.data.keypoint_settings import KeypointSettings
from yolov9_lit.data.prepare.check import check_splits
from yolov9_lit.data.prepare.check_report import class_table, data_page, fault_table, split_table
from yolov9_lit.data.prepare.formats.convert import FORMATS, convert
from yolov9_lit.data.prepare.formats.in_place import annotate_in_place
from yolov9_lit.data.prepare.formats.source import read_splits
from yolov9_lit.data.prepare.preview import write_preview
from yolov9_lit.data.shards.files import ShardCache
from yolov9_lit.data.shards.reader import open_shards
from yolov9_lit.data.shards.writer import write_shards
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.evaluation import CocoMetric
from yolov9_lit.reporting.render import terminal
from yolov9_lit.structures import Batch, Detections

IMAGE_SIZE = 32

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A folder in memory, where there is one: a disk takes longer than all the rest."""


def in_folder(
    sound: Files, mutations: Sequence[Mutation], run: Callable[[Path], None]
) -> list[str]:
    """Run something, watched, on a data set that mutations have changed; return what was told."""
    files = dict(sound())
    for change in mutations:
        change(files)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root = Path(folder) / "deep/er/set"  # Paths that begin with ".." stay inside.
        root.mkdir(parents=True)
        write(files, root)
        with watched() as messages:
            run(root)
    return messages.texts


@cache
def paper_augmentation() -> Augmentation:
    return build(compose("train", [f"data.image_size={IMAGE_SIZE}"]).augment)


def data_module(root: Path, source: type | None) -> DetectionDataModule:
    """Make what a training or a preview reads a data set by, with keypoints if it has them."""
    plain = _data_module(root, source, None)
    layouts = [plain.annotations(split).layout for split in SPLITS]
    posed = layouts[0] is not None and layouts[0] == layouts[1]
    return _data_module(root, source, KeypointSettings()) if posed else plain


def _data_module(
    root: Path, source: type | None, keypoints: KeypointSettings | None
) -> DetectionDataModule:
    in_place = partial(annotate_in_place, source=source, cache=root.parent / "cache")
    module = DetectionDataModule(
        root,
        *(text for s in SPLITS for text in ("." if source else s, ANNOTATIONS[s])),
        prepare=in_place if source else None,
        image_size=IMAGE_SIZE,
        batch_size=3,
        num_workers=0,
        cache=None,
        augmentation=paper_augmentation(),
        keypoints=keypoints,
    )
    module.setup("fit")
    return module


def preview(root: Path, source: type | None) -> None:
    """Draw the sheet of `data preview`: it shows all images that there are to train on."""
    module = data_module(root, source)
    out = root.parent / "sheet.png"
    shown = write_preview(module, out, count=9)
    assert shown == len(module.train_dataloader().dataset.annotations)
    with Image.open(out) as sheet:
        sheet.load()


def train_on(root: Path, source: type | None, counts: Counts) -> None:
    """Read an epoch of each split, and measure random detections."""
    module = data_module(root, source)
    loaders = {"train": module.train_dataloader(), "val": module.val_dataloader()}
    for split, loader in loaders.items():
        annotations = loader.dataset.annotations
        assert_all_are_told(annotations, *counts(root, split), exact=not source)
        batches = list(loader)
        for batch in batches:
            assert_sound(batch, annotations.num_classes, drawn=split == "train")
        used = sum(len(batch.infos) for batch in batches)
        skipped = 0 if split == "train" else sum(len(batch.skipped) for batch in batches)
        assert used + skipped == len(annotations), f"{used} + {skipped} of {len(annotations)}"
        if split == "train":
            assert_no_box_is_lost(loader.dataset)
        else:
            measure(module, annotations, [i.image_id for batch in batches for i in batch.infos])


def assert_all_are_told(
    annotations: Annotations, images: int | None, boxes: int | None, *, exact: bool = True
) -> None:
    """Hold that what was read and what was left out make up what is there.

    Only COCO's reader counts the boxes of images that are left out: for it this is `exact`.
    """
    told: Counter[str] = Counter()
    for sentence, count in annotations.faults.items():
        told[_kind(sentence)] += count
    if images is not None:
        found = len(annotations) + told["image"]
        assert found == images, f"{len(annotations)} images, {told['image']} told, of {images}"
    if boxes is not None and (exact or not told["image"]):
        found = len(annotations.boxes) + told["box"]
        assert found == boxes, f"{len(annotations.boxes)} boxes, {told['box']} told, of {boxes}"


@cache
def _kind(sentence: str) -> str:
    """Whether a sentence tells of images or of boxes that are left out, or of neither."""
    if sentence == Note.BOXES_OF_IMAGES.value:
        return "box"
    name = next((f.name for f in Fault if f.value == sentence), "")
    if "left out" not in sentence and "passed over" not in sentence:
        return ""
    if name.startswith(("IMAGE_", "LISTED_", "XML_UNREADABLE", "XML_WITHOUT", "XML_IMAGE")):
        return "image"
    if name.startswith(("BOX_", "LINE_", "UNKNOWN_", "XML_OBJECT", "OBJECT_", "CROWD")):
        return "box"
    return ""


def assert_sound(batch: Batch, classes: int, *, drawn: bool) -> None:
    """Hold that a batch can be learned from: boxes are finite and inside, labels are of classes."""
    count, channels, height, width = batch.images.shape
    assert count == len(batch.infos)
    assert channels == 3
    boxes, labels = batch.targets.boxes[batch.targets.valid], batch.targets.labels
    assert torch.isfinite(batch.targets.boxes).all(), "a box is not finite"
    limit = torch.tensor([width, height] * 2) + 1e-2
    assert ((boxes >= -1e-2) & (boxes <= limit)).all(), f"a box lies outside: {boxes}"
    assert (boxes[:, 2:] > boxes[:, :2]).all(), f"a box has no area: {boxes}"
    assert ((labels >= 0) & (labels < max(classes, 1))).all(), "a label is of no class"
    keypoints = batch.targets.keypoints
    if keypoints is not None:
        points, visibility = keypoints[..., :2], keypoints[..., 2:]
        assert ((points >= 0) & (points <= limit[:2])).all(), f"outside: {keypoints}"
        assert torch.isin(visibility, torch.arange(3)).all(), "a visibility is none"
        assert not keypoints[~batch.targets.valid].any(), "a keypoint belongs to no box"
    if drawn and count:
        assert (height, width) == (IMAGE_SIZE, IMAGE_SIZE)


def assert_no_box_is_lost(dataset) -> None:
    """Hold that without augmentation each image that can be used has all of its boxes."""
    plain = dataclasses.replace(dataset, augmentation=Augmentation())
    for index in range(len(plain)):
        sample, skipped, drawn = plain.sample(TrainKey(index, 0, False, range(len(plain))))
        boxes = int((~plain.annotations.objects(index).crowd).sum())
        found = (len(sample.boxes), drawn)
        assert skipped or found == (boxes, boxes), f"{found} of {boxes} boxes"


def measure(module: DetectionDataModule, annotations: Annotations, ids: Sequence[int]) -> None:
    """Hold that any detections have sound figures, and perfect ones the best."""
    category_ids = [category.id for category in annotations.categories]
    rng = np.random.default_rng(0)
    metric = CocoMetric(lambda: module.ground_truth("val"), category_ids)
    for image_id in ids:
        boxes = torch.from_numpy(rng.uniform(-9, 70, (5, 4))).float()
        labels = torch.from_numpy(rng.integers(0, max(len(category_ids), 1), 5))
        found = Detections(boxes, torch.from_numpy(rng.uniform(0, 1, 5)).float(), labels)
        metric.update([found if category_ids else found.select(slice(0))], [image_id])
    if not ids:
        return
    result = metric.compute()
    assert result.num_images == len(set(ids))
    for name, value in result.figures().items():
        assert math.isfinite(value), f"{name} is {value}"
        assert -1 <= value <= 1, f"{name} is {value}"
    assert sum(c.objects for c in result.per_class) <= len(annotations.boxes)
    json.loads("".join(metric.detections().json()))


def check(root: Path, *, page: bool = False) -> None:
    """Do what `data check` does, in this process."""
    splits = find_splits(root)
    reports = check_splits(splits, workers=0)
    for report in reports:
        assert len(report.facts) == len(report.annotations)
        images, boxes = count_coco(root, report.split.name)
        left_out = {s: len(f) for s, f in report.faults.by_sentence().items()}
        left_out |= {note.value: count for note, count in report.faults.notes.items()}
        left_out.pop(Fault.IMAGE_OTHER_SIZE.value, None)  # Found later, when all are decoded.
        told = dataclasses.replace(report.annotations, faults=left_out)
        assert_all_are_told(told, images, boxes)
    for table in (split_table(reports), fault_table(reports), class_table(reports)):
        terminal(table)
    if page:
        data_page(str(root), reports)


def shard(root: Path) -> None:
    """Write shards, and read them: they hold the images and boxes that can be used."""
    for split in find_splits(root):
        out = root.parent / f"shards_{split.name}"
        write_shards(split.annotations, split.images, out, shard_bytes=2000, seed=0)
        shards = open_shards(str(out), ShardCache(root.parent / "shard_cache", 10**6))
        plain = read_coco(split.annotations, split.images)
        again = shards.annotations
        assert sorted(again.image_ids) == sorted(plain.image_ids)
        assert len(again.boxes) == len(plain.boxes)
        for index in range(len(again)):
            assert again.images.encoded(index)


def convert_to(source: str, target: str, root: Path) -> None:
    """Convert, and read what was written: it is sound and holds as many images and boxes."""
    out = root.parent / "out"
    conversion = convert(root, out, source=FORMATS[source], target=FORMATS[target])
    faults = Faults(out)
    again = read_splits(FORMATS[target].read(out, faults))
    wrong = [f for f in faults.found if not f.fault.name.startswith(("IMAGE_", "XML_WITHOUT"))]
    assert not wrong, f"what was written has faults: {wrong[:3]}"
    for split, judged in conversion.splits.items():
        told = sum(f.split == split for f in faults.found)
        assert len(again[split].images) + told == len(judged.images)
        if not told:
            boxes, before = len(again[split].objects), judged.objects
            crowds = sum(item.crowd for item in before)
            assert boxes == len(before) - (crowds if target != "coco" else 0)
