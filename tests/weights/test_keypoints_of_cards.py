"""What a checkpoint tells of the keypoints that its detector finds."""

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import yolov9_lit
from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.errors import UserError
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.checkpoints import build_detector
from yolov9_lit.weights.deployed import write_deployed

LAYOUT = KeypointLayout(("nose", "left", "right"), ((0, 1), (0, 2)), (0, 2, 1), (0.03, 0.1, 0.1))


@pytest.fixture(scope="module")
def card():
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", overrides=["model=gelan_t", "task=pose", "model.head.keypoints=3"])
    model = OmegaConf.to_container(cfg.model, resolve=True) | {"num_classes": 2}
    return ModelCard(model, ("cat", "dog"), (7, 3), 96, LAYOUT)


@pytest.fixture(scope="module")
def detector(card):
    torch.manual_seed(0)
    return build_detector(card).eval()


def save(path, card, detector):
    weights = {f"detector.{name}": value for name, value in detector.state_dict().items()}
    torch.save({"card": card, "state_dict": weights}, path)
    return path


def test_the_layout_comes_back_from_both_kinds_of_file(tmp_path, card, detector):
    write_deployed(tmp_path / "x.safetensors", detector, card)
    for path in (save(tmp_path / "x.ckpt", card.to_dict(), detector), tmp_path / "x.safetensors"):
        assert yolov9_lit.load(path).card.keypoints == LAYOUT
    plain = json.loads(json.dumps(card.to_dict()))
    assert ModelCard.from_dict(plain) == card


def test_keypoints_are_found_in_the_photo_s_own_pixels(tmp_path, card, detector):
    """A photo of twice the size has them at twice the place: of the same input."""
    predictor = yolov9_lit.load(save(tmp_path / "x.ckpt", card.to_dict(), detector))
    small = np.random.default_rng(0).integers(256, size=(64, 96, 3), dtype=np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    one, two = predictor.predict([small, large], confidence=0.0, max_detections=9)
    assert one.keypoints.shape == two.keypoints.shape == (len(one.boxes), 3, 3)
    torch.testing.assert_close(2 * one.keypoints[..., :2], two.keypoints[..., :2])
    torch.testing.assert_close(one.keypoints[..., 2], two.keypoints[..., 2])
    assert len(one.boxes) > 3
    limits = torch.tensor([96.0, 64.0])
    assert ((one.keypoints[..., :2] >= 0) & (one.keypoints[..., :2] <= limits)).all()


def broken(card, **parts):
    plain = card.to_dict()
    return plain | {"keypoints": plain["keypoints"] | parts}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"sigmas": [0.1]}, "sigmas has 1 entries, but there are 3 keypoints"),
        ({"mirrored": [0, 0, 0]}, "mirrored does not pair"),
        ({"edges": [[0, 7]]}, "edges name keypoint 7"),
        ({"edges": [[0]]}, "edges"),
        ({"names": 3}, "names"),
        ({"sigmas": ["wide"] * 3}, "sigmas"),
    ],
)
def test_a_broken_layout_is_told(tmp_path, card, detector, parts, told):
    path = save(tmp_path / "x.ckpt", broken(card, **parts), detector)
    with pytest.raises(UserError, match=rf"invalid card \(.*{told}"):
        yolov9_lit.load(path)


def test_names_of_other_keypoints_than_the_head_s_are_told(tmp_path, card, detector):
    two = {"names": ["a", "b"], "edges": [], "mirrored": [0, 1], "sigmas": [0.1, 0.1]}
    path = save(tmp_path / "x.ckpt", card.to_dict() | {"keypoints": two}, detector)
    with pytest.raises(UserError, match="finds 3 keypoints of an object and has names of 2"):
        yolov9_lit.load(path)
