"""The command `python -m yolov9_lit.data shard`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from yolov9_lit.checks import existing_folder, whole_number_text
from yolov9_lit.data.coco.layout import find_splits
from yolov9_lit.data.shards.writer import write_shards
from yolov9_lit.errors import UserError
from yolov9_lit.reporting.console import console


def run(values: Mapping[str, str]) -> None:
    """Write splits as shards and print a row for each.

    Args:
        values: "out", and either "root" or "annotations" and "images"; optionally "shard_mb", the
            size of a shard in megabytes, and "seed" of the images' order.

    Raises:
        UserError: the data set cannot be read, or the shards cannot be written.
    """
    megabytes = whole_number_text("shard_mb", values.get("shard_mb", "256"))
    seed = whole_number_text("seed", values.get("seed", "0"), least=0)
    table = Table("shards of", "images", "boxes", "shards", "MB", "left out")
    for (file, images), out in _splits(values).items():
        report = write_shards(file, images, out, shard_bytes=megabytes * 10**6, seed=seed)
        counts = (report.images, report.boxes, report.shards, report.bytes // 10**6)
        table.add_row(str(out), *(f"{count:,}" for count in (*counts, report.left_out)))
    console().print(table)


def _splits(values: Mapping[str, str]) -> dict[tuple[Path, Path], Path]:
    """Return the output folder for each annotation file and its folder of images."""
    out = Path(values["out"]).expanduser()
    if {"root", "annotations", "images"} & set(values) == {"annotations", "images"}:
        return {(Path(values["annotations"]), Path(values["images"])): out}
    if {"root", "annotations", "images"} & set(values) != {"root"}:
        raise UserError("Give shard either root, or annotations and images of one split.")
    splits = find_splits(existing_folder("root", Path(values["root"]).expanduser()))
    return {(split.annotations, split.images): out / split.name for split in splits}
