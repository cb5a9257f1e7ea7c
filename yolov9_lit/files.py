"""Files that are either whole or absent, whenever the process is killed."""

from __future__ import annotations

import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a path beside the file to write to, and put what was written in the file's place.

    An earlier file stays until the new one is whole, also if writing it fails. Processes that
    write the same file do not disturb each other: the last one wins.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.filename is None:  # Of a write to a file that is open.
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def remove_parts(folder: Path, names: str = "*") -> None:
    """Remove what processes left in a folder that were killed while in `atomic_write`.

    Args:
        folder: of the files; no process may be writing them.
        names: pattern of the files' names.
    """
    for part in folder.glob(f"{names}.[0-9]*.part"):
        part.unlink(missing_ok=True)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below, in order of their names.

    What is hidden (`.ipynb_checkpoints`, `._1.jpg`) or no regular file is passed over. Links are
    followed, but no folder is entered twice: links may lead back.
    """
    entered: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        entered.add(os.path.realpath(parent))
        visible = sorted(name for name in folders if not name.startswith("."))
        places = {os.path.realpath(os.path.join(parent, name)): name for name in visible[::-1]}
        folders[:] = sorted(name for place, name in places.items() if place not in entered)
        entered.update(places)
        paths = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        yield from (path for path in paths if not _is_special(path))


def _is_special(path: Path) -> bool:
    """Tell whether a path is a pipe, a socket or a device: to read one may never end."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # A link to nowhere is told where it is read.
        return False


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside the named one to fill, and then give it the name.

    Raises:
        OSError: a folder of that name exists and is not empty.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    draft.mkdir(parents=True)
    try:
        yield draft
        os.rename(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_json(path: Path, content: Any, *, indent: int | None = None) -> None:
    """Write JSON, whole or not at all; make the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
