"""What a checkpoint tells of itself, so that it can be used without the run's config."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from yolov9_lit.data.class_choice import ALL_CLASSES, ClassChoice
from yolov9_lit.data.coco.keypoint_layout import fault_of
from yolov9_lit.errors import UserError
from yolov9_lit.models.create import BLOCKS, DOWNS, PGI, backbone_of, widths
from yolov9_lit.models.detector import gelan_detector
from yolov9_lit.models.head import Head
from yolov9_lit.models.sizes import size_of
from yolov9_lit.structures import KeypointLayout

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
        keypoints: what they are, of a detector that finds some.
        choice: which classes of the data these are.
    """

    model: dict[str, Any]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    image_size: int
    keypoints: KeypointLayout | None = None
    choice: ClassChoice = ALL_CLASSES

    def to_dict(self) -> dict[str, Any]:
        """Plain containers that any checkpoint format can hold."""
        card = {
            "model": deepcopy(self.model),
            "class_names": list(self.class_names),
            "category_ids": list(self.category_ids),
            "image_size": self.image_size,
            "format": FORMAT,
        }
        if self.keypoints:
            card["keypoints"] = _layout_parts(self.keypoints)
        if self.choice != ALL_CLASSES:
            names, single = self.choice.names, self.choice.single
            card["choice"] = {"names": None if names is None else [*names], "single": single}
        return card

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
        if card["image_size"] < 1:
            raise TypeError(f"its image_size is {card['image_size']}")
        names, ids = tuple(card["class_names"]), tuple(card["category_ids"])
        if len(names) != len(ids) or not all(isinstance(i, int | str) for i in names + ids):
            raise TypeError("its classes have no name or no id")
        layout = _layout(card["keypoints"]) if "keypoints" in card else None
        choice = _choice(card["choice"]) if "choice" in card else ALL_CLASSES
        return cls(dict(card["model"]), names, ids, card["image_size"], layout, choice)


_KINDS: Mapping[str, Any] = {
    "format": int,
    "model": Mapping,
    "class_names": list | tuple,
    "category_ids": list | tuple,
    "image_size": int,
}
"""What a card's parts may be."""


def _layout_parts(layout: KeypointLayout) -> dict[str, Any]:
    return {
        "names": list(layout.names),
        "edges": [list(edge) for edge in layout.edges],
        "mirrored": list(layout.mirrored),
        "sigmas": list(layout.sigmas),
    }


def _layout(parts: Any) -> KeypointLayout:
    """Read what `_layout_parts` gave.

    Raises:
        TypeError: it is something else, or its parts do not fit each other.
    """
    try:
        layout = KeypointLayout(
            tuple(map(str, parts["names"])),
            tuple((int(a), int(b)) for a, b in parts["edges"]),
            tuple(map(int, parts["mirrored"])),
            tuple(map(float, parts["sigmas"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TypeError(
            f"its keypoints have no names, edges, mirrored or sigmas: {error}"
        ) from error
    if fault := fault_of(layout):
        raise TypeError(f"of its keypoints, {fault}")
    return layout


def _choice(parts: Any) -> ClassChoice:
    """Read what a card says of the classes that were chosen.

    Raises:
        TypeError: it is something else.
    """
    try:
        names, single = parts["names"], parts["single"]
        return ClassChoice(names and tuple(map(str, names)), single and str(single))
    except (KeyError, TypeError, UserError) as error:
        raise TypeError(f"its choice of classes has no names or single: {error}") from error


def model_config(name: str) -> dict[str, Any]:
    """Return the config of a model with every width spelled out, as a card holds it.

    A checkpoint does not depend on the table of sizes, which may change.

    Args:
        name: one of `models.sizes.list_models`.

    Raises:
        ValueError: there is no such model.
    """
    size = size_of(name)
    pgi = PGI[size.pgi if name.startswith("yolov9") else "none"]
    head = {"box_groups": 4, "class_width_factor": size.class_width_factor}
    return {
        "_target_": _path(gelan_detector),
        "_convert_": "all",
        "num_classes": None,
        "in_channels": 3,
        "backbone": factory(backbone_of(size)),
        "head": {**factory(Head), **head, "class_width_limit": 128},
        **{field: _listed(value) for field, value in widths(size).items()},
        "down": factory(DOWNS[size.down]),
        "block": factory(BLOCKS["csp"]),
        "pgi": {branch: factory(part) for branch, part in pgi.items()},
    }


def spelled_out(model: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a resolved model config as a card holds it: widths in place of the size's name."""
    config = {str(key): value for key, value in model.items()}
    if config.pop("name", None) is not None:
        config["_target_"] = _path(gelan_detector)
    return config


def factory(part: Any) -> dict[str, Any]:
    """Return the config of a part that its owner finishes."""
    return {"_target_": _path(part), "_partial_": True}


def _path(part: Any) -> str:
    return f"{part.__module__}.{part.__qualname__}"


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple) else value
