"""With one seed, trainings with different branches differ in the branches alone."""

import pytest
import torch

from yolov9_lit.app.train import train
from yolov9_lit.training.module import DetectionModule


@pytest.fixture
def seen(monkeypatch):
    """Main parts' weights at the start, and all batches, of a training: ([state], [images])."""
    found = {"weights": [], "images": []}
    step = DetectionModule.training_step

    def training_step(self, batch, index):
        if not found["images"]:
            main = self.detector.without_auxiliary().state_dict()
            found["weights"] = {name: tensor.clone() for name, tensor in main.items()}
        found["images"].append(batch.images.clone())
        return step(self, batch, index)

    monkeypatch.setattr(DetectionModule, "training_step", training_step)
    return found


def test_one_seed_gives_the_same_data_and_main_weights(config, tmp_path, seen):
    runs = []
    for name in ("none", "lhg_icn"):
        seen["images"] = []
        overrides = ["test=false", "trainer.max_epochs=2"]
        train(config(tmp_path / name, f"pgi={name}", "augment=paper", *overrides))
        runs.append((seen["weights"], seen["images"]))
    (weights, images), (other_weights, other_images) = runs
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    assert len(images) == len(other_images) > 3
    assert all(map(torch.equal, images, other_images))
