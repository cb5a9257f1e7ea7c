"""Checkpoints of untrained models, whose classes are those of the shapes."""

import torch
from omegaconf import OmegaConf

from yolov9_lit.app.configs import compose
from yolov9_lit.data.class_choice import ALL_CLASSES
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import PREFIX, ModelCard
from yolov9_lit.weights.checkpoints import build_detector

CATEGORIES = {"circle": 1, "triangle": 3, "square": 7, "star": 12}
CLASS_NAMES = tuple(CATEGORIES)
LAYOUT = KeypointLayout(
    ("top", "bottom", "left", "right", "centre"), ((4, 0),), (0, 1, 3, 2, 4), (0.2,) * 5
)


def save_fresh(path, *overrides, layout=None, choice=ALL_CLASSES, change=lambda detector: None):
    """Write a GELAN-T with the given overrides, after `change` has set its weights."""
    names = choice.names or CLASS_NAMES
    torch.manual_seed(0)
    cfg = compose("summary", ["model=gelan_t", *overrides]).model
    model = OmegaConf.to_container(cfg, resolve=True) | {"num_classes": len(names)}
    card = ModelCard(model, names, tuple(map(CATEGORIES.get, names)), 64, layout, choice)
    detector = build_detector(card)
    change(detector)
    state = {PREFIX + name: value for name, value in detector.state_dict().items()}
    torch.save({"card": card.to_dict(), "state_dict": state}, path)
    return path
