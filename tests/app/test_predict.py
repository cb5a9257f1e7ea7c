"""Prediction, whose stages work beside each other, leaves what one after another would."""

import json
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from pycocotools import mask as mask_tools

from yolov9_lit.app import predict as command
from yolov9_lit.errors import UserError
from yolov9_lit.inference.images import ImagePredictor
from yolov9_lit.inference.media import AnnotatedWriter
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.inference.source import open_source
from yolov9_lit.models.create import create_model
from yolov9_lit.models.segment import SegmentHead
from yolov9_lit.reporting.draw import draw_detections
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import ModelCard

KEYS = torch.tensor([[0, 1, 4], [2, 3, 4]])  # A box's corners, and that they are visible.


@pytest.fixture(scope="module")
def predictor():
    return random_predictor()


def random_predictor(**parts):
    """Of two classes, whose random weights find something everywhere."""
    torch.manual_seed(0)
    detector = create_model("gelan_t", num_classes=2, **parts)
    for branch in detector.head.cls:
        torch.nn.init.normal_(branch[2].weight, std=1.0)
        torch.nn.init.constant_(branch[2].bias, -1.0)
    return Predictor(detector, ModelCard({}, ("a", "b"), (1, 2), 64)).deploy()


@pytest.fixture
def folder(tmp_path):
    """Images of several shapes, a damaged one, and a video."""
    source = tmp_path / "source"
    source.mkdir()
    rng = np.random.default_rng(0)
    for i, shape in enumerate([(48, 64), (64, 48), (48, 64), (30, 90), (64, 64)]):
        picture = rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
        Image.fromarray(picture).save(source / f"{i}.{'png' if i % 2 else 'jpg'}")
    (source / "3b.jpg").write_bytes(b"damaged")
    writer = cv2.VideoWriter(str(source / "2b.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for _ in range(9):
        writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return source


def settings(source, run_dir, **changed):
    values = {
        "ckpt": "x.ckpt",
        "source": str(source),
        "run_dir": str(run_dir),
        "confidence": 0.25,
        "iou": 0.45,
        "max_detections": 20,
        "image_size": None,
        "batch_size": 3,
        "device": "cpu",
        "save_pictures": True,
        "head": None,
        "explain": False,
        "explanation": {
            "_target_": "yolov9_lit.inference.explaining.Explainer",
            "cam": {"_target_": "yolov9_lit.inference.cams.LayerCam"},
            "best": 2,
        },
    }
    return OmegaConf.create(values | changed)


@pytest.fixture
def predict(predictor, monkeypatch):
    monkeypatch.setattr(command, "load", lambda path: predictor)
    monkeypatch.setattr(Predictor, "deploy", lambda self, head: self)
    return lambda *given, **changed: command.predict(settings(*given, **changed))


def test_files_and_detections_are_those_of_one_after_another(
    predict, predictor, folder, tmp_path, caplog
):
    rows = json.loads((predict(folder, tmp_path / "out") / "detections.json").read_text())
    assert "1 file cannot be read" in caplog.text
    expected = []
    with AnnotatedWriter(tmp_path / "plain") as writer:
        for frame in open_source(folder):
            (found,) = predictor.predict(
                [frame.image], confidence=0.25, iou=0.45, max_detections=20
            )
            expected += [(frame.path.name, frame.frame_index, label) for label in found.labels]
            writer.write(frame, draw_detections(frame.image, found, ("a", "b")))
    assert len(expected) > 50
    assert [(r["file"].split("/")[-1], r.get("frame"), r["category_id"] - 1) for r in rows] == [
        (name, index, int(label)) for name, index, label in expected
    ]
    plain = sorted((tmp_path / "plain").iterdir())
    assert len(plain) == 6
    for path in plain:
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name


def test_keypoints_are_written_one_after_another_as_they_are_found(
    predict, predictor, folder, tmp_path, monkeypatch
):
    """They are drawn where the checkpoint tells how they belong together."""
    layout = KeypointLayout(("left", "right"), ((0, 1),), (1, 0), (0.05, 0.05))
    plain = predict(folder / "0.jpg", tmp_path / "plain")
    monkeypatch.setattr(predictor, "card", replace(predictor.card, keypoints=layout))
    detect = Predictor.detect

    def with_keypoints(self, images, settings):
        return [
            found._replace(
                keypoints=torch.cat([found.boxes, found.scores[:, None] > 0], 1)[:, KEYS]
            )
            for found in detect(self, images, settings)
        ]

    monkeypatch.setattr(Predictor, "detect", with_keypoints)
    out = predict(folder / "0.jpg", tmp_path / "out")
    rows = json.loads((out / "detections.json").read_text())
    assert len(rows) > 3
    for row in rows:
        x, y, width, height = row["bbox"]
        corners = [x, y, 1, x + width, y + height, 1]
        assert row["keypoints"] == pytest.approx(corners, abs=0.02)
    before = json.loads((plain / "detections.json").read_text())
    assert [row | {"keypoints": None} for row in before] == [
        row | {"keypoints": None} for row in rows
    ]
    assert (out / "0.jpg").read_bytes() != (plain / "0.jpg").read_bytes()


def test_masks_are_written_as_cocos_run_lengths_of_the_images_size(folder, tmp_path, monkeypatch):
    """Read by pycocotools they are what the Python interface gives."""
    segmenter = random_predictor(head=SegmentHead)
    segmenter.detector.head.prototypes[-1].conv.weight *= 1e8  # Random ones hardly differ from 0.
    monkeypatch.setattr(command, "load", lambda path: segmenter)
    monkeypatch.setattr(Predictor, "deploy", lambda self, head: self)
    command.predict(settings(folder, tmp_path / "out"))
    rows = json.loads((tmp_path / "out" / "detections.json").read_text())
    expected = [
        (frame, found.masks.numpy())
        for frame in open_source(folder)
        for found in segmenter.predict([frame.image], confidence=0.25, iou=0.45, max_detections=20)
    ]
    written = [mask_tools.decode(row["segmentation"]) for row in rows]
    shapes = {tuple(frame.image.shape[:2]) for frame, _ in expected}
    assert {tuple(row["segmentation"]["size"]) for row in rows} == shapes
    assert len(shapes) == 4
    masks = [(frame, mask) for frame, several in expected for mask in several]
    assert sum(mask.any() for _, mask in masks) > 10
    for row, text, (frame, mask) in zip(rows, written, masks, strict=True):
        assert (row["file"], row.get("frame")) == (str(frame.path), frame.frame_index)
        np.testing.assert_array_equal(text.astype(bool), mask)


def test_detections_without_masks_have_no_outline(predict, folder, tmp_path):
    rows = json.loads((predict(folder / "0.jpg", tmp_path / "out") / "detections.json").read_text())
    assert rows
    assert all("segmentation" not in row for row in rows)


def test_explanations_lie_beside_the_same_pictures(predict, folder, tmp_path):
    (folder / "2b.mp4").unlink()
    plain, explained = tmp_path / "plain", tmp_path / "explained"
    predict(folder, plain)
    predict(folder, explained, explain=True)
    names = sorted(path.name for path in plain.iterdir())
    assert len(names) == 6
    for name in names:
        assert (explained / name).read_bytes() == (plain / name).read_bytes(), name
    pictures = sorted(path.name for path in (explained / "explained").iterdir())
    assert pictures == [name for name in names if name != "detections.json"]


def test_what_cannot_be_explained_is_a_sentence(predict, folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"^explain=true .*not videos \(2b\.mp4\)"):
        predict(folder, tmp_path / "out", explain=True)
    monkeypatch.setattr(command, "load", lambda path: NoCheckpoint())
    with pytest.raises(UserError, match=r"^x\.ckpt is exported and shows no feature maps"):
        predict(folder / "0.jpg", tmp_path / "out", explain=True)


class NoCheckpoint(ImagePredictor):
    """As an exported file is: with no detector inside."""

    def __init__(self):
        super().__init__(ModelCard({}, ("a", "b"), (1, 2), 64))

    def deploy(self, head):
        return self

    def detect(self, images, settings):
        raise NotImplementedError


@pytest.mark.parametrize("error", [UserError("the disk is full."), KeyboardInterrupt()])
@pytest.mark.parametrize("stage", ["read", "detect", "write"])
def test_what_stops_a_stage_stops_all(predict, folder, tmp_path, monkeypatch, stage, error):
    if stage != "write" and isinstance(error, KeyboardInterrupt):
        pytest.skip("an interrupt comes to the main thread alone")
    owner, name = {
        "read": (command.open_source(folder).__class__, "_video"),
        "detect": (Predictor, "detect"),
        "write": (AnnotatedWriter, "write"),
    }[stage]

    def stop(*_):
        raise error

    monkeypatch.setattr(owner, name, stop)
    with pytest.raises(type(error)) as raised:
        predict(folder, tmp_path / "out")
    assert raised.value is error
    del raised
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPool")]
