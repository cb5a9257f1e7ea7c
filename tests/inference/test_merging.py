"""Merging what views have found, against plain loops over lists."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torchvision.ops import box_iou

from yolov9_lit.errors import UserError
from yolov9_lit.inference.merging import Gathered, Merging, Suppression, WeightedBoxesFusion


def random_boxes(seed, count=30, cut=0.0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat((corner, corner + 5 + torch.rand(count, 2, generator=generator) * 40), dim=1)
    scores = torch.rand(count, generator=generator).sort(descending=True).values
    labels = torch.randint(2, (count,), generator=generator)
    return Gathered(boxes, scores, labels, torch.rand(count, generator=generator) < cut, 4)


def plain_fusion(found, iou):
    """Arrays of the clusters' members, and the fused boxes computed anew each time."""
    clusters = []
    for box, score, label in zip(*(t.tolist() for t in found[:3]), strict=True):
        best, most = None, iou
        for cluster in clusters:
            if cluster["label"] == label:
                overlap = box_iou(torch.tensor([box]), torch.tensor([cluster["box"]])).item()
                if overlap > most:
                    best, most = cluster, overlap
        if best is None:
            best = {"label": label, "members": []}
            clusters.append(best)
        best["members"].append((box, score))
        total = sum(s for _, s in best["members"])
        best["box"] = [sum(b[k] * s for b, s in best["members"]) / total for k in range(4)]
    for cluster in clusters:
        count = len(cluster["members"])
        mean = sum(s for _, s in cluster["members"]) / count
        cluster["score"] = mean * min(count, found.views) / found.views
    return sorted(clusters, key=lambda cluster: -cluster["score"])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), iou=st.sampled_from([0.2, 0.55, 0.9]))
def test_fusion_equals_plain_loops(seed, iou):
    found = random_boxes(seed)
    expected = plain_fusion(found, iou)
    fused = WeightedBoxesFusion(iou)(found, 100)
    assert fused.labels.tolist() == [cluster["label"] for cluster in expected]
    torch.testing.assert_close(fused.scores, torch.tensor([c["score"] for c in expected]))
    torch.testing.assert_close(fused.boxes, torch.tensor([c["box"] for c in expected]))
    some = WeightedBoxesFusion(iou)(found, 3)
    assert torch.equal(some.boxes, fused.boxes[:3])


def test_fusion_of_two_boxes_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [2, 0, 12, 10], [50, 50, 60, 60]])
    labels = torch.tensor([0, 0, 1])
    scores = torch.tensor([0.9, 0.3, 0.2])
    fused = WeightedBoxesFusion()(Gathered(boxes, scores, labels, scores > 1, 3), 10)
    torch.testing.assert_close(fused.boxes, torch.tensor([[0.5, 0, 10.5, 10], [50, 50, 60, 60]]))
    torch.testing.assert_close(fused.scores, torch.tensor([0.6 * 2 / 3, 0.2 / 3]))


def plain_suppression(found, iou):
    kept = []
    for i in range(len(found.boxes)):
        rivals = [k for k in kept if found.labels[k] == found.labels[i]]
        if all(box_iou(found.boxes[i][None], found.boxes[k][None]) <= iou for k in rivals):
            kept.append(i)
    return kept


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), iou=st.sampled_from([0.2, 0.5, 0.8]))
def test_merging_of_whole_boxes_is_suppression(seed, iou):
    found = random_boxes(seed)
    expected = plain_suppression(found, iou)
    for merge in (Suppression(iou), Merging(iou)):
        merged = merge(found, 100)
        assert torch.equal(merged.boxes, found.boxes[expected])
        assert torch.equal(merged.labels, found.labels[expected])
        assert torch.equal(merge(found, 4).scores, found.scores[expected][:4])


def shared_area(a, b):
    sides = [min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1)]
    return max(sides[0], 0) * max(sides[1], 0)


