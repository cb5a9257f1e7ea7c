"""A COCO-format file as it is: its lists, whose entries are not judged yet.

The format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from yolov9_lit.data.coco.faults import Faults
from yolov9_lit.data.coco.other_files import other_json, packed_or_text
from yolov9_lit.errors import UserError
from yolov9_lit.memory import no_garbage_collection

LISTS = ("images", "annotations", "categories")
"""Keys of a file's lists."""

Entry = dict[str, Any]


class CocoContent(NamedTuple):
    """The lists of a COCO-format file, or what another format holds in their form.

    Attributes:
        path: the file, for messages.
        images: with "id", "file_name", "height" and "width".
        annotations: with "id", "image_id", "category_id", "bbox", and what else there is.
        categories: with "id" and "name".
        faults: of the file; the judge adds those of the entries.
    """

    path: Path
    images: list[Entry]
    annotations: Sequence[Entry]
    categories: list[Entry]
    faults: Faults


@no_garbage_collection()
def load_coco(path: Path) -> CocoContent:
    """Read a file; `faults` has what this package noted in it when it made it of other data.

    Raises:
        UserError: it does not exist or is no COCO JSON.
    """
    if not path.is_file():
        raise UserError(f"There is no annotation file {path}: check the data set's paths.")
    try:
        encoded = path.read_bytes()
        content = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        kind = packed_or_text(path, encoded)
        told = f"is {kind}" if kind else f"is not JSON ({error})"
        raise UserError(f"{path} {told}: give a COCO annotation file.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the file.") from error
    if kind := other_json(content):
        raise UserError(f"{path} holds {kind}: give a COCO annotation file.")
    for key in LISTS:
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path} has no list of objects '{key}': give a COCO annotation file.")
        if encoded.count(f'"{key}"'.encode()) > 1:  # Somewhere: JSON keeps the last one only.
            json.loads(encoded, object_pairs_hook=partial(_require_once, path, key))
    images, annotations, categories = (content[key] for key in LISTS)
    faults = Faults(path, noted_counts(content.get("faults")))
    return CocoContent(path, images, annotations, categories, faults)


def _require_once(path: Path, key: str, pairs: Sequence[tuple[str, Any]]) -> None:
    """Refuse an object of a file that has a list twice, of which one would be lost."""
    count = sum(name == key and isinstance(value, list) for name, value in pairs)
    if count > 1:
        raise UserError(f"{path} has the list '{key}' {count} times: join them into one.")


def noted_counts(noted: object) -> dict[str, int]:
    """Return the positive counts by sentence that a file notes."""
    items = noted.items() if isinstance(noted, dict) else ()
    return {sentence: count for sentence, count in items if type(count) is int and count > 0}
