"""The head of pose estimation: widths, every branch, deploy form, where keypoints lie."""

import pytest
import torch

from yolov9_lit.evaluation.nms import NMSSettings, suppressed
from yolov9_lit.models.cost import count_parameters
from yolov9_lit.models.head import Head, anchor_points
from yolov9_lit.models.pose import PoseHead, decode_keypoints
from yolov9_lit.structures import Candidates

CHANNELS = (32, 64, 96)


@pytest.mark.parametrize(("keypoints", "width"), [(2, 8), (17, 51)])
def test_the_branches_are_as_wide_as_the_paper_s(keypoints, width):
    extra = count_parameters(PoseHead(CHANNELS, 3, keypoints)) - count_parameters(Head(CHANNELS, 3))
    of_convs = sum(9 * c * width + 9 * width**2 + 4 * width for c in CHANNELS)
    assert extra == of_convs + 3 * (width + 1) * 3 * keypoints


def test_seventeen_keypoints_where_nothing_is_said(make):
    with torch.device("meta"):
        assert make("model=gelan_t", "task=pose").head.num_keypoints == 17


@pytest.mark.parametrize("pgi", ["none", "fpn", "icn_neck", "cf"])
def test_every_branch_finds_keypoints_and_the_deploy_form_the_same(make, pgi):
    detector = make("model=gelan_t", "task=pose", "model.head.keypoints=5", f"pgi={pgi}")
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        before, after = detector.eval()(images), detector.deploy()(images)
    for output in (before.main, *before.aux):
        assert output.keypoints.shape == (1, len(output.anchor_points), 5, 3)
    assert len(before.aux) == len(detector.aux_heads)
    torch.testing.assert_close(after.main.keypoints, before.main.keypoints, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", ["s", "m", "c", "e"])
def test_all_sizes_have_the_task(make, size):
    with torch.device("meta"):
        output = make(f"model=yolov9_{size}", "task=pose").eval()(torch.empty(1, 3, 64, 64)).aux[0]
    assert output.keypoints.shape == (1, 84, 17, 3)


def test_a_keypoint_lies_its_offset_from_the_corner_of_its_cell():
    """Anchor by anchor: x = (2 * raw + column) * stride, by level, row and column."""
    height, width = 64, 96
    points, strides = anchor_points(
        [torch.zeros(1, 1, height // s, width // s) for s in (8, 16, 32)]
    )
    raw = torch.randn(2, len(points), 3, 3, generator=torch.Generator().manual_seed(0))
    decoded = decode_keypoints(raw, points, strides)
    anchor = 0
    for stride in (8, 16, 32):
        for row in range(height // stride):
            for column in range(width // stride):
                x, y, visible = raw[:, anchor].unbind(-1)
                expected = (2 * x + column) * stride, (2 * y + row) * stride, visible.sigmoid()
                torch.testing.assert_close(decoded[:, anchor], torch.stack(expected, -1))
                anchor += 1
    assert anchor == len(points)


def test_suppression_keeps_each_box_s_own_keypoints():
    rng = torch.Generator().manual_seed(1)
    points, strides = anchor_points([torch.zeros(1, 1, 64 // s, 64 // s) for s in (8, 16, 32)])
    raw = torch.randn(2, len(points), 4, 3, generator=rng)
    corner = 64 * torch.rand(2, len(points), 2, generator=rng)
    boxes = torch.cat((corner, corner + 20), dim=-1)
    scores = torch.rand(2, len(points), 2, generator=rng)
    every = decode_keypoints(raw, points, strides)
    candidates = Candidates(boxes, scores, keypoints=every)
    for image, found in enumerate(suppressed(candidates, NMSSettings())):
        assert 10 < len(found.boxes) < 2 * len(points)
        for box, keypoints in zip(found.boxes, found.keypoints, strict=True):
            (anchor,) = (boxes[image] == box).all(dim=-1).nonzero()
            torch.testing.assert_close(keypoints, every[image, anchor[0]])
