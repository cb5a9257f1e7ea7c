"""mPC and rPC against a computation by hand."""

import pytest

from yolov9_lit.evaluation.robustness import Robustness

ROWS = [
    {"kind": "clean", "severity": 0, "AP": 0.5, "mask_AP": -1.0},
    {"kind": "fog", "severity": 1, "AP": 0.4, "mask_AP": -1.0},
    {"kind": "fog", "severity": 3, "AP": 0.2, "mask_AP": -1.0},
    {"kind": "blur", "severity": 1, "AP": 0.3, "mask_AP": -1.0},
    {"kind": "blur", "severity": 3, "AP": 0.1, "mask_AP": -1.0},
]


def test_means_are_those_computed_by_hand(tmp_path):
    robustness = Robustness.of(ROWS)
    summary = robustness.summary()
    assert summary["mPC"] == pytest.approx((0.4 + 0.2 + 0.3 + 0.1) / 4)
    assert summary["rPC"] == pytest.approx(0.25 / 0.5)
    assert summary["mask_mPC"] == summary["mask_rPC"] == -1
    shown = [[cell.text for cell in row] for row in robustness.table().rows]
    assert shown == [
        ["fog", "40.0", "20.0", "30.0"],
        ["blur", "30.0", "10.0", "20.0"],
        ["all kinds", "35.0", "15.0", "25.0"],
    ]
    assert robustness.plot(tmp_path / "curves.png").path.stat().st_size > 1000
