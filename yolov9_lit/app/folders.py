"""Give a run without `hydra.run.dir` a folder of its own, also where two start at once."""

from __future__ import annotations

import shutil
import sys
from itertools import count
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from yolov9_lit.app.shared_mistakes import shared_mistake
from yolov9_lit.checks import existing_folder
from yolov9_lit.errors import MISTAKE

TRACES = (".hydra", "*.log", "run.lock")
"""What a command that is refused has left in its folder."""

sweeping: list[str] = []
"""Folder of the sweep that this process has begun; its jobs may run in other processes."""

_made: set[Path] = set()  # By this process: what lies in any other folder is not its own.
_found: dict[Path, set[Path]] = {}  # What lay in a folder that was there before.


class OwnFolder(Callback):
    """Makes the folder that a run gets by default, with a number behind its name if it is taken."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note that Hydra has accepted the command line, unless no job of the sweep could run."""
        if mistake := shared_mistake(config):
            sys.stderr.write(f"error: {mistake}\n")
            raise SystemExit(MISTAKE) from mistake
        sweeping.append(config.hydra.sweep.dir)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Make the run's folder, and set it in Hydra's config."""
        wanted = Path(config.hydra.run.dir)
        if any(o.lstrip("+").startswith("hydra.run.dir=") for o in config.hydra.overrides.hydra):
            _note(wanted.resolve())
            return
        for number in count(1):
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
            try:
                folder.mkdir(parents=True)
                _made.add(folder.resolve())
                break
            except FileExistsError:
                continue
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.run.dir = str(folder)


def require_data(data: DictConfig) -> None:
    """Refuse a data folder that is not given or not there, before anything is written or begun.

    Args:
        data: the config's group.

    Raises:
        UserError: so it is.
    """
    if "place" in (data.get("prepare") or {}):  # Drawn where they are not there.
        return
    if "://" in str(data.root):  # Shards in a store.
        return
    existing_folder("data.root", Path(data.root).expanduser(), data.get("how_to_get") or "")


def _note(folder: Path) -> None:
    """Note what is there of a folder that the user names: the rest is made by this process."""
    if folder.is_dir():
        _found[folder] = set(folder.iterdir())
    _made.update(f for f in (folder, *folder.parents) if not f.exists())


def remove_traces(folder: Path) -> None:
    """Remove what this process has made for a command which left nothing but traces of its start.

    What was there before is the user's, perhaps the folder they work in, and so is a run in it:
    it stays.
    """
    folder = folder.resolve()
    if folder not in _made and folder not in _found:
        return
    traces = {path for name in TRACES for path in folder.glob(name)}
    before = _found.get(folder, set())
    if set(folder.iterdir()) - traces - before or folder / "run.json" in before:
        return
    for path in traces - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for made in (folder, *folder.parents):
        if made not in _made or any(made.iterdir()):
            break
        made.rmdir()
