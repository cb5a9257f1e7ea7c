"""What all plots share: axes, colours, texts as written, and the image file with its caption."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from yolov9_lit.reporting.lettering import fonts_for

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6D00", "#3A3A3A", "#56A0D3", "#A6321F")
"""After Okabe and Ito: distinct for colour-blind readers, dark enough for text on white."""

MARKERS = "os^DvPX<>*"
"""Shapes beside the colours: together they tell forty series apart."""

FONT = 8.5
"""Size of labels and ticks, in points."""


class Style(NamedTuple):
    """How one series is drawn in all plots.

    Attributes:
        color: of all that belongs to it.
        marker: of its points.
    """

    color: str
    marker: str


class Plot(NamedTuple):
    """An image that was written.

    Attributes:
        path: of the PNG.
        caption: what it shows.
    """

    path: Path
    caption: str


def style(index: int) -> Style:
    """Return the look of a series, by its number in its set."""
    return Style(COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)])


def make_axes(
    x: str, y: str, panels: int = 1, size: tuple[float, float] | None = None
) -> list[Axes]:
    """Make a figure with an Agg canvas and as many axes side by side, of one vertical scale.

    Args:
        x: name of what lies on the horizontal axis, with its unit.
        y: the same of the vertical axis, told at the first one.
        panels: number of axes.
        size: of the figure in inches; that of all plots by default.
    """
    usual = (7.2 if panels == 1 else 1.2 + 3.4 * panels, 4.5)
    figure = Figure(figsize=size or usual, dpi=160)
    FigureCanvasAgg(figure)
    (found,) = figure.subplots(1, panels, squeeze=False, sharey=True)
    for axes in found:
        axes.set_xlabel(x)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#dddddd", lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=FONT)
    found[0].set_ylabel(y)
    return list(found)


def as_written(text: str) -> dict[str, Any]:
    """Return the properties of a matplotlib text that shows names: no formulas, in any script."""
    return {"parse_math": False, "fontfamily": [_family(font) for font in fonts_for(text)]}


@contextmanager
def letters_that_no_font_has() -> Iterator[None]:
    """Let letters be boxes without matplotlib's warnings: `fonts_for` has told of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def save_plot(figure: Figure, path: Path, caption: str, **arguments: Any) -> Plot:
    """Write a figure with all of its texts as they are written.

    Args:
        figure: complete.
        path: of the PNG.
        caption: what it shows.
        arguments: of `Figure.savefig`.
    """
    formatted = _formatted_ticks(figure)
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text not in formatted:
            text.set(**as_written(text.get_text()))
    with letters_that_no_font_has():
        figure.savefig(path, **{"facecolor": "white", **arguments})
    return Plot(path, caption)


def save_axes(axes: Axes, path: Path, caption: str) -> Plot:
    """Write the figure of the only axes, cut to what is drawn; see `save_plot`."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    return save_plot(figure, path, caption, bbox_inches="tight")


def _formatted_ticks(figure: Figure) -> set[Text]:
    """Return the labels of ticks that matplotlib writes itself, powers among them."""
    return {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        if not isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)
        for label in axis.get_ticklabels(which="both")
    }


def _family(font: str) -> str:
    """Make a font file known to matplotlib and return its family's name."""
    name = get_font(font).family_name
    if name not in fontManager.get_font_names():
        fontManager.addfont(font)
    return FontProperties(fname=font).get_name()
