"""Published checkpoints: which model a file holds, and its weights by our names.

The model is told by the tensors. Read are the files of the published YOLOv9 repository (as trained
and converted), of the Ultralytics package and of MultimediaTechLab/YOLO. All three letterbox as we
do: centred, grey 114.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.models.prototypes import StagePrototypes, UpsampledPrototypes
from yolov9_lit.models.segment import SegmentHead
from yolov9_lit.models.sizes import list_models, size_of
from yolov9_lit.weights.card import ModelCard, factory, model_config
from yolov9_lit.weights.coco_classes import COCO_IDS, COCO_NAMES
from yolov9_lit.weights.file_widths import SINGLE, file_widths
from yolov9_lit.weights.layouts import PUBLISHED, YOLO_MIT, Layout
from yolov9_lit.weights.unpickling import StandIn, attribute

IMAGE_SIZE = 640
CLASS_WIDTHS = ((1, 128), (2, 128), (1, 100))
"""(class_width_factor, class_width_limit) in use; the last is Ultralytics', with box groups 1."""

LONGEST_NAME = 1000
"""Of a tensor, in characters."""

DEPTHWISE_HEAD = "yolov9_lit.models.head.DepthwiseClassHead"

_BOTTLENECK = re.compile(r"cv2\.0\.m\.(\d{1,2})\.")
_LAYER = re.compile(r"(?P<prefix>(?:[A-Za-z_]\w*\.)*)(?P<layer>\d+)\.(?P<name>.+)")


class Source(NamedTuple):
    """A file's tensors by their own names, and what it says beside them.

    Attributes:
        tensors: by name.
        names: of the classes, as far as the file has them.
        image_size: that it was trained at, in pixels.
    """

    tensors: dict[str, Tensor]
    names: tuple[str, ...]
    image_size: int


FileLayer: TypeAlias = dict[str, tuple[str, Tensor]]
"""Name inside the layer -> (full name, tensor)."""


class FileLayers(NamedTuple):
    """A file's layers.

    Attributes:
        layers: those that hold tensors, by rank.
        outside: names of tensors in no layer.
        layout: whose names they are.
    """

    layers: list[FileLayer]
    outside: list[str]
    layout: Layout


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
        source = _source(content)
        layers = _layers(source.tensors) if source else None
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


def _source(content: Any) -> Source | None:
    """Find the tensors: a pickled model (its average before itself) or a state dict."""
    whole = content if isinstance(content, Mapping) else {"model": content}
    models = (whole.get(key) for key in ("ema", "model"))
    if model := next((m for m in models if isinstance(m, StandIn)), None):
        options = whole.get("train_args") or whole.get("opt") or attribute(model, "args")
        names = _names(attribute(model, "names"))
        return Source(dict(_pickled(model)), names, _image_size(options))
    if not isinstance(content, Mapping):
        return None
    state = next((content[k] for k in ("state_dict", "model") if k in content), content)
    if not isinstance(state, Mapping):
        return None
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    return Source(tensors, _names(content.get("names")), IMAGE_SIZE)


def _pickled(model: StandIn) -> Iterator[tuple[str, Tensor]]:
    """Yield a pickled module's tensors by name, each once: there may be loops."""
    left: list[tuple[str, Any]] = [("", model)]
    seen = set()
    while left:
        prefix, module = left.pop()
        for kind in ("_parameters", "_buffers", "_modules"):
            entries = attribute(module, kind) or {}
            if id(entries) in seen:
                continue
            seen.add(id(entries))
            for name, value in entries.items():
                full = prefix + name
                if len(full) > LONGEST_NAME:
                    raise ValueError("a name in it has no end")
                if isinstance(value, Tensor):
                    yield full, value
                elif kind == "_modules":
                    left.append((f"{full}.", value))


def _names(names: Any) -> tuple[str, ...]:
    if isinstance(names, Mapping):
        names = [names[i] for i in sorted(names)]
    if not isinstance(names, list | tuple):
        return ()
    if not all(isinstance(name, str | int) for name in names):
        raise TypeError("its class names are no names")
    return tuple(map(str, names))


