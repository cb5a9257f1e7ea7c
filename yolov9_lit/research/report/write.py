"""Write the report's files from a folder of runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yolov9_lit.checks import folder_argument
from yolov9_lit.reporting.page import make_page
from yolov9_lit.reporting.plot import Plot
from yolov9_lit.reporting.render import latex, markdown
from yolov9_lit.reporting.table import Table
from yolov9_lit.research.report.compare import compare, mixed, row_pairs
from yolov9_lit.research.report.cost_plots import draw_costs
from yolov9_lit.research.report.costs import cost_table
from yolov9_lit.research.report.curves import draw_curves, draw_losses
from yolov9_lit.research.report.differences import difference_table
from yolov9_lit.research.report.gradients import gradient_table
from yolov9_lit.research.report.information import information_table
from yolov9_lit.research.report.listings import (
    class_table,
    figure_table,
    left_table,
    run_table,
    settings_table,
)
from yolov9_lit.research.report.metrics import COMPARED
from yolov9_lit.research.report.naming import unabridged
from yolov9_lit.research.report.rows import Row, choose_base, make_rows
from yolov9_lit.research.report.runs import Run, read_runs
from yolov9_lit.research.report.settings import text
from yolov9_lit.research.report.tables import result_frame, result_table
from yolov9_lit.research.report.tested import read_tests


@dataclass(frozen=True)
class Report:
    """A report as written.

    Attributes:
        folder: with report.md, report.csv, report.tex, report.html and the plots.
        results: a row for each configuration; without rows where no run counts yet.
        differences: by AP, and by mask AP and pose AP where there are such, a row for each
            configuration that has a base.
        left: the runs that do not count.
    """

    folder: Path
    results: Table
    differences: tuple[Table, ...]
    left: Table


def write_report(
    directory: Path,
    out: Path,
    *,
    base: Mapping[str, Any] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Report:
    """Read all runs below a folder, compare them and write the report; deterministic.

    Args:
        directory: of a sweep or of several.
        out: folder for the report; made if needed.
        base: settings of the base row, such as {"pgi": "none"}.
        replicates: number of resamples of the test images.
        seed: of the resampling.

    Raises:
        UserError: there are no runs, no row is the base, or `out` cannot be made.
    """
    runs = read_runs(directory)
    rows, left = make_rows(runs)
    pairs = row_pairs(rows, choose_base(rows, base))
    counted = [run for row in rows for run in row.runs]
    compared = {run.folder for pair in pairs for row in pair for run in row.runs}
    figures = [name for name in COMPARED if name == "AP" or any(name in r.figures for r in counted)]
    tests = {
        name: read_tests(
            [run for run in counted if name in run.figures],
            compared,
            replicates=replicates,
            seed=seed,
            figure=name,
        )
        for name in figures
    }
    comparisons = {name: compare(pairs, tests[name], name) for name in figures}
    frame = result_frame(rows, comparisons)
    unlike = {name: mixed(rows, tests[name]) for name in figures}
    results = result_table(frame, rows, comparisons, unlike)
    left_out = left_table(left, rows, directory)
    differences = _once([difference_table(comparisons[name], name) for name in figures])
    told = (results, *differences, cost_table(rows, comparisons["AP"]), left_out)
    further = (
        gradient_table(rows),
        information_table(rows),
        *(class_table(rows, tests[name], name) for name in figures),
        figure_table(rows),
        run_table(rows, directory),
        settings_table(rows),
    )
    tables, appendix = ([table for table in part if table.rows] for part in (told, further))
    title, subtitle = f"Report of {directory.resolve().name}", _summary(runs, rows)
    origin = _origin(directory, base, counted)

    out = folder_argument("out", out)
    costs = [plot for name in figures for plot in draw_costs(rows, out, name)]
    curves = [draw_curves(rows, out / _curves_file(name), name) for name in COMPARED]
    by_epoch = [*curves, draw_losses(rows, out / "losses.png")]
    plots = [*costs, *(plot for plot in by_epoch if plot)]
    page = make_page(title, f"{subtitle} {origin}", tables, plots, appendix)
    written = {
        "report.md": _markdown(title, f"{subtitle} {origin}", [*tables, *appendix], plots),
        "report.tex": "\n".join(
            latex(replace(table, notes=(*table.notes, origin))) for table in tables
        ),
        "report.csv": frame.to_csv(index=False),
        "report.html": page,
    }
    for name, content in written.items():
        (out / name).write_text(content, encoding="utf-8", errors="replace")
    return Report(out, results, differences, left_out)


def _once(tables: Sequence[Table]) -> tuple[Table, ...]:
    """Return tables without the notes that one before them has."""
    told: set[str] = set()
    shown = []
    for table in tables:
        shown.append(replace(table, notes=tuple(n for n in table.notes if n not in told)))
        told |= {*table.notes}
    return tuple(shown)


def _curves_file(figure: str) -> str:
    return f"{figure.removesuffix('AP')}curves.png"


def _summary(runs: Sequence[Run], rows: Sequence[Row]) -> str:
    counted = sum(len(row.runs) for row in rows)
    data = sorted({str(run.choices.get("data")) for run in runs if run.choices.get("data")})
    epochs = sorted({run.max_epochs for run in runs if run.max_epochs})
    shared = {
        group: choices.pop() for group, choices in _choices(runs).items() if len(choices) == 1
    }
    alike = f" All share {unabridged(shared)}." if shared else ""
    return (
        f"{counted} of {len(runs)} runs count, {sum(bool(row.runs) for row in rows)} "
        f"configurations; data {', '.join(data) or '?'}, "
        f"{' or '.join(map(str, epochs)) or '?'} epochs.{alike}"
    )


def _origin(directory: Path, base: Mapping[str, Any] | None, runs: Sequence[Run]) -> str:
    """Say what has made the tables: the command, and the code of the runs."""
    words = ["python", "-m", "yolov9_lit.report", f"runs={directory}"]
    if base:
        words.append(f"base={{{','.join(f'{name}:{value}' for name, value in base.items())}}}")
    commits = sorted({run.commit for run in runs if run.commit})
    of = f", from runs of commit {', '.join(commits)}" if commits else ""
    return f"Made by {shlex.join(words)}{of}."


def _choices(runs: Sequence[Run]) -> dict[str, set[str]]:
    """Return what runs have chosen of the parts that define a model."""
    known = [run for run in runs if run.choices]
    return {
        group: {text(run.choices.get(group)) for run in known}
        for group in ("model", "block", "pgi")
        if any(group in run.choices for run in known)
    }


def _markdown(title: str, subtitle: str, tables: Sequence[Table], plots: Sequence[Plot]) -> str:
    images = [f"![{plot.caption}]({plot.path.name})\n" for plot in plots]
    return "\n".join([f"# {title}\n", f"{subtitle}\n", *map(markdown, tables), *images])
