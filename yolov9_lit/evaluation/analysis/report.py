"""The report: `report.html` with everything in it, and its tables and plots as files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from yolov9_lit.evaluation.analysis.analysis import Analysis
from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.files import atomic_write
from yolov9_lit.reporting.page import write_sections

FOLDER = "analysis"


def write_report(
    compared: Compared, analyses: Mapping[str, Analysis], folder: Path, subtitle: str
) -> Path:
    """Make all analyses and write the page.

    Args:
        compared: detections beside the truth.
        analyses: by name, in the page's order.
        folder: of the page; the files of tables and plots go to `analysis` in it.
        subtitle: what was evaluated, one line.

    Returns:
        The page's path.
    """
    files = folder / FOLDER
    files.mkdir(parents=True, exist_ok=True)
    made = (analyse(compared, files) for analyse in analyses.values())
    sections = [section for section in made if section is not None]
    for section in sections:
        for name, frame in section.data.items():
            with atomic_write(files / f"{name}.csv") as part:
                frame.to_csv(part, index=False, encoding="utf-8", errors="replace")
    return write_sections(folder / "report.html", "Where the detector fails", subtitle, sections)
