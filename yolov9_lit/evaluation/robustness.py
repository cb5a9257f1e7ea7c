"""What corruptions leave of a detector (Michaelis et al., arXiv 1907.07484, section 3.2).

mPC, the mean performance under corruption, is the mean over kinds and severities of AP; rPC, the
relative performance, is mPC as a share of AP on the images as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from yolov9_lit.evaluation.metric import MASK, POSE, UNMEASURED
from yolov9_lit.evaluation.tables import KINDS, percent
from yolov9_lit.reporting.plot import Plot, make_axes, save_axes, style
from yolov9_lit.reporting.table import Table

CLEAN = "clean"
"""Name of the images as they are, at severity 0."""


@dataclass(frozen=True, eq=False)
class Robustness:
    """Figures of a detector on the images as they are and under each corruption.

    Attributes:
        rows: "kind", "severity" and the figures by name, fractions or -1; the first one is clean.
    """

    rows: pd.DataFrame

    @classmethod
    def of(cls, rows: list[dict[str, Any]]) -> Robustness:
        """Take rows as dictionaries."""
        return cls(pd.DataFrame(rows))

    @property
    def prefixes(self) -> list[str]:
        """Return what the names of the figures begin with: of boxes, masks, keypoints."""
        return [prefix for prefix in ("", MASK, POSE) if f"{prefix}AP" in self.rows]

    def summary(self) -> dict[str, float]:
        """Return mPC and rPC, those of masks as mask_mPC and so on; -1 without objects."""
        found: dict[str, float] = {}
        for prefix in self.prefixes:
            clean, corrupted = self._split(f"{prefix}AP")
            measured = bool((corrupted.to_numpy() >= 0).all())
            mean = float(corrupted.to_numpy().mean()) if measured else UNMEASURED
            found[f"{prefix}mPC"] = mean
            found[f"{prefix}rPC"] = mean / clean if measured and clean > 0 else UNMEASURED
        return found

    def _split(self, figure: str) -> tuple[float, pd.DataFrame]:
        """Return a figure of the images as they are, and kinds by severities of it."""
        clean = self.rows[self.rows["kind"] == CLEAN]
        corrupted = self.rows[self.rows["kind"] != CLEAN]
        table = corrupted.pivot(index="kind", columns="severity", values=figure)
        return float(clean[figure].iloc[0]), table.loc[corrupted["kind"].unique()]

    def table(self, prefix: str = "") -> Table:
        """Return AP by kind and severity in percent, and their means.

        Args:
            prefix: of the figures.
        """
        clean, corrupted = self._split(f"{prefix}AP")
        severities = [f"severity {severity}" for severity in corrupted.columns]
        frame = pd.DataFrame(
            [
                [kind, *map(percent, values), percent(float(np.mean(values)))]
                for kind, values in zip(corrupted.index, corrupted.to_numpy(), strict=True)
            ],
            columns=["kind", *severities, "mean"],
        )
        means = [*map(percent, corrupted.mean())]
        summary = self.summary()
        mean, relative = summary[f"{prefix}mPC"], summary[f"{prefix}rPC"]
        frame.loc[len(frame)] = ["all kinds", *means, percent(mean)._replace(strong=True)]
        of = KINDS.get(prefix, "boxes")
        title = f"AP of {of} under corruption (%): clean {percent(clean).text}, "
        title += f"mPC {percent(mean).text}, rPC {percent(relative).text}"
        return Table(title, frame)

    def plot(self, path: Path, prefix: str = "") -> Plot:
        """Draw AP over the severity, a line for each kind.

        Args:
            path: of the PNG.
            prefix: of the figures.
        """
        clean, corrupted = self._split(f"{prefix}AP")
        (axes,) = make_axes("severity (0: the images as they are)", f"{prefix}AP (%)")
        severities = [0, *corrupted.columns]
        for number, (kind, values) in enumerate(corrupted.iterrows()):
            color, marker = style(number)
            heights = 100 * np.array([clean, *values])
            label = f"{kind} {100 * values.mean():.1f}"
            axes.plot(severities, heights, color=color, marker=marker, ms=4, lw=1.2, label=label)
        mean = 100 * np.array([clean, *corrupted.mean()])
        label = f"all kinds {100 * corrupted.to_numpy().mean():.1f}"
        axes.plot(severities, mean, color="black", lw=2.4, label=label)
        axes.set_xticks(severities)
        axes.set_ylim(bottom=0)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            frameon=False,
            title="mean AP (%)",
            fontsize=8,
        )
        return save_axes(axes, path, f"{prefix}AP by kind and severity, and its mean.")
