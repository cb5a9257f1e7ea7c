"""Which of a data set's classes are used, and whether they are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from yolov9_lit.data.annotations import Annotations, Category
from yolov9_lit.errors import UserError, first_few

if TYPE_CHECKING:  # Who only reads a model's card, as prediction does, starts without COCO's tools.
    from yolov9_lit.data.coco.truth import Truth

SINGLE = "object"
"""What the only class is called where no name is given."""

_SINGLE_ID = 1  # Of its category: no id of the data's own means all of them.


@dataclass(frozen=True)
class ClassChoice:
    """Classes by name; objects of others are left out, their images stay.

    Attributes:
        names: of the classes, in the order of their labels; None for all that there are.
        single: the name of the one class that these become; None where they stay apart.
    """

    names: tuple[str, ...] | None = None
    single: str | None = None

    def __post_init__(self) -> None:
        """Refuse no class, and one that is chosen twice."""
        if self.names is not None and (not self.names or len({*self.names}) < len(self.names)):
            listed = ",".join(self.names)
            raise UserError(f"data.classes=[{listed}] is not valid: give each class once, or null.")

    @classmethod
    def given(cls, classes: Sequence[str] | None, single_class: bool | str) -> ClassChoice:
        """Return what the settings `data.classes` and `data.single_class` choose."""
        single = SINGLE if single_class is True else single_class or None
        return cls(None if classes is None else tuple(classes), single)

    def __str__(self) -> str:
        named = [] if self.names is None else [f"data.classes=[{','.join(self.names)}]"]
        return " ".join(named + [f"data.single_class={self.single}"] * bool(self.single))

    def of(self, annotations: Annotations) -> Annotations:
        """Return all images with the objects of the chosen classes.

        Raises:
            UserError: there is no class of a name.
        """
        if self == ALL_CLASSES:
            return annotations
        becomes = self._becomes(annotations.categories, annotations.path)
        chosen = [*dict.fromkeys(becomes.values())]
        label_of = [
            chosen.index(becomes[c.id]) if c.id in becomes else -1 for c in annotations.categories
        ]
        labels = np.array(label_of, dtype=np.int64)[annotations.labels]
        kept = labels >= 0
        extra = annotations.extra
        return replace(
            annotations,
            categories=tuple(chosen),
            boxes=annotations.boxes[kept],
            labels=labels[kept],
            crowd=annotations.crowd[kept],
            offsets=np.concatenate([[0], np.cumsum(kept)])[annotations.offsets],
            polygons=annotations.polygons.take(kept),
            keypoints=annotations.keypoints[kept],
            extra=extra and extra.take(kept),
        )

    def of_truth(self, truth: Truth, source: Path) -> Truth:
        """Return what detections of the chosen classes are measured by.

        Args:
            truth: of all classes.
            source: its file, for the message.

        Raises:
            UserError: there is no class of a name.
        """
        if self == ALL_CLASSES:
            return truth
        entries = {entry["id"]: entry for entry in truth["categories"]}
        becomes = self._becomes([Category(i, e["name"]) for i, e in entries.items()], source)
        chosen = {new.id: entries[old] | new._asdict() for old, new in reversed(becomes.items())}
        return truth | {
            "annotations": [
                entry | {"category_id": becomes[entry["category_id"]].id}
                for entry in truth["annotations"]
                if entry["category_id"] in becomes
            ],
            "categories": [*reversed(chosen.values())],
        }

    def _becomes(self, categories: Sequence[Category], source: Path) -> dict[int, Category]:
        """Return what each chosen category becomes, by its id, in the order of the labels."""
        known = [category.name for category in categories]
        for name in self.names or ():
            if name not in known:
                near = get_close_matches(name, known, n=1, cutoff=0.0)
                listed = first_few([*near, *(other for other in known if other not in near)], 8)
                raise UserError(
                    f"data.classes names {name!r}, but {source} has no class of that name: give "
                    f"those that it has, such as {listed}."
                )
        names = known if self.names is None else self.names
        found = [c for name in dict.fromkeys(names) for c in categories if c.name == name]
        if self.single is None:
            return {category.id: category for category in found}
        return dict.fromkeys((c.id for c in found), Category(_SINGLE_ID, self.single))


ALL_CLASSES = ClassChoice()
"""What is used where nothing is chosen."""
