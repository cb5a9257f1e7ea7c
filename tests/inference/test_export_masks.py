"""Exported files of segmentation: the masks that the checkpoint gives, in every format."""

import dataclasses
import functools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_models import save, tiny_segmenter
from PIL import Image
from pycocotools import mask as rle

import yolov9_lit
from yolov9_lit.app.configs import compose
from yolov9_lit.app.evaluate import evaluate
from yolov9_lit.app.export import export
from yolov9_lit.app.predict import predict
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export.formats.torchscript import TorchScriptFormat
from yolov9_lit.inference.export.outputs import given
from yolov9_lit.models.masks import masks_of
from yolov9_lit.structures import ImageInfo

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"} | {
    "torch_export": ".pt2"
}
KINDS = ("circle", "triangle", "square", "star")
LIMITS = {"confidence": 0.2, "iou": 0.5, "max_detections": 25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Checkpoints with both kinds of prototypes, a data set, and its images in other shapes."""
    folder = tmp_path_factory.mktemp("export")
    make_shapes(folder / "shapes", train=1, val=5, image_size=96)
    for kind in ("seg", "dseg"):
        predictor = tiny_segmenter(kind, num_classes=len(KINDS))
        ids = tuple(range(1, len(KINDS) + 1))
        predictor.card = dataclasses.replace(predictor.card, class_names=KINDS, category_ids=ids)
        save(folder / f"{kind}.ckpt", predictor)
    (folder / "odd").mkdir()
    for i, path in enumerate(sorted((folder / "shapes" / "val2017").iterdir())):
        image = Image.open(path).resize((90 + 40 * i, 150 - 20 * i))
        image.save(folder / "odd" / path.name)
    return folder


@pytest.fixture(scope="module")
def odd(folder):
    return sorted((folder / "odd").iterdir())


def exported(folder, name, kind="seg", **values):
    """Path of a file, and how well it agrees."""
    out = folder / f"{kind}-{len(list(folder.iterdir()))}{FORMATS[name]}"
    given = {"ckpt": folder / f"{kind}.ckpt", "pictures": folder / "odd", "out": out}
    given |= {"format": name} | LIMITS | values
    return out, export(compose("export", [f"{k}={v}" for k, v in given.items()]))


@pytest.fixture(scope="module")
def written(folder):
    """What `exported` gives, once for the same file."""
    return functools.cache(functools.partial(exported, folder))


def overlaps(found, expected):
    """The IoU of two lists' masks, pair by pair."""
    both = (found & expected).sum(axis=(1, 2))
    either = (found | expected).sum(axis=(1, 2))
    return np.asarray(both) / np.maximum(np.asarray(either), 1)


FILES = (
    *(("onnx", "seg", False), ("onnx", "dseg", True)),
    *(("openvino", "seg", False), ("torchscript", "dseg", True), ("torch_export", "seg", False)),
)


@pytest.mark.parametrize(("name", "kind", "nms"), FILES)
def test_a_file_gives_the_checkpoints_masks_in_the_images_pixels(
    folder, written, odd, name, kind, nms
):
    out, agreement = written(name, kind, nms=nms)
    assert agreement.matched == 1
    assert agreement.masks > 0.999
    assert agreement.parts < 1e-4
    assert agreement.detections > 50
    file, ours = yolov9_lit.load(out), yolov9_lit.load(folder / f"{kind}.ckpt").deploy()
    assert file.finds_masks
    assert file.file.record.task == "segment"
    found = file.predict(odd, **LIMITS, batch_size=3)
    expected = ours.predict(odd, **LIMITS)
    for path, one, other in zip(odd, found, expected, strict=True):
        width, height = Image.open(path).size
        assert one.masks.shape == (len(other.scores), height, width)
        assert one.masks.any(dim=(1, 2)).all()
        assert overlaps(one.masks, other.masks).min() > 0.98
        torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=0.05)
    (alone,) = file.predict(odd[0], **LIMITS | {"max_detections": 3})
    assert torch.equal(alone.masks, found[0].masks[:3])


def test_fixed_batches_are_cut_to_their_images(folder, odd):
    out, _ = exported(folder, "onnx", batch=2, image_size=96)
    file = yolov9_lit.load(out)
    outputs = file(torch.rand(3, 3, 96, 96))
    assert outputs.coefficients.shape == (3, 189, 5)
    assert outputs.prototypes.shape == (3, 5, 24, 24)
    found = file.predict(odd, **LIMITS)
    for path, several in zip(odd, found, strict=True):
        (alone,) = file.predict(path, **LIMITS)
        assert len(alone.masks)
        assert overlaps(alone.masks, several.masks).min() > 0.98


@pytest.mark.parametrize("name", ["onnx", "torchscript"])
def test_half_files_give_float32_and_nearly_the_same_masks(folder, name):
    out, agreement = exported(
        *(folder, name), half=True, image_size=96, batch=1, pictures=folder / "shapes" / "val2017"
    )
    assert agreement.masks > 0.9
    outputs = yolov9_lit.load(out)(torch.rand(1, 3, 96, 96))
    assert {tensor.dtype for tensor in given(outputs)} == {torch.float32}


