"""What the main branch learns from an auxiliary one, beside plain loops, and where it learns it."""

import math

import pytest
import torch

from yolov9_lit.losses import DetectionLoss, Distillation, TaskAlignedAssigner
from yolov9_lit.losses.distillation import class_divergence, side_divergence
from yolov9_lit.models.head import anchor_points, decode_boxes
from yolov9_lit.structures import HeadOutput, Prediction, Targets

CLASSES = 3


def head_output(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    points, strides = anchor_points([torch.zeros(2, 1, 64 // s, 64 // s) for s in (8, 16, 32)])
    box, cls = (torch.randn(2, len(points), n, generator=generator) for n in (64, CLASSES))
    return HeadOutput(
        (2 * box).to(dtype).requires_grad_(), cls.to(dtype).requires_grad_(), points, strides
    )


@pytest.fixture
def prediction():
    return Prediction(head_output(0), (head_output(1), head_output(2)))


@pytest.fixture
def targets():
    boxes = torch.tensor([[[4.0, 4, 40, 44], [20, 10, 60, 60]], [[8, 8, 56, 40], [0, 0, 0, 0]]])
    valid = torch.tensor([[True, True], [True, False]])
    return Targets(boxes, torch.tensor([[0, 1], [2, 0]]), valid)


def loss(distillation=None, **settings):
    names = ["fpn", "icn"]
    return DetectionLoss(
        TaskAlignedAssigner(), aux_names=names, distillation=distillation, **settings
    )


def assigned(output, targets):
    boxes, probabilities = decode_boxes(output).detach(), output.class_logits.detach().sigmoid()
    return TaskAlignedAssigner()(boxes, probabilities, output.anchor_points, targets)


def softened(logits, temperature):
    powers = [math.exp(logit / temperature) for logit in logits.tolist()]
    return [power / sum(powers) for power in powers]


def of_sides(student, teacher, temperature):
    """Of one anchor, (64,) each."""
    total = 0.0
    for side in range(4):
        bins = slice(16 * side, 16 * side + 16)
        wanted, given = (softened(x[bins], temperature) for x in (teacher, student))
        total += sum(p * math.log(p / q) for p, q in zip(wanted, given, strict=True))
    return temperature**2 * total / 4


def of_classes(student, teacher):
    total = 0.0
    for s, t in zip(student.sigmoid().tolist(), teacher.sigmoid().tolist(), strict=True):
        total += t * math.log(t / s) + (1 - t) * math.log((1 - t) / (1 - s))
    return total


@pytest.mark.parametrize("temperature", [1.0, 10.0])
def test_the_terms_are_those_of_one_anchor_at_a_time(prediction, targets, temperature):
    distillation = Distillation("icn", box_gain=2.0, cls_gain=3.0, temperature=temperature)
    found = loss(distillation)(prediction, targets).distillation
    student, teacher = prediction.main, prediction.aux[1]
    assignment = assigned(student, targets)
    box = cls = norm = 0.0
    for image, anchor in assignment.foreground.nonzero().tolist():
        weight = float(assignment.scores[image, anchor].sum())
        sides = [o.box_logits[image, anchor].double() for o in (student, teacher)]
        classes = [o.class_logits[image, anchor].double() for o in (student, teacher)]
        box += weight * of_sides(*sides, temperature)
        cls += weight * of_classes(*classes)
        norm += weight
    assert assignment.foreground.sum() > 5
    assert found.distill_box.item() == pytest.approx(2 * box / max(norm, 1), rel=1e-4)
    assert found.distill_cls.item() == pytest.approx(3 * cls / max(norm, 1), rel=1e-4)


def test_it_is_added_to_what_the_targets_teach(prediction, targets):
    output = loss(Distillation("icn"), main_weight=0.5)(prediction, targets)
    plain = loss(main_weight=0.5)(prediction, targets)
    assert (output.main, output.aux, output.items) == (plain.main, plain.aux, plain.items)
    assert output.distillation.distill_box > 0
    assert output.distillation.distill_cls > 0
    expected = plain.mean + 0.5 * output.distillation.total
    assert output.mean.item() == pytest.approx(expected.item(), rel=1e-6)
    assert output.total.item() == pytest.approx(2 * expected.item(), rel=1e-6)
    by_branch = output.branch_totals
    assert by_branch[0] == output.main.total + output.distillation.total
    assert by_branch[1:] == tuple(items.total for items in output.aux)


def test_without_weights_all_is_as_without_it_bit_by_bit(prediction, targets):
    leaves = [x for o in (prediction.main, *prediction.aux) for x in (o.box_logits, o.class_logits)]
    nothing = Distillation("icn", box_gain=0.0, cls_gain=0.0)
    outputs = [loss(one)(prediction, targets) for one in (None, nothing)]
    assert torch.equal(outputs[0].total, outputs[1].total)
    gradients = [torch.autograd.grad(output.total, leaves) for output in outputs]
    assert all(map(torch.equal, *gradients))


def test_the_teacher_gets_no_gradient_and_the_main_head_one_where_it_has_objects(
    prediction, targets
):
    student, teacher = prediction.main, prediction.aux[1]
    leaves = (*student[:2], *teacher[:2])
    items = loss(Distillation("icn"))(prediction, targets).distillation
    box, cls, *of_teacher = torch.autograd.grad(items.total, leaves, allow_unused=True)
    assert of_teacher == [None, None]
    foreground = assigned(student, targets).foreground
    for gradient in (box, cls):
        assert torch.equal(gradient.abs().sum(dim=-1) > 0, foreground)


def test_who_agrees_has_nothing_to_learn():
    one = head_output(0)
    sides = side_divergence(one.box_logits, one.box_logits, 10)
    classes = class_divergence(one.class_logits, one.class_logits)
    torch.testing.assert_close(sides, torch.zeros_like(sides), atol=1e-5, rtol=0)
    assert not classes.any()


@pytest.mark.parametrize("off", ["not computed", "does not count"])
def test_a_branch_that_is_off_teaches_nothing(prediction, targets, off):
    taught, plain = loss(Distillation("icn")), loss()
    if off == "not computed":
        prediction = prediction._replace(aux=())
    else:
        taught.weigh_auxiliary(0)
        plain.weigh_auxiliary(0)
    output = taught(prediction, targets)
    assert output.distillation is None
    assert torch.equal(output.total, plain(prediction, targets).total)


def test_images_without_objects_teach_nothing(prediction):
    nothing = Targets(
        torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long), torch.zeros(2, 0, dtype=bool)
    )
    assert loss(Distillation("icn"))(prediction, nothing).distillation.total == 0


def test_mixed_precision_and_compiling_change_nothing(prediction, targets):
    halved = Prediction(
        head_output(0, torch.bfloat16),
        tuple(head_output(seed, torch.bfloat16) for seed in (1, 2)),
    )
    taught = loss(Distillation("icn"))
    expected = taught(prediction, targets)
    compiled = torch.compile(taught, fullgraph=True, backend="eager")(prediction, targets)
    torch.testing.assert_close(compiled.distillation, expected.distillation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = taught(halved, targets).distillation
    assert found.distill_box.dtype == found.distill_cls.dtype == torch.float32
    torch.testing.assert_close(found.total, expected.distillation.total, rtol=0.02, atol=0)


def test_a_teacher_that_is_not_there_is_told():
    with pytest.raises(ValueError, match=r"distillation.teacher names pan, but the .*: fpn, icn"):
        loss(Distillation("pan"))
