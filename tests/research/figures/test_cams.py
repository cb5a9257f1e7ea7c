"""Class-activation maps of one head beside another's: what is matched, told and drawn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from checkpoint_files import write_checkpoint
from PIL import Image

from yolov9_lit.app.configs import compose
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.figures import main
from yolov9_lit.inference.cams import LayerCam
from yolov9_lit.inference.explaining import Explainer
from yolov9_lit.inference.predictor import load
from yolov9_lit.research.figures.views import Explained, View, explain, open_views
from yolov9_lit.structures import Detections

SETTINGS = NMSSettings(confidence=0.0, iou=0.45, multi_label=False)
NAMES = ("a", "b")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for pgi in ("icn", "none"):
        write_checkpoint(folder / f"{pgi}.ckpt", pgi, NAMES)
    return folder


@pytest.fixture(scope="module")
def image(files):
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(files / "noise.png")
    return pixels


@pytest.fixture
def draw(files, tmp_path):
    """Run the command as far as its config is composed; return the rows and the page."""

    def run(*names, **settings):
        shown = ",".join(str(files / f"{name}.ckpt") for name in names)
        given = [f"ckpt=[{shown}]", f"image={files / 'noise.png'}", f"out={tmp_path}"]
        given += ["figure=cam", *(f"figure.{key}={value}" for key, value in settings.items())]
        main.__wrapped__(compose("figures", ["figure.confidence=0", "figure.side=100", *given]))
        return pd.read_csv(tmp_path / "cam.csv"), (tmp_path / "cam.html").read_text()

    return run


def single(box):
    return Detections(torch.tensor([box]), torch.tensor([0.5]), torch.tensor([0]))


def test_share_of_the_heat_inside_the_box():
    heat = np.zeros((20, 30), np.float32)
    heat[2, 3] = 1
    heat[10, 20] = 3
    assert Explained(single([19.0, 9.0, 22.0, 12.0]), heat).share_inside() == 0.75
    assert Explained(single([-5.0, -5.0, 50.0, 50.0]), heat).share_inside() == 1
    assert Explained(single([4.0, 3.0, 19.0, 9.0]), heat).share_inside() == 0
    assert np.isnan(Explained(single([0.0, 0.0, 9.0, 9.0]), np.zeros((20, 30))).share_inside())


@pytest.mark.slow
def test_heads_come_in_the_order_that_is_asked(files):
    icn, none = (str(files / f"{pgi}.ckpt") for pgi in ("icn", "none"))
    assert [v.name for v in open_views([icn], ["icn", "main"])] == ["icn", "main"]
    names = [v.name for v in open_views([none, icn], None)]
    assert names == ["1-none main", "2-icn main", "2-icn icn"]
    for heads in (["main", "fpn"], []):
        with pytest.raises(UserError, match=r"^figure\.heads=.*icn\.ckpt has main, icn: give"):
            open_views([icn], heads)


def test_a_head_beside_itself_sees_the_same(files, image):
    (view,) = open_views([str(files / "icn.ckpt")], ["icn"])
    objects = explain([view, view], Explainer(LayerCam(), best=4), image, SETTINGS)
    assert len(objects) == 4
    for one in objects:
        first, second = one.seen
        assert torch.equal(first.detection.boxes, second.detection.boxes)
    best = objects[0].seen  # Others may have the same box, cut off by the image's edges.
    assert np.array_equal(best[0].heat, best[1].heat)


def test_objects_of_other_classes_are_others(files, image):
    (view,) = open_views([str(files / "none.ckpt")], None)
    card = replace(view.predictor.card, class_names=("c", "d"))
    other = View("other", type(view.predictor)(view.predictor.detector, card))
    for one in explain([view, other], Explainer(LayerCam()), image, SETTINGS):
        assert one.seen[0] is not None
        assert one.seen[1] is None


def test_what_matches_is_what_overlaps_most(files, image):
    """By brute force over what `predict` finds with either head."""
    views = open_views([str(files / "icn.ckpt")], None)
    first, other = (view.predictor.predict(image, confidence=0.0, iou=0.45)[0] for view in views)
    objects = explain(views, Explainer(LayerCam(), best=20), image, SETTINGS)
    assert [float(one.first.scores) for one in objects] == pytest.approx(
        first.scores[:20].tolist(), rel=1e-3
    )
    found = 0
    for one in objects:
        same = [
            (_iou(box.tolist(), one.first.boxes[0].tolist()), score)
            for box, score, label in zip(*other[:3], strict=True)
            if label == one.first.labels
        ]
        overlap, score = max(same, default=(0, 0))  # Of equal ones the higher score.
        assert (one.seen[1] is None) == (overlap < 0.5)
        if one.seen[1]:
            found += 1
            assert float(one.seen[1].detection.scores) == pytest.approx(float(score), rel=1e-3)
    assert found


def _iou(a, b):
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    inside = max(width, 0) * max(height, 0)
    return inside / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - inside)


@pytest.mark.slow
def test_rows_and_page_tell_what_is_drawn(draw, image, files):
    rows, page = draw("none", "icn", **{"explanation.best": 2})
    assert rows["head"].tolist() == ["1-none main", "2-icn main", "2-icn icn"] * 2
    scores = load(files / "none.ckpt").predict(image, confidence=0.0)[0].scores[:2]
    np.testing.assert_allclose(rows.loc[rows["head"] == "1-none main", "score"], scores, rtol=1e-4)
    assert rows["heat"].dropna().between(0, 1).all()
    assert "LayerCAM" in page
    assert "noise" in page


def test_only_the_classes_that_are_asked():
    found = Detections(
        torch.zeros(5, 4), torch.arange(5).flip(0) / 5, torch.tensor([0, 1, 2, 1, 1])
    )
    names = ("a", "b", "c")
    assert Explainer(LayerCam(), best=4).choose(found, names) == [0, 1, 2, 3]
    assert Explainer(LayerCam(), best=2, classes=["b"]).choose(found, names) == [1, 3]
    assert Explainer(LayerCam(), classes=["c", "a"]).choose(found, names) == [0, 2]
    with pytest.raises(UserError, match=r"^classes=x to explain: the checkpoint knows a, b, c\.$"):
        Explainer(LayerCam(), classes=["a", "x"]).choose(found, names)


def test_nothing_found_is_told(draw):
    rows, page = draw("icn", confidence=1)
    assert rows.empty
    assert page.count("<img") == 1


def test_it_needs_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"^figure=cam is drawn of trained models: give ckpt=FILE"):
        main.__wrapped__(compose("figures", ["figure=cam", f"out={tmp_path}"]))
