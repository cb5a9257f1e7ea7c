"""The best checkpoint: also of a training that is continued, and where nothing can be measured."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write

log = logging.getLogger(__name__)


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, by one figure; while that has chosen none, the latest counts as best.

    A figure that is to rise chooses nothing where it is 0 or less: COCO's are -1 where nothing can
    be measured, and 0 where nothing was found. A training that is continued in another folder
    begins there with the best of the part before.
    """

    @property
    def state_key(self) -> str:
        """Key of the state in checkpoints: that of Lightning's class, as in earlier versions."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)

    @property
    def has_chosen(self) -> bool:
        """Return whether the figure tells the best from others."""
        score = math.nan if self.best_model_score is None else float(self.best_model_score)
        return math.isfinite(score) and (self.mode == "min" or score > 0)

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Return whether this epoch's checkpoint is to be kept."""
        if self.save_top_k == 1 and current is not None and not self.has_chosen:
            return True
        return super().check_monitor_top_k(trainer, current)

    def _save_topk_checkpoint(
        self, trainer: L.Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        try:
            super()._save_topk_checkpoint(trainer, monitor_candidates)
        except MisconfigurationException as error:
            known = [name for name in sorted(monitor_candidates) if name.startswith("val/")]
            raise UserError(
                f"callbacks.best.monitor is {self.monitor}, which this training does not measure: "
                f"give one of {', '.join(known)}."
            ) from error

    @rank_zero_only
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.best_model_score is None or self.has_chosen:
            return
        measured = float(self.best_model_score) >= 0
        log.warning(
            "%s %s: %s is the checkpoint of the last one",
            self.monitor,
            "was 0 in all epochs"
            if measured
            else "could not be measured in any epoch, as the validation has nothing of it",
            self.best_model_path,
        )

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the best of the part before over, where the folder is another."""
        state = checkpoint.get("callbacks", {}).get(self.state_key)
        if trainer.state.fn != TrainerFn.FITTING or not state:
            return
        if state["dirpath"] == self.dirpath:
            return
        kept, score = Path(state["best_model_path"]), state["best_model_score"]
        beside = Path(str(trainer.ckpt_path)).parent / kept.name  # where the folder was moved
        source = next((path for path in (kept, beside) if path.is_file()), None)
        state.update(best_model_path="", best_model_score=None, dirpath=self.dirpath)
        state.update(best_k_models={}, kth_best_model_path="", last_model_path="")
        if score is None:
            return
        if source is None:
            log.warning(
                "%s, the best so far (%s %.4f), is not there: best.ckpt will be that of this part",
                *(kept, self.monitor, score),
            )
            return
        path = self.format_checkpoint_name({})
        if trainer.is_global_zero:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part:
                shutil.copyfile(source, part)
        if score > 0:
            log.info("Best so far: %s %.4f in %s", self.monitor, score, source)
        state.update(best_model_path=path, best_model_score=score, kth_value=score)
        state.update(best_k_models={path: score}, kth_best_model_path=path)
