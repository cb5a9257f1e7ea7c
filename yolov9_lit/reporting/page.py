"""A report as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from mimetypes import guess_type
from pathlib import Path
from string import Template
from typing import NamedTuple

import pandas as pd

from yolov9_lit.files import atomic_write
from yolov9_lit.reporting.plot import Plot
from yolov9_lit.reporting.render import html
from yolov9_lit.reporting.table import Table


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        title: one line.
        text: some sentences on what it shows.
        plots: PNG or JPEG.
        tables: below them.
        data: further tables, by the name of a CSV file without its ending; they are not shown.
    """

    title: str
    text: str
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    data: Mapping[str, pd.DataFrame] = {}


def make_page(
    title: str,
    subtitle: str,
    tables: Sequence[Table],
    plots: Sequence[Plot],
    appendix: Sequence[Table],
) -> str:
    """Return the page: tables, then the plots (as data inside it), then further tables."""
    shown, more = "\n".join(map(html, tables)), "\n".join(map(html, appendix))
    return _page(title, subtitle, f"{shown}\n{_figures(plots)}\n{more}")


def write_sections(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> Path:
    """Write the page of sections, whole or not at all, and return its path."""
    with atomic_write(path) as part:
        page = make_sections(title, subtitle, sections)
        part.write_text(page, encoding="utf-8", errors="replace")
    return path


def make_sections(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the page of sections, with a list of them at its head if there are several."""
    links = (f'<a href="#part{i}">{escape(s.title)}</a>' for i, s in enumerate(sections))
    parts = (
        f'<article id="part{i}"><h2 class="part">{escape(s.title)}</h2>'
        f'<p class="text">{escape(s.text)}</p>\n{_figures(s.plots)}\n'
        + "\n".join(map(html, s.tables))
        + "</article>"
        for i, s in enumerate(sections)
    )
    listed = [f"<nav>{' '.join(links)}</nav>"] if len(sections) > 1 else []
    return _page(title, subtitle, "\n".join([*listed, *parts]))


def _page(title: str, subtitle: str, body: str) -> str:
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), subtitle=escape(subtitle), body=body)


def _figures(plots: Sequence[Plot]) -> str:
    return f'<div class="plots">\n{"".join(map(_figure, plots))}\n</div>' if plots else ""


def _figure(plot: Plot) -> str:
    data = base64.b64encode(plot.path.read_bytes()).decode()
    caption, kind = escape(plot.caption), guess_type(plot.path.name)[0]
    return (
        f'<figure><img src="data:{kind};base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
