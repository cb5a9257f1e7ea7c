"""The trials of a search as a table and a plot, the Pareto front marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from yolov9_lit.reporting.console import console
from yolov9_lit.reporting.labels import Label, place_labels
from yolov9_lit.reporting.plot import FONT, make_axes, save_plot, style
from yolov9_lit.runs.search.loop import EARLY_VALUES, ERROR, FOLDER


def trial_table(
    trials: Sequence[FrozenTrial], best: Sequence[FrozenTrial], objectives: Sequence[str]
) -> pd.DataFrame:
    """One row a finished trial, those of the front first, each part by the last objective.

    Args:
        trials: finished ones.
        best: Optuna's non-dominated ones.
        objectives: their names, in the study's order.

    Returns:
        Columns: trial (its folder), state, front, the objectives (a pruned trial's are those it
        had when it was given up, a failed one's are missing), the parameters, error.
    """
    front = {trial.number for trial in best}
    rows = []
    for trial in trials:
        values = trial.values or trial.user_attrs.get(EARLY_VALUES) or [None] * len(objectives)
        rows.append(
            {
                "trial": trial.user_attrs[FOLDER],
                "state": trial.state.name.lower(),
                "front": trial.number in front,
                **dict(zip(objectives, values, strict=True)),
                **trial.params,
                "error": trial.user_attrs.get(ERROR),
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    return table.sort_values(["front", objectives[-1]], ascending=[False, True], ignore_index=True)


def write_front(
    trials: Sequence[FrozenTrial],
    best: Sequence[FrozenTrial],
    objectives: Sequence[str],
    folder: Path,
) -> None:
    """Write pareto.csv (all trials, see `trial_table`) and pareto.png."""
    table = trial_table(trials, best, objectives)
    table.to_csv(folder / "pareto.csv", index=False)
    if not table.empty:
        figure = _plot(table, objectives[-1], objectives[0])
        save_plot(figure, folder / "pareto.png", "Pareto front", bbox_inches="tight")


def show_front(
    trials: Sequence[FrozenTrial], best: Sequence[FrozenTrial], objectives: Sequence[str]
) -> None:
    """Print the front, and how many trials ended how."""
    table = trial_table(trials, best, objectives)
    counts = ", ".join(
        f"{sum(t.state == state for t in trials)} {state.name.lower()}"
        for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    )
    shown = Table(title=f"Pareto front ({counts})", title_justify="left")
    columns = [name for name in table.columns if name not in ("state", "front", "error")]
    for name in columns:
        shown.add_column(name.rsplit(".", 1)[-1])
    rows = table[table["front"]][columns] if not table.empty else table
    for row in rows.itertuples(index=False):
        shown.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row))
    console().print(shown)


def _plot(table: pd.DataFrame, x: str, y: str) -> Figure:
    (axes,) = make_axes(x, y)
    front = table[table["front"]]
    complete = table[(table["state"] == "complete") & ~table["front"]]
    pruned = table[table["state"] == "pruned"]
    color = style(0).color
    for rest, marker, name in ((pruned, "x", "given up early"), (complete, "o", "dominated")):
        if len(rest):
            axes.plot(rest[x], rest[y], marker, color="0.5", ms=5, label=name)
    axes.plot(front[x], front[y], "o--", color=color, ms=6, label="front, by trial")
    axes.margins(0.12)
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    labels = [
        Label(row[x], row[y], str(row["trial"]).removeprefix("trial-"), color)
        for row in front.to_dict("records")
    ]
    others = axes.transData.transform(table[[x, y]].dropna().to_numpy(float))
    place_labels(axes, labels, [Bbox.from_bounds(px - 6, py - 6, 12, 12) for px, py in others])
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=FONT)
    return figure
