"""A detector's parts as a Mermaid flowchart, which GitHub draws inside Markdown."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn

from yolov9_lit.models.detector import Detector
from yolov9_lit.models.gelan import DHLC, Column
from yolov9_lit.models.head import BaseHead
from yolov9_lit.models.layers import CBLinear
from yolov9_lit.models.reversible import ReversibleColumn
from yolov9_lit.research.figures.dataflow import IMAGE, Part, losses_of

STYLES = {
    "main": "fill:#e8f1fb,stroke:#4878a8,color:#102030",
    "shared": "fill:#e2f3e5,stroke:#3a8a4d,color:#102818,stroke-width:2px",
    "auxiliary": "fill:#fdf1e3,stroke:#c07a2c,color:#402810,stroke-dasharray:5 4",
    "frame": "fill:none,stroke:#9aa0a6",
}
"""Mermaid classes: parts that the main loss alone trains, that auxiliary losses train too, and that
the deploy form drops; and the frame around a group."""

MAIN_HEAD = "head"
"""Name of the main head's part."""

AUXILIARY_ARROW = "stroke:#c07a2c"


@dataclass(frozen=True)
class Node:
    """One box: a part, together with the down-sampling that feeds only this part.

    Attributes:
        name: the part's name.
        group: names of the groups around it, from the outside in.
        lines: its text.
        style: one of `STYLES`.
        sources: names of the nodes that it reads.
    """

    name: str
    group: tuple[str, ...]
    lines: tuple[str, ...]
    style: str
    sources: tuple[str, ...]


def nodes_of(
    detector: Detector, parts: Sequence[Part], image_size: int, notes: Mapping[str, str]
) -> list[Node]:
    """Make a box of each part, or of a part and its down-sampling.

    Args:
        detector: the one that was traced.
        parts: from `dataflow.trace`.
        image_size: side of the image in the trace, in pixels.
        notes: a further line for parts, by name.
    """
    merged, losses = _merged(parts), losses_of(parts)
    nodes = []
    for part in parts:
        if part.name in merged:
            continue
        joined = [p for p in parts if merged.get(p.name) == part.name] + [part]
        sources = dict.fromkeys(s for p in joined for s in p.sources if merged.get(s) != part.name)
        lines = [_title(part, image_size)]
        kinds = [type(p.module) for p in joined if not isinstance(p.module, nn.Identity)]
        lines.append(" + ".join(kind.__name__ for kind in kinds))
        if part.shape and not isinstance(part.module, CBLinear):
            lines += (" × ".join(map(str, shape)) for shape in part.shapes)  # noqa: RUF001
        if part.name in notes:
            lines.append(notes[part.name])
        group = _group(detector, part.name)
        style = _style(part, losses.get(part.name, frozenset()))
        nodes.append(Node(part.name, group, tuple(lines), style, tuple(sources)))
    return [_placed(node, _outermost(node.group, nodes)) for node in nodes]


def flowchart(nodes: Sequence[Node], guides: Sequence[tuple[str, str, str]] = ()) -> str:
    """Return the Mermaid source.

    Args:
        nodes: the boxes in the order of running.
        guides: further arrows: from, to, what they say.
    """
    lines = ["flowchart TB", *(f"  classDef {name} {style}" for name, style in STYLES.items())]
    lines.append(f"  {IMAGE}([{IMAGE}])")
    lines += _boxes(nodes, (), "  ")
    arrows = [(source, node) for node in nodes for source in node.sources]
    for source, node in arrows:
        arrow = "-.->" if node.style == "auxiliary" else "-->"
        lines.append(f"  {_id(source)} {arrow} {_id(node.name)}")
    lines += [f"  {_id(a)} -.->|{text}| {_id(b)}" for a, b, text in guides]
    dropped = [str(i) for i, (_, node) in enumerate(arrows) if node.style == "auxiliary"]
    if dropped:
        lines.append(f"  linkStyle {','.join(dropped)} {AUXILIARY_ARROW}")
    return "\n".join(lines) + "\n"


def _boxes(nodes: Sequence[Node], group: tuple[str, ...], indent: str) -> Iterator[str]:
    """Yield the lines of the boxes and groups inside a group."""
    inner = dict.fromkeys(node.group[: len(group) + 1] for node in nodes if node.group != group)
    for node in nodes:
        if node.group == group:
            yield f'{indent}{_id(node.name)}["{"<br/>".join(node.lines)}"]:::{node.style}'
    for child in inner:
        members = [node for node in nodes if node.group[: len(child)] == child]
        name = _id("_".join(("group", *child)))
        yield f'{indent}subgraph {name}[" "]'  # An arrow would run over a title: the boxes tell.
        yield from _boxes(members, child, indent + "  ")
        yield f"{indent}end"
        yield f"{indent}class {name} frame"


def _merged(parts: Sequence[Part]) -> dict[str, str]:
    """Map each down-sampling that feeds only one stage to the stage it is drawn with."""
    merged = {}
    for part in parts:
        readers = [p for p in parts if part.name in p.sources]
        if len(readers) != 1 or not part.shape or part.shape[1] >= part.in_size:
            continue
        (reader,) = readers
        if reader.shape and reader.shape[1] == reader.in_size == part.shape[1]:
            merged[part.name] = reader.name
    return merged


def _title(part: Part, image_size: int) -> str:
    parent, _, own = part.name.rpartition(".")
    if isinstance(part.module, BaseHead):
        return f"{own if parent else 'main'} head"
    if isinstance(part.module, ReversibleColumn):
        return f"column {int(own) + 1}"
    if own.isdigit():  # of a column or of its links: the level says more than the place
        return f"P{math.log2(image_size / part.shape[1]):.0f}"
    return own.upper()


def _style(part: Part, losses: Collection[str]) -> str:
    if not part.deployed:
        return "auxiliary"
    return "shared" if set(losses) - {MAIN_HEAD} else "main"


def _placed(node: Node, group: tuple[str, ...]) -> Node:
    """Put a node into its group, whose name its first line tells."""
    inside = [] if node.lines[0].endswith(" head") else [name.split()[-1] for name in group]
    title = " ".join([*inside, node.lines[0]])
    return replace(node, group=group, lines=(f"<b>{title}</b>", *node.lines[1:]))


def _group(detector: Detector, name: str) -> tuple[str, ...]:
    """Return backbone, neck or PGI branch, then the column or the links inside it."""
    first, *rest = name.split(".")
    group = [f"PGI branch {rest[0]}" if first.startswith("aux_") else first]
    for depth in range(1, len(rest) + 1):
        module = detector.get_submodule(".".join((first, *rest[:depth])))
        if isinstance(module, Column | DHLC):
            group.append(rest[depth - 1])
    return tuple(group) if rest else ()


def _outermost(group: tuple[str, ...], nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return the group without its inner groups that hold all of its boxes."""
    for depth in range(1, len(group)):
        outer = group[:depth]
        if all(node.group == group for node in nodes if node.group[:depth] == outer):
            return outer
    return group


def _id(name: str) -> str:
    return name.replace(".", "_").replace(" ", "_")
