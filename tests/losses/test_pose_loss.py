"""The loss of keypoints against one anchor and one keypoint at a time."""

import math

import pytest
import torch

from yolov9_lit.errors import UserError
from yolov9_lit.losses import Assignment, DetectionLoss, PoseLoss, TaskAlignedAssigner
from yolov9_lit.losses.keypoints import keypoint_loss
from yolov9_lit.models.head import anchor_points
from yolov9_lit.structures import HeadOutput, Prediction, Targets

KEYPOINTS, CLASSES, SIDE = 4, 3, 64
SIGMAS = (0.03, 0.1, 0.05, 0.2)


def head_output(seed, images=2):
    rng = torch.Generator().manual_seed(seed)
    points, strides = anchor_points([torch.zeros(1, 1, SIDE // s, SIDE // s) for s in (8, 16, 32)])
    numbers = (images, len(points))
    return HeadOutput(
        torch.randn(*numbers, 64, generator=rng).requires_grad_(),
        torch.randn(*numbers, CLASSES, generator=rng).requires_grad_(),
        points,
        strides,
        keypoints=torch.randn(*numbers, KEYPOINTS, 3, generator=rng).requires_grad_(),
    )


def targets(seed, objects=3, images=2):
    """Objects with two of three keypoints annotated; the last one of an image has none."""
    rng = torch.Generator().manual_seed(seed)
    corner = 30 * torch.rand(images, objects, 2, generator=rng)
    boxes = torch.cat((corner, corner + 10 + 20 * torch.rand(corner.shape, generator=rng)), dim=-1)
    labels = torch.randint(CLASSES, (images, objects), generator=rng)
    places = SIDE * torch.rand(images, objects, KEYPOINTS, 2, generator=rng)
    seen = torch.randint(3, (images, objects, KEYPOINTS, 1), generator=rng).float()
    seen[:, -1:] = 0
    return Targets(boxes, labels, labels >= 0, keypoints=torch.cat((places, seen), dim=-1))


def assignment(seed, output, of):
    """Each anchor has one of the image's objects or none."""
    rng = torch.Generator().manual_seed(seed)
    shape = output.class_logits.shape[:2]
    indices = torch.randint(of.boxes.shape[1], shape, generator=rng)
    foreground = torch.rand(shape, generator=rng) < 0.3
    indices = torch.where(foreground, indices, 0)
    boxes = of.boxes.gather(1, indices.unsqueeze(-1).expand(-1, -1, 4))
    return Assignment(boxes, torch.zeros_like(output.class_logits), foreground, indices)


def one_at_a_time(output, found, of):
    """The two terms in plain numbers, from the formulas of OKS and of cross-entropy."""
    pose, vis = [], []
    for image, anchor in found.foreground.nonzero().tolist():
        index = int(found.indices[image, anchor])
        x1, y1, x2, y2 = of.boxes[image, index].tolist()
        true = of.keypoints[image, index].tolist()
        if not any(v for _, _, v in true):
            continue
        (px, py), stride = output.anchor_points[anchor].tolist(), float(output.strides[anchor])
        missed, entropies = [], []
        for (x, y, v), raw, sigma in zip(
            true, output.keypoints[image, anchor], SIGMAS, strict=True
        ):
            dx = (2 * float(raw[0]) + px / stride - 0.5) * stride - x
            dy = (2 * float(raw[1]) + py / stride - 0.5) * stride - y
            variance = (2 * sigma) ** 2
            if v:
                spread = 2 * variance * (x2 - x1) * (y2 - y1)
                missed.append(1 - math.exp(-(dx**2 + dy**2) / spread))
            probability = 1 / (1 + math.exp(-float(raw[2])))
            entropies.append(-math.log(probability if v else 1 - probability))
        pose.append(sum(missed) / len(missed))
        vis.append(sum(entropies) / KEYPOINTS)
    return sum(pose) / len(pose), sum(vis) / len(vis)


@pytest.mark.parametrize("seed", range(3))
def test_equals_one_anchor_at_a_time(seed):
    output, of = head_output(seed), targets(seed)
    found = assignment(seed, output, of)
    terms = keypoint_loss(output, found, of.keypoints, torch.tensor(SIGMAS))
    assert [t.item() for t in terms] == pytest.approx(one_at_a_time(output, found, of), rel=1e-4)


def test_neither_background_nor_what_is_not_annotated_teaches_places():
    output, of = head_output(5), targets(5)
    found = assignment(5, output, of)
    sum(keypoint_loss(output, found, of.keypoints, torch.tensor(SIGMAS))).backward()
    gradient = output.keypoints.grad
    annotated = of.keypoints[torch.arange(2)[:, None], found.indices][..., 2] > 0
    annotated &= found.foreground.unsqueeze(-1)
    assert not gradient[..., :2][~annotated].any()
    assert gradient[..., :2][annotated].any()
    taught = annotated.any(dim=-1)
    assert not gradient[..., 2][~taught].any()
    assert gradient[..., 2][taught].all()


def test_boxes_and_classes_learn_as_without_keypoints():
    output, aux, of = head_output(7), head_output(8), targets(7)
    prediction = Prediction(output, (aux,))
    ours = PoseLoss(TaskAlignedAssigner(), sigmas=SIGMAS)(prediction, of)
    boxes_only = Prediction(output._replace(keypoints=None), (aux._replace(keypoints=None),))
    theirs = DetectionLoss(TaskAlignedAssigner())(boxes_only, of)
    assert ours.items._fields == ("box", "pose", "vis", "cls", "dfl")
    assert [ours.items.box, ours.items.cls, ours.items.dfl] == [*theirs.items]
    added = ours.total - theirs.total
    torch.testing.assert_close(added, 2 * (ours.items.pose + ours.items.vis))
    assert ours.items.pose == ours.main.pose + 0.25 * ours.aux[0].pose


def test_places_learnt_are_the_true_ones():
    """Descent on the loss alone brings the keypoints of assigned anchors to their places."""
    output, of = head_output(9, images=1), targets(9, images=1)
    of = of._replace(keypoints=of.keypoints[:, :1], boxes=of.boxes[:, :1] + 0.0)
    found = assignment(9, output, of)
    raw = output.keypoints.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([raw], 0.02)
    wide = torch.full((KEYPOINTS,), 0.5)
    for _ in range(300):
        terms = keypoint_loss(output._replace(keypoints=raw), found, of.keypoints, wide)
        optimizer.zero_grad()
        sum(terms).backward()
        optimizer.step()
    assert terms.pose < 0.01


@pytest.mark.parametrize("objects", [0, 2])
def test_no_keypoint_at_all_is_no_loss(objects):
    output, of = head_output(3), targets(3, objects)
    of = of._replace(keypoints=torch.zeros_like(of.keypoints))
    result = PoseLoss(TaskAlignedAssigner(), sigmas=SIGMAS)(Prediction(output, ()), of)
    assert result.items.pose == result.items.vis == 0
    result.total.backward()
    assert output.keypoints.grad.isfinite().all()


@pytest.mark.parametrize("lacking", ["model", "data"])
def test_what_has_no_keypoints_is_told(lacking):
    output, of = head_output(3), targets(3)
    if lacking == "model":
        output = output._replace(keypoints=None)
    else:
        of = of._replace(keypoints=None)
    with pytest.raises(UserError, match=rf"the {lacking} .*none: give task=pose"):
        PoseLoss(TaskAlignedAssigner())(Prediction(output, ()), of)


@pytest.mark.slow
def test_it_is_one_graph():
    loss = PoseLoss(TaskAlignedAssigner(), sigmas=SIGMAS)
    prediction, of = Prediction(head_output(1), (head_output(2),)), targets(1)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    torch.testing.assert_close([*compiled(prediction, of).items], [*loss(prediction, of).items])
