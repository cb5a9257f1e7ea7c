"""The paper's figure 7: where trained models are active, drawn, and measured over a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.nn import functional as F

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError
from yolov9_lit.inference.explaining import in_image
from yolov9_lit.inference.predictor import Predictor, load, require_checkpoint
from yolov9_lit.kinds import Count, PathText, PositiveInt
from yolov9_lit.models.levels import levels_of
from yolov9_lit.reporting.draw import draw_objects
from yolov9_lit.reporting.heat import draw_heat
from yolov9_lit.reporting.page import Section, write_sections
from yolov9_lit.reporting.plot import FONT, Plot, save_plot
from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.figures.feature_maps import PRINCIPAL, Map
from yolov9_lit.research.figures.heat import heats_of, resampled_means, shares_of
from yolov9_lit.research.figures.inputs import (
    Subject,
    checkpoint_names,
    listed,
    read_subjects,
    require_classes,
)

LEGIBLE = 320
"""Least pixels of an image's longer side on which boxes are drawn."""

WORDS: Mapping[Map, str] = {
    "mean": "the mean of the absolute values of its channels",
    "principal": PRINCIPAL,
}


def write_heat_maps(
    out: Path,
    checkpoints: PathText | Sequence[PathText] | None,
    image: str | Sequence[str] | None,
    data: DetectionDataModule,
    seed: Count,
    map: Map,
    images: PositiveInt,
    measured: PositiveInt,
    replicates: PositiveInt,
) -> Path:
    """Write `figure7.html`, a PNG of each image that is drawn, and `figure7.csv`.

    Args:
        out: folder of the page; made if need be.
        checkpoints: trained files; of each, the maps that its main head reads are looked at.
        image: images of one's own to draw; None for validation images of `data`.
        data: whose first validation images with objects are measured.
        seed: of the resamples.
        map: how the channels become heat.
        images: most images to draw.
        measured: most validation images to measure.
        replicates: resamples of the images, for 95 % intervals.

    Returns:
        The page's path.

    Raises:
        UserError: a file or the images cannot be used, none of them has objects, or a model knows
            other classes than the data.
    """
    if checkpoints is None:
        raise UserError("figure=7 is drawn of trained models: give ckpt=FILE.")
    files = listed(checkpoints)
    names = checkpoint_names(files)
    models = {
        name: require_checkpoint(load(file), file) for name, file in zip(names, files, strict=True)
    }
    data.adopt(models[names[0]].card.choice)
    drawn = read_subjects(image, data, images)
    known = read_subjects(None, data, measured)
    for file, predictor in zip(files, models.values(), strict=True):
        require_classes(file, predictor.card, data)
    frame = _measure(models, known, map)
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / "figure7.csv", index=False)
    caption = (
        f"Heat of the maps that the main head reads: {WORDS[map]}, less its smallest value in the "
        "image, from 0 (blue) to its largest (red). Boxes: annotated objects."
    )
    names_of_classes = data.class_names if image is None else ()
    plots = [
        _draw(subject, models, map, names_of_classes, out / f"figure7_{i}.png")
        for i, subject in enumerate(drawn)
    ]
    count = frame["image"].nunique()
    text = (
        f"Over {count} images of {data.annotation_file('val')}: share of the heat inside the "
        "objects' boxes, mean over the images, beside the share of the image that the boxes cover, "
        "which a map that knows nothing would have. 95 % intervals by resampling the images: they "
        "say nothing of other seeds of the training."
    )
    tables = [_table(frame, names, replicates, seed)]
    sections = [
        Section("Heat inside the objects", text, (), tables),
        Section("Where the maps are hot", caption, plots),
    ]
    return write_sections(out / "figure7.html", "Where trained models are active", "", sections)


def _measure(
    models: Mapping[str, Predictor], subjects: Sequence[Subject], kind: Map
) -> pd.DataFrame:
    """Return the shares of each model, image and level: model, image, level, heat, area."""
    rows = [
        (model, index, f"P{level}", *share)
        for index, subject in enumerate(subjects)
        if len(subject.boxes)
        for model, predictor in models.items()
        for level, share in zip(
            _levels(predictor),
            shares_of(heats_of(predictor, subject.image, kind), subject),
            strict=True,
        )
    ]
    if not rows:
        raise UserError(
            f"None of the first {len(subjects)} validation images has objects: raise "
            "figure.measured, or give other data."
        )
    return pd.DataFrame(rows, columns=["model", "image", "level", "heat", "area"])


def _levels(predictor: Predictor) -> tuple[int, ...]:
    return levels_of(predictor.detector.head.strides)


def _table(frame: pd.DataFrame, models: Sequence[str], replicates: int, seed: int) -> Table:
    wide = 100 * frame.pivot(index="image", columns=["model", "level"], values="heat")
    areas = 100 * frame.pivot(index="image", columns=["model", "level"], values="area").mean()
    resampled = pd.DataFrame(
        resampled_means(wide.to_numpy(), replicates, seed), columns=wide.columns
    )
    means, first = wide.mean(), models[0]
    cells = []
    for model in models:
        for level in dict.fromkeys(frame["level"]):
            own, base = (model, level), (first, level)
            if own not in means:
                continue
            row = {
                "model": model,
                "map": level,
                "heat in boxes (%)": number(means[own], digits=1),
                "95 %": _interval(resampled[own]),
                "area of boxes (%)": number(areas[own], digits=1),
                "heat / area": number(means[own] / areas[own], digits=2),
            }
            if len(models) > 1:
                other = model != first and base in means
                row[f"minus {first}'s"], row["95 % of it"] = Cell(""), ""
                if other:
                    row[f"minus {first}'s"] = number(means[own] - means[base], digits=1)
                    row["95 % of it"] = _interval(resampled[own] - resampled[base])
            cells.append(row)
    return Table("Share of heat", pd.DataFrame(cells))


def _interval(resampled: pd.Series[float]) -> Cell:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Cell(f"{low:.1f} to {high:.1f}", float(low))


def _draw(
    subject: Subject,
    models: Mapping[str, Predictor],
    kind: Map,
    class_names: Sequence[str],
    path: Path,
) -> Plot:
    """Draw the image with its objects and, a row for each model, the heat of each level."""
    levels = sorted({level for predictor in models.values() for level in _levels(predictor)})
    shape = (len(models), len(levels) + 1)
    height, width = subject.image.shape[:2]
    size = (2.6 * shape[1], 2.6 * shape[0] * height / width + 0.5)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(*shape, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    scale = max(1.0, LEGIBLE / max(height, width))  # Labels are of one size.
    enlarged_image = cv2.resize(subject.image, None, fx=scale, fy=scale)
    boxed = draw_objects(
        enlarged_image,
        subject.boxes * scale,
        subject.labels,
        [()] * len(subject.boxes),
        class_names,
    )
    for line, (name, predictor) in zip(grid, models.items(), strict=True):
        line[0].imshow(boxed)
        line[0].set_title(name, fontsize=FONT)
        heats = heats_of(predictor, subject.image, kind)
        for level, one in zip(_levels(predictor), heats.maps, strict=True):
            axes = line[1 + levels.index(level)]
            tensor = torch.from_numpy(one)[None, None]
            enlarged = F.interpolate(tensor, size=heats.shape, mode="nearest")[0, 0]
            axes.imshow(draw_heat(subject.image, in_image(enlarged, heats.info)))
            axes.set_title(f"P{level}", fontsize=FONT)
    return save_plot(figure, path, subject.name)
