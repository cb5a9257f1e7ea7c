"""The command `download`: what is told on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from yolov9_lit.data.prepare.download.catalog import read_catalog
from yolov9_lit.data.prepare.download.fetch import Show
from yolov9_lit.data.prepare.download.get import download, need
from yolov9_lit.errors import UserError


def run(values: Mapping[str, str]) -> None:
    """Downloads a data set.

    Args:
        values: "name" and "root"; optionally "splits" (separated by commas), "url" (a mirror's)
            and "keep" ("true": the archives too).

    Raises:
        UserError: see `download`.
    """
    data = read_catalog(values["name"], values.get("url", ""))
    splits = [s.strip() for s in values.get("splits", data.splits).split(",") if s.strip()]
    root, keep = Path(values["root"]).expanduser(), values.get("keep", "").lower() == "true"
    console = Console()
    wanted = need(data, root, splits, keep=keep)
    if wanted.archives:
        names = ", ".join(archive.name for archive in wanted.archives)
        console.print(
            f"{names}: {decimal(wanted.fetch)} to fetch, up to {decimal(wanted.room)} of disk"
        )
    try:
        with _progress(console) as show:
            download(data, root, splits, show, keep=keep)
    except KeyboardInterrupt as error:
        raise UserError("interrupted; the same command goes on where it was") from error
    console.print(f"{', '.join(splits)} of {values['name']} are in {root}")


@contextmanager
def _progress(console: Console) -> Iterator[Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
