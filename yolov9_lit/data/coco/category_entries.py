"""Which entries of a COCO-format file's `categories` can be used, and how two lists differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from yolov9_lit.data.coco.faults import Fault, Faults, Note
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.image_entries import is_id
from yolov9_lit.errors import UserError, first_few


def sound_categories(entries: Sequence[Entry], faults: Faults) -> dict[int, str]:
    """Return the names by id, in the order of the ids; of an id given twice the first counts.

    No format holds an empty name: such a category is called by its id.
    """
    names: dict[int, str] = {}
    for entry in entries:
        value = entry.get("id")
        if not is_id(value):
            faults.add(Fault.CATEGORY_ID, f"id {value!r}")
        elif value in names:
            faults.add(Fault.CATEGORY_REPEATED, f"category {value}")
        else:
            given = entry.get("name")
            name = "" if given is None else str(given)
            if not name.strip():
                faults.notes[Note.NAMELESS] += 1
                name = str(value)
            names[value] = name.encode(errors="replace").decode()  # JSON can hold half characters.
    if shared := len(names) - len({*names.values()}):
        faults.notes[Note.NAME_SHARED] = shared
    return dict(sorted(names.items()))


def require_same(
    first: Path, names: Mapping[int, str], other: Path, other_names: Mapping[int, str]
) -> None:
    """Refuse two splits with different categories.

    Args:
        first: names a split in messages.
        names: of its categories by id.
        other: names another split.
        other_names: of its categories by id.

    Raises:
        UserError: they differ; it shows how.
    """
    if names != other_names:
        raise UserError(
            f"{other} lists other categories than {first} ({difference(names, other_names)}): "
            "where an id means the same in both, copy the list of one file into the other; else "
            "renumber its annotations first."
        )


def difference(names: Mapping[int, str], other: Mapping[int, str]) -> str:
    """Describe the first ids that two lists name differently: "7 is 'cat', not 'dog'; 9 ..."."""
    differing = [i for i in sorted({*names, *other}) if names.get(i) != other.get(i)]
    return first_few([f"{i} is {_quoted(other, i)}, not {_quoted(names, i)}" for i in differing])


def _quoted(names: Mapping[int, str], value: int) -> str:
    return repr(names[value]) if value in names else "missing"
