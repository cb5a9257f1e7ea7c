"""What an analysis is: it is given the detections beside the truth, and gives a part of a page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from yolov9_lit.evaluation.analysis.compared import Compared
from yolov9_lit.reporting.page import Section


class Analysis(ABC):
    """One part of the report; `evaluation.analyses` names those that are made."""

    @abstractmethod
    def __call__(self, compared: Compared, folder: Path) -> Section | None:
        """Look into the detections.

        Args:
            compared: the detections beside the truth.
            folder: for images of plots; it is there.

        Returns:
            A part of the page; None where these detections have nothing of what it looks at.
        """
