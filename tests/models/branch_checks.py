"""What holds of a detector with any of PGI's branches, whatever its backbone."""

import torch
from hydra.utils import instantiate

from yolov9_lit.structures import Targets


def trained_and_deployed(cfg, randomise_statistics, height):
    """Train every weight by one step's gradient; return the deploy form, which gives the same."""
    detector = instantiate(cfg.model, num_classes=4)
    randomise_statistics(detector)
    images = torch.rand(2, 3, height, 64)
    box, label = torch.tensor([[[8.0, 8.0, 50.0, 30.0]]] * 2), torch.tensor([[1]] * 2)
    targets = Targets(box, label, torch.ones(2, 1, dtype=torch.bool))
    instantiate(cfg.loss)(detector(images), targets).total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters())
    deployed = detector.deploy()
    with torch.no_grad():
        before, after = detector.eval()(images, auxiliary=False).main, deployed(images).main
    torch.testing.assert_close(after.class_logits, before.class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.box_logits, before.box_logits, rtol=1e-4, atol=1e-4)
    return deployed
