"""Draw the README's picture: detections, where they come from, and what PGI's branches gain.

    python docs/images/front.py OUT.jpg CHECKPOINT IMAGE

The checkpoint is of a training with `pgi=icn`; `docs/seeing.md` has the command of the one drawn.
The gains are those of the reports in experiments/pgi_study, five seeds each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import yolov9_lit
from yolov9_lit.evaluation import NMSSettings
from yolov9_lit.inference.cams import LayerCam
from yolov9_lit.inference.explaining import Explainer
from yolov9_lit.inference.predictor import require_checkpoint
from yolov9_lit.reporting.explanation import draw_tile
from yolov9_lit.reporting.plot import COLORS, save_plot

STUDY = Path(__file__).parents[2] / "experiments" / "pgi_study"
SETS = {"easy shapes": "shapes", "harder shapes": "shapes_hard"}
SIDE = 520
"""Pixels of a drawn photo's longer side."""

HEADS = {"heat, main head": None, "heat, PGI branch icn": "icn"}


def main(out: str, checkpoint: str, image: str) -> None:
    """Draw three tiles of the photo and, beside them, the gains with their intervals."""
    figure = Figure(figsize=(14, 3.2), dpi=110, layout="constrained")
    photos, gains = figure.subfigures(1, 2, width_ratios=(2.3, 1))
    tiles = draw_tiles(checkpoint, np.asarray(Image.open(image).convert("RGB")))
    for axes, (title, tile) in zip(photos.subplots(1, len(tiles)), tiles.items(), strict=True):
        axes.imshow(tile)
        axes.set_title(title, fontsize=11)
        axes.axis("off")
    draw_gains(gains.subplots())
    save_plot(figure, Path(out), "", pil_kwargs={"quality": 90})


def draw_tiles(checkpoint: str, image: np.ndarray) -> dict[str, np.ndarray]:
    """Return by their titles the photo with its detections and with the heat of each head.

    A head's heat is the largest of those of all that it finds.
    """
    whole = require_checkpoint(yolov9_lit.load(checkpoint), checkpoint)
    explainer = Explainer(LayerCam(), best=100)
    settings = NMSSettings(confidence=0.4, iou=0.5, multi_label=False)
    tiles = {}
    for title, head in HEADS.items():
        found = explainer(whole.deploy(head), image, settings)
        if head is None:
            names = whole.class_names
            tiles["found"] = draw_tile(image, found.detections, None, names, SIDE)
        heat = np.max(found.heats, axis=0)
        tiles[title] = draw_tile(image, None, heat, whole.class_names, SIDE)
    return tiles


def draw_gains(axes: Axes) -> None:
    """Draw each branch's difference to no branch, seed by seed, with its 95 % interval."""
    labels = []
    for color, (words, folder) in zip(COLORS, SETS.items(), strict=False):
        report = pd.read_csv(STUDY / folder / "report.csv").dropna(subset="difference")
        for row in report.itertuples():
            ends = (row.difference_low, row.difference_high)
            axes.plot(ends, [len(labels)] * 2, color=color, lw=2.5, solid_capstyle="round")
            axes.plot(row.difference, len(labels), "o", color=color)
            labels.append(f"{row.pgi}, {words}")
    axes.axvline(0, color="#3a3a3a", lw=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel("AP, mean and 95 % interval")
    axes.set_title("gained by PGI's branches", fontsize=11)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
