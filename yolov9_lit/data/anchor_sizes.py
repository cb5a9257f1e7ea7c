"""Sizes of anchors that fit a training set's boxes, by k-means.

The idea is YOLOv2's (arXiv 1612.08242, section 2, "Dimension Clusters"). Here the clusters are of
the logarithms of width and height: what an anchor is judged by, in YOLOv7 (arXiv 2207.02696) too,
is how many times it is larger or smaller than a box.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from yolov9_lit.data.annotations import Annotations

LEVELS = 3
MOST_RATIO = 4.0
"""Most by which an anchor that learns a box is larger or smaller, in width and height."""

MOST_BOXES = 20_000
"""Boxes that are looked at, chosen by chance from more."""

STARTS = 10
ROUNDS = 30


class AnchorSizes(NamedTuple):
    """Anchors, and how they fit the boxes they were found by.

    Attributes:
        by_level: (width, height) in whole input pixels, as many at each of the levels 3, 4, 5, from
            small to large.
        fitness: the mean over the boxes of how well their best anchor fits, 0..1: the smaller of
            both shares of the sides, 0 beyond `MOST_RATIO`.
        reached: share of the boxes that have an anchor within `MOST_RATIO`.
    """

    by_level: list[list[list[int]]]
    fitness: float
    reached: float


def find_anchor_sizes(
    annotations: Annotations, image_size: int, of_level: int = 3, seed: int = 0
) -> AnchorSizes:
    """Find anchors for the boxes of a split; the same for the same boxes.

    Args:
        annotations: with at least one box that is no crowd.
        image_size: longest side of an input image in pixels.
        of_level: anchors of a level.
        seed: of where the clusters start.

    Raises:
        ValueError: there is no such box.
    """
    sizes = box_sizes(annotations, image_size)
    if not len(sizes):
        raise ValueError(f"{annotations.path} has no boxes to find anchors by")
    rng = np.random.default_rng(seed)
    some = sizes if len(sizes) <= MOST_BOXES else rng.choice(sizes, MOST_BOXES, replace=False)
    count = LEVELS * of_level
    found = [np.exp(_clusters(np.log(some), count, rng)) for _ in range(STARTS)]
    best = max((np.maximum(one.round(), 1) for one in found), key=lambda one: fit(some, one).mean())
    ordered = best[np.argsort(best.prod(axis=1), kind="stable")].astype(int)
    of_boxes = fit(sizes, best)
    by_level = ordered.reshape(LEVELS, of_level, 2).tolist()
    return AnchorSizes(by_level, float(of_boxes.mean()), float((of_boxes > 0).mean()))


def box_sizes(annotations: Annotations, image_size: int) -> np.ndarray:
    """Return width and height (N, 2) in input pixels of the boxes that are learnt, none below 1."""
    image = np.repeat(np.arange(len(annotations)), np.diff(annotations.offsets))
    scale = image_size / annotations.sizes.max(axis=1)[image]
    sizes = (annotations.boxes[:, 2:] - annotations.boxes[:, :2]) * scale[:, None]
    return np.maximum(sizes[~annotations.crowd], 1.0)


def fit(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return how well the best of anchors (K, 2) fits each of boxes (N, 2): (N,) in 0..1."""
    ratios = sizes[:, None] / anchors
    worst = np.minimum(ratios, 1 / ratios).min(axis=-1).max(axis=1)
    return np.where(worst > 1 / MOST_RATIO, worst, 0.0)


def _clusters(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the centres (count, 2) of points (N, 2), by Lloyd's algorithm from a few of them."""
    centres = rng.choice(points, count, replace=len(points) < count)
    for _ in range(ROUNDS):
        nearest = np.square(points[:, None] - centres).sum(axis=-1).argmin(axis=1)
        members = np.bincount(nearest, minlength=count)
        sums = np.stack([np.bincount(nearest, axis, minlength=count) for axis in points.T], axis=1)
        moved = np.where(members[:, None] > 0, sums / np.maximum(members, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres
