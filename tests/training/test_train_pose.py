"""Training with `task=pose`: each branch learns keypoints, and what does not fit is told."""

import pandas as pd
import pytest
import torch
from steps import term_by_step

import yolov9_lit
from yolov9_lit.app.train import build_module, train
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.training.continuing import require_same_training

TERMS = ("box", "pose", "vis", "cls", "dfl")


@pytest.mark.slow
def test_a_run_logs_the_terms_of_each_branch_and_its_file_knows_the_keypoints(config, tmp_path):
    train(config(tmp_path, "task=pose", "model=gelan_t", "pgi=fpn", "trainer.max_epochs=2"))
    rows = pd.read_csv(tmp_path / "metrics.csv")
    for stage in ("train", "val"):
        for branch in ("main", "fpn"):
            terms = rows[[f"{stage}/{branch}/{term}" for term in TERMS]]
            assert (terms.dropna() > 0).to_numpy().sum() == 2 * len(TERMS)
    predictor = yolov9_lit.load(tmp_path / "checkpoints/last.ckpt")
    assert predictor.card.keypoints.names == ("top", "bottom", "left", "right", "centre")
    assert predictor.detector.head.num_keypoints == 5


def test_model_and_loss_take_what_the_data_tell_of_keypoints(config, tmp_path):
    sigmas = [0.1, 0.2, 0.3, 0.4, 0.5]
    cfg = config(tmp_path, "task=pose", "model=gelan_t", f"data.keypoints.sigmas={sigmas}")
    data = build(cfg.data)
    data.setup("fit")
    module = build_module(cfg, data)
    assert module.loss.sigmas.tolist() == pytest.approx(sigmas)
    assert module.detector.head.num_keypoints == 5
    assert module.card["keypoints"]["sigmas"] == sigmas


@pytest.mark.slow
def test_keypoints_get_better(config, tmp_path):
    """A few dozen steps on one batch: what the main branch's keypoints lose falls to a half."""
    torch.manual_seed(0)
    cfg = config(tmp_path, "task=pose", "model=gelan_t", "augment=none", "data.batch_size=2")
    data = build(cfg.data)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    module = build_module(cfg, data).train()
    lost = term_by_step(module.detector, module.loss, batch, "pose", steps=60, lr=3e-3)
    assert lost[-1] < lost[0] / 2


SETTINGS = "yolov9_lit.data.keypoint_settings.KeypointSettings"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["task=pose", "model.head.keypoints=4"], r"keypoints is 4 but the data in .* 5 keypoints"),
        (
            ["task=pose", "data.keypoints=null"],
            "model.head finds keypoints, but data.keypoints asks",
        ),
        ([f"+data.keypoints._target_={SETTINGS}"], "asks for keypoints, but model.head finds none"),
        (["task=pose", "loss=detection"], "The loss compares no keypoints: give loss=pose"),
        (["task=pose", "loss.sigmas=[0.1,0.2]"], "loss.sigmas has 2 entries, .* 5 keypoints"),
    ],
)
def test_what_does_not_fit_the_keypoints_is_told(config, tmp_path, overrides, told):
    cfg = config(tmp_path, "model=gelan_t", *overrides)
    data = build(cfg.data)
    data.setup("fit")
    with pytest.raises(UserError, match=told):
        build_module(cfg, data)


def test_data_without_keypoints_are_told(config, tmp_path, shapes_without_keypoints):
    cfg = config(tmp_path, "task=pose", f"data.root={shapes_without_keypoints}")
    with pytest.raises(UserError, match="no category with keypoints"):
        build(cfg.data).setup("fit")


def test_a_checkpoint_of_other_keypoints_is_not_continued():
    optimizer = torch.optim.SGD([torch.zeros(1)], 0.1)
    card = {"keypoints": {"names": ["nose", "tail"]}}
    for names in (["tail", "nose"], ["nose"], []):
        theirs = {"state_dict": {}, "card": {"keypoints": {"names": names}}}
        with pytest.raises(UserError, match=r"is of other keypoints .*\(nose, tail\).*ckpt="):
            require_same_training(theirs, "x.ckpt", weights={}, card=card, optimizer=optimizer)


@pytest.mark.parametrize("part", ["sigmas", "mirrored"])
def test_a_training_is_not_continued_with_another_measure_of_its_keypoints(part):
    """The best so far was chosen by other sigmas, or learnt from images mirrored otherwise."""
    optimizer = torch.optim.SGD([torch.zeros(1)], 0.1)
    layout = {"names": ["l", "r"], "sigmas": [0.1, 0.1], "mirrored": [0, 1]}
    theirs = layout | {part: {"sigmas": [0.2, 0.1], "mirrored": [1, 0]}[part]}
    stated = str(theirs[part]).replace(" ", "")
    checkpoint = {"state_dict": {}, "card": {"keypoints": theirs}}
    with pytest.raises(UserError) as error:
        require_same_training(
            checkpoint, "x.ckpt", weights={}, card={"keypoints": layout}, optimizer=optimizer
        )
    assert f"data.keypoints.{part}={stated}, or ckpt=x.ckpt" in str(error.value)
