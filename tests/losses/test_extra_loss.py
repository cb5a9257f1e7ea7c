"""The loss of a task of one's own, beside a loop over the anchors."""

import pytest
import torch
from torch.nn import functional as F

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings, suppressed, with_anchors
from yolov9_lit.losses import DetectionLoss, ExtraLoss, TaskAlignedAssigner
from yolov9_lit.models import Head
from yolov9_lit.models.create import PGI, create_model
from yolov9_lit.models.head import branches, by_anchor, decode_boxes
from yolov9_lit.structures import Prediction, Targets


class TwoNumbers(Head):
    def __init__(self, channels, num_classes, **settings):
        super().__init__(channels, num_classes, **settings)
        self.numbers = branches(channels, width=16, outputs=2)

    def forward(self, features):
        return super().forward(features)._replace(extra=by_anchor(self.numbers, features))


class Flat(Head):
    def forward(self, features):
        output = super().forward(features)
        return output._replace(extra=output.class_logits[..., 0])


class Distance(ExtraLoss):
    def compare(self, raw, true):
        return (raw - true).abs().sum(dim=-1)


class Whole(ExtraLoss):
    def compare(self, raw, true):
        return raw - true


def head_output(head=TwoNumbers):
    torch.manual_seed(0)
    widths = (16, 24, 32)
    maps = [torch.randn(2, c, 64 // s, 64 // s) for c, s in zip(widths, (8, 16, 32), strict=True)]
    return head((16, 24, 32), 3)(maps)


@pytest.fixture
def targets():
    boxes = torch.tensor([[[4.0, 4, 40, 44], [20, 10, 60, 60]], [[8, 8, 56, 40], [0, 0, 0, 0]]])
    valid = torch.tensor([[True, True], [True, False]])
    extra = torch.tensor([[[1.0, 2], [3, 4]], [[5, 6], [0, 0]]])
    return Targets(boxes, torch.tensor([[0, 1], [2, 0]]), valid, extra=extra)


def test_the_term_is_the_mean_over_anchors_weighed_by_their_score(targets):
    output = head_output()
    assigner = TaskAlignedAssigner()
    items = Distance(assigner, extra_gain=3.0)(Prediction(output, ()), targets).items
    boxes = decode_boxes(output).detach()
    found = assigner(boxes, output.class_logits.detach().sigmoid(), output.anchor_points, targets)
    total = norm = 0.0
    for image, anchor in found.foreground.nonzero().tolist():
        weight = float(found.scores[image, anchor].sum())
        true = targets.extra[image, found.indices[image, anchor]]
        total += weight * float((output.extra[image, anchor].detach() - true).abs().sum())
        norm += weight
    assert found.foreground.sum() > 5
    assert float(items.extra.detach()) == pytest.approx(3 * total / max(norm, 1), rel=1e-5)
    boxes_only = Prediction(output._replace(extra=None), ())
    plain = DetectionLoss(assigner)(boxes_only, targets).items
    torch.testing.assert_close((items.box, items.cls, items.dfl), tuple(plain))


def test_images_without_objects_teach_nothing():
    nothing = Targets(
        torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0, dtype=bool),
        extra=torch.zeros(2, 0, 2),
    )  # fmt: skip
    items = Distance(TaskAlignedAssigner())(Prediction(head_output(), ()), nothing).items
    assert float(items.extra.detach()) == 0


@pytest.mark.parametrize("pgi", PGI)
def test_each_branch_learns_them(pgi, targets):
    detector = create_model("gelan_t", num_classes=3, pgi=pgi, head=TwoNumbers)
    prediction = detector.train()(torch.rand(2, 3, 64, 64))
    loss = Distance(TaskAlignedAssigner())(prediction, targets)
    loss.total.backward()
    heads = [detector.head, *detector.aux_heads.values()]
    assert len(heads) == 1 + len(loss.aux)
    for head in heads:
        assert all(weight.grad is not None for weight in head.numbers.parameters())


@pytest.mark.parametrize("lacking", ["the model gives", "the data have"])
def test_what_is_not_there_is_told(lacking, targets):
    output = head_output(Head if lacking == "the model gives" else TwoNumbers)
    if lacking == "the data have":
        targets = targets._replace(extra=None)
    with pytest.raises(UserError, match=f"compares extra numbers, but {lacking} none: give "):
        Distance(TaskAlignedAssigner())(Prediction(output, ()), targets)


def test_a_comparison_of_another_shape_is_told(targets):
    with pytest.raises(UserError, match=r"Whole.compare returns shape \(2, 84, 2\), it must be"):
        Whole(TaskAlignedAssigner())(Prediction(head_output(), ()), targets)


def test_a_head_whose_numbers_have_another_shape_is_told():
    detector = create_model("gelan_t", num_classes=3, head=Flat)
    told = r"Flat gives extra of shape \(1, 84\), it must be \(images, anchors, numbers\)"
    with pytest.raises(UserError, match=told):
        detector(torch.zeros(1, 3, 64, 64))


def test_detections_have_the_numbers_of_their_anchors():
    detector = create_model("gelan_t", num_classes=3, head=TwoNumbers).eval()
    with torch.inference_mode():
        output = detector(torch.rand(1, 3, 64, 64)).main
    settings = NMSSettings(confidence=0.0, max_detections=9)
    candidates = detector.candidates(output)
    (found,) = suppressed(candidates, settings)
    ((_, anchors),) = with_anchors(candidates, settings)
    assert torch.equal(found.extra, output.extra[0][anchors])
    assert torch.equal(found.select(slice(2, 5)).extra, found.extra[2:5])
    assert len(detector.head.captions(found.extra)) == len(found.scores) == 9


def test_only_anchors_with_an_object_have_gradients(targets):
    class Entropy(ExtraLoss):
        def compare(self, raw, true):
            entropy = F.binary_cross_entropy_with_logits(raw, true / 10, reduction="none")
            return entropy.mean(dim=-1)

    output = head_output()
    loss = Entropy(TaskAlignedAssigner())(Prediction(output, ()), targets)
    gradient = torch.autograd.grad(loss.total, output.extra)[0]
    boxes, scores = decode_boxes(output).detach(), output.class_logits.detach().sigmoid()
    found = TaskAlignedAssigner()(boxes, scores, output.anchor_points, targets)
    assert torch.equal(gradient.abs().sum(dim=-1) > 0, found.foreground)
