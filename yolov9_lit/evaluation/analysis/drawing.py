"""An image of an evaluation with its detections and the truth."""

from __future__ import annotations

import numpy as np

from yolov9_lit.data.coco.mask_entries import RLE
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.masks import decoded
from yolov9_lit.reporting.comparison import Role, Shape, draw_comparison
from yolov9_lit.reporting.draw import outlines_in_pixels


def draw_image(compared: Compared, image_id: int, confidence: float) -> np.ndarray:
    """Draw the detections of an image, and all of its objects: what of them was compared.

    Args:
        compared: detections and objects.
        image_id: of one of its images.
        confidence: of the detections that are drawn, 0..1; an object that only others find counts
            as missed.

    Returns:
        (H, W, 3) uint8 RGB, with a legend.
    """
    number = int(np.searchsorted(compared.image_ids, image_id)) + 1
    shapes = [*_detections(compared, number, confidence), *_objects(compared, number, confidence)]
    return draw_comparison(compared.pictures.read(image_id), shapes)


def _detections(compared: Compared, number: int, confidence: float) -> list[Shape]:
    """Return the image's detections, the most confident first; not those on a crowd."""
    matches, masks, poses = compared.matches, compared.task.masks, compared.poses
    chosen = (compared.images == number) & (compared.scores >= confidence) & matches.counted
    return [
        Shape(
            _xyxy(compared.task.rows[place, 1:5]),
            f"{compared.class_names[compared.classes[place] - 1]} {compared.scores[place]:.2f}",
            Role.RIGHT if matches.hits[place] else Role.FALSE,
            _outlines(masks.found[place]) if masks else (),
            poses.of_detection(place) if poses else None,
        )
        for place in compared.most_confident(chosen)
    ]


def _objects(compared: Compared, number: int, confidence: float) -> list[Shape]:
    objects, missed = compared.task.objects, compared.missed(confidence)
    ignored, masks, poses = compared.task.ignored, compared.task.masks, compared.poses
    return [
        Shape(
            _xyxy(objects.boxes[place]),
            compared.class_names[objects.categories[place] - 1],
            Role.IGNORED if ignored[place] else Role.MISSED if missed[place] else Role.FOUND,
            _outlines(masks.objects[place]) if masks else (),
            poses.of_object(place) if poses else None,
        )
        for place in np.flatnonzero(objects.images == number).tolist()
    ]


def _outlines(mask: RLE) -> list[np.ndarray]:
    return outlines_in_pixels(decoded(mask))


def _xyxy(box: np.ndarray) -> list[float]:
    x, y, width, height = box.tolist()
    return [x, y, x + width, y + height]
