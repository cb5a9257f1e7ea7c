"""The paper's figure 5: AP against what a model costs, of the paper's models and one's own runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pandas as pd

from yolov9_lit.errors import UserError
from yolov9_lit.kinds import AnyPath
from yolov9_lit.reporting.labels import Label, place_labels
from yolov9_lit.reporting.page import Section, write_sections
from yolov9_lit.reporting.plot import Plot, make_axes, save_axes, style
from yolov9_lit.research.report.rows import make_rows
from yolov9_lit.research.report.runs import read_runs

COSTS = {"params": "parameters, deployed (M)", "gflops": "GFLOPs at 640 pixels, deployed"}
OWN = "own runs"
PAPER = "GELAN and YOLOv9 on COCO by the paper's table 1 (YOLOv9-T: the authors' repository)"


def write_costs(out: Path, runs: AnyPath | None = None) -> Path:
    """Write `figure5.html`, a PNG for each cost and `figure5.csv`.

    Args:
        out: folder of the page; made if need be.
        runs: folder of trainings whose test AP is drawn, too; None for the paper's models alone.

    Returns:
        The page's path.

    Raises:
        UserError: there is no such folder, or no run in it has AP and costs.
    """
    frame = _paper()
    text = f"{PAPER}."
    if runs is not None:
        frame = pd.concat([frame, _own(Path(runs).expanduser())])
        text += f" {OWN.capitalize()}: test AP on their own data, mean over the seeds, from {runs}."
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / "figure5.csv", index=False)
    plots = [_draw(frame, cost, out / f"figure5_{cost}.png") for cost in COSTS]
    section = Section("AP against cost", text, plots)
    return write_sections(out / "figure5.html", "What AP costs", "", [section])


def _paper() -> pd.DataFrame:
    """Return the paper's models: series, model, params (M), gflops, ap (%)."""
    with files("yolov9_lit.research").joinpath("table1.csv").open(encoding="utf-8") as file:
        frame = pd.read_csv(file)
    is_gelan = frame["model"].str.startswith("gelan")
    frame.insert(0, "series", is_gelan.map({True: "GELAN", False: "YOLOv9"}))
    return frame


def _own(folder: Path) -> pd.DataFrame:
    rows, _ = make_rows(read_runs(folder))
    found = [
        (OWN, row.short_label, params / 1e6, gflops, row.pooled("AP").mean)
        for row in rows
        if row.pooled("AP").n and (params := row.cost("params")) and (gflops := row.cost("gflops"))
    ]
    if not found:
        raise UserError(f"No run in {folder} has a test AP and its costs: give another folder.")
    return pd.DataFrame(found, columns=["series", "model", *COSTS, "ap"])


def _draw(frame: pd.DataFrame, cost: str, path: Path) -> Plot:
    (axes,) = make_axes(COSTS[cost], "AP (%)")
    labels: list[Label] = []
    for i, (series, part) in enumerate(frame.groupby("series", sort=False)):
        color, marker = style(i)
        line = "none" if series == OWN else "-"
        ordered = part.sort_values(cost)
        axes.plot(
            ordered[cost],
            ordered["ap"],
            linestyle=line,
            marker=marker,
            color=color,
            label=series,
        )
        labels += _labels(ordered, cost, color)
    axes.margins(0.12)
    axes.set_xlim(left=0)
    legend = axes.legend(loc="lower right", frameon=False)
    axes.figure.canvas.draw()
    place_labels(axes, labels, [legend.get_window_extent()])
    return save_axes(axes, path, f"AP against {COSTS[cost]}")


def _labels(part: pd.DataFrame, cost: str, color: str) -> Sequence[Label]:
    return [
        Label(x, ap, str(model), color)
        for x, ap, model in zip(part[cost], part["ap"], part["model"], strict=True)
    ]
