"""One row a configuration: its runs, and the row it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from yolov9_lit.errors import UserError
from yolov9_lit.reporting.table import Cell
from yolov9_lit.research.report.naming import labels, short_labels, telling, unabridged
from yolov9_lit.research.report.runs import Run
from yolov9_lit.research.report.settings import Settings, configurations, groups_of, text
from yolov9_lit.research.report.statistics import Pooled, pool

PAPER_EPOCHS = 500
PAPER_IMAGE_SIZE = 640
PAPER_DATA = "coco"

SHOWN = 20
"""Rows that an error names."""


@dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
        label: one line, unique among the rows.
        short_label: shorter, for images: words that name themselves stand alone.
        settings: all in which it differs from another row.
        runs: those that count, one a seed, by seed.
        unfinished: those that do not, which may have a learning curve.
    """

    label: str
    short_label: str
    settings: Settings
    runs: tuple[Run, ...]
    unfinished: tuple[Run, ...]

    @property
    def cell(self) -> Cell:
        """Show the label; what else differs stands in its title."""
        return Cell(self.label, self.label, title=unabridged(self.settings))

    def pooled(self, figure: str) -> Pooled:
        """One figure of all seeds, in percent."""
        return pool([100 * run.figures[figure] for run in self.runs if figure in run.figures])

    def cost(self, name: str) -> float | None:
        """Return a figure of `Result.cost`; None where no run tells."""
        return next((cost for run in self.runs if (cost := run.record.result.cost.get(name))), None)

    @property
    def seconds_per_epoch(self) -> float | None:
        """Median over the seeds."""
        known = _known(self.runs, "seconds_per_epoch")
        return median(known) if known else None

    @property
    def epochs(self) -> int | None:
        """Finished ones, most over the seeds; None where no run tells."""
        return max((run.record.result.epochs for run in self.runs), default=0) or None

    @property
    def peak_memory_mb(self) -> float | None:
        """Largest over the seeds."""
        return max(_known(self.runs, "peak_memory_mb"), default=None)

    @property
    def paper(self) -> Mapping[str, Any]:
        """The paper's figures, AP in percent; empty where it has no such row."""
        return next((run.paper for run in self.runs if run.paper), {})

    @property
    def paper_epochs(self) -> int:
        """How long the paper's model of this row was trained."""
        return int(self.paper.get("epochs", PAPER_EPOCHS))

    @property
    def why_not_comparable(self) -> str:
        """What keeps the paper's figures from being comparable; empty where nothing does."""
        data = self._unlike(PAPER_DATA, lambda run: run.choices.get("data"))
        model = self._unlike(self.paper.get("model"), lambda run: run.choices.get("model"))
        size = self._unlike(PAPER_IMAGE_SIZE, lambda run: run.config.get("data.image_size"))
        epochs = self._unlike(self.paper_epochs, lambda run: run.max_epochs)
        reasons = [f"data={v}" for v in data] + [f"model={v}" for v in model]
        reasons += [f"{v} pixels" for v in size] + [f"{v} epochs" for v in epochs]
        if any(0 < run.record.result.epochs < (run.max_epochs or 0) for run in self.runs):
            reasons.append("ended before the last epoch")
        ours, theirs = (self.cost("params") or 0) / 1e6, self.paper.get("params")
        # Other classes alone also change the number of parameters.
        if not data and ours and theirs and abs(ours / theirs - 1) > 0.05:
            reasons.append(f"{ours:.1f} M parameters, not {theirs}")
        return ", ".join(reasons)

    def _unlike(self, paper: Any, value: Callable[[Run], Any]) -> list[str]:
        """Return the runs' values that are known and not the paper's."""
        values = {value(run) for run in self.runs} - {None, paper}
        return sorted(map(str, values)) if paper is not None else []


def make_rows(runs: Sequence[Run]) -> tuple[list[Row], list[Run]]:
    """Sort runs into rows.

    Returns:
        The rows, also those of which no run counts yet; and the runs that do not count, with the
        reason in `problem`.
    """
    known = [run for run in runs if run.config]
    rows, left = [], [run for run in runs if not run.config]
    found = configurations(known) if known else []
    names = telling([settings for settings, _ in found], groups_of(known))
    named = [{name: settings[name] for name in names} for settings, _ in found]
    for label, short, (settings, same) in zip(
        labels(named), short_labels(named), found, strict=True
    ):
        counted, rest = _one_a_seed(same)
        rows.append(Row(label, short, settings, counted, rest))
        left += rest
    return rows, sorted(left, key=lambda run: run.folder)


def _one_a_seed(runs: Iterable[Run]) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Return the latest finished run of each seed, by seed; and the others.

    A seed trained twice is no second sample of the seeds: it would make the interval too narrow.
    """
    latest: dict[int | None, Run] = {}
    rest = []
    for run in sorted(runs, key=lambda run: (run.record.ended or "", run.folder)):
        if not run.counts:
            rest.append(run)
            continue
        earlier = latest.get(run.seed)
        if earlier is not None:
            rest.append(replace(earlier, problem=f"repeated by {run.folder.name}, which counts"))
        latest[run.seed] = run
    counted = sorted(latest.values(), key=lambda run: (run.seed is None, run.seed))
    return tuple(counted), tuple(rest)


def base_of(row: Row, rows: Sequence[Row], base: Settings) -> Row | None:
    """Find the row that has the base's settings and agrees with `row` in all others.

    Args:
        row: to be compared.
        rows: all.
        base: of some or all settings, see `choose_base`.

    Returns:
        None where there is no such row with results, or where it is the row itself.
    """
    wanted = {**row.settings, **base}
    found = next((other for other in rows if other.settings == wanted and other.runs), None)
    return None if found is row else found


def choose_base(rows: Sequence[Row], wanted: Mapping[str, Any] | None) -> Settings:
    """Return the base: as told, else `pgi=none` where that is swept, else the first row.

    Where one row has them, it is the base of all; where several do, each row is compared with the
    one that agrees in the other settings (`pgi=none` of the same model).

    Raises:
        UserError: no row has the wanted settings.
    """
    there = [row.settings for row in rows if row.runs]
    if wanted is None:
        wanted = {"pgi": "none"}
        if not _having(wanted, there):
            return there[0] if there else {}
    base = {_short(str(name), there): text(value) for name, value in wanted.items()}
    having = _having(base, there)
    if not having:
        names = "; ".join(map(unabridged, there[:SHOWN])) or "none has results"
        more = f"; and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
        raise UserError(f"No row has {unabridged(base)} (base): the rows are {names}{more}.")
    return having[0] if len(having) == 1 else base


def _short(name: str, settings: Sequence[Settings]) -> str:
    """Return what rows call a setting: `lr` of optimizer.lr; the name itself if none has it."""
    names = settings[0] if settings else {}
    return next((short for short in names if f".{name}".endswith(f".{short}")), name)


def _having(part: Settings, settings: Iterable[Settings]) -> list[Settings]:
    return [one for one in settings if part.items() <= one.items()]


def _known(runs: Iterable[Run], name: str) -> list[float]:
    values = (getattr(run.record.result, name) for run in runs)
    return [float(value) for value in values if value is not None]
