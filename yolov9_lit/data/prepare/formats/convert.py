"""The command `convert`: a data set from one format into another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from yolov9_lit.checks import existing_folder, new_folder, yes_or_no_text
from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.coco.judge import Judged
from yolov9_lit.data.prepare.formats.coco import CocoFolder, write_coco
from yolov9_lit.data.prepare.formats.cvat import CvatFolder
from yolov9_lit.data.prepare.formats.roboflow import RoboflowFolder
from yolov9_lit.data.prepare.formats.source import SourceFolder, note_leaks, read_splits
from yolov9_lit.data.prepare.formats.visdrone import VisDroneFolder
from yolov9_lit.data.prepare.formats.voc import VocFolder
from yolov9_lit.data.prepare.formats.voc_writer import write_voc
from yolov9_lit.data.prepare.formats.yolo import YoloFolder
from yolov9_lit.data.prepare.formats.yolo_writer import write_yolo
from yolov9_lit.errors import UserError, told
from yolov9_lit.files import atomic_folder
from yolov9_lit.reporting.console import console


class Format(NamedTuple):
    """How a format is read, and how it is written; the writer tells what it cannot hold.

    Of some there is no writer: they belong to one data set, or are COCO's but for the places.
    """

    read: Callable[[Path, Faults], SourceFolder]
    write: Callable[[Path, Mapping[str, Judged]], tuple[str, ...]] | None = None


FORMATS: Mapping[str, Format] = {
    "coco": Format(CocoFolder, write_coco),
    "cvat": Format(CvatFolder),
    "roboflow": Format(RoboflowFolder),
    "visdrone": Format(VisDroneFolder),
    "voc": Format(VocFolder, write_voc),
    "yolo": Format(YoloFolder, write_yolo),
}


class Conversion(NamedTuple):
    """The result of a conversion.

    Attributes:
        splits: what was read.
        faults: what is wrong with single items of the source.
        lost: what the new format cannot hold, in sentences.
    """

    splits: Mapping[str, Judged]
    faults: Faults
    lost: tuple[str, ...]


def convert(
    src: Path,
    out: Path,
    *,
    source: Format,
    target: Format,
    strict: bool = False,
    keypoints: bool = True,
) -> Conversion:
    """Convert a data set; all is read before anything is written, and `out` appears whole.

    Args:
        src: the data set's folder.
        out: the new one's; images are hard links there where the file system allows.
        source: its format.
        target: the format to write.
        strict: refuse a source with faults, which otherwise are left out or clipped.
        keypoints: whether to write those that there are; YOLO's lines hold no outlines beside them.

    Raises:
        UserError: `src` is no data set of its format or, if `strict`, has faults; `out` is not
            empty or cannot be written.
        ValueError: the format to write has no writer.
    """
    if target.write is None:
        raise ValueError("the target format has no writer")
    existing_folder("src", src)
    new_folder("out", out)
    faults = Faults(src)
    splits = read_splits(source.read(src, faults))
    if not keypoints:
        splits = {name: judged.without_keypoints() for name, judged in splits.items()}
    note_leaks(splits)
    faults.raise_or_warn(strict=strict)
    try:
        with atomic_folder(out) as draft:
            lost = target.write(draft, splits)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error}): choose another out.") from error
    return Conversion(splits, faults, lost)


def run(values: Mapping[str, str]) -> None:
    """Convert a data set and print a row for each split.

    Args:
        values: "format", "src" and "out"; optionally "to" ("coco" by default), "strict", and
            "keypoints" (true by default).

    Raises:
        UserError: a format is unknown, or the data set cannot be converted.
    """
    source, target = values["format"], values.get("to", "coco")
    written = [name for name, form in FORMATS.items() if form.write]
    for key, name, known in (("format", source, [*FORMATS]), ("to", target, written)):
        if name not in known:
            raise UserError(f"{key}={name} is unknown: choose {', '.join(known)}.")
    if source == target:
        raise UserError(f"format and to are both {source}: there is nothing to convert.")
    strict = yes_or_no_text("strict", values.get("strict", "false"))
    keypoints = yes_or_no_text("keypoints", values.get("keypoints", "true"))
    conversion = convert(
        Path(values["src"]),
        Path(values["out"]),
        source=FORMATS[source],
        target=FORMATS[target],
        strict=strict,
        keypoints=keypoints,
    )
    table = Table("split", "images", "boxes", title=values["out"])
    for split, judged in conversion.splits.items():
        boxes = sum(not item.crowd for item in judged.objects)
        table.add_row(split, f"{len(judged.images):,}", f"{boxes:,}")
    out = console()
    out.print(table)
    for note, count in conversion.faults.notes.items():
        out.print(told(count, note.value))
    for sentence in conversion.lost:
        out.print(f"{target} cannot hold everything: {sentence}")
