"""Weights & Biases that never stops a run: tables of images, best figures, checkpoints."""

from __future__ import annotations

import logging
import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlparse
from uuid import uuid4

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from yolov9_lit.files import atomic_write
from yolov9_lit.training.loggers.images import LoggedImage
from yolov9_lit.training.loggers.installed import require_installed

if TYPE_CHECKING:
    import wandb

log = logging.getLogger(__name__)

STEP = "trainer/global_step"
"""What Lightning logs the batch number as."""


class BestWandbLogger(WandbLogger):
    """Lightning's, with images, the best value of figures, and the best checkpoint alone."""

    def __init__(self, best: Mapping[str, Literal["max", "min"]], **arguments: Any) -> None:
        """Set what is told besides.

        Args:
            best: figures of which the run's summary has the best value, and which that is.
            arguments: of Lightning's logger.
        """
        super().__init__(**arguments)
        self._best = best

    @property
    @rank_zero_experiment
    def experiment(self) -> wandb.Run:
        """The W&B run, begun when it is first asked for."""
        begins = self._experiment is None
        run: Any = super().experiment
        if begins:
            for name, mode in self._best.items():
                run.define_metric(name, step_metric=STEP, summary=mode)
        return run

    @rank_zero_only
    def log_images(
        self, key: str, images: Sequence[LoggedImage], step: int, epoch: int | None = None
    ) -> None:
        """Show a table with a row an image: a slider goes through the epochs."""
        import wandb

        rows = [  # As JPEG: PNG takes twenty times as long.
            [epoch, image.name, wandb.Image(image.pixels, file_type="jpg"), image.caption]
            for image in images
        ]
        self.log_table(key, ["epoch", "name", "image", "caption"], rows, step=step)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Note what may become an artifact: the last checkpoint would take the best one's alias."""
        if checkpoint_callback.monitor is not None:
            super().after_save_checkpoint(checkpoint_callback)


def wandb_logger(
    *,
    save_dir: str | Path,
    offline: bool = False,
    log_model: Literal["all"] | bool = False,
    best: Mapping[str, Literal["max", "min"]] | None = None,
    **arguments: Any,
) -> WandbLogger:
    """Build the W&B logger; without an account on this machine it records offline.

    A run continued in its folder remains the same W&B run.

    Args:
        save_dir: the run's folder.
        offline: record in the run's folder, to be sent later with `wandb sync`.
        log_model: make the best checkpoint an artifact at the end, "all": whenever there is a new
            one; offline too, where `wandb sync` sends it.
        best: figures of which the summary has the best value, and which that is.
        arguments: of `lightning.pytorch.loggers.WandbLogger`.

    Raises:
        UserError: W&B is not installed.
    """
    require_installed("wandb")
    if not offline and "WANDB_MODE" not in os.environ and not _has_account():
        log.warning(
            "No W&B account on this machine: recording offline "
            "(`wandb login` before the run, or `wandb sync` after it)"
        )
        offline = True
    if offline:  # Lightning's own `offline` would refuse artifacts, which W&B records.
        arguments["mode"] = "offline"
    return BestWandbLogger(
        best=best or {},
        save_dir=save_dir,
        log_model=log_model,
        id=_run_id(Path(save_dir)),
        resume="allow",
        **arguments,
    )


def _run_id(folder: Path) -> str:
    """Return the W&B id of the run in a folder, created at its first start."""
    path = folder / "wandb_id.txt"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(uuid4().hex[:16])
    return path.read_text()


def _has_account() -> bool:
    """Return whether there is a key where `wandb login` puts it: the environment or netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return host in netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False