def _image_size(options: Any) -> int:
    """Return the training's image size, if the options tell one."""
    found = options if isinstance(options, Mapping) else getattr(options, "__dict__", {})
    size = found.get("imgsz")
    return size if isinstance(size, int) else IMAGE_SIZE


def _layers(tensors: Mapping[str, Tensor]) -> FileLayers | None:
    """Sort a state dict into layers; of several copies of the model the average is taken."""
    copies: dict[str, dict[int, FileLayer]] = defaultdict(dict)
    outside = []
    for full, tensor in tensors.items():
        if found := _LAYER.fullmatch(full):
            layer = copies[found["prefix"]].setdefault(int(found["layer"]), {})
            layer[found["name"]] = (full, tensor)
        else:
            outside.append(full)
    if not copies:
        return None
    chosen = max(copies.items(), key=lambda copy: (copy[0].startswith("ema."), len(copy[1])))[1]
    for other in copies.values():
        if other.keys() != chosen.keys():
            outside += [full for layer in other.values() for full, _ in layer.values()]
    ordered = [chosen[number] for number in sorted(chosen)]
    layout = YOLO_MIT if any("heads.0." in name for name in ordered[-1]) else PUBLISHED
    for layer in ordered:
        for name in layout.fixed:
            layer.pop(name, None)
    return FileLayers([layer for layer in ordered if layer], outside, layout)


def _matches(file: FileLayers) -> Iterator[Match]:
    """Each model whose stem is as wide as the file's, beside the file."""
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
        model["head"] |= _head(shapes, box, cls, model["head"]) | _masks(file.layers)
        yield _compare(model, file)


def _narrowed(file: FileLayers) -> dict[str, Any]:
    """Widths of a published file that no size has; none of another layout's or too short a file."""
    if file.layout is not PUBLISHED or len(file.layers) <= SINGLE:
        return {}
    return file_widths([{n: t.shape for n, (_, t) in layer.items()} for layer in file.layers])


def _masks(layers: list[FileLayer]) -> dict[str, Any]:
    """Arguments of a head that finds masks; none of a detection head."""
    shapes = {name: tensor.shape for name, (_, tensor) in layers[-1].items()}
    if found := shapes.get("proto.cv1.conv.weight"):
        count = shapes["proto.cv3.conv.weight"][0]
        prototypes = factory(UpsampledPrototypes) | {"width": found[0]}
    elif found := shapes.get("proto.conv.weight"):
        count = found[0]
        bottlenecks = [_BOTTLENECK.match(name) for name in layers[-3]]
        depth = max((int(match[1]) for match in bottlenecks if match), default=0) + 1
        prototypes = factory(StagePrototypes) | {"width": found[1], "csp_depth": depth}
    else:
        return {}
    return factory(SegmentHead) | {"coefficients": count, "prototypes": prototypes}


def _head(
    shapes: Mapping[str, torch.Size], box: str, cls: str, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of the head, from the shapes of its first level.

    Args:
        shapes: of the tensors in the file's last layer.
        box: their name of the level's box branch.
        cls: their name of its class branch.
        own: the model's head as configured: its class width is tried before the others.
    """
    classes, width = shapes[f"{cls}.2.weight"][:2]
    inner = shapes[f"{box}.1.conv.weight"]
    groups = inner[0] // max(inner[1], 1)
    depthwise = shapes.get(f"{cls}.0.0.conv.weight")
    channels = depthwise[0] if depthwise else shapes.get(f"{cls}.0.conv.weight", inner)[1]
    forms = [(own["class_width_factor"], own["class_width_limit"]), *CLASS_WIDTHS]
    if groups == 1:
        forms.reverse()
    fitting = (f for f in forms if max(channels, min(f[0] * classes, f[1])) == width)
    factor, limit = next(fitting, forms[0])
    head = {"box_groups": groups, "class_width_factor": factor, "class_width_limit": limit}
    return head | ({"_target_": DEPTHWISE_HEAD} if depthwise else {})


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
