"""What model=yolov7 brings, and anchors taken from the data."""

from types import SimpleNamespace

import numpy as np
import pytest

from yolov9_lit.app.configs import compose
from yolov9_lit.app.model_card import make_card
from yolov9_lit.app.train import _rehearse
from yolov9_lit.building import build
from yolov9_lit.data.annotations import Category
from yolov9_lit.data.class_choice import ALL_CLASSES
from yolov9_lit.errors import UserError
from yolov9_lit.losses import DetectionLoss, OTAAssigner, YOLOv7Loss
from yolov9_lit.weights.structure import adopt_structure


def composed(*overrides):
    return compose("summary", overrides)


@pytest.mark.parametrize("chosen", ["model=yolov7", "row=table6-0_yolov7"])
def test_the_model_brings_its_loss_and_assigner(chosen):
    loss = build(composed(chosen).loss)
    assert isinstance(loss, YOLOv7Loss)
    assert loss.assigner == OTAAssigner()
    other = build(composed(chosen, "loss=detection", "assigner=task_aligned").loss)
    assert type(other) is DetectionLoss
    bounded = composed(chosen, "execution.assigner.most_pairs=1000")
    assert build(bounded.loss).assigner.most_pairs == 1000


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["model=yolov7", "assigner=task_aligned"], "TaskAlignedAssigner is for cells: .* ota"),
        (["model=gelan_t", "assigner=ota"], "OTAAssigner is for anchors .* task_aligned"),
    ],
)
def test_an_assigner_of_another_loss_is_one_sentence(overrides, told):
    with pytest.raises(UserError, match=told):
        build(composed(*overrides).loss)


def test_an_auxiliary_branch_of_gelan_is_refused_in_one_sentence():
    with pytest.raises(UserError, match="and use pgi=none or pgi=yolov7_aux"):
        build(composed("model=yolov7", "pgi=icn").model, num_classes=2)


def test_its_own_branch_brings_the_coarse_assignment():
    chosen = ("model=yolov7", "pgi=yolov7_aux")
    loss = build(composed(*chosen, "execution.assigner.most_pairs=1000").loss)
    assert loss.assigner == OTAAssigner(topk=20, most_pairs=1000)
    assert loss.aux_assigners == {0: OTAAssigner(topk=20, reach=1.0, most_pairs=1000)}
    assert loss.is_guided(0)
    assert loss.weights(1)[0] == 4 * loss.weights(1)[1]


@pytest.mark.parametrize("task", ["segment", "pose"])
def test_a_task_that_it_does_not_have_is_one_sentence(task):
    with pytest.raises(UserError, match=r"^YOLOv7 with anchors finds neither masks nor keypoints"):
        adopt_structure(composed("model=yolov7", f"task={task}"))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["model=yolov7", "loss=detection", "assigner=task_aligned"], "give loss=yolov7"),
        (["model=gelan_t", "loss=yolov7"], "finds none: give model=yolov7, or loss=detection"),
        (["model=gelan_t", "pgi=yolov7_aux"], "inside YOLOv7's neck: give model=yolov7"),
    ],
)
def test_a_loss_of_another_model_is_told_before_data_are_read(overrides, told, tmp_path):
    cfg = compose("train", ["data.root=x", f"run_dir={tmp_path}", "trainer=cpu", *overrides])
    with pytest.raises(UserError, match=told):
        _rehearse(cfg)


def data(boxes):
    """What the card is made of."""
    fields = {
        "boxes": np.array([(0, 0, w, h) for w, h in boxes], dtype=np.float32).reshape(-1, 4),
        "crowd": np.zeros(len(boxes), dtype=bool),
        "sizes": np.array([(64, 64)]),
        "offsets": np.array([0, len(boxes)]),
        "path": "train.json",
        "__len__": lambda self: 1,
    }
    annotations = type("Annotations", (), fields)()
    return SimpleNamespace(
        num_classes=1,
        channels=3,
        root="x",
        class_names=("a",),
        categories=(Category(1, "a"),),
        batches=SimpleNamespace(image_size=128),
        keypoints=None,
        choice=ALL_CLASSES,
        annotations=lambda split: annotations,
    )


def test_automatic_anchors_are_in_the_card_at_the_training_s_size():
    model = composed("model=yolov7", "model.head.anchors=auto").model
    head = make_card(model, data([(10, 20)] * 5)).model["head"]
    assert head["anchors"] == [[[20, 40]] * 3] * 3
    given = composed("model=yolov7").model
    assert make_card(given, data([])).model["head"]["anchors"][0][0] == [12, 16]
    with pytest.raises(
        UserError, match=r"^train\.json has no boxes .*: give model.head.anchors\.$"
    ):
        make_card(model, data([]))
