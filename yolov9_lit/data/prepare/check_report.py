"""The report of `python -m yolov9_lit.data check`: tables on the terminal, and a page."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from yolov9_lit.checks import existing_folder, whole_number_text, yes_or_no_text
from yolov9_lit.data.coco.faults import first_places
from yolov9_lit.data.coco.layout import Split, find_splits
from yolov9_lit.data.prepare.check import SplitReport, check_splits, count_boxes
from yolov9_lit.data.prepare.check_plots import draw_data_plots
from yolov9_lit.errors import UserError, counted, in_number
from yolov9_lit.reporting.console import console
from yolov9_lit.reporting.page import make_page
from yolov9_lit.reporting.render import terminal
from yolov9_lit.reporting.table import Table

SMALL, MEDIUM = 32**2, 96**2
"""Areas in pixels that COCO's figures divide objects at."""

CLASSES_SHOWN = 20


def run(values: Mapping[str, str]) -> int:
    """Check a data set, print what it holds and what is wrong, and write the page where asked to.

    Args:
        values: "root"; optionally "page", and "annotations" and "images", from the root, of one
            split in place of all that are found; "workers": processes, all cores by default;
            "masks": whether each object needs an outline.

    Returns:
        1 where there are faults, else 0.

    Raises:
        UserError: nothing can be read there, or the page cannot be written.
    """
    root = Path(values["root"]).expanduser()
    workers = whole_number_text("workers", values.get("workers", str(os.cpu_count() or 1)))
    masks = yes_or_no_text("masks", values.get("masks", "false"))
    reports = check_splits(_splits(root, values), workers=workers, masks=masks)
    classes = class_table(reports)
    shown = Table(classes.title, classes.frame.head(CLASSES_SHOWN))
    out = console()
    for table in (split_table(reports), fault_table(reports), shown):
        out.print(terminal(table))
    if len(classes.frame) > CLASSES_SHOWN:
        out.print(f"... and {len(classes.frame) - CLASSES_SHOWN} classes more")
    if "page" in values:
        page = Path(values["page"]).expanduser()
        _write(page, data_page(str(root), reports))
        out.print(f"The page is {page}")
    return int(any(report.faults.found for report in reports))


def _splits(root: Path, values: Mapping[str, str]) -> list[Split]:
    existing_folder("root", root)
    if ("annotations" in values) != ("images" in values):
        raise UserError("annotations and images belong together: give both or none.")
    if "annotations" not in values:
        return find_splits(root)
    file = root / values["annotations"]
    return [Split(file.stem, file, root / values["images"])]


def data_page(title: str, reports: Sequence[SplitReport]) -> str:
    """Make the page, with plots and the images of each kind of fault inside it."""
    faults = sum(len(report.faults.found) for report in reports)
    images = sum(len(report.annotations) for report in reports)
    with tempfile.TemporaryDirectory() as folder:
        plots = draw_data_plots(reports, Path(folder))
        return make_page(
            f"Data check: {title}",
            f"{counted(images, 'image')}, {counted(faults, 'fault')}.",
            [split_table(reports), fault_table(reports)],
            plots,
            [class_table(reports)],
        )


def split_table(reports: Sequence[SplitReport]) -> Table:
    """Show what each split holds, a row a split."""
    by_area = ("small", "medium", "large")
    posed = ["posed"] if any(report.annotations.layout for report in reports) else []
    columns = ("split", "images", "without objects", "boxes", *posed, "crowds", *by_area, "sizes")
    rows = []
    for report in reports:
        data, areas = report.annotations, report.areas()
        empty, crowds = int((np.diff(data.offsets) == 0).sum()), int(data.crowd.sum())
        counts = np.histogram(areas, (0, SMALL, MEDIUM, np.inf))[0].tolist()
        shown = (data.keypoints[~data.crowd, :, 2] > 0).any(axis=1).sum()
        held = (len(data), empty, len(areas), *([int(shown)] if posed else []), crowds, *counts)
        rows.append((report.split.name, *held, _sizes(data.sizes)))
    notes = (
        "Small, medium, large: boxes of under 32 x 32, under 96 x 96 pixels of area, and others, "
        "before any scaling.",
        *(["Posed: boxes with keypoints."] if posed else []),
    )
    return Table("What it holds", pd.DataFrame(rows, columns=columns), notes)


def fault_table(reports: Sequence[SplitReport]) -> Table:
    """Show each kind of fault and of note of a split in a row."""
    rows = []
    for report in reports:
        split = report.split.name
        for sentence, found in report.faults.by_sentence().items():
            examples = first_places(found)
            rows.append((split, "fault", len(found), in_number(len(found), sentence), examples))
        for note, count in report.faults.notes.items():
            rows.append((split, "note", count, in_number(count, note.value), ""))
    faults = any(report.faults.found for report in reports)
    notes = () if faults else ("No faults.",)
    columns = ("split", "", "count", "kind", "which")
    return Table("What is wrong", pd.DataFrame(rows, columns=columns), notes)


def class_table(reports: Sequence[SplitReport]) -> Table:
    """Show the boxes of each class in each split, the most frequent class first."""
    counts = count_boxes(reports)
    return Table("Boxes by class", counts.rename_axis("class").reset_index())


def _sizes(sizes: np.ndarray) -> str:
    """Write the smallest and largest sides in pixels, each side apart."""
    (low_height, low_width), (height, width) = sizes.min(axis=0), sizes.max(axis=0)
    if (low_height, low_width) == (height, width):
        return f"{width} x {height}"
    return f"{low_width} to {width} x {low_height} to {height}"


def _write(page: Path, content: str) -> None:
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(content, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{page} cannot be written ({error}): choose another page.") from error
