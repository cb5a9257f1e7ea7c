"""Exported files: the same detections as PyTorch, in every format and shape that they promise."""

import json
import os
import pkgutil
import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import yaml
from exported_models import NAMES, SHORT, save, shapes_images, spread, tiny_predictor
from filelock import FileLock
from PIL import Image

import yolov9_lit
from yolov9_lit.app.configs import CONFIG_DIR, compose
from yolov9_lit.app.export import export
from yolov9_lit.app.predict import predict
from yolov9_lit.data.letterbox import STRIDE
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings, non_max_suppression
from yolov9_lit.inference.export import formats
from yolov9_lit.inference.export.format import find_format
from yolov9_lit.inference.export.formats.torchscript import TorchScriptFormat
from yolov9_lit.inference.export.graph import DetectionGraph
from yolov9_lit.inference.export.outputs import given
from yolov9_lit.weights.checkpoints import read_checkpoint

pytestmark = pytest.mark.slow

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"} | {
    "torch_export": ".pt2"
}
LIMITS = {"confidence": 0.2, "iou": 0.5, "max_detections": 25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint, images of objects, and images of other shapes; made once for all processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "export"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            make_shapes(folder / "shapes", train=0, val=5, image_size=96)
            save(folder / "tiny.ckpt", tiny_predictor())
            (folder / "odd").mkdir()
            for i, path in enumerate(sorted((folder / "shapes" / "val2017").iterdir())):
                image = Image.open(path).resize((90 + 40 * i, 150 - 20 * i))
                image.save(folder / "odd" / path.name)
    return folder


@pytest.fixture(scope="module")
def with_nms(folder):
    """Path of a format's file with NMS inside; each is exported once for all processes."""

    def make(name):
        out = folder / f"nms{FORMATS[name]}"
        with FileLock(f"{out}.lock"):
            if not out.exists():
                agreement = command(folder, out, format=name, nms=True, **LIMITS)
                out.with_suffix(f"{out.suffix}.json").write_text(json.dumps(agreement._asdict()))
        return out

    return make


@pytest.fixture(scope="module")
def trained(folder):
    return yolov9_lit.load(folder / "tiny.ckpt").deploy()


@pytest.fixture(scope="module")
def odd(folder):
    return sorted((folder / "odd").iterdir())


def command(folder, out, **values):
    values = {"ckpt": folder / "tiny.ckpt", "pictures": folder / "odd", "out": out} | values
    return export(compose("export", [f"{k}={v}" for k, v in values.items()]))


def batch_of(paths, shape):
    """Some of the images as a batch of a shape."""
    batch, _, height, width = shape
    arrays = [np.asarray(Image.open(path).resize((width, height))) for path in paths[:batch]]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255


def assert_same(found, expected, atol=0.01):
    for one, other in zip(found, expected, strict=True):
        assert one.labels.tolist() == other.labels.tolist()
        torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=1e-4)
        torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=atol)


@pytest.mark.parametrize("name", FORMATS)
def test_nms_inside_is_ours_in_every_shape(with_nms, trained, odd, name):
    out = with_nms(name)
    agreement = json.loads(out.with_suffix(f"{out.suffix}.json").read_text())
    assert agreement["detections"] > 50
    assert agreement["matched"] == 1
    file = yolov9_lit.load(out)
    assert file.card == trained.card
    settings = NMSSettings(LIMITS["confidence"], LIMITS["iou"], False, max_detections=25)
    suppressed = 0
    for shape in [(1, 3, 64, 64), (3, 3, 160, 96), (2, 3, 96, 224)]:
        images = batch_of(odd, shape)
        with torch.no_grad():
            boxes, scores = trained.decode(trained(images).main)
        expected = non_max_suppression(boxes, scores, settings)
        outputs = file(images)
        assert outputs.counts.tolist() == [len(d.scores) for d in expected]
        assert_same(file.detect(images, settings), expected)
        for i, count in enumerate(outputs.counts.tolist()):
            assert (outputs.labels[i, count:] == -1).all()
            assert not outputs.scores[i, count:].any()
            assert not outputs.boxes[i, count:].any()
        suppressed += int((scores.amax(-1) > settings.confidence).sum() - outputs.counts.sum())
    assert suppressed > 0
    assert_same(file.predict(odd, **LIMITS), trained.predict(odd, **LIMITS), atol=0.05)
    stricter = LIMITS | {"confidence": 0.4, "max_detections": 5}
    assert_same(file.predict(odd, **stricter), trained.predict(odd, **stricter), atol=0.05)


