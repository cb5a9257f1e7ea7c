"""Simplified optimal transport by its definition, with plain loops."""

import math

import pytest
import torch
from anchored import ANCHORS, HEIGHT, WIDTH, boxes, objects, output
from hypothesis import given, settings, strategies as st
from torchvision.ops import box_iou

from yolov9_lit.losses import YOLOv7Loss
from yolov9_lit.losses.ota import OTAAssigner
from yolov9_lit.structures import Prediction


class Watched(YOLOv7Loss):
    """Keeps what each branch is asked for."""

    def _items(self, output, boxes, assignment, targets):
        self.asked = [*getattr(self, "asked", []), assignment]
        return super()._items(output, boxes, assignment, targets)


def places():
    """Level, row, column and shape of every anchor, in order."""
    for level, stride in enumerate((8, 16, 32)):
        for row in range(HEIGHT // stride):
            for column in range(WIDTH // stride):
                for shape in ANCHORS[level]:
                    yield stride, row, column, shape


def candidates(box, reach):
    """Anchors that one object allows."""
    x1, y1, x2, y2 = box
    found = set()
    for anchor, (stride, row, column, (width, height)) in enumerate(places()):
        ratios = ((x2 - x1) / width, (y2 - y1) / height)
        if max(max(r, 1 / r) for r in ratios) >= 4:
            continue
        x, y = (x1 + x2) / 2 / stride, (y1 + y2) / 2 / stride
        moved = [(x, y), (x - reach, y), (x + reach, y), (x, y - reach), (x, y + reach)]
        if (column, row) in [(math.floor(a), math.floor(b)) for a, b in moved]:
            found.add(anchor)
    return found


def owners(found, predicted, targets, image, reach, topk):
    """Anchor -> object of one image, object by object."""
    valid = [g for g in range(targets.valid.shape[1]) if targets.valid[image, g]]
    allowed = [candidates(targets.boxes[image, g].tolist(), reach) for g in valid]
    allowed = sorted(set().union(*allowed))
    if not allowed:
        return {}
    overlap = box_iou(targets.boxes[image], predicted[image])
    cost = {}
    for g in valid:
        for a in allowed:
            price = -3 * math.log(overlap[g, a] + 1e-8)
            for c, logit in enumerate(found.class_logits[image, a].detach()):
                p = (logit.sigmoid() * found.objectness[image, a].detach().sigmoid()).sqrt().item()
                price -= math.log(p) if c == targets.labels[image, g] else math.log(1 - p)
            cost[g, a] = price
    taken = {}
    for g in valid:
        best = sorted((overlap[g, a].item() for a in allowed), reverse=True)[:topk]
        for a in sorted(allowed, key=lambda a: cost[g, a])[: max(int(sum(best)), 1)]:
            taken.setdefault(a, []).append(g)
    return {
        a: of[0] if len(of) == 1 else min(valid, key=lambda g: cost[g, a])
        for a, of in taken.items()
    }


@pytest.mark.parametrize(("reach", "topk"), [(0.5, 10), (1.0, 20)])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 5))
def test_owner_of_each_anchor_equals_brute_force(reach, topk, seed, count):
    generator = torch.Generator().manual_seed(seed)
    found, targets = output(2, generator), objects(2, count, generator)
    predicted = boxes(found)
    assigned = OTAAssigner(topk=topk, reach=reach).assign(found, predicted, targets)
    for image in range(2):
        owner = owners(found, predicted, targets, image, reach, topk)
        anchors = assigned.foreground[image].nonzero().flatten().tolist()
        assert {a: assigned.indices[image, a].item() for a in anchors} == owner
        for a in anchors:
            label = targets.labels[image, owner[a]]
            assert assigned.scores[image, a].tolist() == [float(c == label) for c in range(3)]
            assert torch.equal(assigned.boxes[image, a], targets.boxes[image, owner[a]])
    assert assigned.scores.sum() == assigned.foreground.sum()


def test_an_auxiliary_branch_learns_coarsely_what_the_main_head_s_predictions_choose():
    generator = torch.Generator().manual_seed(3)
    main, aux = output(2, generator), output(2, generator)
    targets = objects(2, 4, generator)
    settings = {"aux_names": ["aux"], "aux_assigner": {"aux": OTAAssigner(topk=20, reach=1.0)}}
    loss = Watched(OTAAssigner(topk=20), lead_head_guided=["aux"], **settings)
    found = loss(Prediction(main, (aux,)), targets)
    for asked, reach in zip(loss.asked, (0.5, 1.0), strict=True):
        for image in range(2):
            owner = owners(main, boxes(main), targets, image, reach, topk=20)
            anchors = asked.foreground[image].nonzero().flatten().tolist()
            assert {a: asked.indices[image, a].item() for a in anchors} == owner
    assert loss.asked[1].foreground.sum() > loss.asked[0].foreground.sum()
    torch.testing.assert_close(found.mean, found.main.total + found.aux[0].total / 4)
    found.total.backward()
    for branch in (main, aux):
        assert branch.box_logits.grad.any()
        assert branch.class_logits.grad.any()
        assert branch.objectness.grad.all()

    own = Watched(OTAAssigner(topk=20), lead_head_guided=True, **settings)
    own(Prediction(main, (aux,)), targets)
    assert not torch.equal(own.asked[1].foreground, loss.asked[1].foreground)
    with pytest.raises(ValueError, match=r"lead_head_guided names icn, but .* are: aux"):
        Watched(OTAAssigner(), lead_head_guided=["icn"], **settings)


def test_a_good_overlap_takes_more_anchors():
    generator = torch.Generator().manual_seed(0)
    found, targets = output(1, generator), objects(1, 1, generator)
    targets.valid[:] = True
    targets.boxes[:] = torch.tensor([20.0, 20.0, 40.0, 44.0])
    exact = targets.boxes.expand(1, len(found.strides), 4)
    assert OTAAssigner().assign(found, exact, targets).foreground.sum() == 10
    far = exact - 1000
    assert OTAAssigner().assign(found, far, targets).foreground.sum() == 1


def test_a_crowd_is_assigned_in_parts_as_it_is_at_once():
    generator = torch.Generator().manual_seed(0)
    found, targets = output(2, generator), objects(2, 40, generator)
    whole = OTAAssigner().assign(found, boxes(found), targets)
    parts = OTAAssigner(most_pairs=3 * 2 * len(found.strides)).assign(found, boxes(found), targets)
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one, other)
    assert whole.foreground.any()


def test_no_objects_are_background():
    generator = torch.Generator().manual_seed(0)
    found = output(2, generator)
    for count in (0, 2):
        targets = objects(2, count, generator)
        targets.valid[:] = False
        assigned = OTAAssigner().assign(found, boxes(found), targets)
        assert not assigned.foreground.any()
        assert not assigned.scores.any()
