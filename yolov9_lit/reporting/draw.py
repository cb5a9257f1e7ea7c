"""Detections and annotated objects drawn on images."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolov9_lit.reporting.lettering import line_of_ink
from yolov9_lit.reporting.skeleton import Skeleton, draw_skeleton, shown_keypoints
from yolov9_lit.structures import Detections, KeypointLayout

_TINT = 0.3


class Outlined(NamedTuple):
    """An object to be drawn.

    Attributes:
        lines: its outlines, (P, 2) int32 xy in pixels each; what lies in two of them is a hole.
        colour: RGB, 0..255.
    """

    lines: Sequence[np.ndarray]
    colour: tuple[int, int, int]


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    class_names: Sequence[str],
    layout: KeypointLayout | None = None,
    captions: Sequence[str] = (),
) -> np.ndarray:
    """Draw boxes with class and score on a copy of the image, the highest score on top.

    Masks are tinted and outlined beneath all boxes, keypoints that are likely visible drawn on
    their object's box.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: boxes, masks and keypoints in the image's pixels, in order of falling score.
        class_names: by class index.
        layout: of the keypoints, which are not drawn without it.
        captions: of each detection, beside its score; none at all by default.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    drawn = np.ascontiguousarray(image).copy()
    width = line_width(drawn)
    if detections.masks is not None:
        outlines = map(outlines_in_pixels, detections.masks.cpu().numpy())
        colours = map(class_colour, detections.labels.tolist())
        draw_outlined(drawn, [*map(Outlined, outlines, colours)][::-1], width)
    rows = zip(*(tensor.tolist() for tensor in detections[:3]), strict=True)
    skeletons = _skeletons(detections, layout)
    said = captions or [""] * len(skeletons)
    drawings = [*zip(rows, skeletons, said, strict=True)]
    for (box, score, label), skeleton, caption in reversed(drawings):
        text = f"{class_names[label]} {score:.2f} {caption}".rstrip()
        _draw_box(drawn, [round(v) for v in box], text, class_colour(label), width)
        if skeleton:
            draw_skeleton(drawn, skeleton, width)
    return drawn


def draw_objects(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    outlines: Sequence[Sequence[np.ndarray]],
    class_names: Sequence[str],
    skeletons: Sequence[Skeleton] = (),
) -> np.ndarray:
    """Draw annotations on a copy of the image: tinted outlines, boxes and classes, small on top.

    Keypoints are drawn on top of all boxes.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: (K, 4) xyxy in the image's pixels.
        labels: (K,) class indices.
        outlines: for each object its polygons (P, 2) in pixels; empty where unknown.
        class_names: by class index.
        skeletons: keypoints of the objects.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    drawn = np.ascontiguousarray(image).copy()
    width = line_width(drawn)
    falling = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1), kind="stable")
    polygons = [[points.round().astype(np.int32) for points in outlines[i]] for i in falling]
    colours = [class_colour(labels[i]) for i in falling]
    draw_outlined(drawn, [*map(Outlined, polygons, colours)], width)
    for i in falling:
        box = [round(float(v)) for v in boxes[i]]
        _draw_box(drawn, box, class_names[labels[i]], class_colour(labels[i]), width)
    for skeleton in skeletons:
        draw_skeleton(drawn, skeleton, width)
    return drawn


def outlines_in_pixels(mask: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a mask (H, W) bool, those of its holes too: (P, 2) int32 xy each."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [points[:, 0] for points in found]


def scaled_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask (H, W) bool as (height, width) bool, its outline smooth."""
    size = (shape[1], shape[0])
    shrinks = shape[0] < mask.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(mask.astype(np.float32), size, interpolation=method) > 0.5


def draw_outlined(image: np.ndarray, outlined: Sequence[Outlined], width: int) -> None:
    """Tint what objects cover and draw their outlines, the last on top, in place.

    What many cover is tinted once: the image stays visible. The dark line around each outline is
    seen on a ground of the object's colour, and the colour on a dark one.

    Args:
        image: (H, W, 3) uint8 RGB.
        outlined: the objects.
        width: of the coloured line in pixels.
    """
    tinted = image.copy()
    for lines, colour in outlined:
        cv2.fillPoly(tinted, lines, colour)
    cv2.addWeighted(tinted, _TINT, image, 1 - _TINT, 0, dst=image)
    for lines, colour in outlined:
        cv2.polylines(image, lines, True, (0, 0, 0), width + 2, cv2.LINE_AA)
        cv2.polylines(image, lines, True, colour, width, cv2.LINE_AA)


def class_colour(label: int) -> tuple[int, int, int]:
    """Return an RGB colour, 0..255; neighbouring classes differ clearly (golden-ratio hues)."""
    r, g, b = colorsys.hsv_to_rgb((label * 0.618034) % 1.0, 0.85, 0.95)
    return round(255 * r), round(255 * g), round(255 * b)


def line_width(image: np.ndarray) -> int:
    """Return the pixels of a line that suit an image."""
    return max(round(sum(image.shape[:2]) / 600), 1)


def put_label(
    image: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int], size: int
) -> None:
    """Write a text on a ground of a colour, as far as possible inside the image, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        text: one line.
        at: x and y of its upper left corner in pixels.
        colour: of the ground, RGB.
        size: of the font in pixels.
    """
    ink = line_of_ink(text, size)[:, : image.shape[1]]
    height, length = ink.shape
    top = min(max(at[1], 0), max(image.shape[0] - height, 0))
    left = min(max(at[0], 0), image.shape[1] - length)
    letters = np.array((0, 0, 0) if sum(colour) > 380 else (255, 255, 255))
    label = image[top : top + height, left : left + length]
    share = ink[: len(label), :, None] / 255
    label[:] = share * letters + (1 - share) * np.array(colour)


def label_size(width: int) -> int:
    """Return the font size in pixels that goes with lines of that width."""
    return max(7 * width, 10)


def _skeletons(detections: Detections, layout: KeypointLayout | None) -> Sequence[Skeleton | None]:
    """Return each detection's skeleton; None where there is none."""
    if detections.keypoints is None or layout is None:
        return [None] * len(detections.scores)
    shown = shown_keypoints(detections.keypoints.cpu().numpy())
    return [Skeleton(points, layout) for points in shown]


def _draw_box(
    image: np.ndarray, box: Sequence[int], text: str, colour: tuple[int, int, int], width: int
) -> None:
    """Draw a box xyxy with a label on it, or in it at the image's upper edge, in place."""
    x1, y1, x2, y2 = box
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, width)
    size = label_size(width)
    height = line_of_ink(text, size).shape[0]
    put_label(image, text, (x1, y1 - height if y1 >= height else y1), colour, size)
