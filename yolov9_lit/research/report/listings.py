"""Tables for the end of a report: every figure, AP by class, and the runs it comes from."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from yolov9_lit.reporting.table import Cell, Table, number
from yolov9_lit.research.report.metrics import COMPARED, begun, named
from yolov9_lit.research.report.rows import Row
from yolov9_lit.research.report.runs import ALL, Run
from yolov9_lit.research.report.statistics import pool
from yolov9_lit.research.report.tested import Tested, Tests


def figure_table(rows: Sequence[Row]) -> Table:
    """Make a table of every figure of every configuration with its spread over the seeds."""
    cells = [
        (row.label, name, pooled.n, *(number(value, digits=2) for value in pooled[1:]))
        for row in rows
        for name in ALL
        if (pooled := row.pooled(name)).n
    ]
    columns = ("configuration", "figure", "seeds", "mean", "sd", "95 % from", "to")
    return Table("Every figure, in percent", pd.DataFrame(cells, columns=columns))


def class_table(rows: Sequence[Row], tests: Tests, figure: str = COMPARED[0]) -> Table:
    """Make a row of each class of the test, a column of each configuration that has the figure."""
    by_row = {
        row.label: [test for run in row.runs if isinstance(test := tests.get(run.folder), Tested)]
        for row in rows
    }
    known = [test for same in by_row.values() for test in same]
    objects = {name: one.objects for test in known for name, one in test.classes.items()}
    columns: dict[str, Sequence[object]] = {"class": list(objects)}
    if len({test.truth for test in known}) == 1:
        columns["objects"] = list(objects.values())
    for label, same in by_row.items():
        if same:
            columns[label] = [_class_cell(name, same) for name in objects]
    note = f"{begun(figure)} in percent, mean ± standard deviation over the seeds."
    return Table(f"{begun(figure)} by class", pd.DataFrame(columns), (note,))


def _class_cell(name: str, tests: Iterable[Tested]) -> Cell:
    values = [test.classes[name].ap for test in tests if name in test.classes]
    pooled = pool([value for value in values if not np.isnan(value)])
    cell = number(pooled.mean, digits=1)
    return cell._replace(text=f"{cell.text} ± {pooled.sd:.1f}") if pooled.n > 1 else cell


def run_table(rows: Sequence[Row], directory: Path) -> Table:
    """Make a table of the runs that count: where each lies, and how it was made."""
    cells = [
        {
            "folder": _place(run, directory),
            "configuration": row.cell,
            "seed": str(run.seed),
            **{
                named(name): number(100 * run.figures.get(name, math.nan), digits=2)
                for name in COMPARED
            },
            "s/epoch": number(run.record.result.seconds_per_epoch, digits=2),
            "started (UTC)": run.record.started.removesuffix("+00:00").replace("T", " "),
            "commit": run.commit,
            "device": run.record.device,
            "command": _command(run),
        }
        for row in rows
        for run in row.runs
    ]
    changed = any(run.record.dirty for row in rows for run in row.runs)
    notes = ("* The code had changes that are in no commit.",) if changed else ()
    return Table("Runs that count", pd.DataFrame(cells), notes).without_empty_columns()


def settings_table(rows: Sequence[Row]) -> Table:
    """Make a table of the settings in which configurations differ, where labels leave some out."""
    names = list(dict.fromkeys(name for row in rows for name in row.settings))
    told = {name for name in names if all(f"{name}={r.settings[name]}" in r.label for r in rows)}
    cells = [
        {"setting": name, **{row.label: row.settings[name] for row in rows}}
        for name in names
        if name not in told
    ]
    note = "Settings that differ and that the names of the configurations leave out or cut short."
    return Table("Further settings that differ", pd.DataFrame(cells), (note,))


def left_table(left: Sequence[Run], rows: Sequence[Row], directory: Path) -> Table:
    """Make a table of the runs that do not count, and why."""
    labels = {run.folder: row.label for row in rows for run in row.unfinished}
    cells = [
        (
            _place(run, directory),
            labels.get(run.folder, ""),
            str(run.seed),
            run.status,
            run.problem,
        )
        for run in left
    ]
    columns = ("folder", "configuration", "seed", "status", "why")
    return Table("Runs that do not count", pd.DataFrame(cells, columns=columns))


def _place(run: Run, directory: Path) -> str:
    return str(run.folder.relative_to(directory))


def _command(run: Run) -> str:
    """Return what was typed, or of a sweep's job what would repeat it alone."""
    if not run.record.overrides:
        return ""
    return shlex.join(["python", "-m", "yolov9_lit.train", *run.record.overrides])
