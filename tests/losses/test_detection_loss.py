"""The loss and its gradients against numbers of the published implementation."""

import numpy as np
import pytest
import torch

from yolov9_lit.errors import UserError
from yolov9_lit.losses.assigners import TaskAlignedAssigner
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.models.head import anchor_points
from yolov9_lit.structures import HeadOutput, Prediction, Targets

LEVELS = ("p3", "p4", "p5")
SIZE = 128


@pytest.fixture(scope="module")
def reference(reference):
    return reference("loss")


def head_output(maps):
    points, strides = anchor_points(maps)
    flat = torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2)
    return HeadOutput(flat[..., :64], flat[..., 64:], points, strides)


def leaf_maps(reference, branch):
    return [torch.from_numpy(reference[f"{branch}_{p}"]).requires_grad_() for p in LEVELS]


def targets_of(rows, batch):
    """(N, 6) image, class, cx, cy, w, h normalised -> padded Targets in pixels."""
    counts = [int((rows[:, 0] == i).sum()) for i in range(batch)]
    most = max(counts, default=0)
    boxes = torch.zeros(batch, most, 4)
    labels = torch.zeros(batch, most, dtype=torch.int64)
    valid = torch.zeros(batch, most, dtype=torch.bool)
    for image, count in enumerate(counts):
        own = torch.from_numpy(rows[rows[:, 0] == image])
        centre, size = own[:, 2:4] * SIZE, own[:, 4:6] * SIZE
        boxes[image, :count] = torch.cat((centre - size / 2, centre + size / 2), dim=1)
        labels[image, :count] = own[:, 1].long()
        valid[image, :count] = True
    return Targets(boxes, labels, valid)


def check(reference, name, output, maps):
    np.testing.assert_allclose(output.total.item(), reference[f"{name}_total"], rtol=1e-4)
    items = [term.item() for term in output.items]
    np.testing.assert_allclose(items, reference[f"{name}_box_cls_dfl"], rtol=1e-4)
    output.total.backward()
    for branch, leaves in maps.items():
        for level, leaf in zip(LEVELS, leaves, strict=True):
            expected = reference[f"{name}_grad_{branch}_{level}"]
            np.testing.assert_allclose(
                leaf.grad.numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
            )


def test_single_branch_equals_reference(reference):
    maps = leaf_maps(reference, "main")
    targets = targets_of(reference["targets_batch_class_cxcywh_normalized"], 3)
    loss = DetectionLoss(TaskAlignedAssigner())
    check(reference, "single", loss(Prediction(head_output(maps), ()), targets), {"main": maps})


@pytest.mark.parametrize(("name", "guided"), [("dual", False), ("lead_guided", True)])
def test_auxiliary_branch_equals_reference(reference, name, guided):
    main, aux = leaf_maps(reference, "main"), leaf_maps(reference, "aux")
    targets = targets_of(reference["targets_batch_class_cxcywh_normalized"], 3)
    loss = DetectionLoss(TaskAlignedAssigner(), lead_head_guided=guided)
    output = loss(Prediction(head_output(main), (head_output(aux),)), targets)
    check(reference, name, output, {"main": main, "aux": aux})


@pytest.mark.parametrize("padding", [0, 3])
def test_batch_without_objects_equals_reference(reference, padding):
    main, aux = leaf_maps(reference, "main"), leaf_maps(reference, "aux")
    targets = Targets(
        torch.zeros(3, padding, 4),
        torch.zeros(3, padding, dtype=torch.int64),
        torch.zeros(3, padding, dtype=torch.bool),
    )
    loss = DetectionLoss(TaskAlignedAssigner())
    output = loss(Prediction(head_output(main), (head_output(aux),)), targets)
    total = reference["dual_total_no_objects"]
    np.testing.assert_allclose(output.total.item(), total, rtol=1e-4)
    items = [term.item() for term in output.items]
    np.testing.assert_allclose(items, reference["dual_box_cls_dfl_no_objects"], rtol=1e-4)
    output.total.backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in main + aux)


def test_padding_changes_nothing(reference):
    maps = leaf_maps(reference, "main")
    rows = reference["targets_batch_class_cxcywh_normalized"]
    targets = targets_of(rows, 3)
    wider = Targets(
        torch.cat((targets.boxes, torch.zeros(3, 5, 4)), dim=1),
        torch.cat((targets.labels, torch.zeros(3, 5, dtype=torch.int64)), dim=1),
        torch.cat((targets.valid, torch.zeros(3, 5, dtype=torch.bool)), dim=1),
    )
    loss = DetectionLoss(TaskAlignedAssigner())
    prediction = Prediction(head_output(maps), ())
    assert loss(prediction, wider).total.item() == loss(prediction, targets).total.item()


