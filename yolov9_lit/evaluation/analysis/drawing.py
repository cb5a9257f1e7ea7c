"""An image of an evaluation with its detections and the truth."""

from __future__ import annotations

import numpy as np

from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.reporting.comparison import Box, Role, draw_comparison


def draw_image(compared: Compared, image_id: int, confidence: float) -> np.ndarray:
    """Draw the detections of an image, and all of its objects.

    Args:
        compared: detections and objects.
        image_id: of one of its images.
        confidence: of the detections that are drawn, 0..1; an object that only others find counts
            as missed.

    Returns:
        (H, W, 3) uint8 RGB, with a legend.
    """
    number = int(np.searchsorted(compared.image_ids, image_id)) + 1
    boxes = [*_detections(compared, number, confidence), *_objects(compared, number, confidence)]
    return draw_comparison(compared.pictures.read(image_id), boxes)


def _detections(compared: Compared, number: int, confidence: float) -> list[Box]:
    """Return the image's detections, the most confident first; not those on a crowd."""
    matches, poses = compared.matches, compared.poses
    chosen = (compared.images == number) & (compared.scores >= confidence) & matches.counted
    return [
        Box(
            _xyxy(compared.task.rows[place, 1:5]),
            f"{compared.class_names[compared.classes[place] - 1]} {compared.scores[place]:.2f}",
            Role.RIGHT if matches.hits[place] else Role.FALSE,
            poses.of_detection(place) if poses else None,
        )
        for place in compared.most_confident(chosen)
    ]


def _objects(compared: Compared, number: int, confidence: float) -> list[Box]:
    objects, missed, poses = compared.task.objects, compared.missed(confidence), compared.poses
    return [
        Box(
            _xyxy(objects.boxes[place]),
            compared.class_names[objects.categories[place] - 1],
            Role.CROWD if objects.crowd[place] else Role.MISSED if missed[place] else Role.FOUND,
            poses.of_object(place) if poses else None,
        )
        for place in np.flatnonzero(objects.images == number).tolist()
    ]


def _xyxy(box: np.ndarray) -> list[float]:
    x, y, width, height = box.tolist()
    return [x, y, x + width, y + height]
