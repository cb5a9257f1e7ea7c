"""Figures as a table and images as PNG files in the run's folder."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from yolov9_lit.files import atomic_write
from yolov9_lit.reporting.sheet import draw_sheet
from yolov9_lit.training.loggers.images import LoggedImage, sheet_name

_QUICK = 1  # Compression of zlib: half the time for a tenth more bytes.


class ContinuingCSVLogger(CSVLogger):
    """Lightning's metrics.csv, kept when a run is continued in its folder; images beside it."""

    def __init__(self, save_dir: str | Path, **arguments: Any) -> None:
        super().__init__(save_dir, **arguments)
        self._experiment = _ContinuingWriter(self.log_dir)

    @rank_zero_only
    def log_images(
        self, key: str, images: Sequence[LoggedImage], step: int, epoch: int | None = None
    ) -> None:
        """Write one PNG with all of them, `images/val_images_0003.png` for epoch 3."""
        path = Path(self.log_dir, "images", sheet_name(key, epoch))
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet = draw_sheet([(image.pixels, image.caption) for image in images])
        with atomic_write(path) as part:
            Image.fromarray(sheet).save(part, format="PNG", compress_level=_QUICK)


class _ContinuingWriter(ExperimentWriter):
    """Keeps an interrupted run's rows up to the step at which the run is continued."""

    def __init__(self, log_dir: str) -> None:
        self._earlier: list[dict[str, Any]] = []
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        """Remember the rows of the file, which Lightning's writer would delete."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            # A kill in the middle of writing leaves half a row.
            self._earlier = [row for row in rows if (row.get("step") or "").isdigit()]

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        """Record a row; the first one replaces the earlier rows from its step on."""
        if self._earlier and step is not None:
            kept = [row for row in self._earlier if int(row["step"]) < step]
            self.metrics_keys = sorted(k for k in self._earlier[0] if k)
            self._write_whole(kept, self.metrics_keys)
            self._earlier = []
        super().log_metrics(metrics_dict, step)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with Path(self.metrics_file_path).open(newline="") as file:
            self._write_whole(list(csv.DictReader(file)), fieldnames)

    def _write_whole(self, rows: list[dict[str, Any]], fieldnames: list[str]) -> None:
        """Replace the file; a kill leaves the old or the new one."""
        with atomic_write(self.metrics_file_path) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
