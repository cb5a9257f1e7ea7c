"""The Trainer of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_type_hints

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from yolov9_lit.building import build, check, refusal
from yolov9_lit.errors import UserError
from yolov9_lit.kinds import Count, Limits, PositiveInt, Share, Words
from yolov9_lit.training.time_limit import time_limit

OURS: Mapping[str, str] = {
    "accumulate_grad_batches": "schedule.nominal_batch, the images of an update,",
    "gradient_clip_val": "optimizer.clip_norm",
    "gradient_clip_algorithm": "optimizer.clip_norm",
    "enable_checkpointing": "callbacks (callbacks=none writes no checkpoints)",
    "callbacks": "callbacks",
    "logger": "logger",
    "plugins": "trainer.precision and trainer.strategy",
    "barebones": "callbacks=none logger=none",
}
"""What this project has in place of some of Lightning's settings."""

MIXED = "mixed"
"""A precision of this project's own: the mixed one that suits the device."""

KINDS: Mapping[str, Any] = {
    "precision": Literal["mixed"] | get_type_hints(L.Trainer.__init__)["precision"],
    "max_epochs": Annotated[
        int,
        Limits(0),
        Words(
            "the number of epochs, which learning rate and mosaic follow to their end; "
            "trainer.max_steps or trainer.max_time may end the training before"
        ),
    ],
    "max_time": Annotated[str, Words("days:hours:minutes:seconds, in quotes")] | None,
    "max_steps": Annotated[int, Limits(-1)],
    "check_val_every_n_epoch": PositiveInt | None,
    "devices": Annotated[int, Limits(-1, 1024)] | list[int] | str,  # On a CPU each is a process.
    "log_every_n_steps": Count,
    "num_nodes": PositiveInt,
    "num_sanity_val_steps": Annotated[int, Limits(-1)],
    "limit_train_batches": PositiveInt | Annotated[float, Limits(0, 1, above=True)] | None,
    "limit_val_batches": Count | Share | None,
    "limit_test_batches": Count | Share | None,
    "overfit_batches": Count | Share,
    "use_distributed_sampler": Literal[False],
}
"""Of settings for which Lightning takes what it, or this project, cannot use."""


def check_trainer(cfg: DictConfig) -> None:
    """Refuse settings of the Trainer that have no place, or not that value.

    Raises:
        UserError: there is one; where this project has another setting for it, that is named.
    """
    for key, ours in OURS.items():
        if key in cfg:
            raise UserError(f"trainer.{key} has no effect here: give {ours} instead.")
    check(cfg, KINDS)
    if cfg.get("max_time") is not None:
        try:
            time_limit(cfg.max_time)
        except MisconfigurationException as error:
            raise UserError(
                f"trainer.max_time={cfg.max_time} is not valid: give days:hours:minutes:seconds, "
                "for example 00:12:00:00."
            ) from error


def build_trainer(cfg: DictConfig, callbacks: Sequence[L.Callback], **arguments: Any) -> L.Trainer:
    """Build the Trainer, which writes no checkpoints but those of the callbacks.

    Args:
        cfg: node of the Trainer.
        callbacks: all callbacks.
        arguments: others of `lightning.Trainer`.

    Raises:
        UserError: a setting is refused, or the machine does not have the configured devices.
    """
    check_trainer(cfg)
    checkpoints = any(isinstance(callback, Checkpoint) for callback in callbacks)
    arguments |= {"callbacks": [*callbacks], "enable_checkpointing": checkpoints}
    if cfg.get("deterministic"):  # Nothing here reads memory before it is written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if cfg.get("max_time") is not None:
        arguments["callbacks"].append(time_limit(cfg.max_time))
        arguments["max_time"] = None
    if cfg.precision == MIXED:
        arguments["precision"] = mixed_precision()
    if cfg.overfit_batches:
        arguments["callbacks"].append(SameBatches())
        arguments |= {"limit_train_batches": cfg.overfit_batches, "overfit_batches": 0.0}
    try:
        return build(cfg, **arguments)
    except UserError as error:
        if not isinstance(error.__cause__, MisconfigurationException | ImportError):
            raise
        told = refusal(cfg, error.__cause__, keys=("accelerator", "devices"))
        raise UserError(f"{told}: choose another trainer, for example trainer=auto.") from error


def expect_unused_parameters(trainer: L.Trainer) -> None:
    """Let DDP wait for no gradient of a parameter that a step does not use, at some cost a step."""
    if isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)


def mixed_precision() -> Literal["bf16-mixed", "16-mixed"]:
    """Return bfloat16 where the device computes it natively, float16 else."""
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "16-mixed"
    return "bf16-mixed"


class SameBatches(L.Callback):
    """Gives the first epoch's samples in every epoch; Lightning's own way lacks augmentation."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert trainer.train_dataloader is not None
        trainer.train_dataloader.sampler.set_epoch(0)


def build_parts(group: DictConfig | None) -> list[Any]:
    """Build the parts of a config group, callbacks or loggers; none where it is switched off."""
    return [part for part in build(group or {}).values() if part is not None]