def of_one_object(a, b, iou, ios):
    """Whether two rows (box, cut) are of one object; whole numbers make fractions exact."""
    (box, is_cut), (other, other_cut) = a, b
    shared, area, areas = (shared_area(*pair) for pair in ((box, other), (box, box), (other,) * 2))
    parts = [area] * is_cut + [areas] * other_cut
    return Fraction(shared, area + areas - shared) > iou or any(
        Fraction(shared, part) > ios for part in parts
    )


def plain_merging(found, iou, ios):
    """Sets that grow until nothing joins: a group's place in the order, and its box."""
    boxes, cut = ([*map(tuple, found.boxes.long().tolist())], found.cut.tolist())
    free, groups = set(range(len(boxes))), []
    for best in range(len(boxes)):
        if best not in free:
            continue
        alike = {k for k in free if found.labels[k] == found.labels[best]}
        seed, group = (boxes[best], cut[best]), {best}
        while True:
            group |= {k for k in alike if of_one_object(seed, (boxes[k], cut[k]), iou, ios)}
            whole = sorted(k for k in group if not cut[k])
            if not seed[1]:
                break
            if whole:
                seed = (boxes[whole[0]], False)
                continue
            columns = [*zip(*(boxes[k] for k in group), seed[0], strict=True)]
            grown = (*map(min, columns[:2]), *map(max, columns[2:]))
            if grown == seed[0]:
                break
            seed = (grown, True)
        free -= group
        groups.append((best, seed[0]))
    return groups


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cut=st.sampled_from([0.3, 0.7, 1.0]),
    iou=st.sampled_from([Fraction(1, 2), Fraction(4, 5)]),
    ios=st.sampled_from([Fraction(1, 5), Fraction(1, 2), Fraction(4, 5)]),
)
def test_merging_of_cut_boxes_equals_plain_loops(seed, cut, iou, ios):
    found = random_boxes(seed, cut=cut)
    found = found._replace(boxes=found.boxes.round())
    expected = plain_merging(found, iou, ios)
    merged = Merging(float(iou), float(ios))(found, 100)
    kept = [best for best, _ in expected]
    assert [*map(tuple, merged.boxes.tolist())] == [box for _, box in expected]
    assert torch.equal(merged.scores, found.scores[kept])
    assert torch.equal(merged.labels, found.labels[kept])


def test_parts_make_one_object():
    """Three in a row that borders cut, of which the outer ones do not meet."""
    parts = torch.tensor([[40.0, 0, 100, 20], [80, 0, 140, 20], [0, 0, 60, 20], [90, 5, 99, 15]])
    cut = torch.tensor([True, True, True, False])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    found = Gathered(parts, scores, torch.zeros(4).long(), cut, 2)
    merged = Merging(ios=0.3)(found, 10)
    assert merged.boxes.tolist() == [[0, 0, 140, 20], [90, 5, 99, 15]]
    torch.testing.assert_close(merged.scores, torch.tensor([0.9, 0.6]))
    apart = Merging(ios=0.3)(found._replace(labels=torch.tensor([0, 1, 0, 0])), 10)
    assert apart.boxes[:2].tolist() == [[0, 0, 100, 20], [80, 0, 140, 20]]


@pytest.mark.parametrize("scores", [[0.9, 0.8, 0.7], [0.7, 0.9, 0.8], [0.7, 0.8, 0.9]])
def test_a_whole_object_tells_its_extent_to_its_parts(scores):
    """Whichever is found best; a small one beside it, found whole, stays."""
    boxes = torch.tensor([[0.0, 0, 100, 40], [50, 0, 104, 44], [10, 10, 20, 20]])
    cut = torch.tensor([False, True, False])
    order = torch.tensor(scores).argsort(descending=True)
    found = Gathered(
        boxes[order], torch.tensor(scores)[order], torch.zeros(3).long(), cut[order], 2
    )
    merged = Merging()(found, 10)
    assert sorted(merged.boxes.tolist()) == [[0, 0, 100, 40], [10, 10, 20, 20]]


@pytest.mark.parametrize("merge", [Suppression, Merging, WeightedBoxesFusion])
def test_settings_out_of_range_are_told(merge):
    with pytest.raises(UserError, match=r"merge\.iou=2 is not valid"):
        merge(iou=2)
