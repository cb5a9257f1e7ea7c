"""Exported files of poses: the keypoints that the checkpoint gives, in every format."""

import functools
import json

import numpy as np
import pytest
import torch
from exported_models import LAYOUT, save, tiny_poser

import yolov9_lit
from yolov9_lit.app.configs import compose
from yolov9_lit.app.export import export
from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.formats.torchscript import TorchScriptFormat

pytestmark = pytest.mark.slow

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"} | {
    "torch_export": ".pt2"
}
LIMITS = {"confidence": 0.2, "iou": 0.5, "max_detections": 25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    save(folder / "x.ckpt", tiny_poser())
    return folder


@pytest.fixture(scope="module")
def photos():
    """Noise of several sizes, which the untrained detector finds something in."""
    rng = np.random.default_rng(0)
    return [
        rng.integers(256, size=(90 + 40 * i, 200 - 30 * i, 3), dtype=np.uint8) for i in range(4)
    ]


def exported(folder, name, **values):
    """Path of a file, and how well it agrees."""
    out = folder / f"{len(list(folder.iterdir()))}{FORMATS[name]}"
    given = {"ckpt": folder / "x.ckpt", "out": out, "format": name} | LIMITS | values
    return out, export(compose("export", [f"{k}={v}" for k, v in given.items()]))


@pytest.fixture(scope="module")
def written(folder):
    """What `exported` gives, once for the same file."""
    return functools.cache(functools.partial(exported, folder))


FILES = (
    *(("onnx", False), ("onnx", True)),
    *(("openvino", True), ("torchscript", False), ("torch_export", True)),
)


@pytest.mark.parametrize(("name", "nms"), FILES)
def test_a_file_gives_the_checkpoints_keypoints_in_the_photo_s_pixels(
    folder, written, photos, name, nms
):
    out, agreement = written(name, nms=nms)
    assert agreement.matched == 1
    assert agreement.keypoints < 0.01
    assert agreement.visible < 1e-4
    assert agreement.detections > 20
    assert "keypoints by" in str(agreement)
    file, ours = yolov9_lit.load(out), yolov9_lit.load(folder / "x.ckpt").deploy()
    assert file.file.record.task == "pose"
    assert file.card.keypoints == LAYOUT
    found, expected = (p.predict(photos, **LIMITS) for p in (file, ours))
    assert sum(len(one.boxes) for one in expected) > 10
    for one, other in zip(found, expected, strict=True):
        assert one.keypoints.shape == (len(other.boxes), 3, 3)
        torch.testing.assert_close(one.keypoints, other.keypoints, rtol=0, atol=0.05)


def test_half_files_give_float32_and_nearly_the_same_keypoints(folder):
    out, agreement = exported(folder, "onnx", half=True, image_size=96, batch=1)
    assert agreement.keypoints < 4
    outputs = yolov9_lit.load(out)(torch.rand(1, 3, 96, 96))
    assert outputs.keypoints.shape == (1, 189, 3, 3)
    assert outputs.keypoints.dtype == torch.float32


@pytest.mark.parametrize("nms", [False, True])
def test_the_file_names_its_outputs(written, nms):
    onnxruntime = pytest.importorskip("onnxruntime")
    out, _ = written("onnx", nms=nms)
    session = onnxruntime.InferenceSession(out)
    record = json.loads(session.get_modelmeta().custom_metadata_map["yolov9_lit"])
    names = ["boxes", "scores", *(["labels", "counts"] if nms else []), "keypoints"]
    assert record["outputs"] == [output.name for output in session.get_outputs()] == names
    assert record["card"]["keypoints"]["names"] == list(LAYOUT.names)


class OtherKeypoints(TorchScriptFormat):
    """Writes other weights."""

    def write(self, graph, record, path):
        for parameter in graph.detector.head.keypoints.parameters():
            parameter.data *= 1.05
        super().write(graph, record, path)


def test_a_file_with_other_keypoints_is_refused(folder):
    target = f"{OtherKeypoints.__module__}.{OtherKeypoints.__name__}"
    with pytest.raises(UserError, match=r"keypoints differ by .* pixels \(at most 0.1\)"):
        exported(folder, "torchscript", **{"form._target_": target})
