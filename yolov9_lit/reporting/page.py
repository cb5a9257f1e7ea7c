"""A report as one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from yolov9_lit.reporting.plot import Plot
from yolov9_lit.reporting.render import html
from yolov9_lit.reporting.table import Table


def make_page(
    title: str,
    subtitle: str,
    tables: Sequence[Table],
    plots: Sequence[Plot],
    appendix: Sequence[Table],
) -> str:
    """Return the page: tables, then the plots (as data inside it), then further tables."""
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        tables="\n".join(map(html, tables)),
        plots="\n".join(map(_figure, plots)),
        appendix="\n".join(map(html, appendix)),
    )


def _figure(plot: Plot) -> str:
    data = base64.b64encode(plot.path.read_bytes()).decode()
    caption = escape(plot.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