def test_the_predict_command_takes_a_file(folder, with_nms, tmp_path):
    values = {"ckpt": with_nms("onnx"), "source": folder / "odd", "run_dir": tmp_path}
    options = [f"{k}={v}" for k, v in values.items()]
    predict(compose("predict", options))
    rows = json.loads((tmp_path / "detections.json").read_text())
    assert {row["category"] for row in rows} <= set(NAMES)
    assert len(rows) > 5
    assert len(list(tmp_path.glob("*.jpg"))) == 5
    with pytest.raises(UserError, match="run on the CPU"):
        predict(compose("predict", [*options, "device=cuda"]))


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_found_is_nothing(with_nms, name):
    outputs = yolov9_lit.load(with_nms(name))(torch.zeros(2, 3, 64, 96))
    kept = outputs.scores > 0
    assert torch.equal(outputs.counts, kept.sum(dim=1))


def test_a_fixed_shape_fits_every_image(folder, odd):
    out = folder / "fixed.onnx"
    command(folder, out, format="onnx", batch=2, height=64, width=128, simplify=True)
    file = yolov9_lit.load(out)
    assert file.input_shape == (64, 128)
    found = file.predict(odd, confidence=0.2)  # five images, two at once
    assert all(len(d.scores) for d in found)
    for image, detections in zip(odd, found, strict=True):
        (alone,) = file.predict(image, confidence=0.2)
        assert_same([alone], [detections])
        limit = torch.tensor(Image.open(image).size * 2)
        assert (detections.boxes <= limit).all()
    with pytest.raises(UserError, match="takes 64x128 only"):
        file.predict(odd, image_size=96)


def test_openvino_runs_images_beside_each_other_and_keeps_their_order(folder, odd):
    out = folder / "one.xml"
    command(folder, out, format="openvino", batch=1, image_size=96)
    file = yolov9_lit.load(out)
    found = file.predict(odd, confidence=0.2, batch_size=5)
    assert all(len(d.scores) for d in found)
    assert len({tuple(d.scores.tolist()) for d in found}) == len(odd)
    assert_same([file.predict(image, confidence=0.2)[0] for image in odd], found)
    with pytest.raises(UserError, match="does not take images of shape"):
        file(torch.zeros(2, 3, 64, 64))


def test_whole_batches_are_run_whole(folder, odd):
    """Six images through a file for three are two batches, none filled up with black."""
    out = folder / "three.onnx"
    command(folder, out, format="onnx", batch=3, image_size=96)
    file = yolov9_lit.load(out)
    sizes = []

    def counting(batches):
        sizes.extend(map(len, batches))
        return plain.run(batches)

    plain, file.file = file.file, file.file._replace(run=counting)
    file.detect(torch.ones(6, 3, 96, 96), NMSSettings())
    assert sizes == [3, 3]


@pytest.mark.parametrize("name", FORMATS)
def test_a_sliver_fits_every_format(with_nms, trained, odd, name):
    """Its letterbox is one stride high, less than the open sides of torch.export."""
    sliver = np.asarray(Image.open(odd[0]).convert("RGB").resize((400, 6)))
    (expected,) = trained.predict(sliver, **LIMITS)
    assert len(expected.scores)
    (found,) = yolov9_lit.load(with_nms(name)).predict(sliver, **LIMITS)
    assert (found.boxes[:, 3] <= 6).all()
    if name != "torch_export":  # It sees more grey.
        assert_same([found], [expected], atol=0.05)


@pytest.mark.parametrize("name", FORMATS)
def test_half_is_half_the_file(folder, trained, name):
    """In the one shape and on the images that this random network was normalised on."""
    out = folder / f"half{FORMATS[name]}"
    shapes = folder / "shapes" / "val2017"
    command(folder, out, format=name, image_size=96, batch=1, half=True, pictures=shapes)
    weights = out.with_suffix(".bin") if name == "openvino" else out
    in_float32 = 4 * sum(parameter.numel() for parameter in trained.parameters())
    assert weights.stat().st_size < 0.75 * in_float32
    outputs = yolov9_lit.load(out)(torch.rand(1, 3, 96, 96))
    assert {tensor.dtype for tensor in given(outputs)} == {torch.float32}


