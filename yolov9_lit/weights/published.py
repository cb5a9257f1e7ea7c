"""Published checkpoints: which model a file holds, and its weights by our names.

The model is told by the tensors. Read are the files of the published YOLOv9 repository (as trained
and converted), of the Ultralytics package, of MultimediaTechLab/YOLO, and YOLOv7's. All of them
letterbox as we do: centred, grey 114.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.models.sizes import list_models, size_of
from yolov9_lit.weights.card import ModelCard, model_config
from yolov9_lit.weights.coco_classes import COCO_IDS, COCO_NAMES
from yolov9_lit.weights.file_anchors import yolov7_config
from yolov9_lit.weights.file_head import file_head
from yolov9_lit.weights.file_layers import FileLayer, FileLayers, find_layers
from yolov9_lit.weights.file_source import find_source
from yolov9_lit.weights.file_widths import SINGLE, file_widths
from yolov9_lit.weights.layouts import PUBLISHED, YOLOV7


class Match(NamedTuple):
    """A model beside a file.

    Attributes:
        model: resolved config.
        weights: by our names, where name and shape agree.
        missing: their names of what the file lacks.
        extra: names in the file that the model has no place for.
        unequal: names whose shapes differ.
    """

    model: dict[str, Any]
    weights: dict[str, Tensor]
    missing: list[str]
    extra: list[str]
    unequal: list[str]

    @property
    def faults(self) -> list[str]:
        """Names of all that does not fit."""
        return self.missing + self.extra + self.unequal


def recognise(content: Any, path: Path) -> tuple[ModelCard, dict[str, Tensor]] | None:
    """Read the card and weights of a published file, or None if it holds no numbered layers.

    Args:
        content: what `read_torch_file` gave.
        path: of the file, for messages.

    Raises:
        UserError: the layers are those of no model known here; a tensor is named.
    """
    try:
        source = find_source(content)
        layers = find_layers(source.tensors) if source else None
        if source is None or layers is None:
            return None
        matches = list(_matches(layers))
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"{path} is laid out like no published checkpoint ({error!r:.200}): give another file."
        ) from error
    if not matches:
        raise UserError(f"{path} holds no YOLOv9 detector: no head of one is in its last layer.")
    best = min(matches, key=lambda match: len(match.faults))
    if best.faults:
        raise UserError(
            f"{path} fits no model of {layers.layout.title}: beside the nearest, "
            f"{len(best.missing)} tensors are missing, {len(best.extra)} left over and "
            f"{len(best.unequal)} of another shape (first: {best.faults[0]})."
        )
    names, ids = _classes(source.names, best.model["num_classes"], path)
    card = ModelCard(best.model, names, ids, source.image_size)
    return card, {n: t.float() if t.is_floating_point() else t for n, t in best.weights.items()}


def _matches(file: FileLayers) -> Iterator[Match]:
    """Each model whose stem is as wide as the file's, beside the file."""
    if file.layout is YOLOV7:
        yield _compare(yolov7_config(file), file)
        return
    shapes = {name: tensor.shape for name, (_, tensor) in file.layers[-1].items()}
    box, cls = file.layout.head_names
    if f"{cls}.2.weight" not in shapes or f"{box}.1.conv.weight" not in shapes:
        return
    stem = list(next(iter(file.layers[0].values()))[1].shape[:1])
    sizes = [name for name in list_models() if [size_of(name).stem[0]] == stem]
    narrowed = {} if sizes else _narrowed(file)
    for name in sizes or [n for n in list_models() if narrowed and not size_of(n).composite]:
        model = model_config(name) | narrowed
        model["num_classes"] = shapes[f"{cls}.2.weight"][0]
        model["head"] |= file_head(file, model["head"])
        yield _compare(model, file)


def _narrowed(file: FileLayers) -> dict[str, Any]:
    """Widths of a published file that no size has; none of another layout's or too short a file."""
    if file.layout is not PUBLISHED or len(file.layers) <= SINGLE:
        return {}
    return file_widths([{n: t.shape for n, (_, t) in layer.items()} for layer in file.layers])


def _compare(model: dict[str, Any], file: FileLayers) -> Match:
    with torch.device("meta"):
        detector = build(model)
    shapes = {name: tensor.shape for name, tensor in detector.state_dict().items()}
    match = Match(model, {}, [], [], [])
    left = [dict(layer) for layer in file.layers]
    for rank, theirs, ours in file.layout.tensors(detector):
        layer = left[rank] if rank < len(left) else {}
        if theirs not in layer:
            match.missing.append(_full_name(theirs, file.layers, rank))
            continue
        full, tensor = layer.pop(theirs)
        if tensor.shape == shapes[ours]:
            match.weights[ours] = tensor
        else:
            match.unequal.append(full)
    match.extra.extend(file.outside)
    match.extra.extend(full for layer in left for full, _ in layer.values())
    return match


def _full_name(name: str, layers: list[FileLayer], rank: int) -> str:
    """Return the name that a missing tensor would have in the file."""
    if rank >= len(layers):
        return f"{name}, in a layer after the last"
    inner, (full, _) = next(iter(layers[rank].items()))
    return full.removesuffix(inner) + name


def _classes(
    names: tuple[str, ...], count: int, path: Path
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and category ids: COCO's where they are COCO's, else counted from 1."""
    if names and len(names) != count:
        raise UserError(f"{path} names {len(names)} classes but its head has {count}.")
    if not names:
        names = COCO_NAMES if count == len(COCO_NAMES) else tuple(f"class{i}" for i in range(count))
    return names, COCO_IDS if names == COCO_NAMES else tuple(range(1, count + 1))
