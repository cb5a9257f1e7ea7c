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
        image_size: longest side of an input picture in pixels; centred letterbox with grey 114.
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
        """
        if card["format"] > FORMAT:
            raise ValueError(f"card format {card['format']} is newer than this version's {FORMAT}")
        return cls(
            model=dict(card["model"]),
            class_names=tuple(card["class_names"]),
            category_ids=tuple(card["category_ids"]),
            image_size=int(card["image_size"]),
        )
