"""Where the keypoints of found objects lie (Ronchi and Perona, arXiv 1707.05388, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from yolov9_lit.checks import check_fields
from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.evaluation.analysis.overlaps import by_image
from yolov9_lit.evaluation.coco_columns import Poses
from yolov9_lit.evaluation.matches import MATCH_IOU
from yolov9_lit.kinds import Share
from yolov9_lit.reporting.page import Section
from yolov9_lit.reporting.plot import COLORS, Plot, make_axes, save_axes
from yolov9_lit.reporting.table import Table

NEAR, CLOSE = 0.5, 0.85
"""Similarity of keypoints from which one is near another, and from which it is right."""

KINDS = {
    "good": f"a similarity of {CLOSE} or more",
    "jitter": f"one of {NEAR} to {CLOSE}",
    "inverted": f"{NEAR} or more to another keypoint of the object",
    "swapped": "to a keypoint of another object",
    "missed": "to none",
}
"""What a keypoint is, and where it lies then."""


@dataclass(frozen=True)
class KeypointErrors(Analysis):
    """How the keypoints of the objects that are found by their box err.

    Attributes:
        confidence: of the detections that are looked at; null: the best for F1.
    """

    confidence: Share | None = None

    def __post_init__(self) -> None:
        """Check the range."""
        check_fields(self)

    def __call__(self, compared: Compared, folder: Path) -> Section | None:
        """Tell where each keypoint lies."""
        poses, layout = compared.task.poses, compared.layout
        if poses is None or layout is None:
            return None
        confidence = compared.confidence(self.confidence)
        by_box = replace(compared, task=compared.task._replace(poses=None))
        is_found = compared.measured & ~by_box.missed(confidence)
        found_by = np.where(is_found, by_box.matches.found_by, -1)
        found = np.flatnonzero(found_by >= 0)
        kinds = kinds_of_keypoints(compared, found_by)
        counts = np.stack([(kinds == kind).sum(axis=0) for kind in range(len(KINDS))])
        annotated = counts.sum(axis=0)
        shares = np.where(annotated, 100 * counts / np.maximum(annotated, 1), np.nan)
        frame = pd.DataFrame({"keypoint": layout.names, "annotated": annotated})
        frame = frame.join(pd.DataFrame(shares.T, columns=[f"{kind} (%)" for kind in KINDS]))
        frame["median distance (% of size)"] = _distances(compared, poses, found, found_by)
        frame["sigma (% of size)"] = 100 * np.array(poses.sigmas)
        meanings = "; ".join(f"{kind}, {meaning}" for kind, meaning in KINDS.items())
        return Section(
            "Keypoints",
            f"Of the {len(found):,} objects that a detection of a confidence of at least"
            f" {confidence:.3f} finds by its box, at an IoU of {MATCH_IOU} or more: where it has"
            f" their annotated keypoints. {meanings[0].upper()}{meanings[1:]}. An object's size is"
            " the square root of its area.",
            [_plot(layout.names, np.nan_to_num(shares), folder / "keypoints.png")]
            if annotated.any()
            else [],
            [Table("By keypoint", frame.astype(object).where(frame.notna(), None))],
            {"keypoints": frame},
        )


def kinds_of_keypoints(compared: Compared, found_by: np.ndarray) -> np.ndarray:
    """Return the place in `KINDS` of each keypoint (P, K) of the P objects that are found.

    Args:
        compared: with keypoints.
        found_by: (M,) the detection that finds each object, or -1.

    Returns:
        int64; -1 where the object's keypoint is not annotated.
    """
    poses, objects = compared.task.poses, compared.task.objects
    assert poses is not None
    found = np.flatnonzero(found_by >= 0)
    kinds = np.full((len(found), len(poses.sigmas)), -1)
    beside = by_image(objects.images)
    for row, place in enumerate(found):
        others = beside[objects.images[place]]
        others = others[compared.measured[others] & (others != place)]
        points = poses.found[found_by[place], :, :2]
        near = _similarities(compared, poses, points, np.array([place]))[:, 0]  # (K, K)
        own = near.diagonal().copy()
        np.fill_diagonal(near, 0.0)
        far = _similarities(compared, poses, points, others)
        cases = [
            own >= CLOSE,
            own >= NEAR,
            near.max(axis=1) >= NEAR,
            far.reshape(len(points), -1).max(axis=1, initial=0.0) >= NEAR,
        ]
        told = np.select(cases, range(len(cases)), len(cases))
        kinds[row] = np.where(poses.objects[place, :, 2] > 0, told, -1)
    return kinds


def _similarities(
    compared: Compared, poses: Poses, points: np.ndarray, objects: np.ndarray
) -> np.ndarray:
    """Compare points with the keypoints of objects, as COCO does; 0 with one not annotated.

    Args:
        compared: with the objects' areas.
        poses: the objects' keypoints, and how far each may lie.
        points: (P, 2).
        objects: (G,) their places.

    Returns:
        (P, G, K) 0..1.
    """
    true = poses.objects[objects]
    square = ((points[:, None, None] - true[None, ..., :2]) ** 2).sum(axis=-1)
    areas = compared.task.objects.areas[objects] + np.spacing(1)  # as pycocotools has it
    reach = 2 * areas[:, None] * (2 * np.array(poses.sigmas)) ** 2
    alike = np.exp(-square / reach)
    return np.where(true[..., 2] > 0, alike, 0.0)


def _distances(
    compared: Compared, poses: Poses, found: np.ndarray, found_by: np.ndarray
) -> np.ndarray:
    """Return the median distance (K,) of keypoints, in percent of the objects' size."""
    true = poses.objects[found]
    apart = np.hypot(*(poses.found[found_by[found], :, :2] - true[..., :2]).T).T
    sizes = np.sqrt(np.maximum(compared.task.objects.areas[found], 1.0))
    shares = pd.DataFrame(np.where(true[..., 2] > 0, 100 * apart / sizes[:, None], np.nan))
    return shares.median().to_numpy()


def _plot(names: tuple[str, ...], shares: np.ndarray, path: Path) -> Plot:
    """Draw the shares (kinds, K) of each keypoint, one beside the other."""
    (axes,) = make_axes("keypoints (%)", "", size=(7.2, 1.6 + 0.24 * len(names)))
    left = np.zeros(len(names))
    for (kind, share), color in zip(zip(KINDS, shares, strict=True), COLORS, strict=False):
        axes.barh(names[::-1], share[::-1], left=left[::-1], color=color, label=kind)
        left += share
    axes.grid(False)
    axes.set_xlim(0, 100)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return save_axes(axes, path, "Where the keypoints of found objects lie, by keypoint.")
