"""`eval`: what it leaves, and which branch of a trained model it measures."""

import json
from pathlib import Path

import pytest
import torch
from fresh_checkpoints import LAYOUT, save_fresh

from yolov9_lit.app.evaluate import evaluate
from yolov9_lit.app.views import views_of
from yolov9_lit.data import datamodule
from yolov9_lit.data.class_choice import ClassChoice
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.coco_figures import KeypointResult
from yolov9_lit.inference.predictor import load
from yolov9_lit.weights.deployed import write_deployed


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A fresh model with two auxiliary branches, each more confident than the one before."""

    def more_confident(detector):
        for more, head in enumerate(detector.aux_heads.values(), start=1):
            for name, parameter in head.named_parameters():
                if name.endswith("bias"):
                    parameter.data += 2 * more

    path = tmp_path_factory.mktemp("model") / "start.ckpt"
    return save_fresh(path, "pgi=fpn_icn", change=more_confident)


@pytest.mark.slow
def test_a_branch_is_measured_by_its_name(checkpoint, config, tmp_path):
    """Its detections have the confidences of that branch's head."""
    best = {}
    for head in ("null", "fpn", "icn_neck"):
        overrides = [f"ckpt={checkpoint}", f"head={head}", "evaluation.report=false"]
        overrides += ["pictures=0", "evaluation.nms.confidence=0"]
        run = tmp_path / head
        evaluate(config(run, *overrides, command="eval"))
        rows = json.loads((run / "detections.json").read_text())
        best[head] = max(row["score"] for row in rows)
        assert not (run / "report.html").exists()
    assert 2 * best["null"] < best["fpn"] < 0.5 * best["icn_neck"]


@pytest.mark.parametrize("deploy", ["true", "false"])
def test_a_branch_that_is_not_there_is_told_with_those_that_are(
    deploy, checkpoint, config, tmp_path
):
    wrong = config(tmp_path, f"ckpt={checkpoint}", "head=fine", f"deploy={deploy}", command="eval")
    with pytest.raises(
        UserError, match=r"^head=fine: .* no branch 'fine', .*: fpn, icn_neck; leave"
    ):
        evaluate(wrong)
    assert not (tmp_path / "results.json").exists()


def pose_checkpoint(path, layout):
    """A fresh model that finds keypoints everywhere."""
    keypoints = f"model.head.keypoints={len(layout.names)}"
    return save_fresh(path, "task=pose", keypoints, layout=layout)


def test_keypoints_are_measured_as_the_checkpoint_says_they_are(config, tmp_path, monkeypatch):
    """Sigmas and all else of the model hold, not what the data says."""
    asked = []
    read = datamodule.read_ground_truth
    monkeypatch.setattr(
        datamodule,
        "read_ground_truth",
        lambda *a, **k: asked.append(k["keypoints"]) or read(*a, **k),
    )
    ckpt = pose_checkpoint(tmp_path / "x.ckpt", LAYOUT)
    confidence = "evaluation.nms.confidence=0"
    evaluate(config(tmp_path, f"ckpt={ckpt}", confidence, "pictures=1", command="eval"))
    assert asked == [LAYOUT]
    figures = json.loads((tmp_path / "results.json").read_text())
    assert {name for name in figures if name.startswith("pose_")} == {
        f"pose_{name}" for name in KeypointResult._fields
    }
    rows = json.loads((tmp_path / "detections.json").read_text())
    assert rows
    assert {len(row["keypoints"]) for row in rows} == {15}
    assert ", by keypoints" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("top", "bottom", "left", "right", "hub"), "data lacks hub, and it has centre besides"),
        (("bottom", "top", "left", "right", "centre"), "their order differs"),
    ],
)
def test_other_keypoints_than_the_data_s_are_told(config, tmp_path, names, told):
    ckpt = pose_checkpoint(tmp_path / "x.ckpt", LAYOUT._replace(names=names))
    with pytest.raises(UserError, match=rf"x.ckpt finds other keypoints .*\(.*{told}\)"):
        evaluate(config(tmp_path, f"ckpt={ckpt}", command="eval"))


def test_data_without_keypoints_cannot_measure_them(config, tmp_path, shapes_without_keypoints):
    ckpt = pose_checkpoint(tmp_path / "x.ckpt", LAYOUT)
    root = f"data.root={shapes_without_keypoints}"
    with pytest.raises(UserError, match=r"which .*x.ckpt finds: evaluate on data whose categories"):
        evaluate(config(tmp_path, f"ckpt={ckpt}", root, command="eval"))


