"""The images with the most errors, drawn with truth and detections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from yolov9_lit.checks import check_fields
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.analysis.drawing import draw_image
from yolov9_lit.kinds import Count, Share
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import Plot
from yolov9_lit.reporting.table import Table

LONGEST_SIDE = 1024
"""Pixels of the drawn images at most: the page holds them all."""


@dataclass(frozen=True)
class WorstImages(Analysis):
    """Images by their missed objects and false detections, drawn.

    Attributes:
        count: of the images.
        confidence: of the detections that are looked at; null: the best for F1.
    """

    count: Count = 12
    confidence: Share | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_fields(self)

    def __call__(self, compared: Compared, folder: Path) -> Section:
        """Rank the images by their errors, and draw the first."""
        confidence = compared.confidence(self.confidence)
        size = len(compared.image_ids) + 1
        missed = np.bincount(
            compared.task.objects.images[compared.missed(confidence)], minlength=size
        )
        false = np.bincount(compared.images[compared.wrong(confidence)], minlength=size)
        order = np.argsort(-(missed + false)[compared.task.images], kind="stable")
        ranked = compared.task.images[order]
        faulty = ranked[(missed + false)[ranked] > 0]
        rows = [
            (compared.pictures.name(int(compared.image_ids[i - 1])), int(missed[i]), int(false[i]))
            for i in faulty
        ]
        frame = pd.DataFrame(rows, columns=["image", "missed objects", "false detections"])
        plots = [
            self._draw(compared, int(number), confidence, row, folder)
            for number, row in zip(faulty[: self.count], rows, strict=False)
        ]
        return Section(
            "Images with the most errors",
            f"Objects that are missed and false detections, at a confidence of at least"
            f" {confidence:.3f} and {compared.an_overlap} of 0.5. {len(faulty):,} of"
            f" {len(ranked):,} images have such errors.",
            plots,
            [Table("Most errors", frame.head(self.count))],
            {"images": frame},
        )

    def _draw(
        self,
        compared: Compared,
        number: int,
        confidence: float,
        row: tuple[str, int, int],
        folder: Path,
    ) -> Plot:
        name, missed, false = row
        image_id = int(compared.image_ids[number - 1])
        drawn = Image.fromarray(draw_image(compared, image_id, confidence))
        drawn.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        (folder / "worst").mkdir(exist_ok=True)
        path = folder / "worst" / f"{image_id}.jpg"
        drawn.save(path, quality=85)
        return Plot(path, f"{name}: {missed} missed, {false} false")
