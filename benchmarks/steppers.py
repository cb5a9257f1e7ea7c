"""Training steps of other packages, each built of its own public classes as its own script does."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import hydra
import torch
import yaml
from torch import Tensor, nn

from benchmarks.device import device_to_measure
from benchmarks.peers import (
    cloned_module,
    published_module,
    require_clone,
    ultralytics_is_there,
    ultralytics_module,
)
from yolov9_lit.structures import Batch

Stepper = Callable[[], None]
"""Does one training step; the device may still be at work when it returns."""

CLIP_NORM = 10.0


class Peer(NamedTuple):
    """Another package.

    Attributes:
        name: of the package.
        model_name: of this package's model name, or None where it has no such model.
        start: builds a step of a model, given its folder (None where it is installed), a batch and
            the number of classes.
        folder: the setting with its clone's folder; None where it is to be installed.
        marker: a file that its clone has; "" where it has none.
    """

    name: str
    model_name: Callable[[str], str | None]
    start: Callable[[str, str | None, Batch, int], Stepper]
    folder: str | None
    marker: str

    def stepper(
        self, model: str, settings: Mapping[str, Any], batch: Batch, classes: int
    ) -> Callable[[], Stepper] | None:
        """Return what starts its steps in a process, or None where the package has none.

        Raises:
            UserError: the folder that is given is no clone of it.
        """
        name = self.model_name(model)
        folder = settings[self.folder] if self.folder else None
        if self.folder and folder is not None:
            require_clone(self.folder, folder, self.marker)
        there = folder is not None if self.folder else ultralytics_is_there()
        if name is None or not there:
            return None
        return partial(self.start, name, folder, batch, classes)


def published(name: str, folder: str | None, batch: Batch, classes: int) -> Stepper:
    """Start a step of the published repository, as its train.py and train_dual.py do."""
    assert folder is not None
    dual = name.startswith("yolov9")
    yolo = published_module(folder, "models.yolo")
    losses = published_module(folder, "utils.loss_tal_dual" if dual else "utils.loss_tal")
    tools = published_module(folder, "utils.torch_utils")
    recipe = yaml.safe_load((Path(folder) / "data/hyps/hyp.scratch-high.yaml").read_text())
    device = device_to_measure()
    model = yolo.Model(str(Path(folder) / f"models/detect/{name}.yaml"), nc=classes).to(device)
    model.hyp, model.nc = recipe, classes
    optimizer = tools.smart_optimizer(model, "SGD", 0.01, 0.937, 0.0005)
    average = tools.ModelEMA(model)
    loss = losses.ComputeLoss(model)
    images, targets = batch.images.to(device), _rows(batch).to(device)
    model.train()

    def step() -> None:
        total, _ = loss(model(images.float() / 255), targets)
        _update(total, model, optimizer)
        average.update(model)

    return step


def ultralytics(name: str, folder: str | None, batch: Batch, classes: int) -> Stepper:
    """Start a step of Ultralytics, as its trainer does."""
    tasks = ultralytics_module("ultralytics.nn.tasks")
    tools = ultralytics_module("ultralytics.utils.torch_utils")
    trainers = ultralytics_module("ultralytics.engine.trainer")
    settings = ultralytics_module("ultralytics.cfg").get_cfg()
    device = device_to_measure()
    model = tasks.DetectionModel(f"{name}.yaml", nc=classes, verbose=False).to(device)
    model.args = settings
    context = SimpleNamespace(args=settings, data={"nc": classes})
    optimizer = trainers.BaseTrainer.build_optimizer(context, model, "SGD", 0.01, 0.937, 0.0005)
    average = tools.ModelEMA(model)
    rows = _rows(batch).to(device)
    images = batch.images.to(device)
    model.train()

    def step() -> None:
        loss, _ = model(
            {
                "img": images.float() / 255,
                "batch_idx": rows[:, 0],
                "cls": rows[:, 1:2],
                "bboxes": rows[:, 2:],
            }
        )
        _update(loss.sum(), model, optimizer)
        average.update(model)

    return step


def multimedia(name: str, folder: str | None, batch: Batch, classes: int) -> Stepper:
    """Start a step of MultimediaTechLab/YOLO, as its solver does."""
    assert folder is not None
    with contextlib.redirect_stderr(io.StringIO()):
        cloned_module(folder, "yolo.utils.logger").logger.setLevel(logging.ERROR)
        config_dir = str(Path(folder).resolve() / "yolo/config")
        with hydra.initialize_config_dir(config_dir, version_base=None):
            cfg = hydra.compose("config", [f"model={name}", "task=train", "dataset=coco"])
    cfg.image_size = [batch.images.shape[3], batch.images.shape[2]]
    cfg.dataset.class_num = classes
    package = cloned_module(folder, "yolo.model.yolo")
    boxes = cloned_module(folder, "yolo.utils.bounding_box_utils")
    losses = cloned_module(folder, "yolo.tools.loss_functions")
    tools = cloned_module(folder, "yolo.utils.model_utils")
    device = device_to_measure()
    model = package.create_model(cfg.model, class_num=classes, weight_path=False).to(device)
    converter = boxes.create_converter(
        cfg.model.name, model, cfg.model.anchor, cfg.image_size, device
    )
    loss = losses.create_loss_function(cfg, converter)
    optimizer = tools.create_optimizer(model, cfg.task.optimizer)
    optimizer.next_epoch(10_000, 0)
    average = tools.EMA()
    solver = SimpleNamespace(model=model)
    progress: Any = SimpleNamespace(world_size=1, accumulate_grad_batches=1)
    average.setup(progress, solver, "fit")
    average.ema_state_dict = {key: value.clone() for key, value in model.state_dict().items()}
    images = batch.images.to(device)
    targets = torch.cat((batch.targets.labels.unsqueeze(-1), batch.targets.boxes), dim=-1).to(
        device
    )
    model.train()

    def step() -> None:
        optimizer.next_batch()
        output = model(images.float() / 255)
        total, _ = loss(converter(output["AUX"]), converter(output["Main"]), targets)
        _update(total * len(images), model, optimizer)
        average.on_train_batch_end(progress, solver)

    return step


def _update(loss: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm=CLIP_NORM)
    optimizer.step()
    optimizer.zero_grad()


def _rows(batch: Batch) -> Tensor:
    """Return the objects as rows of image, class, and centre and size in shares of the image."""
    boxes = batch.targets.boxes / batch.images.shape[-1]
    left_top, right_bottom = boxes.chunk(2, dim=-1)
    boxes = torch.cat(((left_top + right_bottom) / 2, right_bottom - left_top), dim=-1)
    image = torch.arange(len(boxes)).view(-1, 1, 1).expand(*boxes.shape[:2], 1)
    return torch.cat((image, batch.targets.labels.unsqueeze(-1), boxes), dim=-1).flatten(0, 1)


PEERS = (
    Peer(
        "published",
        lambda model: model.replace("_", "-") if model.startswith(("gelan", "yolov9")) else None,
        published,
        "published",
        "utils/loss_tal_dual.py",
    ),
    Peer(
        "ultralytics",
        lambda model: model.replace("gelan_", "yolov9") if model.startswith("gelan") else None,
        ultralytics,
        None,
        "",
    ),
    Peer(
        "multimedia",
        lambda model: model.replace("yolov9_", "v9-") if model.startswith("yolov9") else None,
        multimedia,
        "multimedia",
        "yolo/tools/solver.py",
    ),
)
"""All; Ultralytics trains YOLOv9 without its auxiliary branch, MultimediaTechLab with it."""
