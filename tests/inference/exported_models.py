"""Detectors for the export tests, whose random heads find something and tell places apart."""

import dataclasses
import functools
import tempfile
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from yolov9_lit.app.configs import compose
from yolov9_lit.data.images import read_image
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.checkpoints import build_detector

NAMES = ("cat", "dog", "bird")


def tiny_predictor(*options):
    """A shallow GELAN-T of three classes."""
    sizes = ["model=gelan_t", "model.num_classes=3", "model.elan_depth=1", "model.csp_depth=1"]
    model = OmegaConf.to_container(compose("summary", [*sizes, *options]).model, resolve=True)
    torch.manual_seed(0)
    card = ModelCard(model, NAMES, (7, 3, 5), 96)
    detector = build_detector(card)
    normalise(detector, shapes_images())
    spread(detector, detector.head.cls, shapes_images(), mean=-2, std=1)
    spread(detector, detector.head.box, shapes_images(), mean=0, std=1)
    return Predictor(detector, card)


SHORT = (
    "block=conv",
    "model.backbone._target_=yolov9_lit.models.plain.PlainNet",
    "+model.backbone.depth=9",
)
"""A backbone and blocks of few layers: exporting takes its time by the number of operations."""


def tiny_segmenter(prototypes="seg", num_classes=3):
    """The same with fewer layers and with masks of all shapes, that differ by anchor."""
    sizes = [*SHORT, f"model.num_classes={num_classes}", "model.head.coefficients=5"]
    predictor = tiny_predictor("task=segment", f"prototypes={prototypes}", *sizes)
    head = predictor.detector.head
    spread(predictor.detector, head.coefficients, shapes_images(), mean=0, std=1)
    return predictor


LAYOUT = KeypointLayout(("nose", "left", "right"), ((0, 1), (0, 2)), (0, 2, 1), (0.05, 0.1, 0.1))


def tiny_poser():
    """The same with three keypoints that lie around each anchor."""
    predictor = tiny_predictor("task=pose", "model.head.keypoints=3", *SHORT)
    spread(predictor.detector, predictor.detector.head.keypoints, shapes_images(), mean=0, std=1)
    predictor.card = dataclasses.replace(predictor.card, keypoints=LAYOUT)
    return predictor


def coco_predictor(predictor, names, category_ids):
    """A real one-class detector with 80 random classes on top of its features."""
    model = predictor.card.model | {"num_classes": len(names)}
    card = dataclasses.replace(
        predictor.card,
        model=model,
        class_names=tuple(names),
        category_ids=tuple(category_ids),
        image_size=160,
    )
    torch.manual_seed(0)
    detector = build_detector(card)
    own, real = detector.state_dict(), predictor.detector.state_dict()
    fitting = {k: v for k, v in real.items() if k in own and own[k].shape == v.shape}
    detector.load_state_dict(fitting, strict=False)
    spread(detector, detector.head.cls, shapes_images(), mean=-11, std=2)
    return Predictor(detector, card)


@functools.cache
def shapes_images():
    """(8, 3, 160, 160) in 0..1."""
    with tempfile.TemporaryDirectory() as root:
        folder = make_shapes(Path(root), train=0, val=8, image_size=160) / "val2017"
        images = np.stack([read_image(path) for path in sorted(folder.iterdir())])
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255


@torch.no_grad()
def normalise(detector, images):
    """Let batch normalisation know these images: an untrained network is nearly constant."""
    layers = [m for m in detector.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = 1.0
    detector.train()(images)


@torch.no_grad()
def spread(detector, branches, images, mean, std):
    """Give each channel of the branches' logits this mean and deviation over images."""
    logits = {}
    for branch in branches:
        branch[-1].register_forward_hook(lambda layer, _, output: logits.update({layer: output}))
    detector.eval()(images)
    for layer, output in logits.items():
        layer._forward_hooks.clear()
        scale = std / output.std(dim=(0, 2, 3))
        layer.weight *= scale[:, None, None, None]
        layer.bias.copy_(mean + scale * (layer.bias - output.mean(dim=(0, 2, 3))))


def save(path, predictor):
    """Write a checkpoint of this project."""
    state = {f"detector.{k}": v for k, v in predictor.detector.state_dict().items()}
    torch.save({"card": predictor.card.to_dict(), "state_dict": state}, path)
    return path
