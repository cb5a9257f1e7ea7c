"""What the commands share: how they start, and how mistakes are answered."""

from __future__ import annotations

import errno
import functools
import gc
import importlib
import logging
import re
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from yolov9_lit.app.arguments import readable
from yolov9_lit.app.composing import (
    composition_mistakes,
    let_hydra_tell,
    raised_by_hydra,
    require_known,
)
from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.app.folders import remove_traces, sweeping
from yolov9_lit.app.shared_mistakes import checks
from yolov9_lit.building import config_mistakes
from yolov9_lit.errors import MISTAKE, UserError
from yolov9_lit.memory import no_garbage_collection

log = logging.getLogger(__name__)

HARMLESS = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning calls what torch is about to rename
    r".*Experiment logs directory .* exists and is not empty",  # the run's folder: Hydra was there
    r".*Checkpoint directory .* exists and is not empty",  # a run that is continued
    r".*The dirpath has changed from",  # callbacks.best takes the best of the part before over
    r".*Found \d+ module\(s\) in eval mode at the start of training",  # frozen parts
    r".*The number of training batches .* is smaller than the logging interval",
)
"""Warnings of libraries about things that are as they should be."""


class JobRefusedError(CompactHydraException):
    """A mistake in a job of a sweep, at the end of which Hydra prints it without a traceback."""


_TOLD: set[str] = set()

_OVERRIDE = re.compile(r"[+~]*[\w.@]+=")
"""How an override begins that gives a value; Hydra's own options and their paths do not."""

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Error numbers of the system when nothing more can be written."""


def command(
    config_name: str, *, loads: str = "", check: str = "", lists: Collection[str] = ()
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn a function of a config into a command.

    A `UserError` ends it with code 2 and one sentence, what Hydra does not take with code 2 too.

    Args:
        config_name: the command's YAML in the config folder, without its ending.
        loads: a module that it imports, without garbage collection.
        check: its check of a config, "module:function", for mistakes that a sweep's jobs share.
        lists: its settings that take several values, `key=A,B`.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        begun = False

        @functools.wraps(task)
        def guarded(cfg: DictConfig) -> Any:
            nonlocal begun
            begun = True
            let_hydra_tell()
            logging.raiseExceptions = False  # A full disk is told once, not by every log line.
            for message in HARMLESS:
                warnings.filterwarnings("ignore", message=message)
            try:
                if loads:
                    with no_garbage_collection():
                        importlib.import_module(loads)
                        gc.freeze()  # What is imported stays: no search for garbage looks at it.
                require_known(config_name, cfg)
                with config_mistakes():
                    return task(cfg)
            except UserError as error:
                return _answer(error)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                return _answer(_disk_full(error))

        main = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)

        @functools.wraps(task)
        def start() -> None:
            nonlocal begun
            begun = False
            sys.argv[1:] = [readable(argument, lists) for argument in sys.argv[1:]]
            sweeping.clear()
            checks[:] = [check] if check else []
            try:
                with composition_mistakes(config_name), raised_by_hydra():
                    _require_overrides(sys.argv[1:])  # Hydra would not say which it cannot read.
                    main(guarded)()
            except UserError as error:
                if sweeping:  # Hydra composes all jobs before the first.
                    importlib.import_module("yolov9_lit.runs.sweeps").tell_no_table()
                sys.stderr.write(f"error: {error}\n")
                raise SystemExit(MISTAKE) from error
            except CompactHydraException as error:  # of a sweep, some of whose jobs ended badly
                sys.stderr.write(f"{error}\n")
                raise SystemExit(1) from error
            except OSError as error:
                if begun or sweeping or not error.filename:
                    raise
                sys.stderr.write(
                    f"error: {error.filename} cannot be made ({error.strerror}): give another "
                    "folder with hydra.run.dir=DIR.\n"
                )
                raise SystemExit(MISTAKE) from error
            except SystemExit as end:
                # Hydra's own parser of the command line ends with 1.
                if end.code == 1 and not begun and not sweeping:
                    raise SystemExit(MISTAKE) from end
                raise

        return start

    return decorate


def _require_overrides(arguments: Sequence[str]) -> None:
    """Refuse arguments that are overrides and cannot be read.

    Raises:
        OverrideParseException: there is one.
    """
    overrides = [argument for argument in arguments if _OVERRIDE.match(argument)]
    OverridesParser.create().parse_overrides(overrides)


def _disk_full(error: OSError) -> UserError:
    folder = HydraConfig.get().runtime.output_dir
    place = error.filename2 or error.filename or folder
    return UserError(
        f"{place} cannot be written ({error.strerror}): make room and give the same command again; "
        f"a training goes on from its last checkpoint with hydra.run.dir={folder}."
    )


def _answer(mistake: UserError) -> NoReturn:
    """End a single run; in a sweep let Hydra go on, which reports the first failed job only.

    A mistake that all jobs of a sweep share is told once.
    """
    told = f"error: {mistake}\n"
    if told not in _TOLD:
        sys.stderr.write(told)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        _TOLD.add(told)
        raise JobRefusedError(str(mistake)) from mistake
    log.debug("cause", exc_info=mistake)
    remove_traces(Path(HydraConfig.get().runtime.output_dir))
    raise SystemExit(MISTAKE)