def test_masks_follow_from_the_outputs_as_the_page_says(
    folder, written, odd, tmp_path, monkeypatch
):
    """Without this package, by the code of docs/weights.md and docs/segmentation.md."""
    out, _ = written("onnx", "dseg", nms=True)
    monkeypatch.chdir(tmp_path)
    shutil.copy(out, "x.onnx")
    Image.open(odd[3]).save("a.jpg")
    prepare = code("weights", "onnxruntime").partition("boxes, scores, labels, counts =")[0]
    found = {}
    exec(prepare + code("segmentation", "prototypes[0]"), found)
    masks = np.stack(found["masks"])
    assert masks.shape == (found["counts"][0], *found["image"].shape[:2])
    assert masks.any(axis=(1, 2)).all()
    padded = np.moveaxis(found["padded"], -1, 0)[None]  # At the top left, as the page does it.
    ours = yolov9_lit.load(folder / "dseg.ckpt").deploy()
    (expected,) = ours.detect(torch.from_numpy(padded), NMSSettings(0.2, 0.5, False, 30_000, 25))
    height, width = found["image"].shape[:2]
    info = ImageInfo(0, "", height, width, found["scale"], found["scale"])
    own = masks_of(*expected.parts, expected.boxes, info).numpy()
    np.testing.assert_allclose(found["boxes"][0, : len(own)], expected.boxes, atol=0.05)
    assert overlaps(masks, own).min() > 0.97


def code(page, word):
    """The one block of Python of a page in which a word stands."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


def test_the_file_tells_its_task_and_names_its_outputs(written):
    onnxruntime = pytest.importorskip("onnxruntime")
    names = ["boxes", "scores", "labels", "counts", "coefficients", "prototypes"]
    for kind, nms, expected in (("dseg", True, names), ("seg", False, [*names[:2], *names[4:]])):
        out, _ = written("onnx", kind, nms=nms)
        session = onnxruntime.InferenceSession(out)
        record = json.loads(session.get_modelmeta().custom_metadata_map["yolov9_lit"])
        assert record["task"] == "segment"
        assert record["outputs"] == expected
        assert [output.name for output in session.get_outputs()] == expected


def command(run, name, **values):
    return run(compose(name, [f"{k}={v}" for k, v in values.items()]))


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_eval_and_predict_write_the_checkpoints_masks(folder, written, name, tmp_path):
    out, _ = written(name, "seg", nms=False)
    common = {"data.root": folder / "shapes", "data.num_workers": 0, "pictures": 0}
    common |= {"data": "coco", "trainer": "cpu", "trainer.enable_progress_bar": "false"}
    figures, measured, predicted = [], [], []
    for ckpt in (folder / "seg.ckpt", out):
        run_dir = tmp_path / ckpt.suffix
        figures.append(command(evaluate, "eval", ckpt=ckpt, run_dir=run_dir, **common))
        measured.append(json.loads((run_dir / "detections.json").read_text()))
        values = {"ckpt": ckpt, "source": folder / "odd", "run_dir": run_dir / "predict"}
        command(predict, "predict", **values)
        predicted.append(json.loads((run_dir / "predict" / "detections.json").read_text()))
    assert "mask_AP" in figures[0]
    assert figures[1] == pytest.approx(figures[0], abs=0.01)
    for ours, theirs in (measured, predicted):
        assert len(ours) == len(theirs) > 10
        assert mean_overlap(ours, theirs) > 0.99


def mean_overlap(ours, theirs):
    """Of the masks of detections that two files have in the same order, by pycocotools."""
    return np.mean(
        [
            rle.iou([one["segmentation"]], [other["segmentation"]], [False])[0, 0]
            for one, other in zip(ours, theirs, strict=True)
            if one["segmentation"]["counts"] != other["segmentation"]["counts"]
        ]
        or 1.0
    )


class OtherPrototypes(TorchScriptFormat):
    """Writes other weights."""

    def write(self, graph, record, path):
        for parameter in graph.detector.head.prototypes.parameters():
            parameter.data *= 1.01
        super().write(graph, record, path)


class OtherRows(TorchScriptFormat):
    """Its coefficients are of other anchors than its boxes."""

    def write(self, graph, record, path):
        plain = graph.candidates.found
        graph.candidates.found = lambda images: shifted(plain(images))
        super().write(graph, record, path)


def shifted(candidates):
    return candidates._replace(coefficients=candidates.coefficients.roll(1, dims=1))


@pytest.mark.parametrize(
    ("form", "nms", "words"),
    [
        (OtherPrototypes, False, "masks' parts differ by"),
        (OtherRows, True, "is what masks overlap by"),
    ],
)
def test_a_file_with_other_masks_is_refused(folder, form, nms, words):
    target = f"{form.__module__}.{form.__name__}"
    with pytest.raises(UserError, match=words):
        exported(folder, "torchscript", "seg", nms=nms, **{"form._target_": target})