def test_weights_for_each_branch(reference):
    main, aux = leaf_maps(reference, "main"), leaf_maps(reference, "aux")
    prediction = Prediction(head_output(main), (head_output(aux), head_output(main)))
    targets = targets_of(reference["targets_batch_class_cxcywh_normalized"], 3)
    output = DetectionLoss(TaskAlignedAssigner(), aux_weight=[0.5, 0.1])(prediction, targets)
    expected = output.main.total + 0.5 * output.aux[0].total + 0.1 * output.aux[1].total
    assert output.total.item() == pytest.approx(3 * expected.item(), rel=1e-6)
    with pytest.raises(ValueError, match="aux_weight has 1 values for 2"):
        DetectionLoss(TaskAlignedAssigner(), aux_weight=[0.5])(prediction, targets)


def test_a_factor_on_the_auxiliary_weights(reference):
    main, aux = leaf_maps(reference, "main"), leaf_maps(reference, "aux")
    targets = targets_of(reference["targets_batch_class_cxcywh_normalized"], 3)
    loss = DetectionLoss(TaskAlignedAssigner(), aux_weight=[0.5])
    both = Prediction(head_output(main), (head_output(aux),))
    loss.weigh_auxiliary(0.2)
    output = loss(both, targets)
    expected = output.main.total + 0.1 * output.aux[0].total
    assert output.total.item() == pytest.approx(3 * expected.item(), rel=1e-6)
    loss.weigh_auxiliary(0)
    assert not loss.aux_active
    assert loss(both, targets).items == output.main
    assert loss(both._replace(aux=()), targets).items == output.main, "of the main branch alone"
    loss.weigh_auxiliary(1)
    assert (
        loss(both, targets).total
        == DetectionLoss(TaskAlignedAssigner(), aux_weight=0.5)(both, targets).total
    )


def test_weights_and_assigners_by_name(reference):
    main, aux = leaf_maps(reference, "main"), leaf_maps(reference, "aux")
    targets = targets_of(reference["targets_batch_class_cxcywh_normalized"], 3)
    prediction = Prediction(head_output(main), (head_output(aux), head_output(main)))
    one_to_one = TaskAlignedAssigner(topk=1)
    loss = DetectionLoss(
        TaskAlignedAssigner(),
        aux_weight={"fine": 1.0, "icn": 0.25},
        aux_assigner={"fine": one_to_one},
        aux_names=["icn", "fine"],
    )
    output = loss(prediction, targets)
    alone = DetectionLoss(one_to_one)(Prediction(head_output(main), ()), targets).main
    assert output.aux[1] == alone, "the fine branch is assigned one to one"
    assert output.aux[1].cls != output.main.cls
    expected = output.main.total + 0.25 * output.aux[0].total + alone.total
    assert output.total.item() == pytest.approx(3 * expected.item(), rel=1e-6)

    guided = DetectionLoss(
        TaskAlignedAssigner(),
        lead_head_guided=True,
        aux_assigner={"fine": one_to_one},
        aux_names=["icn", "fine"],
    )(prediction, targets)
    assert guided.aux[1] == alone, "an assigner of its own goes before the main head's guidance"
    assert guided.aux[0].cls != output.aux[0].cls


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"aux_weight": {"fpn": 1.0}}, "aux_weight names fpn, but the auxiliary branches are: icn"),
        ({"aux_weight": {}}, "aux_weight has no weight for icn"),
        ({"aux_weight": [1.0, 2.0]}, "aux_weight has 2 values for 1"),
        ({"aux_assigner": {"fine": None}}, "aux_assigner names fine, but"),
    ],
)
def test_refuses_branches_that_are_not_there(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        DetectionLoss(TaskAlignedAssigner(), aux_names=["icn"], **arguments)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("coefficients", "finds masks, but the loss compares none: give loss=segmentation"),
        ("keypoints", "finds keypoints, but the loss compares none: give loss=pose"),
        ("extra", "finds extra numbers, but the loss compares none: give a subclass of ExtraLoss"),
    ],
)
def test_what_would_not_be_learnt_is_told(reference, field, told):
    output = head_output(leaf_maps(reference, "main"))._replace(**{field: torch.zeros(1)})
    with pytest.raises(UserError, match=told):
        DetectionLoss(TaskAlignedAssigner())(
            Prediction(output, ()), targets_of(np.zeros((0, 6)), batch=2)
        )
