"""The other packages: whether they are there, and their modules, imported as they are to be."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from yolov9_lit.errors import UserError

QUIET = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_CONFIG_DIR": tempfile.gettempdir(),
}
"""Variables with which Ultralytics fetches and installs nothing."""


def ultralytics_is_there() -> bool:
    """Tell whether Ultralytics is installed."""
    return importlib.util.find_spec("ultralytics") is not None


def ultralytics_module(name: str = "ultralytics") -> Any:
    """Import a module of Ultralytics, which then fetches, installs and tells nothing by itself."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    threads = os.environ.get("OMP_NUM_THREADS")
    module = importlib.import_module(name)
    # It may set one thread, which every process that this one starts would take over.
    os.environ.pop("OMP_NUM_THREADS", None)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = threads
    logging.getLogger("ultralytics").setLevel(logging.ERROR)
    return module


def require_clone(setting: str, folder: str, marker: str) -> None:
    """Refuse a folder that is no clone of a package.

    Args:
        setting: that the folder was given by.
        folder: the clone's.
        marker: a file or folder that it has.

    Raises:
        UserError: it has not.
    """
    if not (Path(folder) / marker).exists():
        raise UserError(f"{setting}={folder} is no clone of that repository: give one.")


def published_module(folder: str, name: str) -> Any:
    """Import a module of a clone of the published repository."""
    module = cloned_module(folder, name)
    logging.getLogger("yolov5").setLevel(logging.ERROR)
    return module


def cloned_module(folder: str, name: str) -> Any:
    """Import a module of a clone, whose modules go before all others of their names.

    Raises:
        UserError: a package that it needs is not installed.
    """
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{folder} needs {error.name}, which is not installed: pip install -r "
            f"{folder}/requirements.txt, or leave the clone out."
        ) from error
