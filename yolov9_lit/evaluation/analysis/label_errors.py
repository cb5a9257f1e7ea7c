"""Annotations that may be wrong: confident detections without an object, objects never found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from yolov9_lit.checks import check_fields
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.analysis.error_kinds import BACKGROUND_IOU
from yolov9_lit.evaluation.matches import MATCH_IOU
from yolov9_lit.kinds import Count, Share
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.table import Table, number

LEAST_SIDE = 1.0
"""Pixels of a box that may be an object."""

BOX = ["x", "y", "width", "height"]


@dataclass(frozen=True)
class LabelErrors(Analysis):
    """What of the annotations is worth a look.

    Attributes:
        confidence: of the detections that are taken for evidence; null: the best for F1.
        listed: of each kind on the page; the CSV files have all.
    """

    confidence: Share | None = None
    listed: Count = 30

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self)

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """List what of the annotations is worth a look."""
        confidence = compared.confidence(self.confidence)
        compared = compared.located
        tables = {
            "not_annotated": ("Perhaps not annotated", not_annotated(compared, confidence)),
            "other_class": ("Perhaps of another class", other_class(compared, confidence)),
            "never_found": ("Never found", never_found(compared)),
        }
        return Section(
            "Annotations worth a look",
            f"Detections of a confidence of at least {confidence:.3f} that overlap no object by"
            f" more than {BACKGROUND_IOU} may be objects that were not annotated. Those that"
            f" overlap by {MATCH_IOU} or more an object of another class that nothing else finds"
            " may tell its class. Objects that no detection of any class and confidence overlaps"
            f" by {MATCH_IOU} are hard, or annotated by mistake. A detector's own errors are among"
            " them: look before you change anything. Boxes are in pixels.",
            tables=[self._table(title, frame) for title, frame in tables.values()],
            data={name: frame for name, (_, frame) in tables.items()},
        )

    def _table(self, title: str, frame: pd.DataFrame) -> Table:
        shown = frame.head(self.listed).astype(object)
        for name in {"confidence", "IoU"} & {*shown}:
            shown[name] = [number(v, digits=3) for v in shown[name]]
        return Table(f"{title}: {len(frame):,}", shown)


def not_annotated(compared: Compared, confidence: float) -> pd.DataFrame:
    """List detections on the background, the most confident first; not those in a crowd.

    What lies in an image's padding is clipped to a line at its edge: that is no object.
    """
    overlaps = compared.overlaps
    free = (overlaps.iou <= BACKGROUND_IOU) & (overlaps.in_crowd <= BACKGROUND_IOU)
    free &= (compared.task.rows[:, 3:5] >= LEAST_SIDE).all(axis=1)
    places = compared.most_confident(compared.wrong(confidence) & free)
    return _detections(compared, places, {})


def other_class(compared: Compared, confidence: float) -> pd.DataFrame:
    """List detections on an object of another class that no detection finds."""
    overlaps = compared.overlaps
    chosen = compared.wrong(confidence) & (overlaps.iou >= MATCH_IOU)
    classes = np.append(compared.task.objects.categories, -1)[overlaps.nearest]
    chosen &= (classes != compared.classes) & np.append(compared.missed(0.0), False)[
        overlaps.nearest
    ]
    places = compared.most_confident(chosen)
    annotated = [compared.class_names[kind - 1] for kind in classes[places]]
    return _detections(compared, places, {"annotated as": annotated, "IoU": overlaps.iou[places]})


def never_found(compared: Compared) -> pd.DataFrame:
    """List objects that nothing overlaps, the largest first: small ones are hard."""
    objects = compared.task.objects
    chosen = compared.measured & (compared.overlaps.best < MATCH_IOU)
    places = np.flatnonzero(chosen)
    places = places[np.argsort(-objects.areas[places], kind="stable")]
    return _frame(
        compared,
        objects.images[places],
        {
            "class": [compared.class_names[kind - 1] for kind in objects.categories[places]],
            "IoU": compared.overlaps.best[places],
        },
        objects.boxes[places],
    )


def _detections(
    compared: Compared, places: np.ndarray, more: dict[str, Sequence[str] | np.ndarray]
) -> pd.DataFrame:
    columns = {
        "class": [compared.class_names[kind - 1] for kind in compared.classes[places]],
        "confidence": compared.scores[places],
        **more,
    }
    return _frame(compared, compared.images[places], columns, compared.task.rows[places, 1:5])


def _frame(
    compared: Compared,
    images: np.ndarray,
    columns: dict[str, Sequence[str] | np.ndarray],
    boxes: np.ndarray,
) -> pd.DataFrame:
    ids = compared.image_ids[images - 1].tolist()
    names = {i: compared.pictures.name(i) for i in set(ids)}
    frame = pd.DataFrame({"image": [names[i] for i in ids], **columns})
    return frame.join(pd.DataFrame(boxes.round(1), columns=BOX))