def test_a_head_that_takes_one_anchor_an_object_is_written_without_nms(tmp_path, odd):
    onnx = pytest.importorskip("onnx")
    predictor = tiny_predictor("pgi=cf", *SHORT)
    spread(predictor.detector, predictor.detector.aux_heads["fine"].cls, shapes_images(), -2, 1)
    fine = predictor.deploy("fine")
    save(tmp_path / "cf.ckpt", predictor)
    out = tmp_path / "fine.onnx"
    values = LIMITS | {"iou": 1, "head": "fine", "nms": True, "image_size": 96, "batch": 1}
    command(odd[0].parent.parent, out, ckpt=tmp_path / "cf.ckpt", format="onnx", **values)
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert "TopK" in kinds
    assert "NonMaxSuppression" not in kinds
    file = yolov9_lit.load(out)
    assert find_format(out).read(out).record.head == "fine"
    images = batch_of(odd, (1, 3, 96, 96))
    found = file(images)
    with torch.no_grad():
        best = fine.decode(fine(images).main)[1].amax(-1)[0].sort(descending=True).values
    count = min(int((best > LIMITS["confidence"]).sum()), LIMITS["max_detections"])
    assert found.counts.tolist() == [count]
    torch.testing.assert_close(found.scores[0, :count], best[:count], rtol=0, atol=1e-4)


def test_a_file_of_stride_4_gives_all_of_its_candidates(folder, odd, tmp_path):
    predictor = tiny_predictor(*SHORT, "model.levels=[2,3,4,5]")
    ckpt, out = save(tmp_path / "fine.ckpt", predictor), tmp_path / "fine.onnx"
    agreement = command(folder, out, ckpt=ckpt, format="onnx", nms=False)
    assert agreement.matched == 1
    session = pytest.importorskip("onnxruntime").InferenceSession(out)
    record = json.loads(session.get_modelmeta().custom_metadata_map["yolov9_lit"])
    assert record["strides"] == [4, 8, 16, 32]
    images = batch_of(odd, (2, 3, 64, 96))
    with torch.no_grad():
        detector = yolov9_lit.load(ckpt).detector.eval()
        expected = detector.decode(detector(images, auxiliary=False).main)
    found = session.run(None, {"images": images.numpy()})[:2]
    for one, other in zip(found, expected, strict=True):
        assert one.shape[1] == 24 * 16 + 12 * 8 + 6 * 4 + 3 * 2
        torch.testing.assert_close(torch.from_numpy(one), other, rtol=1e-3, atol=1e-2)


def test_the_file_says_how_to_use_it(with_nms):
    """Without this package, as docs/weights.md shows."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = with_nms("onnx")
    session = onnxruntime.InferenceSession(path)
    record = json.loads(session.get_modelmeta().custom_metadata_map["yolov9_lit"])
    assert record["card"]["class_names"] == list(NAMES)
    assert record["card"]["category_ids"] == [7, 3, 5]
    assert record["nms"]["iou"] == LIMITS["iou"]
    assert record["strides"] == [8, 16, 32]
    images = np.zeros((1, 3, 96, 96), np.float32)
    boxes, scores, labels, counts = session.run(None, {"images": images})
    assert (boxes.shape, scores.shape, labels.shape) == ((1, 25, 4), (1, 25), (1, 25))
    assert counts.shape == (1,)
    assert b"/tests/" not in path.read_bytes()  # no path of this machine


def test_tensorrt_finds_in_the_file_what_the_page_says(with_nms):
    """The rest of docs/weights.md#tensorrt needs TensorRT. Without NMS it is the same but less."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(with_nms("onnx"))
    (images,) = model.graph.input
    open_axes = [bool(axis.dim_param) for axis in images.type.tensor_type.shape.dim]
    assert open_axes == [True, False, True, True]
    assert images.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    (used,) = {(opset.domain, opset.version) for opset in model.opset_import}
    assert used == ("", 18)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not model.functions
    page = (Path(__file__).parents[2] / "docs/weights.md").read_text()
    profile = dict(re.findall(rf"--(\w+)Shapes={images.name}:([\dx]+)", page))
    least, common, most = (
        [int(side) for side in profile[name].split("x")] for name in ("min", "opt", "max")
    )
    for axes in zip(least, common, most, strict=True):
        assert list(axes) == sorted(axes)
    assert all(side % STRIDE == 0 for shape in (least, common, most) for side in shape[2:])


class Without(TorchScriptFormat):
    """Forgets NMS, as exporters do."""

    def write(self, graph, record, path):
        assert isinstance(graph, DetectionGraph)
        super().write(graph.candidates, record, path)


class Shifted(TorchScriptFormat):
    """Writes other weights."""

    def write(self, graph, record, path):
        graph.detector.head.cls[0][-1].bias.data += 0.1
        super().write(graph, record, path)


class NoFilter(TorchScriptFormat):
    """Its NMS suppresses nothing."""

    def write(self, graph, record, path):
        graph.suppress = lambda boxes, scores, labels, classes, settings: scores
        super().write(graph, record, path)


