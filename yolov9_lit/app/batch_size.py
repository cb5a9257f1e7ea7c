"""`data.batch_size=auto`: the number is found before a run begins, in a process of its own.

So the run itself is the one with that number written out: its weights, random numbers and memory
have seen nothing of the search, and its record, by which it is continued, has the number.
"""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.memory import available_bytes, peak_bytes
from yolov9_lit.ranks import is_first_rank
from yolov9_lit.runs.sweeps import die_with_parent
from yolov9_lit.training.acceleration import Acceleration
from yolov9_lit.training.aux_schedule import AuxiliarySchedule
from yolov9_lit.training.batch_size import (
    AUTO,
    USED,
    batch_sizes,
    largest_foreseen,
    largest_tried,
)
from yolov9_lit.training.module import DetectionModule
from yolov9_lit.training.trainer import build_trainer
from yolov9_lit.training.trial import clear, fits, made_up_batch

log = logging.getLogger(__name__)

BuildModule = Callable[[DictConfig, Any], DetectionModule]


class Found(NamedTuple):
    """What a search gave.

    Attributes:
        size: images of a batch on one device; None: not even one fits.
        updates: batches of an update, over the devices.
        sizes: that were in question, rising.
        objects: of each image in the steps.
        free_gb: memory that was free, of which the share `USED` might be taken.
        device: whose memory.
    """

    size: int | None
    updates: int
    sizes: list[int]
    objects: int
    free_gb: float
    device: str


def settle_batch_size(cfg: DictConfig, build_module: BuildModule) -> None:
    """Put a number in the place of `data.batch_size=auto`: the largest batch that fits.

    A training that goes on from `ckpt_path` takes the number of that one.

    Args:
        cfg: of the train command; it is changed.
        build_module: makes the module of a config and its data.

    Raises:
        UserError: not even one image fits, or it cannot be found out here.
    """
    if cfg.data.get("batch_size") != AUTO:
        return
    if cfg.ckpt_path:
        cfg.data.batch_size = _earlier(cfg.ckpt_path)
        log.info("data.batch_size=%d, as in %s", cfg.data.batch_size, cfg.ckpt_path)
        return
    _require_one_start(cfg)
    found = _apart(cfg, build_module)
    where = f"{USED:.0%} of the {found.free_gb:.1f} GB free on {found.device}"
    if found.size is None:
        raise UserError(
            f"data.batch_size=auto: a step with {found.sizes[0]} of {cfg.data.image_size} px does "
            f"not fit in {where}: choose a smaller model or data.image_size, checkpointing=true, "
            "or another device."
        )
    cfg.data.batch_size = found.size
    log.info(
        "data.batch_size=%d, the largest of %s whose step, with %d objects an image, fits in %s; "
        "an update is of %d x %d images",
        *(found.size, found.sizes, found.objects, where),
        *(found.updates, found.size),
    )


@dataclass(frozen=True)
class Search:
    """The steps of a training, as they are tried.

    Attributes:
        cfg: of the training, all values resolved.
        build_module: makes its module.
        datamodule: its data, read, with any batch size.
        objects: of each image.
        device: it is tried on.
    """

    cfg: DictConfig
    build_module: BuildModule
    datamodule: Any
    objects: int
    device: torch.device

    def fits(self, size: int) -> bool:
        """Tell whether memory is enough for steps with batches of that size."""
        enough = self._step(size)
        clear()
        return enough

    def peak(self, size: int) -> float:
        """Return the bytes of this process at most, on a CPU, once it has taken such steps."""
        return peak_bytes() if self.fits(size) else float("inf")

    def _step(self, size: int) -> bool:
        """Take steps, each with an update; not compiled, which may take minutes for each size."""
        module = self.build_module(self.cfg, self.datamodule)
        module.batch_size = size
        module.schedule = build(self.cfg.schedule, nominal_batch=size)
        module.aux_schedule = AuxiliarySchedule()  # as much memory as any epoch needs
        module.frozen_at_first = None  # likewise
        Acceleration(self.cfg.channels_last, "off", self.cfg.checkpointing).apply(
            module, self.device
        )
        averaging = (self.cfg.get("callbacks") or {}).get("ema")
        trainer = build_trainer(
            alone(self.cfg.trainer, self.device),
            [build(averaging)] if averaging else [],
            logger=False,
        )
        data = self.datamodule
        side = data.batches.image_size
        if module.multi_scale is not None:
            side, module.multi_scale = module.multi_scale.sides(side)[-1], None
        batch = made_up_batch(
            *(size, side, self.objects, data.num_classes, data.channels),
            masks=data.batches.masks,
            keypoints=len(data.keypoints.names) if data.keypoints else 0,
        )
        return fits(trainer, module, batch)