def test_the_classes_are_those_that_the_checkpoint_was_trained_on(config, tmp_path, tiny_shapes):
    """Others are neither asked for nor counted as missed; what is given goes before."""
    choice = ClassChoice(("square", "circle"))
    ckpt = save_fresh(tmp_path / "x.ckpt", choice=choice)
    settings = [f"ckpt={ckpt}", "pictures=0", "evaluation.nms.confidence=0"]
    evaluate(config(tmp_path, *settings, command="eval"))
    rows = json.loads((tmp_path / "detections.json").read_text())
    file = tiny_shapes / "annotations" / "instances_val2017.json"
    content = json.loads(file.read_text())
    ids = {c["name"]: c["id"] for c in content["categories"]}
    assert {row["category_id"] for row in rows} == {ids["square"], ids["circle"]}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "square" in page
    assert "triangle" not in page
    with pytest.raises(
        UserError, match=r"2 classes \(square, circle\) but .* has 1 \(star\): eval"
    ):
        evaluate(config(tmp_path, *settings, "data.classes=[star]", command="eval"))


def test_a_checkpoint_of_some_classes_by_chance_is_told_how_to_measure_it(config, tmp_path):
    path = save_fresh(tmp_path / "x.ckpt", choice=ClassChoice(("star",)))
    content = torch.load(path, weights_only=True)
    del content["card"]["choice"]
    torch.save(content, path)
    with pytest.raises(UserError, match=r"1 class \(star\) but .*: name the first in data.classes"):
        evaluate(config(tmp_path, f"ckpt={path}", command="eval"))


@pytest.mark.slow
def test_a_deployed_file_has_the_main_head_only(checkpoint, config, tmp_path):
    path = tmp_path / "deployed.safetensors"
    predictor = load(checkpoint)
    write_deployed(path, predictor.detector, predictor.card)
    with pytest.raises(UserError, match=r"^head=icn: .*auxiliary ones: none; leave it out"):
        evaluate(config(tmp_path / "run", f"ckpt={path}", "head=icn", command="eval"))


def test_the_report_stands_beside_the_figures(checkpoint, config, tmp_path):
    evaluate(config(tmp_path, f"ckpt={checkpoint}", "pictures=2", command="eval"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "6 images of" in page
    assert len([*(tmp_path / "predictions").iterdir()]) == 2
    assert (tmp_path / "analysis" / "confusion.csv").is_file()


@pytest.mark.parametrize(
    ("overrides", "size"),
    [
        (("views=tta", "views.scales=[1]", "views.flip=false"), 64),
        (("views=tiles", "views.size=32", "views.overlap=0.25"), 64),
    ],
)
def test_views_are_those_of_prediction(checkpoint, config, tmp_path, overrides, size):
    """Every image is read in its own size, and what is measured is what `predict` finds."""
    more = ["evaluation.report=false", "pictures=1", "evaluation.nms.confidence=0"]
    cfg = config(tmp_path, f"ckpt={checkpoint}", *overrides, *more, command="eval")
    cfg.evaluation.nms.multi_label = False
    cfg.evaluation.nms.iou = 0.45
    evaluate(cfg)
    rows = json.loads((tmp_path / "detections.json").read_text())
    predictor, views = load(checkpoint).deploy(), views_of(cfg)
    data = json.loads(Path(cfg.data.root, cfg.data.val_annotations).read_text())
    expected = []
    for image in data["images"]:
        path = Path(cfg.data.root, cfg.data.val_images, image["file_name"])
        (found,) = predictor.predict(path, confidence=0, image_size=size, views=views)
        expected += [(image["id"], box, score) for *box, score in boxes_and_scores(found)]
    got = [(r["image_id"], corners(r["bbox"]), r["score"]) for r in rows]
    assert len(got) == len(expected) > 5
    for (i, box, score), (j, other, known) in zip(sorted(got), sorted(expected), strict=True):
        assert i == j
        assert box == pytest.approx(other, abs=2e-3)
        assert score == pytest.approx(known, abs=2e-6)


def boxes_and_scores(found):
    return [[*b, s] for b, s in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)]


def corners(bbox):
    x, y, width, height = bbox
    return [x, y, x + width, y + height]


def test_views_of_more_than_boxes_are_told_before_data_are_read(config, tmp_path):
    ckpt = pose_checkpoint(tmp_path / "x.ckpt", LAYOUT)
    with pytest.raises(UserError, match=r"^This model finds keypoints too"):
        evaluate(config(tmp_path, f"ckpt={ckpt}", "views=tiles", command="eval"))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["views=tiles", "merge=wbf"], "merge=wbf averages"),
        (["views=tiles", "views.overlap=1"], r"views\.overlap=1 is not valid"),
        (["views=tta", "views.scales=[0]"], r"views\.scales=\[0\] is not valid"),
        (["views=tta", "merge.iou=2"], r"merge\.iou=2 is not valid"),
    ],
)
def test_views_that_cannot_be_are_told(checkpoint, config, tmp_path, overrides, told):
    with pytest.raises(UserError, match=told):
        evaluate(config(tmp_path, f"ckpt={checkpoint}", *overrides, command="eval"))
