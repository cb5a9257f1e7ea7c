"""YOLOv7's loss against its terms written out level by level, and what it refuses."""

import pytest
import torch
from anchored import boxes, objects, output
from torch.nn import functional as F
from torchvision.ops import complete_box_iou_loss

from yolov9_lit.errors import UserError
from yolov9_lit.losses import DetectionLoss, OTAAssigner, TaskAlignedAssigner, YOLOv7Loss
from yolov9_lit.models.head import Head
from yolov9_lit.structures import Prediction


def written_out(found, targets, assigned, classes):
    """Box, objectness and class terms: at each level means over its anchors, then summed."""
    terms = [0.0, 0.0, 0.0]
    predicted = boxes(found)
    for stride, balance in ((8, 4.0), (16, 1.0), (32, 0.4)):
        box, cls, entropy, cells = [], [], [], 0
        for image, anchor in ((i, a) for i in range(2) for a in range(len(found.strides))):
            if found.strides[anchor] != stride:
                continue
            cells, wanted = cells + 1, torch.tensor(0.0)
            if assigned.foreground[image, anchor]:
                index = assigned.indices[image, anchor]
                missed = complete_box_iou_loss(
                    predicted[image, anchor], targets.boxes[image, index]
                )
                box.append(missed)
                wanted = (1 - missed).clamp(min=0)
                one_hot = F.one_hot(targets.labels[image, index], classes).float()
                logits = found.class_logits[image, anchor]
                cls.append(F.binary_cross_entropy_with_logits(logits, one_hot))
            logit = found.objectness[image, anchor]
            entropy.append(F.binary_cross_entropy_with_logits(logit, wanted))
        terms[0] += sum(box) / max(len(box), 1)
        terms[1] += balance * sum(entropy) / cells
        terms[2] += sum(cls) / max(len(cls), 1) * (classes > 1)
    return terms[0] * 0.05, terms[1] * 0.7 * (64 * 96 / 640**2), terms[2] * 0.3 * classes / 80


@pytest.mark.parametrize(("classes", "count"), [(3, 4), (1, 4), (3, 0)])
def test_terms_equal_those_written_out(classes, count):
    generator = torch.Generator().manual_seed(1)
    found = output(2, generator, classes)
    targets = objects(2, count, generator, classes)
    loss = YOLOv7Loss(OTAAssigner())(Prediction(found, ()), targets)
    assigned = OTAAssigner().assign(found, boxes(found), targets)
    assert assigned.foreground.any() == bool(count)
    expected = written_out(found, targets, assigned, classes)
    for term, other in zip(loss.main, expected, strict=True):
        torch.testing.assert_close(term, torch.as_tensor(other), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss.total, 2 * sum(loss.main))
    loss.total.backward()
    assert found.objectness.grad.isfinite().all()


def test_an_auxiliary_branch_counts_by_its_weight():
    generator = torch.Generator().manual_seed(1)
    main, other = output(2, generator), output(2, generator)
    targets = objects(2, 3, generator)
    loss = YOLOv7Loss(OTAAssigner(), aux_weight=0.25)(Prediction(main, (other,)), targets)
    alone = YOLOv7Loss(OTAAssigner())(Prediction(other, ()), targets)
    torch.testing.assert_close(loss.items.total, loss.main.total + alone.main.total / 4)


def test_mixed_precision_rounds_no_term():
    generator = torch.Generator().manual_seed(1)
    found, targets = Prediction(output(2, generator), ()), objects(2, 4, generator)
    loss = YOLOv7Loss(OTAAssigner())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(found, targets)
    for term, other in zip(mixed.main, loss(found, targets).main, strict=True):
        torch.testing.assert_close(term, other, rtol=1e-6, atol=0)


def test_a_loss_of_another_head_is_one_sentence():
    generator = torch.Generator().manual_seed(1)
    targets = objects(1, 2, generator)
    found = Prediction(output(1, generator), ())
    with pytest.raises(UserError, match=r"^The model finds objectness, .*: give loss=yolov7\.$"):
        DetectionLoss(TaskAlignedAssigner())(found, targets)
    maps = [torch.zeros(1, 4, 64 // s, 96 // s) for s in (8, 16, 32)]
    free = Prediction(Head((4, 4, 4), 3)(maps), ())
    with pytest.raises(UserError, match="the model finds none: give model=yolov7, or"):
        YOLOv7Loss(OTAAssigner())(free, targets)
    with pytest.raises(ValueError, match="balance must have 3 weights"):
        YOLOv7Loss(OTAAssigner(), balance=(1.0,))
