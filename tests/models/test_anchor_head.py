"""YOLOv7's head: published counts, where boxes lie, and the deploy form's outputs."""

import pytest
import torch

from yolov9_lit.models.anchor_head import YOLOV7_ANCHORS, AnchorHead
from yolov9_lit.models.cost import count_parameters
from yolov9_lit.models.yolov7 import scaled

COUNTS = (37_622_682, 36_905_341)
"""Trained and fused, for 80 classes, as the published program prints them."""


def test_yolov7_has_the_published_counts(make):
    detector = make("model=yolov7", num_classes=80)
    assert (count_parameters(detector), count_parameters(detector.deploy())) == COUNTS


def test_the_config_has_the_published_anchors(compose_config):
    given = compose_config("model=yolov7").model.head.anchors
    assert [list(map(tuple, level)) for level in given] == [list(level) for level in YOLOV7_ANCHORS]


def test_a_box_lies_where_the_logits_of_its_anchor_say():
    """Cell by cell: by level, row, column and anchor; about objectness 0.5."""
    anchors = [[[10, 20], [30, 5]], [[40, 40], [50, 60]], [[90, 80], [100, 120]]]
    head = AnchorHead((4, 4, 4), 2, anchors)
    torch.manual_seed(0)
    maps = [torch.randn(2, 4, 64 // s, 96 // s) for s in (8, 16, 32)]
    with torch.no_grad():
        found = head(maps)
        boxes, scores = head.decode(found)
    index = 0
    for level, stride in enumerate((8, 16, 32)):
        with torch.no_grad():
            raw = head.levels[level](maps[level]).view(2, 2, 7, 64 // stride, 96 // stride)
        for row in range(64 // stride):
            for column in range(96 // stride):
                for anchor, (width, height) in enumerate(anchors[level]):
                    x, y, w, h, object_, *classes = raw[:, anchor, :, row, column].sigmoid().T
                    w, h = (2 * w) ** 2 * width, (2 * h) ** 2 * height
                    x, y = (2 * x - 0.5 + column) * stride, (2 * y - 0.5 + row) * stride
                    box = torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), -1)
                    torch.testing.assert_close(boxes[:, index], box, rtol=1e-4, atol=1e-3)
                    score = torch.stack(classes, -1) * object_[:, None]
                    torch.testing.assert_close(scores[:, index], score)
                    index += 1
    assert index == boxes.shape[1]


@pytest.mark.parametrize("implicit", [True, False])
def test_the_deploy_form_gives_the_same(make, randomise_statistics, implicit):
    detector = make("model=yolov7", "model.width=0.125", f"model.head.implicit={implicit}").double()
    randomise_statistics(detector)
    for name, parameter in detector.named_parameters():
        if "implicit" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    images = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    deployed = detector.eval().deploy()
    with torch.no_grad():
        before, after = (one(images).main for one in (detector, deployed))
    for field in ("box_logits", "class_logits", "objectness"):
        one, other = getattr(before, field), getattr(after, field)
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-7)
    left = [name for name, _ in deployed.named_parameters()]
    assert not any("implicit" in name or "conv1" in name for name in left)


def test_widths_are_multiples_of_eight(make):
    assert scaled((64, 256, 1024), 1.0) == (64, 256, 1024)
    assert scaled((32, 128, 20), 0.125) == (8, 16, 8)
    detector = make("model=yolov7", "model.width=0.125")
    assert detector.neck.channels == (32, 64, 128)


@pytest.mark.parametrize(
    ("anchors", "told"),
    [
        ([[[1, 2]], [[1, 2]]], "as many for each of the three levels"),
        ([[[1, 2]], [[1, 2]], []], "as many for each of the three levels"),
        ([[[1, 2]], [[1, 2]], [[1, 0]]], "a width and a height in pixels above 0"),
        ([[[1, 2]], [[1, 2]], [[1]]], "a width and a height in pixels above 0"),
    ],
)
def test_anchors_of_another_form_are_refused(anchors, told):
    with pytest.raises(ValueError, match=told):
        AnchorHead((4, 4, 4), 2, anchors)


def test_auto_is_yolov7_s_where_no_data_are_at_hand():
    assert torch.equal(AnchorHead((4, 4, 4), 2).sizes, torch.tensor(YOLOV7_ANCHORS).float())
