"""`bench what=train`: the task whose step is measured, and who is measured beside."""

import pytest

from benchmarks.training import OURS, Work, ours
from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError


@pytest.mark.parametrize(("task", "beside"), [("detect", {"published"}), ("segment", set())])
def test_another_packages_detection_is_not_measured_beside_segmentation(tmp_path, task, beside):
    marker = tmp_path / "utils" / "loss_tal_dual.py"
    marker.parent.mkdir()
    marker.touch()
    cfg = compose("bench", ["what=train", f"what.task={task}", f"published={tmp_path}"])
    contenders = set(build(cfg.what)._contenders("gelan_t"))
    assert contenders - {"ultralytics"} == {OURS} | beside


@pytest.mark.slow
def test_a_step_of_segmentation_learns_masks():
    work = Work(image_size=64, batch_size=1, objects=2)
    assert ours("gelan_t", ["task=segment"], work, warm_up=1, steps=1)() > 0
    without = ours("gelan_t", ["task=segment", "data.masks=false"], work, warm_up=1, steps=1)
    with pytest.raises(UserError, match="The loss compares masks, but the data have none"):
        without()


@pytest.mark.slow
def test_a_step_of_pose_learns_keypoints():
    work = Work(image_size=64, batch_size=1, objects=2)
    assert ours("gelan_t", ["task=pose"], work, warm_up=1, steps=1)() > 0
