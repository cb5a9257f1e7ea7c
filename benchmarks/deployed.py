"""Deployed models of this package and of others, with the same weights where both can have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.device import device_to_measure, now
from benchmarks.peers import published_module, ultralytics_module
from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.inference.predictor import Predictor, load
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.coco_classes import COCO_IDS, COCO_NAMES

Forward = Callable[[Tensor], Any]
"""Images (B, 3, H, W) float32 in 0..1 -> boxes and scores of all anchors."""


@torch.inference_mode()
def ms_per_image(forward: Forward, images: Tensor, least_seconds: float) -> float:
    """Run a forward for a while; return the milliseconds of an image."""
    done, start = 0, now()
    while (spent := now() - start) < least_seconds or not done:
        forward(images)
        done += len(images)
    return 1000 * spent / done


def ultralytics(path: str) -> Any:
    """Open a model of Ultralytics: a checkpoint, an exported folder, or a name to be built."""
    return ultralytics_module().YOLO(path, task="detect")


def write_weights(model: str, folder: Path) -> Path:
    """Write random weights as Ultralytics saves them, which this package reads too.

    Batch normalisation has seen images, so that what the network says differs from place to place;
    the last weights of the classes are small, so that scores do not all end at 0 or 1.

    Args:
        model: name of a GELAN model of this package.
        folder: gets the file.
    """
    torch.manual_seed(0)
    theirs = ultralytics(f"{model.replace('gelan_', 'yolov9')}.yaml")
    norms = [part for part in theirs.model.modules() if isinstance(part, nn.BatchNorm2d)]
    momentum = norms[0].momentum
    for norm in norms:
        norm.momentum = None  # The plain average.
    with torch.no_grad():
        theirs.model.train()(F.interpolate(torch.rand(8, 3, 20, 20), scale_factor=16))
        for branch in theirs.model.model[-1].cv3:
            branch[-1].weight *= 0.01
    for norm in norms:
        norm.momentum = momentum
    path = folder / f"{model}.pt"
    theirs.save(path)
    return path


def our_forward(model: str) -> Forward:
    """Build this package's deployed forward of a model's name, with its published structure."""
    detector = build(compose("summary", [f"model={model}"]).model, num_classes=len(COCO_NAMES))
    return _forward(Predictor(detector, ModelCard({}, COCO_NAMES, COCO_IDS, 640)))


def loaded_forward(path: str) -> Forward:
    """Build this package's deployed forward of a checkpoint."""
    predictor = load(path)
    assert isinstance(predictor, Predictor)
    return _forward(predictor)


def _forward(predictor: Predictor) -> Forward:
    deployed = predictor.deploy().to(device_to_measure())
    return lambda images: deployed.decode(deployed(images).main)


def ultralytics_forward(path: str) -> Forward:
    """Build Ultralytics' fused forward of a checkpoint."""
    return ultralytics(path).model.eval().fuse(verbose=False).to(device_to_measure())


def published_forward(model: str, published: str) -> Forward:
    """Build the published repository's fused forward of its GELAN model."""
    package = published_module(published, "models.yolo")
    config = Path(published) / f"models/detect/{model.replace('_', '-')}.yaml"
    return package.Model(str(config)).eval().fuse().to(device_to_measure())
