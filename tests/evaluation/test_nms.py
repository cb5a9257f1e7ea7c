"""NMS against the published implementation's output and a brute-force version."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torchvision.ops import box_iou

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("eval_multilabel", NMSSettings()),
        ("deploy", NMSSettings(0.25, 0.45, multi_label=False, max_detections=1000)),
    ],
)
def test_equals_reference(reference, name, setting):
    numbers = reference("nms")
    predictions = torch.from_numpy(numbers["predictions_cxcywh_scores"]).transpose(1, 2)
    centre, size = predictions[..., :2], predictions[..., 2:4]
    boxes = torch.cat((centre - size / 2, centre + size / 2), dim=-1)
    for i, found in enumerate(non_max_suppression(boxes, predictions[..., 4:], setting)):
        expected = torch.from_numpy(numbers[f"{name}_image{i}_xyxy_score_label"])
        torch.testing.assert_close(found.boxes, expected[:, :4], rtol=0, atol=1e-4)
        torch.testing.assert_close(found.scores, expected[:, 4], rtol=0, atol=1e-6)
        assert torch.equal(found.labels, expected[:, 5].long())


def brute_force(boxes, scores, setting):
    rows = [
        (scores[a, c].item(), a, c)
        for a in range(len(boxes))
        for c in range(scores.shape[1])
        if scores[a, c] > setting.confidence and (setting.multi_label or c == scores[a].argmax())
    ]
    kept = []
    for score, a, c in sorted(rows, key=lambda row: -row[0])[: setting.max_candidates]:
        rivals = [k for k in kept if k[2] == c]
        if all(box_iou(boxes[a][None], boxes[k[1]][None]) <= setting.iou for k in rivals):
            kept.append((score, a, c))
    return kept[: setting.max_detections]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), multi_label=st.booleans(), limit=st.sampled_from([5, 100]))
def test_equals_brute_force(seed, multi_label, limit):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(25, 2, generator=generator) * 60
    boxes = torch.cat((corner, corner + 5 + torch.rand(25, 2, generator=generator) * 40), dim=1)
    scores = torch.rand(25, 3, generator=generator)
    setting = NMSSettings(0.4, 0.5, multi_label, max_candidates=4 * limit, max_detections=limit)
    (found,) = non_max_suppression(boxes[None], scores[None], setting)
    expected = brute_force(boxes, scores, setting)
    assert found.labels.tolist() == [c for _, _, c in expected]
    assert torch.equal(found.boxes, boxes[[a for _, a, _ in expected]].view(-1, 4))


def test_classes_stay_apart_where_boxes_leave_the_image():
    boxes = torch.tensor([[[0.0, 0, 640, 640], [-630, -630, 10, 10]]])
    scores = torch.tensor([[[0.9, 0.0], [0.0, 0.8]]])
    (found,) = non_max_suppression(boxes, scores, NMSSettings())
    assert found.labels.tolist() == [0, 1]
    assert torch.equal(found.boxes, boxes[0])


@pytest.mark.parametrize("iou", [0.02, 0.95])
def test_the_first_candidates_decide_only_where_they_suffice(monkeypatch, iou):
    """Ties come in the order of their anchors, however many candidates are looked at first."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(1, 3000, 2, generator=generator) * 60
    boxes = torch.cat((corner, corner + 20 + torch.rand(1, 3000, 2, generator=generator)), dim=-1)
    scores = (torch.rand(1, 3000, 2, generator=generator) * 200).round() / 200
    found = []
    for first in (1200, 10_000):
        monkeypatch.setattr("yolov9_lit.evaluation.nms._FIRST", first)
        found += non_max_suppression(boxes, scores, NMSSettings(iou=iou))
    assert (len(found[0].scores) == 300) == (iou > 0.5)
    assert all(torch.equal(a, b) for a, b in zip(found[0][:3], found[1][:3], strict=True))


def test_nothing_above_the_confidence():
    (found,) = non_max_suppression(torch.rand(1, 9, 4), torch.zeros(1, 9, 2), NMSSettings())
    assert [t.shape for t in found[:3]] == [(0, 4), (0,), (0,)]


def test_an_overlap_of_one_switches_suppression_off():
    """How an NMS-free head is measured: the best scores, whatever they overlap."""
    torch.manual_seed(0)
    boxes = torch.tensor([[10.0, 10.0, 50.0, 50.0]]).repeat(30, 1)
    boxes[15:] += 1e-3
    scores = torch.rand(30, 2)
    (found,) = non_max_suppression(
        boxes[None], scores[None], NMSSettings(confidence=0, iou=1, max_detections=20)
    )
    assert torch.equal(found.scores, scores.flatten().topk(20).values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confidence", 2),
        ("confidence", "high"),
        ("iou", -0.1),
        ("iou", float("nan")),
        ("max_detections", -1),
        ("max_detections", 0.5),
        ("max_candidates", 0),
    ],
)
def test_settings_out_of_range_are_told(name, value):
    """A limit of -1 would drop the last detection in silence."""
    with pytest.raises(UserError, match=f"{name}=.* is not valid"):
        NMSSettings(**{name: value})
