"""Task-aligned assignment against the published implementation's output and by its definition."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.losses import assigners
from yolov9_lit.losses.assigners import TaskAlignedAssigner
from yolov9_lit.losses.boxes import complete_iou
from yolov9_lit.runs.identity import experiment_config
from yolov9_lit.structures import Targets


def test_equals_reference(reference):
    data = {name: torch.from_numpy(array) for name, array in reference("assigner").items()}
    targets = Targets(
        data["gt_boxes_xyxy"],
        data["gt_labels"].squeeze(-1).long(),
        data["gt_mask"].squeeze(-1).bool(),
    )
    assignment = TaskAlignedAssigner()(
        data["pred_boxes_xyxy"], data["pred_scores"], data["anchor_points"], targets
    )
    foreground = data["foreground"]
    assert torch.equal(assignment.foreground, foreground)
    assert torch.equal(
        targets.labels.gather(1, assignment.indices)[foreground], data["target_labels"][foreground]
    )
    assert torch.equal(assignment.boxes[foreground], data["target_boxes_xyxy"][foreground])
    assert torch.equal(assignment.scores, data["target_scores"])


def brute_force(boxes, scores, points, targets, topk):
    """One image, object by object and anchor by anchor."""
    candidates, overlap, metric = {}, {}, {}
    valid = [g for g in range(len(targets.boxes)) if targets.valid[g]]
    for g in range(len(targets.boxes)):
        x1, y1, x2, y2 = targets.boxes[g].tolist()
        for a in range(len(points)):
            overlap[g, a] = max(complete_iou(targets.boxes[g], boxes[a]).item(), 0.0)
            score = scores[a, targets.labels[g]].item()
            metric[g, a] = score**0.5 * overlap[g, a] ** 6
        inside = [a for a, (x, y) in enumerate(points.tolist()) if x1 < x < x2 and y1 < y < y2]
        candidates[g] = sorted(inside, key=lambda a: -metric[g, a])[:topk]
    owner = {}
    for a in range(len(points)):
        wanting = [g for g in valid if a in candidates[g]]
        if len(wanting) == 1:
            owner[a] = wanting[0]
        elif wanting:
            owner[a] = max(range(len(targets.boxes)), key=lambda g: overlap[g, a])
    return owner


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), objects=st.integers(1, 5))
def test_owner_of_each_anchor_equals_brute_force(seed, objects):
    generator = torch.Generator().manual_seed(seed)
    grid = torch.arange(6) * 8.0 + 4
    points = torch.cartesian_prod(grid, grid)
    corner = torch.rand(objects, 2, generator=generator) * 24
    boxes = torch.cat((corner, corner + 9 + torch.rand(objects, 2, generator=generator) * 15), 1)
    predicted = torch.cat((points - 9, points + 9), 1)
    predicted += torch.randn(predicted.shape, generator=generator)
    scores = torch.rand(len(points), 3, generator=generator)
    targets = Targets(
        boxes, torch.randint(0, 3, (objects,), generator=generator), torch.ones(objects).bool()
    )
    assignment = TaskAlignedAssigner(topk=4)(
        predicted[None], scores[None], points, Targets(*(t[None] for t in targets[:3]))
    )
    owner = brute_force(predicted, scores, points, targets, topk=4)
    # Candidates without any overlap are interchangeable: nothing is asked of them.
    for anchor in range(len(points)):
        if assignment.scores[0, anchor].any():
            assert owner[anchor] == assignment.indices[0, anchor]
    asked = {a for a, g in owner.items() if complete_iou(boxes[g], predicted[a]) > 0.01}
    assert asked <= set(assignment.foreground[0].nonzero().flatten().tolist())


def test_one_to_one_gives_each_object_its_best_anchor():
    """Two objects apart from each other: one anchor each, asked for its own overlap."""
    points = torch.cartesian_prod(torch.arange(8) * 8.0 + 4, torch.arange(8) * 8.0 + 4)
    boxes = torch.tensor([[2.0, 2.0, 26.0, 26.0], [34.0, 34.0, 62.0, 62.0]])
    predicted = torch.cat((points - 10, points + 10), 1)
    targets = Targets(boxes[None], torch.tensor([[0, 1]]), torch.ones(1, 2).bool())
    assignment = TaskAlignedAssigner(topk=1)(
        predicted[None], torch.full((1, 64, 2), 0.5), points, targets
    )
    assert assignment.foreground.sum() == 2
    for index, box in enumerate(boxes):
        (anchor,) = (assignment.foreground[0] & (assignment.indices[0] == index)).nonzero()
        overlaps = complete_iou(box, predicted)
        torch.testing.assert_close(assignment.scores[0, anchor, index][0], overlaps.max())


def crowded(images, objects, generator):
    """Predictions about a grid of anchors, and objects of which some are padding."""
    points = torch.cartesian_prod(torch.arange(8) * 8.0 + 4, torch.arange(8) * 8.0 + 4)
    predicted = torch.cat((points - 9, points + 9), 1).repeat(images, 1, 1)
    predicted += 3 * torch.randn(predicted.shape, generator=generator)
    corner = torch.rand(images, objects, 2, generator=generator) * 56
    size = torch.rand(images, objects, 2, generator=generator) * 24
    valid = torch.rand(images, objects, generator=generator) < 0.8
    labels = torch.randint(0, 3, (images, objects), generator=generator) * valid
    boxes = torch.cat((corner, corner + size), -1) * valid.unsqueeze(-1)
    scores = torch.rand(images, len(points), 3, generator=generator)
    return predicted, scores, points, Targets(boxes, labels, valid)


@pytest.mark.parametrize("objects_at_once", [1, 7, 40])
def test_a_crowd_is_assigned_in_parts_bit_by_bit_as_it_is_at_once(objects_at_once, monkeypatch):
    inputs = crowded(2, 40, torch.Generator().manual_seed(0))
    whole = TaskAlignedAssigner()(*inputs)
    pairs = []

    def counted(boxes, others):
        overlaps = complete_iou(boxes, others)
        pairs.append(overlaps.numel())
        return overlaps

    limit = objects_at_once * 2 * 64  # objects times images times anchors
    monkeypatch.setattr(assigners, "complete_iou", counted)
    parts = TaskAlignedAssigner(most_pairs=limit)(*inputs)
    assert max(pairs) <= limit
    assert torch.equal(whole.foreground, parts.foreground)
    assert torch.equal(whole.indices, parts.indices)
    assert torch.equal(whole.boxes, parts.boxes)
    assert torch.equal(whole.scores, parts.scores)
    assert whole.foreground.any()


def test_one_setting_bounds_all_assigners_and_makes_no_other_experiment():
    def composed(most_pairs):
        overrides = ["run_dir=/run", "pgi=cf", f"execution.assigner.most_pairs={most_pairs}"]
        return compose("train", overrides)

    loss = build(composed(1000).loss)
    assert [loss.assigner.most_pairs, loss.aux_assigners[1].most_pairs] == [1000, 1000]
    assert experiment_config(composed(1000)) == experiment_config(composed("null"))
