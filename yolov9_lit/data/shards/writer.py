"""Writing shards from a data set in COCO format."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from yolov9_lit.data.coco.file import load_coco
from yolov9_lit.data.coco.judge import Judged, SoundImage, judge
from yolov9_lit.data.coco.reader import pack
from yolov9_lit.data.images import read_encoded
from yolov9_lit.data.shards.index import (
    Member,
    Members,
    member_key,
    read_members,
    write_index,
    write_shard,
)
from yolov9_lit.data.shards.manifest import ANNOTATIONS, MANIFEST, FileSum, Manifest
from yolov9_lit.errors import UserError
from yolov9_lit.files import write_json

_PLAN = "plan.json"


class ShardReport(NamedTuple):
    """What is in a folder of shards, crowds not counted; `left_out` are images without use."""

    images: int
    boxes: int
    shards: int
    bytes: int
    left_out: int


def write_shards(
    annotation_file: Path, image_dir: Path, out: Path, *, shard_bytes: int, seed: int
) -> ShardReport:
    """Write a split as shards, in random order.

    The folder appears when it is whole. The same call again goes on at the shard at which the first
    was interrupted, and does nothing if the first was complete. The annotation file is held in
    memory while this runs; training does not need that.

    Args:
        annotation_file: in COCO format.
        image_dir: folder that its names start from.
        out: folder to make.
        shard_bytes: least size of the images of a shard, the last one excepted.
        seed: of the order.

    Raises:
        UserError: the data set cannot be read, or `out` holds something else or cannot be written.
    """
    plan = {"annotations": annotation_file.name, "shard_bytes": shard_bytes, "seed": seed}
    try:
        plan["sha256"] = FileSum.of(annotation_file).sha256
    except OSError as error:
        raise UserError(
            f"{annotation_file} cannot be read ({error.strerror}): check the file."
        ) from error
    draft = out.with_name(f".{out.name}.part")
    try:
        if not _is_written(out, plan):
            _begin(draft, plan)
            _fill(draft, annotation_file, image_dir, plan)
            (draft / _PLAN).unlink()
            os.replace(draft, out)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error}): choose another out.") from error
    return _report(out)


def _is_written(out: Path, plan: dict[str, Any]) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    path = out / MANIFEST
    made_from = Manifest.parse(path.read_bytes(), str(out)).plan if path.is_file() else {}
    if any(made_from.get(key) != value for key, value in plan.items()):
        raise UserError(f"{out} exists and holds something else: delete it or choose another out.")
    return True


def _begin(draft: Path, plan: dict[str, Any]) -> None:
    """Keep what an interrupted call of the same plan has left."""
    path = draft / _PLAN
    if not path.is_file() or path.read_text().strip() != json.dumps(plan):
        shutil.rmtree(draft, ignore_errors=True)
        write_json(path, plan)


def _fill(draft: Path, annotation_file: Path, image_dir: Path, plan: dict[str, Any]) -> None:
    judged, listed = _shuffled(annotation_file, image_dir, plan["seed"])
    annotations, images = pack(judged), judged.by_image()
    content = {
        "images": [image.entry for image in images],
        "annotations": [item.entry for item in judged.objects],
        "categories": judged.categories,
    }
    write_json(draft / ANNOTATIONS, content)
    shards: dict[str, int] = {}
    members: list[Members] = []
    spans = _spans(images, plan["shard_bytes"])
    for number, span in enumerate(track(spans, f"{annotation_file.name}", transient=True)):
        path = draft / f"{number:06d}.tar"
        if not path.is_file():
            write_shard(path, (_member(index, images[index]) for index in span))
        members.append(read_members(path))
        shards[path.name] = len(span)
    joined = Members(*(np.concatenate(arrays) for arrays in zip(*members, strict=True)))
    names = [*shards, ANNOTATIONS, *write_index(draft, annotations, joined)]
    files = {name: FileSum.of(draft / name) for name in names}
    plan = {**plan, "left_out": listed - len(annotations)}
    named = (annotations.categories, annotations.layout)
    Manifest(plan, *named, shards, files, dict(annotations.faults)).write(draft)


def _shuffled(annotation_file: Path, image_dir: Path, seed: int) -> tuple[Judged, int]:
    """Judge a COCO-format file, its images in random order, and count all that it lists."""
    content = load_coco(annotation_file)
    order = np.random.default_rng(seed).permutation(len(content.images))
    judged = judge(content._replace(images=[content.images[i] for i in order]), image_dir)
    judged.faults.raise_or_warn(strict=False)
    return judged, len(content.images)


def _spans(images: Sequence[SoundImage], shard_bytes: int) -> list[range]:
    """Return the images of each shard."""
    sizes = [_size(image.path) for image in images]
    before = np.cumsum([0, *sizes[:-1]])
    firsts = np.unique(before // shard_bytes, return_index=True)[1]
    return [range(a, b) for a, b in zip(firsts, [*firsts[1:], len(images)], strict=True)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _member(index: int, image: SoundImage) -> Member:
    record = {"image": image.entry, "annotations": [item.entry for item in image.objects]}
    ending = image.path.suffix.lower() or ".jpg"
    return Member(member_key(index), ending, read_encoded(image.path), record)


def _report(out: Path) -> ShardReport:
    manifest = Manifest.parse((out / MANIFEST).read_bytes(), str(out))
    return ShardReport(
        images=sum(manifest.shards.values()),
        boxes=int((~np.load(out / "index" / "crowd.npy")).sum()),
        shards=len(manifest.shards),
        bytes=sum(manifest.files[name].bytes for name in manifest.shards),
        left_out=manifest.plan["left_out"],
    )
