"""What a checkpoint tells of itself, so that it can be used without the run's config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1

PREFIX = "detector."
"""Of the detector's tensors in a checkpoint."""


@dataclass(frozen=True)
class ModelCard:
    """A detector's structure, its classes and its preprocessing.

    Attributes:
        model: resolved config of the detector's constructor, plain containers only.
        class_names: by class index.
        category_ids: the data set's own id of each class index.
        image_size: longest side of an input image in pixels; centred letterbox with grey 114.
    """

    model: dict[str, Any]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_size: int

    def to_dict(self) -> dict[str, Any]:
        """Plain containers that any checkpoint format can hold."""
        card = asdict(self)
        return card | {
            "format": FORMAT,
            "class_names": list(self.class_names),
            "category_ids": list(self.category_ids),
        }

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> ModelCard:
        """Read what `to_dict` gave.

        Raises:
            ValueError: the format is a later one.
            KeyError: a part is missing.
            TypeError: a part is of another kind.
        """
        for name, kinds in _KINDS.items():
            if not isinstance(card[name], kinds):
                raise TypeError(f"its {name} is a {type(card[name]).__name__}")
        if card["format"] > FORMAT:
            raise ValueError(f"card format {card['format']} is newer than this version's {FORMAT}")
        names, ids = tuple(card["class_names"]), tuple(card["category_ids"])
        if len(names) != len(ids) or not all(isinstance(i, int | str) for i in names + ids):
            raise TypeError("its classes have no name or no id")
        return cls(dict(card["model"]), names, ids, card["image_size"])


_KINDS: Mapping[str, Any] = {
    "format": int,
    "model": Mapping,
    "class_names": list | tuple,
    "category_ids": list | tuple,
    "image_size": int,
}
"""What a card's parts may be."""
