"""The command `download`: a data set from its publisher, verified and unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich import progress
from rich.console import Console
from rich.filesize import decimal

from yolov9_lit.checks import yes_or_no_text
from yolov9_lit.data.prepare.download.catalog import read_catalog
from yolov9_lit.data.prepare.download.download import download, need, with_sizes
from yolov9_lit.data.prepare.download.fetching import Show
from yolov9_lit.errors import UserError
from yolov9_lit.reporting.console import console


def run(values: Mapping[str, str]) -> None:
    """Download a data set.

    Args:
        values: "name" and "root"; optionally "splits" (separated by commas), "url" (a mirror's)
            and "keep" ("true": keep the archives too).

    Raises:
        UserError: see `download`.
    """
    data = read_catalog(values["name"], values.get("url", ""))
    given = values.get("splits", ",".join(data.archives))
    splits = [split.strip() for split in given.split(",") if split.strip()]
    root, keep = (
        Path(values["root"]).expanduser(),
        yes_or_no_text("keep", values.get("keep", "false")),
    )
    out = console()
    data = with_sizes(data, root, splits)
    wanted = need(data, root, splits, keep=keep)
    if wanted.archives:
        names = ", ".join(archive.name for archive in wanted.archives)
        out.print(
            f"{names}: {decimal(wanted.fetch)} to fetch, up to {decimal(wanted.room)} of disk"
        )
    try:
        with _progress_bars(out) as show:
            download(data, root, splits, show, keep=keep)
    except KeyboardInterrupt as error:
        raise UserError(
            "The download was interrupted: the same command goes on where it was."
        ) from error
    out.print(f"{', '.join(splits)} of {values['name']} are in {root}")


@contextmanager
def _progress_bars(out: Console) -> Iterator[Show]:
    columns = (*progress.Progress.get_default_columns(), progress.DownloadColumn())
    with progress.Progress(*columns, progress.TransferSpeedColumn(), console=out) as bars:
        tasks: dict[str, progress.TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
