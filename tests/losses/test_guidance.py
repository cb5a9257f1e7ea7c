"""Main targets that an auxiliary branch's predictions assign: lead-head guidance turned around."""

import pytest
import torch

from yolov9_lit.losses import DetectionLoss, TaskAlignedAssigner
from yolov9_lit.models.head import anchor_points, decode_boxes
from yolov9_lit.structures import HeadOutput, Prediction, Targets


class Watched(DetectionLoss):
    """Keeps what each branch is asked for."""

    def _items(self, output, boxes, assignment, targets):
        self.asked = [*getattr(self, "asked", []), assignment]
        return super()._items(output, boxes, assignment, targets)


def head_output(seed):
    generator = torch.Generator().manual_seed(seed)
    points, strides = anchor_points([torch.zeros(2, 1, 64 // s, 64 // s) for s in (8, 16, 32)])
    box, cls = (torch.randn(2, len(points), n, generator=generator) for n in (64, 3))
    return HeadOutput(box.requires_grad_(), cls.requires_grad_(), points, strides)


@pytest.fixture
def targets():
    boxes = torch.tensor([[[4.0, 4, 40, 44], [20, 10, 60, 60]], [[8, 8, 56, 40], [0, 0, 0, 0]]])
    valid = torch.tensor([[True, True], [True, False]])
    return Targets(boxes, torch.tensor([[0, 1], [2, 0]]), valid)


def assigned(assigner, output, targets):
    boxes, probabilities = decode_boxes(output).detach(), output.class_logits.detach().sigmoid()
    return assigner(boxes, probabilities, output.anchor_points, targets)


@pytest.mark.parametrize("own", [None, TaskAlignedAssigner(topk=3)])
def test_the_main_targets_are_those_of_the_branchs_predictions(targets, own):
    main, fpn, agm = map(head_output, range(3))
    loss = Watched(
        TaskAlignedAssigner(),
        aux_names=["fpn", "agm"],
        guide="agm",
        aux_assigner={} if own is None else {"agm": own},
    )
    loss(Prediction(main, (fpn, agm)), targets)
    by_guide = assigned(own or TaskAlignedAssigner(), agm, targets)
    by_fpn = assigned(TaskAlignedAssigner(), fpn, targets)
    for asked, expected in zip(loss.asked, (by_guide, by_fpn, by_guide), strict=True):
        assert all(map(torch.equal, asked, expected))
    by_itself = assigned(TaskAlignedAssigner(), main, targets)
    assert not torch.equal(by_guide.foreground, by_itself.foreground)


def test_it_is_lead_head_guidance_with_the_heads_exchanged(targets):
    """Whose losses are those of the published code, see test_detection_loss."""
    main, agm = head_output(0), head_output(1)
    guided = DetectionLoss(TaskAlignedAssigner(), aux_names=["agm"], guide="agm")
    lead = DetectionLoss(TaskAlignedAssigner(), lead_head_guided=True)
    found = guided(Prediction(main, (agm,)), targets)
    exchanged = lead(Prediction(agm, (main,)), targets)
    assert found.main == exchanged.aux[0]
    assert found.aux[0] == exchanged.main


def test_assigning_gives_the_branch_no_gradient(targets):
    main, agm = head_output(0), head_output(1)
    loss = DetectionLoss(TaskAlignedAssigner(), aux_names=["agm"], guide="agm")
    terms = loss(Prediction(main, (agm,)), targets).main
    gradients = torch.autograd.grad(terms.total, (*main[:2], *agm[:2]), allow_unused=True)
    assert gradients[0].any()
    assert gradients[1].any()
    assert gradients[2:] == (None, None)


@pytest.mark.parametrize("off", ["not computed", "does not count"])
def test_a_branch_that_is_off_does_not_guide(targets, off):
    aux = () if off == "not computed" else (head_output(1),)
    prediction = Prediction(head_output(0), aux)
    guided = DetectionLoss(TaskAlignedAssigner(), aux_names=["agm"], guide="agm")
    if aux:
        guided.weigh_auxiliary(0)
    by_itself = DetectionLoss(TaskAlignedAssigner())(Prediction(prediction.main, ()), targets)
    assert guided(prediction, targets).main == by_itself.main


def test_a_guide_that_is_not_there_or_guided_itself_is_told():
    with pytest.raises(ValueError, match="guide names agm, but the auxiliary branches are: icn"):
        DetectionLoss(TaskAlignedAssigner(), aux_names=["icn"], guide="agm")
    with pytest.raises(ValueError, match="lead_head_guided and guide=icn contradict"):
        DetectionLoss(TaskAlignedAssigner(), lead_head_guided=True, aux_names=["icn"], guide="icn")
