"""Random outputs of a head with anchors, and objects for them."""

import torch

from yolov9_lit.models.anchor_head import AnchorHead, decode_anchors
from yolov9_lit.structures import Targets

HEIGHT, WIDTH = 64, 96
ANCHORS = (
    ((6, 8), (12, 10), (9, 20)),
    ((16, 24), (30, 20), (24, 40)),
    ((40, 60), (70, 50), (60, 60)),
)
CLASSES = 3


def output(images, generator, classes=CLASSES):
    """Of maps of 64 x 96 pixels, its logits of both signs."""
    head = AnchorHead((4, 4, 4), classes, ANCHORS)
    maps = [torch.zeros(images, 4, HEIGHT // s, WIDTH // s) for s in (8, 16, 32)]
    found = head(maps)

    def random(logits, shift=0.0):
        return (torch.randn(logits.shape, generator=generator) + shift).requires_grad_()

    return found._replace(
        box_logits=random(found.box_logits),
        class_logits=random(found.class_logits),
        objectness=random(found.objectness, -1.0),
    )


def boxes(found):
    return decode_anchors(found).detach()


def objects(images, count, generator, classes=CLASSES):
    """Boxes inside the image, of which some are padding."""
    size = 4 + torch.rand(images, count, 2, generator=generator) * 56
    corner = torch.rand(images, count, 2, generator=generator) * (
        torch.tensor([WIDTH, HEIGHT]) - size
    )
    valid = torch.rand(images, count, generator=generator) < 0.8
    labels = torch.randint(0, classes, (images, count), generator=generator) * valid
    return Targets(torch.cat((corner, corner + size), -1) * valid.unsqueeze(-1), labels, valid)
