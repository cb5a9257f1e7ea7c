"""The page of PGI variants: what each adds to GELAN, drawn from the models themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.core.global_hydra import GlobalHydra

from yolov9_lit.errors import UserError
from yolov9_lit.models.cost import count_parameters
from yolov9_lit.research.figures.drawing import draw
from yolov9_lit.research.figures.mermaid import Node
from yolov9_lit.research.paper import paper_figures

INTRODUCTION = """\
# PGI, variant by variant

Written by `python -m yolov9_lit.figures figure=pgi out=docs`, which runs each model and follows its
tensors: do not edit. A branch of your own is drawn the same way, its words are the comments at the
top of its YAML file (`# PGI:` what it is, then why):

```bash
python -m yolov9_lit.figures --config-dir my_conf figure=pgi out=DIR \\
  'figure.drawings=[{model: gelan_t, pgi: convolved}]'
```

Why a branch helps (paper, section 4.1): on its way through a deep network a feature map loses what
the loss would need to know of the image, so the gradient that comes back teaches partly wrong
associations. A branch that keeps more of the image, or has a shorter way to it, gives the backbone
a more reliable gradient. As the branch only teaches, it is dropped afterwards.

Colours tell whose gradient trains a part, found by following the arrows back from each head:

- **blue**: that of the main loss alone; deployed;
- **green**, with a thick frame: those of the main and of auxiliary losses; deployed. Here PGI acts;
- **orange**, dashed: those of auxiliary losses alone; gone after `deploy()`.

A down-sampling is drawn in one box with the stage it feeds; what a stage reads besides is
concatenated or, from a `CBLinear` (DHLC linkage), up-sampled and added. Sizes are channels, height
and width for an image of 640 x 640 pixels and 80 classes. The paper's AP is that of its table 4.
"""


class Drawing(NamedTuple):
    """A model to draw.

    Attributes:
        model: option of the config group.
        pgi: the same.
    """

    model: str
    pgi: str


def write_pgi_page(out: Path, drawings: Sequence[Mapping[str, str]]) -> Path:
    """Write `pgi.md`.

    Args:
        out: folder of the page; made if need be.
        drawings: the models to draw: each with the fields of `Drawing`.

    Returns:
        The page's path.

    Raises:
        UserError: a drawing has other fields.
    """
    sections = [INTRODUCTION, *(_section(_drawing(fields)) for fields in drawings)]
    path = out / "pgi.md"
    out.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sections), encoding="utf-8")
    return path


def _drawing(fields: Mapping[str, str]) -> Drawing:
    try:
        return Drawing(**fields)
    except TypeError as error:
        raise UserError(
            f"figure.drawings has {fields}: give each as {{model: gelan_c, pgi: icn}}."
        ) from error


def _section(drawing: Drawing) -> str:
    model, pgi = drawing
    drawn = draw([f"model={model}", f"pgi={pgi}"])
    detector = drawn.detector
    trained, deployed = (count_parameters(form) for form in (detector, detector.deploy()))
    paragraphs = [
        f"## `model={model} pgi={pgi}`",
        *_words(pgi),
        _gradients(drawn.nodes, drawn.losses, drawn.heads),
        f"{trained:,} parameters as trained, {deployed:,} deployed.{_papers(drawing)}",
        f"{drawn.chart}\n",
    ]
    return "\n\n".join(paragraphs)


def _papers(drawing: Drawing) -> str:
    """Tell the paper's AP beside that without a branch, where table 4 has both."""
    found, none = (
        paper_figures(f"table4-{drawing.model}-{pgi}", {}).get("ap")
        for pgi in (drawing.pgi, "none")
    )
    if found is None or none is None:
        return ""
    beside = "" if drawing.pgi == "none" else f" ({found - none:+.1f})"
    return f" The paper's AP: {found:.1f}{beside}."


def _gradients(
    nodes: Sequence[Node], losses: Mapping[str, frozenset[str]], heads: Sequence[str]
) -> str:
    """Return a table of which parts each head's loss trains.

    Args:
        nodes: the boxes.
        losses: heads whose loss trains a part, by its name.
        heads: all of them, the main one first.
    """
    titles = {node.name: node.lines[0].removeprefix("<b>").removesuffix("</b>") for node in nodes}
    groups = list(dict.fromkeys(node.group for node in nodes if node.group))
    lines = ["| loss of the | trains |", "| --- | --- |"]
    for head in heads:
        trained = []
        for group in groups:
            inside = [n.name for n in nodes if n.group == group and n.name not in heads]
            reached = [name for name in inside if head in losses[name]]
            if reached:
                whole = " ".join(name.split()[-1] for name in group)
                some = ", ".join(titles[name] for name in reached)
                trained.append(whole if len(reached) == len(inside) else some)
        lines.append(f"| {titles[head]} | {', '.join(trained)} |")
    return "\n".join(lines)


def _words(pgi: str) -> list[str]:
    """Return what the comments at the top of a variant's YAML say from "# PGI:" on.

    Returns:
        What it is, and why; nothing where the file has no such comment.
    """
    lines = iter(_written(pgi).splitlines())
    what = next((line for line in lines if line.startswith("# PGI: ")), "")
    why = []
    for line in lines:
        if not line.startswith("#"):
            break
        why.append(line.removeprefix("#").strip())
    what = what.removeprefix("# PGI: ")
    return [text[0].upper() + text[1:] for text in (what, " ".join(why)) if text]


def _written(pgi: str) -> str:
    """Return a variant's YAML as it is written, in whichever config folder it lies."""
    for source in GlobalHydra.instance().config_loader().get_sources():
        path = Path(source.path, "pgi", f"{pgi}.yaml")
        if source.scheme() == "file" and path.is_file():
            return path.read_text(encoding="utf-8")
    return ""
