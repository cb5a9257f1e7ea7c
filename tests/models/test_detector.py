"""The detector: its arguments, its anchors, what it refuses."""

import pytest
import torch

from yolov9_lit.models.detector import gelan_detector


def test_input_channels_and_widths_are_arguments(make):
    detector = make("model=gelan_t", "model.in_channels=1", "model.stem=[8,16]", num_classes=1)
    assert detector.eval()(torch.rand(1, 1, 64, 64)).main.class_logits.shape == (1, 84, 1)


def test_anchors_run_by_level_row_column(make):
    output = make("model=gelan_t").eval()(torch.rand(1, 3, 64, 96)).main
    assert output.anchor_points[:2].tolist() == [[4.0, 4.0], [12.0, 4.0]]
    assert output.anchor_points[12].tolist() == [4.0, 12.0]
    assert output.strides.flatten().unique_consecutive().tolist() == [8.0, 16.0, 32.0]


def test_refuses_classes_below_one():
    with pytest.raises(ValueError, match="num_classes is 0"):
        gelan_detector(num_classes=0, backbone=None, head=None)


def test_with_channels_last_the_outputs_are_the_same(make):
    detector = make("model=gelan_t").eval()
    images = torch.rand(2, 3, 64, 96)
    plain = detector(images).main
    detector.to(memory_format=torch.channels_last)
    with torch.no_grad():
        same = detector(images.to(memory_format=torch.channels_last)).main
    torch.testing.assert_close(same, plain, rtol=1e-5, atol=1e-5)


def test_an_anchors_numbers_lie_beside_each_other(make):
    output = make("model=gelan_t").eval()(torch.rand(1, 3, 64, 64)).main
    assert output.box_logits.is_contiguous()
    assert output.class_logits.is_contiguous()
