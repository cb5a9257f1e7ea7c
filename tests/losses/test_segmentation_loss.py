"""The loss of masks and its gradients against published numbers, autograd and one anchor a time."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from yolov9_lit.errors import UserError
from yolov9_lit.losses import SegmentationLoss, TaskAlignedAssigner, masks
from yolov9_lit.losses.masks import mask_loss
from yolov9_lit.models.head import anchor_points
from yolov9_lit.structures import HeadOutput, Prediction, Targets

LEVELS = ("p3", "p4", "p5")
SIZE = 128


@pytest.fixture(scope="module")
def reference(reference):
    return reference("seg_loss")


def leaves(reference, branch):
    """A branch's raw outputs by name."""
    names = (*LEVELS, "coefficients", "prototypes")
    return {n: torch.from_numpy(reference[f"{branch}_{n}"]).requires_grad_() for n in names}


def head_output(given):
    maps = [given[level] for level in LEVELS]
    flat = torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2)
    coefficients = given["coefficients"].transpose(1, 2)
    return HeadOutput(
        flat[..., :64], flat[..., 64:], *anchor_points(maps), coefficients, given["prototypes"]
    )


def targets_of(reference, batch=3):
    rows = torch.from_numpy(reference["targets_batch_class_cxcywh_normalized"])
    own = [rows[rows[:, 0] == image] for image in range(batch)]
    most = max(map(len, own))
    boxes, labels = torch.zeros(batch, most, 4), torch.zeros(batch, most, dtype=torch.int64)
    for image, found in enumerate(own):
        centre, size = found[:, 2:4] * SIZE, found[:, 4:6] * SIZE
        boxes[image, : len(found)] = torch.cat((centre - size / 2, centre + size / 2), dim=1)
        labels[image, : len(found)] = found[:, 1].long()
    valid = torch.arange(most) < torch.tensor([len(found) for found in own])[:, None]
    shown = torch.from_numpy(reference["masks_overlap_quarter_size"]).to(torch.int16)
    return Targets(boxes, labels, valid, shown)


@pytest.mark.parametrize(("name", "branches"), [("single", ["main"]), ("dual", ["main", "aux"])])
@pytest.mark.parametrize("pixels", [masks.MOST_PIXELS_ON_CPU, 3 * 32 * 32 * 7])
def test_equals_reference(reference, monkeypatch, name, branches, pixels):
    monkeypatch.setattr(masks, "MOST_PIXELS_ON_CPU", pixels)
    given = {branch: leaves(reference, branch) for branch in branches}
    main, *aux = (head_output(of) for of in given.values())
    loss = SegmentationLoss(TaskAlignedAssigner())
    output = loss(Prediction(main, tuple(aux)), targets_of(reference))
    np.testing.assert_allclose(output.total.item(), reference[f"{name}_total"], rtol=1e-4)
    assert output.items._fields == ("box", "mask", "cls", "dfl")
    items = [term.item() for term in output.items]
    np.testing.assert_allclose(items, reference[f"{name}_box_mask_cls_dfl"], rtol=1e-4)
    output.total.backward()
    for branch, of in given.items():
        for key, leaf in of.items():
            expected = reference[f"{name}_grad_{branch}_{key}"]
            np.testing.assert_allclose(
                leaf.grad.numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
            )


def some_anchors(seed, anchors=9, grid=(6, 8)):
    """Random anchors of 2 images, each with one of 3 objects or none; the third is not shown."""
    rng = torch.Generator().manual_seed(seed)
    coefficients = torch.randn(2, anchors, 5, generator=rng)
    prototypes = torch.randn(2, 5, *grid, generator=rng)
    corners = torch.rand(2, anchors, 2, 2, generator=rng) * torch.tensor([32.0, 24.0])
    boxes = torch.cat((corners.amin(2), corners.amax(2) + 1), dim=-1)
    objects = torch.randint(0, 4, (2, anchors), generator=rng)
    shown = torch.randint(0, 3, (2, *grid), generator=rng).to(torch.int16)
    output = HeadOutput(
        torch.zeros(0), torch.zeros(0), torch.zeros(0), torch.zeros(0), coefficients, prototypes
    )
    return output, boxes, objects, shown


def one_by_one(output, boxes, objects, shown):
    total = torch.zeros(())
    for image in range(len(boxes)):
        losses = []
        for box, number, coefficients in zip(
            boxes[image] / 4, objects[image], output.coefficients[image], strict=True
        ):
            if number == 0 or not (shown[image] == number).any():
                continue
            logits = torch.einsum("m,mhw->hw", coefficients, output.prototypes[image])
            wanted = (shown[image] == number).float()
            terms = [
                F.binary_cross_entropy_with_logits(logits[y, x], wanted[y, x])
                for y in range(logits.shape[0])
                for x in range(logits.shape[1])
                if box[0] <= x < box[2] and box[1] <= y < box[3]
            ]
            losses.append(sum(terms) / ((box[2] - box[0]) * (box[3] - box[1])))
        total = total + sum(losses) / max(len(losses), 1)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_equals_one_anchor_at_a_time(seed, monkeypatch):
    monkeypatch.setattr(masks, "MOST_PIXELS_ON_CPU", 2 * 48 * 2)
    output, *rest = some_anchors(seed)
    leaves = [output.coefficients.requires_grad_(), output.prototypes.requires_grad_()]
    expected = one_by_one(output, *rest)
    found = mask_loss(output, *rest)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    grads = (torch.autograd.grad(loss * 3, leaves) for loss in (found, expected))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_nothing_to_learn_has_gradients_of_zero():
    output, boxes, objects, shown = some_anchors(0)
    leaves = [output.coefficients.requires_grad_(), output.prototypes.requires_grad_()]
    for of_anchors, of_pixels in ((objects * 0, shown), (objects, shown * 0)):
        found = mask_loss(output, boxes, of_anchors, of_pixels)
        assert found.item() == 0
        assert all(not grad.any() for grad in torch.autograd.grad(found, leaves))


@pytest.mark.slow
def test_operator_is_sound():
    """Its shapes, gradients and behaviour in graphs are what it says, by torch's own checks."""
    output, boxes, objects, shown = some_anchors(0)
    given = output.coefficients.requires_grad_(), output.prototypes.requires_grad_()
    operator = torch.ops.yolov9_lit.mask_loss.default
    torch.library.opcheck(operator, (*given, boxes / 4, objects, shown))


@pytest.mark.slow
def test_is_one_graph(reference):
    given = leaves(reference, "main")
    loss = SegmentationLoss(TaskAlignedAssigner())
    arguments = Prediction(head_output(given), ()), targets_of(reference)
    found = torch.compile(loss, fullgraph=True, backend="aot_eager")(*arguments).total
    found.backward()
    assert found.item() == pytest.approx(float(reference["single_total"]), rel=1e-4)
    expected = reference["single_grad_main_prototypes"]
    atol = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(given["prototypes"].grad, expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize(
    ("lacking", "remedy"), [("masks", "data.masks=true"), ("coefficients", "task=segment")]
)
def test_refuses_a_task_without_masks(reference, lacking, remedy):
    output, targets = head_output(leaves(reference, "main")), targets_of(reference)
    if lacking == "masks":
        targets = targets._replace(masks=None)
    else:
        output = output._replace(coefficients=None, prototypes=None)
    with pytest.raises(UserError, match=f"none: give {remedy}"):
        SegmentationLoss(TaskAlignedAssigner())(Prediction(output, ()), targets)
