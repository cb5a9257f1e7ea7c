"""What a published file says: its tensors, its classes and the image size, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from yolov9_lit.weights.unpickling import StandIn, attribute

IMAGE_SIZE = 640

LONGEST_NAME = 1000
"""Of a tensor, in characters."""


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


def find_source(content: Any) -> Source | None:
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