def search(config: dict[Any, Any], build_module: BuildModule) -> Found:
    """Find the largest batch; to be called in a process of its own.

    Args:
        config: of the training, resolved.
        build_module: makes its module.
    """
    logging.disable(logging.WARNING)  # The run will tell what is to be told.
    warnings.simplefilter("ignore")
    cfg = OmegaConf.create({**config, "ckpt": None})
    datamodule = build(cfg.data, batch_size=1)
    datamodule.setup("fit")
    annotations = datamodule.annotations("train")
    trainer = build_trainer(cfg.trainer, [], logger=False)
    device, devices = trainer.strategy.root_device, trainer.num_devices
    sizes = batch_sizes(build(cfg.schedule).nominal_batch, devices, len(annotations))
    objects = max(int(np.diff(annotations.offsets).max(initial=0)), 1)
    steps = Search(cfg, build_module, datamodule, objects, device)
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        torch.cuda.set_per_process_memory_fraction(USED * free / total, device)
        size = largest_tried(sizes, steps.fits)
        name = torch.cuda.get_device_name(device)
    else:
        free = available_bytes() // devices  # The processes of a CPU share its memory.
        name = "this machine" + (f" for each of {devices} processes" if devices > 1 else "")
        size = largest_foreseen(sizes, steps.peak, USED * free)
    updates = build(cfg.schedule).accumulation((size or 1) * devices) * devices
    return Found(size, updates, sizes, objects, free / 1e9, name)


def alone(trainer: DictConfig, device: torch.device) -> DictConfig:
    """Return the trainer's node for a trial on one device, without output."""
    alone = OmegaConf.merge(
        trainer,
        {
            "devices": [device.index] if device.type == "cuda" else 1,
            **{"num_nodes": 1, "strategy": "auto", "sync_batchnorm": False},
            **{"max_epochs": 1, "overfit_batches": 0.0, "limit_train_batches": None},
            **{"profiler": None, "enable_progress_bar": False, "enable_model_summary": False},
        },
    )
    assert isinstance(alone, DictConfig)
    return alone


def _apart(cfg: DictConfig, build_module: BuildModule) -> Found:
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=die_with_parent) as process:
            return process.submit(search, config, build_module).result()
    except BrokenProcessPool as error:
        raise UserError(
            "data.batch_size=auto: the process that tried batches was ended by the system, most "
            "likely for want of memory: choose a smaller model or data.image_size, or give a "
            "number."
        ) from error


def _earlier(path: str) -> int:
    """Return the batch size of the training that a checkpoint is of."""
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if "batch_size" not in content:
        raise UserError(
            f"ckpt_path={path} is of an earlier version and does not tell its batch size: give "
            "data.batch_size as a number."
        )
    return content["batch_size"]


def _require_one_start(cfg: DictConfig) -> None:
    """Refuse where several processes begin at once: they could not agree on what they find.

    Those that Lightning starts on one machine begin when the first one has recorded its number.
    """
    several = cfg.trainer.num_nodes != 1 or cfg.trainer.devices != 1
    environments = (SLURMEnvironment, TorchElasticEnvironment)
    started = any(environment.detect() for environment in environments)
    if not is_first_rank() or cfg.trainer.num_nodes != 1 or (several and started):
        raise UserError(
            "data.batch_size=auto cannot be used where several machines or a launcher start the "
            "processes, which might find different numbers: give data.batch_size as a number."
        )
