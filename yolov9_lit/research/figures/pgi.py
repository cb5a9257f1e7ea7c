"""The page of PGI variants: what each adds to GELAN, drawn from the models themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from hydra import compose

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.building import build
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.models.cost import count_parameters
from yolov9_lit.models.detector import Detector
from yolov9_lit.research.figures.dataflow import trace
from yolov9_lit.research.figures.mermaid import flowchart, nodes_of

IMAGE_SIZE = 640
INTRODUCTION = """\
# PGI, variant by variant

Written by `python -m yolov9_lit.figures figure=pgi out=docs`, which runs each model and follows its
tensors: do not edit. Blue parts are deployed; the dashed orange ones train with them and are gone
after `deploy()`. A down-sampling is drawn in one box with the stage it feeds; what a stage reads
besides is concatenated or, from a `CBLinear` (DHLC linkage), up-sampled and added. Sizes are
channels, height and width for an image of 640 x 640 pixels and 80 classes.
"""


def write_pgi_page(out: Path, drawings: Sequence[Mapping[str, str]]) -> Path:
    """Write `pgi.md`.

    Args:
        out: folder of the page; made if need be.
        drawings: the models to draw: `model` and `pgi`, each an option of its config group.

    Returns:
        The page's path.
    """
    sections = [INTRODUCTION, *(_section(d["model"], d["pgi"]) for d in drawings)]
    path = out / "pgi.md"
    out.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(sections), encoding="utf-8")
    return path


def _section(model: str, pgi: str) -> str:
    cfg = compose("summary", overrides=[f"model={model}", f"pgi={pgi}"])
    with torch.device("meta"):
        detector = build(cfg.model, num_classes=cfg.num_classes).eval()
        parts = trace(detector, torch.empty(1, cfg.model.in_channels, IMAGE_SIZE, IMAGE_SIZE))
    weights, guides = _loss_notes(detector, build(cfg.loss))
    chart = flowchart(nodes_of(detector, parts, IMAGE_SIZE, weights), guides)
    trained, deployed = (count_parameters(form) for form in (detector, detector.deploy()))
    return (
        f"## `model={model} pgi={pgi}`\n\n{_description(pgi)}\n\n"
        f"{trained:,} parameters as trained, {deployed:,} deployed.\n\n"
        f"```mermaid\n{chart}```\n"
    )


def _loss_notes(
    detector: Detector, loss: DetectionLoss
) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return each head's weight in the loss, and the arrows of lead-head guided assignment."""
    heads = [f"aux_heads.{name}" for name in detector.aux_heads]
    weights = (loss.main_weight, *loss.aux_weights(len(heads)))
    notes = {
        head: f"loss × {weight:g}"  # noqa: RUF001
        for head, weight in zip(("head", *heads), weights, strict=True)
    }
    guided = [head for i, head in enumerate(heads) if loss.is_guided(i)]
    return notes, [("head", head, "assigns its targets") for head in guided]


def _description(pgi: str) -> str:
    """Return the variant's description from its config."""
    lines = (CONFIG_DIR / "pgi" / f"{pgi}.yaml").read_text(encoding="utf-8").splitlines()
    text = next(line for line in lines if line.startswith("# PGI: ")).removeprefix("# PGI: ")
    return text[0].upper() + text[1:]
