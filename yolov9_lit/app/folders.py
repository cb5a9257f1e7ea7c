"""Give a run without `hydra.run.dir` a folder of its own, also where two start at once."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

TRACES = (".hydra", "*.log", "run.lock")
"""What a command that is refused has left in its folder."""

sweeping: list[str] = []
"""Folder of the sweep that this process has begun; its jobs may run in other processes."""

_made: set[Path] = set()  # By this process: what lies in any other folder is not its own.


class OwnFolder(Callback):
    """Makes the folder that a run gets by default, with a number behind its name if it is taken."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note that Hydra has accepted the command line."""
        sweeping.append(config.hydra.sweep.dir)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Make the run's folder, and set it in Hydra's config."""
        if any(o.lstrip("+").startswith("hydra.run.dir=") for o in config.hydra.overrides.hydra):
            return
        wanted = Path(config.hydra.run.dir)
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


def remove_traces(folder: Path) -> None:
    """Remove the folder that was made for a command which left nothing but traces of its start.

    A folder that was there before is the user's, perhaps the one they work in: it stays.
    """
    if folder.resolve() not in _made:
        return
    found = [path for name in TRACES for path in folder.glob(name)]
    if set(found) != set(folder.iterdir()):
        return
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.rmdir()
