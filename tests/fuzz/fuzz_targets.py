"""What is fuzzed: for each target the inputs that are drawn, and what must hold of them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from counts import count_coco, count_voc, count_yolo
from data_properties import check, convert_to, in_folder, preview, shard, train_on
from hostile_checkpoints import checkpoint_targets
from hostile_coco import coco_mutations, sound_coco
from hostile_runs import run_pages, run_records
from hostile_settings import overrides, settings_of_training
from hostile_values import some
from hostile_voc import sound_voc, voc_mutations
from hostile_yolo import sound_yolo, yolo_mutations
from hypothesis import strategies as st
from parsing import image_files, json_files, label_lines, xml_files

from yolov9_lit.data.prepare.formats.voc import VocFolder
from yolov9_lit.data.prepare.formats.yolo import YoloFolder


class Target(NamedTuple):
    """A property and the strategy of its inputs; how many of these the tests run."""

    inputs: st.SearchStrategy
    holds: Callable[[Any], None]
    examples: int = 100


_FEWER = {"page": 5, "preview": 5, "shards": 30}
"""Examples of the slower runs on data sets."""


def _data_targets() -> dict[str, Target]:
    sets = {
        "coco": (sound_coco, coco_mutations(), None, count_coco),
        "yolo": (sound_yolo, yolo_mutations(), YoloFolder, count_yolo),
        "voc": (sound_voc, voc_mutations(), VocFolder, count_voc),
    }
    targets = {}
    for name, (sound, mutations, source, counts) in sets.items():
        runs: dict[str, Callable] = {"train": partial(train_on, source=source, counts=counts)}
        runs["preview"] = partial(preview, source=source)
        for target in sets.keys() - {name}:
            runs[f"to-{target}"] = partial(convert_to, name, target)
        if name == "coco":
            runs |= {"check": check, "page": partial(check, page=True), "shards": shard}
        for run_name, run in runs.items():
            holds = partial(in_folder, sound, run=run)
            targets[f"{name}-{run_name}"] = Target(
                some(mutations), holds, _FEWER.get(run_name, 100)
            )
    return targets


TARGETS: dict[str, Target] = {
    **dict(sorted(_data_targets().items())),
    "label-lines": Target(*label_lines()),
    "xml-files": Target(*xml_files()),
    "json-files": Target(*json_files()),
    "image-files": Target(*image_files()),
    "settings": Target(*settings_of_training(), examples=12),
    "overrides": Target(*overrides(), examples=12),
    "run-records": Target(*run_records()),
    "run-pages": Target(*run_pages(), examples=5),
    **{name: Target(*both, examples=20) for name, both in checkpoint_targets().items()},
}
