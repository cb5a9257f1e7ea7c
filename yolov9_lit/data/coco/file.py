"""A COCO-format file as it is: its lists, whose entries are not looked at yet."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from yolov9_lit.errors import UserError

_LISTS = ("images", "annotations", "categories")

Entry = dict[str, Any]


class CocoContent(NamedTuple):
    """The lists of a COCO-format file.

    `faults` is of files that this package made from other data: how many of each kind that had and
    are not in the file. Other tools pass it over.
    """

    images: list[Entry]
    annotations: list[Entry]
    categories: list[Entry]
    faults: Counter[str]


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Spares a third of the time with COCO's file: it makes millions of lists, none is garbage.

    To be held until they are gone, or the first collection after it looks at all of them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@no_garbage_collection()
def load_coco(path: Path) -> CocoContent:
    """Reads a file.

    Raises:
        UserError: it does not exist or is no COCO JSON.
    """
    if not path.is_file():
        raise UserError(f"annotation file {path} does not exist; check the data set's paths")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); give a COCO annotation file") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file") from error
    for key in _LISTS:
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path} lacks a list of objects '{key}'; give a COCO annotation file")
    images, annotations, categories = (content[key] for key in _LISTS)
    return CocoContent(images, annotations, categories, _faults(content.get("faults")))


def _faults(noted: object) -> Counter[str]:
    items = noted.items() if isinstance(noted, dict) else ()
    return Counter({kind: count for kind, count in items if type(count) is int and count > 0})
