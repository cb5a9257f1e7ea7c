"""A configuration drawn from its model: what runs, who reads whom, whose loss trains what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from hydra import compose

from yolov9_lit.building import build
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.models.detector import Detector
from yolov9_lit.research.figures.dataflow import losses_of, trace
from yolov9_lit.research.figures.mermaid import Node, flowchart, nodes_of
from yolov9_lit.training.aux_schedule import AuxiliarySchedule

IMAGE_SIZE = 640


class Drawn(NamedTuple):
    """A detector and its diagram.

    Attributes:
        detector: on the meta device.
        nodes: the boxes.
        losses: heads whose loss trains a part, by its name.
        heads: their names, the main one first.
        chart: a block of Mermaid for Markdown.
    """

    detector: Detector
    nodes: Sequence[Node]
    losses: Mapping[str, frozenset[str]]
    heads: Sequence[str]
    chart: str


def draw(overrides: Sequence[str]) -> Drawn:
    """Run a detector on an image of 640 pixels that is not computed; inside a command only.

    Args:
        overrides: of the summary's config, e.g. `model=gelan_c`.
    """
    cfg = compose("summary", overrides=list(overrides))
    with torch.device("meta"):
        detector = build(cfg.model, num_classes=cfg.num_classes).eval()
        parts = trace(detector, torch.empty(1, cfg.model.in_channels, IMAGE_SIZE, IMAGE_SIZE))
    weights, guides = _loss_notes(detector, build(cfg.loss), build(cfg.aux_schedule))
    nodes = nodes_of(detector, parts, IMAGE_SIZE, weights)
    chart = f"```mermaid\n{flowchart(nodes, guides)}```"
    return Drawn(detector, nodes, losses_of(parts), list(weights), chart)


def _loss_notes(
    detector: Detector, loss: DetectionLoss, schedule: AuxiliarySchedule
) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return each head's weight in the loss, and the arrows of assignment and distillation."""
    heads = [f"aux_heads.{name}" for name in detector.aux_heads]
    weights = (loss.main_weight, *loss.aux_weights(len(heads)))
    notes = {
        head: f"loss × {weight:g}"  # noqa: RUF001
        for head, weight in zip(("head", *heads), weights, strict=True)
    }
    if told := str(schedule):
        notes |= {head: f"{notes[head]}<br/>{told}" for head in heads}
    guided = [head for i, head in enumerate(heads) if loss.is_guided(i)]
    arrows = [("head", head, "assigns its targets") for head in guided]
    if loss.guide is not None:
        arrows.append((f"aux_heads.{loss.guide}", "head", "assigns its targets"))
    if loss.distillation is not None:
        arrows.append((f"aux_heads.{loss.distillation.teacher}", "head", "is learnt from"))
    return notes, arrows
