"""Plots of a data set, and for each kind of fault a sheet of the images that have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from yolov9_lit.data.coco.faults import FoundFault
from yolov9_lit.data.images import UnreadableImage, read_image
from yolov9_lit.data.prepare.check import SplitReport, count_boxes
from yolov9_lit.errors import told
from yolov9_lit.reporting.plot import COLORS, Plot, save_plot

IMAGES_SHOWN = 8
COLUMNS = 4
CLASSES_SHOWN = 40
_GOOD, _FAULTY = "#009E73", "#E00000"
_OUTSIDE = 0.5  # Most that is shown beyond an image's edges, as a share of its sides.


def draw_data_plots(reports: Sequence[SplitReport], folder: Path) -> list[Plot]:
    """Draw everything into PNG files of that folder."""
    plots: list[Plot] = []
    for report in reports:
        for sentence, found in report.faults.by_sentence().items():
            shown = [item for item in found if item.image][:IMAGES_SHOWN]
            if shown:
                path = folder / f"{len(plots)}.png"
                caption = f"{report.split.name}: {told(len(found), sentence)}"
                plots.append(_sheet(report, shown, path, caption))
    draw = {"classes": _draw_classes, "sizes": _draw_image_sizes, "boxes": _draw_box_sizes}
    for name, draw_into in draw.items():
        figure = _figure(7.2, 4.5)
        axes = figure.add_subplot()
        axes.set_prop_cycle(color=COLORS)
        caption = draw_into(axes, reports)
        axes.legend()
        plots.append(save_plot(figure, folder / f"{name}.png", caption))
    return plots


def _sheet(report: SplitReport, found: Sequence[FoundFault], path: Path, caption: str) -> Plot:
    columns = min(max(len(found), 2), COLUMNS)
    rows = -(-len(found) // columns)
    figure = _figure(columns * 2.6, rows * 2.6)
    by_name = {report.annotations.images.name(i): i for i in range(len(report.annotations))}
    for i, item in enumerate(found):
        axes = figure.add_subplot(rows, columns, i + 1)
        file = report.split.images / item.image
        _draw_image(axes, file)
        if (index := by_name.get(str(file))) is not None:
            for x1, y1, x2, y2 in report.annotations.objects(index).boxes.tolist():
                axes.add_patch(_rectangle((x1, y1, x2 - x1, y2 - y1), _GOOD))
        if item.box is not None:
            axes.add_patch(_rectangle(item.box, _FAULTY))
            _make_room(axes, item.box)
        axes.set_title(f"{item.where}\n{item.image}", fontsize=6)
        axes.axis("off")
    return save_plot(
        figure, path, f"{caption}. Red: the faulty box, as it was given; green: others."
    )


def _draw_image(axes: Axes, file: Path) -> None:
    try:
        axes.imshow(read_image(file))
    except UnreadableImage as error:
        axes.text(0.5, 0.5, error.fault, ha="center", wrap=True, fontsize=7)


def _rectangle(box: Sequence[float], color: str) -> Rectangle:
    x, y, width, height = box
    return Rectangle((x, y), width, height, fill=False, edgecolor=color, linewidth=1.2)


def _make_room(axes: Axes, box: Sequence[float]) -> None:
    """Widen the view to a box beyond the image's edges, within bounds."""
    x, y, width, height = box
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    aside, above = _OUTSIDE * (right - left), _OUTSIDE * (bottom - top)
    axes.set_xlim(max(min(left, x), left - aside), min(max(right, x + width), right + aside))
    axes.set_ylim(min(max(bottom, y + height), bottom + above), max(min(top, y), top - above))


def _draw_classes(axes: Axes, reports: Sequence[SplitReport]) -> str:
    counts = count_boxes(reports)
    shown = counts[:CLASSES_SHOWN]
    axes.figure.set_figheight(1.2 + 0.2 * len(shown))  # type: ignore[union-attr]
    height = 0.8 / len(reports)
    for k, split in enumerate(shown):
        axes.barh(np.arange(len(shown)) + k * height, shown[split], height, label=split)
    axes.set_yticks(np.arange(len(shown)) + 0.4 - height / 2, shown.index, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("boxes")
    more = f", the {CLASSES_SHOWN} most frequent" if len(counts) > CLASSES_SHOWN else ""
    return f"Boxes by class{more}."


def _draw_image_sizes(axes: Axes, reports: Sequence[SplitReport]) -> str:
    for report in reports:
        sizes, counts = np.unique(report.annotations.sizes, axis=0, return_counts=True)
        area = 12 + 200 * counts / counts.sum()
        axes.scatter(sizes[:, 1], sizes[:, 0], area, alpha=0.5, label=report.split.name)
    axes.set_xlabel("width (pixels)")
    axes.set_ylabel("height (pixels)")
    return "Sizes of the images; a larger dot stands for more of them."


def _draw_box_sizes(axes: Axes, reports: Sequence[SplitReport]) -> str:
    edges = np.geomspace(1, 4096, 49).tolist()
    for report in reports:
        axes.hist(np.sqrt(report.areas()), edges, histtype="step", label=report.split.name)
    for side in (32, 96):
        axes.axvline(side, color="#888888", lw=0.8, ls=":")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("root of the box's area (pixels)")
    axes.set_ylabel("boxes")
    return "Sizes of the boxes; dotted: COCO's limits, 32 and 96 pixels."


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