@pytest.mark.parametrize(
    ("form", "nms", "words"),
    [
        (Without, True, "2 outputs, not"),
        (NoFilter, True, "of the detections agree"),
        (Shifted, False, "another model than PyTorch's"),
    ],
)
def test_a_file_that_disagrees_is_refused(folder, tmp_path, form, nms, words):
    (tmp_path / "x.torchscript").write_bytes(b"an earlier one")
    target = f"{form.__module__}.{form.__name__}"
    values = {"format": "torchscript", "form._target_": target, "nms": nms, "confidence": 0.2}
    with pytest.raises(UserError, match=words):
        command(folder, tmp_path / "x.torchscript", **values)
    assert (tmp_path / "x.torchscript").read_bytes() == b"an earlier one"
    assert [path.name for path in tmp_path.iterdir()] == ["x.torchscript"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"out": "x.pt2"}, r"a name that ends in \.onnx"),
        ({"height": 64}, "Only one of height and width"),
        ({"image_size": 100}, "multiple of 32"),
        ({"batch": 0}, "batch=0"),
        ({"batch": 1.5}, r"batch=1\.5"),
        ({"image_size": "large"}, "image_size=large"),
        ({"half": "maybe"}, "half=maybe"),
        ({"nms": True, "iou": -1}, "iou=-1"),
        ({"out": "tiny.ckpt/x.onnx"}, "cannot be written"),
        ({"out": "folder.onnx"}, "cannot be written"),
        ({"opset": 11}, "opset=11"),
        ({"pictures": "none"}, "is not a folder"),
        ({"ckpt": "nms.torchscript"}, "is an exported file"),
        (
            {"out": "x.torchscript", "format": "torchscript", "nms": True, "confidence": 0.9999},
            "with NMS inside cannot be checked",
        ),
    ],
)
def test_mistakes(folder, with_nms, monkeypatch, values, words):
    monkeypatch.chdir(folder)
    if "ckpt" in values:
        with_nms("torchscript")
    (folder / "folder.onnx").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=words):
        command(folder, **{"out": "x.onnx"} | values)


def test_a_format_is_a_class_in_its_file_and_a_yaml():
    for path in (CONFIG_DIR / "format").glob("*.yaml"):
        module = f"{formats.__name__}.{path.stem}"
        form = find_format(f"x{FORMATS[path.stem]}")
        target = yaml.safe_load(path.read_text())["form"]["_target_"]
        assert target == f"{module}.{form.__name__}"
    assert {module.name for module in pkgutil.iter_modules(formats.__path__)} == set(FORMATS)


@pytest.mark.parametrize("ending", FORMATS.values())
def test_files_that_are_none(tmp_path, ending, caplog):
    with pytest.raises(UserError, match="There is no file"):
        yolov9_lit.load(tmp_path / f"x{ending}")
    (tmp_path / "x.bin").touch()
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x", "y")
    for content in (b"nothing of the kind", b"", (tmp_path / "x.zip").read_bytes()):
        (tmp_path / f"x{ending}").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as") as caught:
            yolov9_lit.load(tmp_path / f"x{ending}")
        assert len(str(caught.value).splitlines()) == 1
    assert not caplog.text


def test_a_model_without_its_weights(with_nms, tmp_path):
    (tmp_path / "x.xml").write_bytes(with_nms("openvino").read_bytes())
    with pytest.raises(UserError, match=r"put x\.bin beside it"):
        yolov9_lit.load(tmp_path / "x.xml")


def test_images_that_a_file_cannot_take(with_nms):
    with pytest.raises(UserError, match=r"does not take images of shape \(1, 1, 64, 64\)"):
        yolov9_lit.load(with_nms("onnx"))(torch.zeros(1, 1, 64, 64))


def test_a_file_of_somebody_else(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / "x.torchscript")
    with pytest.raises(UserError, match="does not tell its classes"):
        yolov9_lit.load(tmp_path / "x.torchscript")


@pytest.mark.parametrize("ending", FORMATS.values())
def test_an_exported_file_is_no_start(tmp_path, ending):
    (tmp_path / f"x{ending}").touch()
    with pytest.raises(UserError, match="is exported, for predict and eval only"):
        read_checkpoint(tmp_path / f"x{ending}")


def test_a_program_is_never_guessed(with_nms, tmp_path):
    """TorchScript by another name is read as a checkpoint, which executes nothing."""
    path = tmp_path / "x.pt"
    path.write_bytes(with_nms("torchscript").read_bytes())
    with pytest.raises(UserError, match="cannot be read as a checkpoint"):
        yolov9_lit.load(path)


def test_a_missing_runtime_is_named(with_nms, monkeypatch):
    path = with_nms("onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime.*\.\[export\]"):
        yolov9_lit.load(path)
