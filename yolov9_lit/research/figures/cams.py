"""Where detections come from, by one head beside another: a page of class-activation maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from torchvision.ops import box_area, box_iou, clip_boxes_to_image

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.explaining import Explainer
from yolov9_lit.inference.levels import Place
from yolov9_lit.kinds import Limits, PathText, PositiveInt, Share
from yolov9_lit.reporting.explanation import draw_tile
from yolov9_lit.reporting.page import Section, write_sections
from yolov9_lit.reporting.plot import Plot
from yolov9_lit.reporting.sheet import draw_sheet
from yolov9_lit.reporting.table import Table, number
from yolov9_lit.research.figures.inputs import Subject, listed, read_subjects
from yolov9_lit.research.figures.views import (
    SAME,
    Explained,
    Object,
    View,
    explain,
    open_views,
)
from yolov9_lit.structures import Detections

PLACES: Mapping[Place, str] = {
    "neck": "the maps that the head reads",
    "backbone": "the backbone's maps at the same levels",
}


class Row(NamedTuple):
    """What `cam.csv` tells of one map.

    Attributes:
        image: its name.
        object: the detection's number in the image, from 1.
        class_name: of the detection.
        head: name of the view.
        score: of this head's detection; nothing where it has none.
        iou: of its box and the first head's.
        heat: share of the heat inside the box.
        area: share of the image inside the box: what heat that knows nothing would have.
    """

    image: str
    object: int
    class_name: str
    head: str
    score: float | None = None
    iou: float | None = None
    heat: float | None = None
    area: float | None = None


def write_cams(
    out: Path,
    checkpoints: PathText | Sequence[PathText] | None,
    image: str | Sequence[str] | None,
    data: DetectionDataModule,
    explanation: Explainer,
    heads: str | Sequence[str] | None,
    confidence: Share,
    iou: Share,
    images: PositiveInt,
    side: Annotated[int, Limits(100, 4000)],
) -> Path:
    """Write `cam.html`, a PNG of each image and `cam.csv`.

    Args:
        out: folder of the page; made if need be.
        checkpoints: whose heads are looked at.
        image: images of one's own; None for validation images of `data`.
        data: where no image is given.
        explanation: how detections are explained, and which of the first head's.
        heads: "main" and names of auxiliary branches; None for all of each checkpoint.
        confidence: detections score more than this.
        iou: of non-maximum suppression.
        images: most images.
        side: pixels of the longer side of each drawn image.

    Returns:
        The page's path.

    Raises:
        UserError: a file or the images cannot be used, or there is no such head or class.
    """
    if checkpoints is None:
        raise UserError("figure=cam is drawn of trained models: give ckpt=FILE.")
    views = open_views(listed(checkpoints), None if heads is None else listed(heads))
    subjects = read_subjects(image, data, images)
    settings = NMSSettings(confidence=confidence, iou=iou, multi_label=False)
    caption = _caption(explanation, views, confidence)
    out.mkdir(parents=True, exist_ok=True)
    plots: list[Plot] = []
    rows: list[Row] = []
    for i, subject in enumerate(subjects):
        objects = explain(views, explanation, subject.image, settings)
        path = out / ("cam.png" if len(subjects) == 1 else f"cam_{i}.png")
        Image.fromarray(_draw(subject, views, objects, side)).save(path)
        plots.append(Plot(path, subject.name))
        rows += _rows(subject, views, objects)
    frame = pd.DataFrame(rows, columns=Row._fields)
    frame.to_csv(out / "cam.csv", index=False)
    sections = [
        Section("Class-activation maps", caption, plots),
        Section("In numbers", _NUMBERS, (), [_table(frame)]),
    ]
    return write_sections(out / "cam.html", "Where detections come from", "", sections)


_NUMBERS = (
    "Of each map: the score of the head's detection, the overlap of its box with the first head's, "
    "and the share of the heat inside its box beside the share of the image inside it, which heat "
    "that knows nothing would have."
)


def _caption(explainer: Explainer, views: Sequence[View], confidence: float) -> str:
    first, *others = (view.name for view in views)
    classes = "" if explainer.classes is None else f" of {', '.join(explainer.classes)}"
    beside = (
        f" {', '.join(others)}: the detection of the same class that overlaps it most, with an IoU "
        f"of {SAME} or more."
        if others
        else ""
    )
    score = (
        " The score is the logit of the detection's class at the anchor that gave it."
        if explainer.cam.uses_gradients
        else ""
    )
    return (
        f"Rows: the detections{classes} with the highest scores, at most {explainer.best} above "
        f"{confidence:g}, of {first}.{beside} Heat: {explainer.cam.words}, of "
        f"{PLACES[explainer.maps]}, added up.{score} Blue is 0 and red is a map's own largest "
        "value: how hot two maps are cannot be compared, only where. The percentage is the share "
        "of the heat inside the box."
    )


def _draw(
    subject: Subject, views: Sequence[View], objects: Sequence[Object], side: int
) -> np.ndarray:
    """Draw a row for each object: the first view's detection, then each view's on its heat."""

    def tile(view: View, detection: Detections | None, heat: np.ndarray | None) -> np.ndarray:
        names, layout = view.predictor.class_names, view.predictor.card.keypoints
        return draw_tile(subject.image, detection, heat, names, side, layout)

    first = views[0]
    if not objects:
        return draw_sheet([(tile(first, None, None), f"{first.name}: no detection")])
    tiles = []
    for one in objects:
        tiles.append((tile(first, one.first, None), f"detection of {first.name}"))
        for view, seen in zip(views, one.seen, strict=True):
            if seen is None:
                tiles.append((tile(view, None, None), f"{view.name}: does not find it"))
            else:
                tiles.append((tile(view, *seen), f"{view.name}: {_told(seen)}"))
    return draw_sheet(tiles, len(views) + 1)


def _told(one: Explained) -> str:
    share = one.share_inside()
    return "no heat" if np.isnan(share) else f"{share:.0%} in the box"


def _rows(subject: Subject, views: Sequence[View], objects: Sequence[Object]) -> Iterator[Row]:
    size = (subject.image.shape[0], subject.image.shape[1])
    for index, one in enumerate(objects, start=1):
        for view, seen in zip(views, one.seen, strict=True):
            row = Row(subject.name, index, one.class_name, view.name)
            if seen is not None:
                boxes = seen.detection.boxes
                row = row._replace(
                    score=float(seen.detection.scores),
                    iou=float(box_iou(one.first.boxes, boxes)),
                    heat=seen.share_inside(),
                    area=float(box_area(clip_boxes_to_image(boxes, size))) / (size[0] * size[1]),
                )
            yield row


def _table(frame: pd.DataFrame) -> Table:
    shown = pd.DataFrame(
        {
            "image": frame["image"],
            "object": frame["object"],
            "class": frame["class_name"],
            "head": frame["head"],
            "score": [number(v, digits=2) for v in frame["score"]],
            "IoU": [number(v, digits=2) for v in frame["iou"]],
            "heat in box (%)": [number(100 * v, digits=1) for v in frame["heat"]],
            "area of box (%)": [number(100 * v, digits=1) for v in frame["area"]],
        }
    )
    return Table("Maps", shown)
