"""Checkpoints of random weights, as a training leaves them."""

import torch
from omegaconf import OmegaConf

from yolov9_lit.app.configs import compose
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import PREFIX, ModelCard
from yolov9_lit.weights.checkpoints import build_detector


def write_checkpoint(path, pgi, names, task="detect"):
    """Write a small model of a task with a PGI branch; return its detector and card."""
    model = compose("summary", ["model=gelan_t", f"pgi={pgi}", f"task={task}"]).model
    plain = OmegaConf.to_container(model, resolve=True) | {"num_classes": len(names)}
    layout = None
    if task == "pose":
        plain["head"]["keypoints"] = 2
        layout = KeypointLayout(("nose", "tail"), (), (0, 1), (0.1, 0.1))
    card = ModelCard(plain, names, tuple(range(1, len(names) + 1)), 64, layout)
    torch.manual_seed(0)
    detector = build_detector(card)
    state = {PREFIX + name: tensor for name, tensor in detector.state_dict().items()}
    torch.save({"card": card.to_dict(), "state_dict": state}, path)
    return detector, card
