"""Command: a sweep, or several, as a table beside the paper's."""

from __future__ import annotations

import sys

from omegaconf import DictConfig, OmegaConf

from yolov9_lit.app.cli import command
from yolov9_lit.checks import path_argument, whole_number
from yolov9_lit.errors import UserError


@command("report")
def main(cfg: DictConfig) -> None:
    """Write the report, print its tables and, as the last line, where it is."""
    from yolov9_lit.reporting.console import console
    from yolov9_lit.reporting.render import terminal
    from yolov9_lit.research.report import differences, tables
    from yolov9_lit.research.report.write import write_report

    if cfg.base is not None and not isinstance(cfg.base, DictConfig):
        raise UserError(f"base={cfg.base} is not a setting: give it as base={{pgi:none}}.")
    report = write_report(
        path_argument("runs", cfg.runs).expanduser(),
        path_argument("out", cfg.out).expanduser(),
        base=None if cfg.base is None else OmegaConf.to_container(cfg.base),  # type: ignore[arg-type]
        replicates=whole_number("replicates", cfg.replicates),
        seed=whole_number("seed", cfg.seed, least=0),
    )
    out = console()
    brief = (
        report.results.select(tables.BRIEF),
        *(table.select(differences.BRIEF) for table in report.differences),
        report.left,
    )
    for table in brief:
        if table.rows:
            out.print(terminal(table))
    sys.stdout.write(f"Report: {report.folder / 'report.html'} (and .md, .csv, .tex, .png)\n")


if __name__ == "__main__":
    main()
