"""AP of parts of the data: objects by their size, images by the number of their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from yolov9_lit.checks import check_fields
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.kinds import PositiveInt
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import COLORS, Plot, make_axes, save_axes
from yolov9_lit.reporting.table import Table

SIZES = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, np.inf),
}
"""COCO's areas in square pixels by name, in the order of `Curves`' areas from 1.

Of keypoints there are no small ones.
"""


@dataclass(frozen=True)
class BySize(Analysis):
    """AP of small, medium and large objects, as COCO parts them."""

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Measure objects of each size."""
        curves, objects = compared.curves, compared.task.objects
        areas = objects.areas[compared.measured]
        boxes = compared.of_boxes and compared.of_boxes.curves
        sizes = [*SIZES][1:] if compared.task.poses else [*SIZES]
        rows = []
        for area, name in enumerate(sizes, start=1):
            low, high = SIZES[name]
            row: tuple[Any, ...] = (
                f"{name} ({_pixels(low, high)})",
                int(((areas >= low) & (areas < high)).sum()),
                _percent(curves.average_precision(area=area)),
                _percent(curves.average_precision(0, area=area)),
                _percent(curves.average_recall(area=area)),
            )
            if boxes:
                row += (_percent(boxes.average_precision(area=[*SIZES].index(name) + 1)),)
            rows.append(row)
        columns = ["objects of", "objects", "AP (%)", "AP50 (%)", "AR (%)"]
        columns += ["AP of boxes (%)"] if boxes else []
        frame = pd.DataFrame(rows, columns=columns)
        by_class = pd.DataFrame(
            {
                "class": compared.class_names,
                **{
                    f"AP of {name} (%)": [
                        _percent(curves.average_precision(kind=kind, area=area))
                        for kind in range(len(compared.class_names))
                    ]
                    for area, name in enumerate(sizes, start=1)
                },
            }
        )
        return Section(
            "Size of objects",
            f"{compared.prefix.capitalize()}AP of the objects of each size in the original image,"
            " by area (of the outline where the annotations have one)."
            + (" COCO measures no keypoints of small objects." if compared.task.poses else ""),
            _plots(frame, "AP by size of the objects.", folder / "by_size.png"),
            [Table("By size", frame), Table("By class and size", by_class)],
            {"by_size": frame, "by_size_and_class": by_class},
        )


@dataclass(frozen=True)
class ByCrowding(Analysis):
    """AP of images with few and with many objects.

    Attributes:
        starts: least number of objects of each group of images, rising.
    """

    starts: Sequence[PositiveInt] = (1, 2, 4, 8, 16, 32)

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_fields(self)
        if not self.starts or any(low >= high for low, high in pairwise(self.starts)):
            raise ValueError(f"starts is {list(self.starts)}, it must rise")

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Measure groups of images."""
        task = compared.task
        per_image = np.bincount(
            task.objects.images[compared.measured], minlength=len(compared.image_ids) + 1
        )[task.images]
        group = np.searchsorted(self.starts, per_image, side="right")
        wrong = np.isin(compared.images, task.images[group == 0])
        wrong &= compared.wrong(compared.threshold)
        slices = {
            _span(self.starts, g): task.images[group == g] for g in sorted({*group.tolist()}) if g
        }
        found = compared.evaluation.slice_by({k: v.tolist() for k, v in slices.items()})
        keys = ("AP", "AP50", "AR" if task.poses else "AR100")
        rows = [
            (
                name,
                len(images),
                int(per_image[np.isin(task.images, images)].sum()),
                *(_percent(found[name][key]) for key in keys),
            )
            for name, images in slices.items()
        ]
        columns = ["objects an image", "images", "objects", "AP (%)", "AP50 (%)", "AR (%)"]
        frame = pd.DataFrame(rows, columns=columns)
        empty = int((group == 0).sum())
        fewer = "no object" if self.starts[0] == 1 else f"fewer than {self.starts[0]} objects"
        return Section(
            "Objects an image",
            f"{compared.prefix.capitalize()}AP of the images that have as many objects, crowds not"
            f" counted, each group measured by itself. Images with {fewer}: {empty:,}, with"
            f" {int(wrong.sum()):,} false detections of a confidence of at least"
            f" {compared.threshold:.3f}.",
            _plots(frame, "AP by the number of objects an image.", folder / "by_objects.png"),
            [Table("By objects an image", frame)],
            {"by_objects": frame},
        )


def _span(starts: Sequence[int], group: int) -> str:
    """Name a group of images, counted from 1."""
    low = starts[group - 1]
    if group == len(starts):
        return f"{low} or more"
    high = starts[group] - 1
    return f"{low}" if low == high else f"{low} to {high}"


def _pixels(low: float, high: float) -> str:
    sides = [f"{round(area**0.5)}²" for area in (low, high) if 0 < area < np.inf]
    if low == 0:
        return f"under {sides[0]} pixels"
    return f"{sides[0]} pixels or more" if high == np.inf else f"{sides[0]} to {sides[1]} pixels"


def _percent(share: float) -> float | None:
    return None if share < 0 else 100 * share


def _plots(frame: pd.DataFrame, caption: str, path: Path) -> list[Plot]:
    """Draw the AP of each group that has one."""
    known = frame.dropna(subset="AP (%)")
    if known.empty:
        return []
    (axes,) = make_axes(frame.columns[0], "AP (%)", size=(7.2, 3.2))
    bars = axes.bar(known.iloc[:, 0], known["AP (%)"].astype(float), 0.6, color=COLORS[0])
    axes.bar_label(bars, fmt="%.1f", padding=2)
    axes.margins(y=0.12)
    return [save_axes(axes, path, caption)]
