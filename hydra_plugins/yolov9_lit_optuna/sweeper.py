"""The Hydra sweeper behind `hparams_search=optuna`; `yolov9_lit.runs.search` does the work.

Why not hydra-optuna-sweeper: its last release for Hydra 1.3 (1.3.0) wants optuna<3, whose SQLite
storage fails with SQLAlchemy 2.1; started again it runs all its trials anew, in the folders of the
old ones; and it cannot prune. The next one (1.4) wants Hydra 1.4.

Hydra takes plugins from the `hydra_plugins` namespace only, and imports all of them at every
start: nothing heavy is imported here before a search begins.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Searches for the best trade between several objectives."""

    def __init__(self, **settings: Any) -> None:
        """Take the fields of `yolov9_lit.runs.search.start.SearchSettings`."""
        self.settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what a sweep needs."""
        self.sweep_dir = Path(config.hydra.sweep.dir)
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Search; a user's mistake is answered by one sentence and code 2."""
        from yolov9_lit.errors import UserError

        try:
            self._search(arguments)
        except UserError as error:
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(2) from None

    def _search(self, arguments: list[str]) -> None:
        from yolov9_lit.errors import UserError

        try:
            from yolov9_lit.runs.search.start import SearchSettings, run_search
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise UserError(
                "hparams_search=optuna needs Optuna: pip install 'yolov9-lit[search]'."
            ) from error

        run_search(
            SearchSettings(**self.settings),
            parser=self.parser,
            launcher=self.launcher,
            arguments=arguments,
            sweep_dir=self.sweep_dir,
        )
