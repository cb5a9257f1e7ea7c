"""What all plots share: colours, and the image file with its caption."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6D00", "#3A3A3A", "#56A0D3", "#A6321F")
"""After Okabe and Ito: distinct for colour-blind readers, dark enough for text on white."""


class Plot(NamedTuple):
    """An image that was written.

    Attributes:
        path: of the PNG.
        caption: what it shows.
    """

    path: Path
    caption: str
