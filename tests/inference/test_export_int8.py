"""int8 files: near the float ones, the same each time, and told by their record."""

import copy
import functools
import json

import numpy as np
import pytest
import torch
from exported_models import save, tiny_segmenter
from PIL import Image

import yolov9_lit
from yolov9_lit.app.configs import compose
from yolov9_lit.app.export import export
from yolov9_lit.data.letterbox import GREY
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError
from yolov9_lit.inference.export.calibration import Calibration, draw_images, record_of
from yolov9_lit.inference.export.format import InputShape
from yolov9_lit.inference.export.formats.onnx import OnnxFormat


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    make_shapes(folder / "shapes", train=0, val=8, image_size=160)
    save(folder / "masks.ckpt", tiny_segmenter())
    return folder


def command(folder, out, **values):
    values = {
        **{"ckpt": folder / "masks.ckpt", "out": folder / out, "int8": True, "confidence": 0.2},
        **{"calibration": folder / "shapes/val2017", "calibration_images": 4},
    } | values
    return export(compose("export", [f"{k}={v}" for k, v in values.items()]))


@pytest.fixture(scope="module")
def written(folder):
    """Path of an int8 file and its agreement; each is exported once."""

    @functools.cache
    def export_to(out, **values):
        return folder / out, command(folder, out, **values)

    return export_to


def inputs(folder):
    """The calibration images that the command draws, as the network gets them."""
    paths = draw_images(folder / "shapes/val2017", 4, seed=0)
    return [torch.from_numpy(image) for image in Calibration(paths, 96, InputShape())]


@pytest.fixture(scope="module", autouse=True)
def translated_once():
    """Tracing takes nearly all the time of an export, and int8 begins behind it."""
    translate, known = OnnxFormat.model, {}

    def once(form, graph, record):
        if record.outputs not in known:
            known[record.outputs] = translate(form, graph, record)
        return copy.deepcopy(known[record.outputs])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxFormat, "model", once)
        yield


@pytest.mark.slow
@pytest.mark.parametrize(("name", "out"), [("onnx", "x.onnx"), ("openvino", "x.xml")])
def test_it_is_near_the_float_model(folder, written, name, out):
    """On the images that it was calibrated on, where nothing is clipped."""
    _, agreement = written(out, format=name)
    assert agreement.detections > 5
    trained, file = yolov9_lit.load(folder / "masks.ckpt").deploy(), yolov9_lit.load(folder / out)
    for images in inputs(folder):
        with torch.no_grad():
            expected = trained.detector.candidates(trained(images).main)
        found = file(images)
        assert (found.scores - expected.scores).abs().mean() < 0.04
        assert (found.boxes - expected.boxes).abs().mean() < 5  # pixels
        differ = (found.coefficients - expected.coefficients).abs().mean()
        assert differ < 0.2 * expected.coefficients.abs().mean()
        assert not torch.equal(found.scores, expected.scores)
    weights = (folder / out).with_suffix(".bin") if name == "openvino" else folder / out
    floats = sum(parameter.numel() for parameter in trained.parameters())
    assert weights.stat().st_size < 2.5 * floats  # of 4
    told = file.file.record.int8
    assert told == record_of(draw_images(folder / "shapes/val2017", 4, seed=0), seed=0)
    assert (told.folder, told.images, told.seed) == ("val2017", 4, 0)


@pytest.mark.slow
def test_the_same_images_give_the_same_file(written):
    (first, _), (other, _) = (written(out, format="onnx") for out in ("x.onnx", "y.onnx"))
    assert first.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_convolutions_are_in_int8_and_the_decoding_is_not(written):
    """What TensorRT and others find in the file is told by its nodes."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(written("x.onnx", format="onnx")[0])
    made_by = {output: node.op_type for node in model.graph.node for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions
    assert {made_by[name] for node in convolutions for name in node.input} == {"DequantizeLinear"}
    (softmax,) = [node for node in model.graph.node if node.op_type == "Softmax"]
    assert made_by[softmax.input[0]] != "DequantizeLinear"  # as in the float file
    constants = {constant.name: constant for constant in model.graph.initializer}
    zeros = {n.input[2] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    assert any(onnx.numpy_helper.to_array(constants[name]).any() for name in zeros)  # No TensorRT.
    record = json.loads({p.key: p.value for p in model.metadata_props}["yolov9_lit"])
    assert record["int8"]["images"] == 4


@pytest.mark.slow
def test_a_file_that_cannot_be_checked_is_not_written(folder):
    """Its limits are of detections alone."""
    with pytest.raises(UserError, match=r"^PyTorch finds nothing .* none\.onnx in int8 cannot be"):
        command(folder, "none.onnx", confidence=0.9999)
    assert not (folder / "none.onnx").exists()


def test_images_are_drawn_by_the_seed_and_letterboxed(tmp_path):
    for i in range(9):
        Image.fromarray(np.full((50, 100, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").touch()
    drawn = draw_images(tmp_path, 4, seed=1)
    assert drawn == draw_images(tmp_path, 4, seed=1) == sorted(drawn)
    assert drawn != draw_images(tmp_path, 4, seed=2)
    assert len(draw_images(tmp_path, 100, seed=1)) == 9
    (first, *_) = Calibration(draw_images(tmp_path, 100, seed=1)[1:], 64, InputShape())
    assert first.shape == (1, 3, 64, 64)  # At least two strides.
    assert first[0, 0, 0, 0] == pytest.approx(GREY / 255)
    assert first[0, 0, 32, 32] == pytest.approx(1 / 255)
    (first, *_) = Calibration(drawn, 64, InputShape(2, 96, 128))
    assert first.shape == (2, 3, 96, 128)
    assert (first[1] == first[0]).all()
    changed = record_of(drawn, 1)
    drawn[0].write_bytes(drawn[1].read_bytes())
    assert record_of(drawn, 1) != changed


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"calibration": "null"}, r"^int8=true needs images .* give calibration=FOLDER"),
        ({"int8": False}, r"^calibration=.* is of int8 files only"),
        ({"half": True}, r"^half=true and int8=true exclude each other"),
        ({"format": "torchscript", "out": "x.torchscript"}, r"^A \.torchscript file has no int8"),
        ({"calibration": "nowhere"}, "nowhere"),
        ({"calibration": "."}, r"^There is no image in calibration="),
        ({"calibration_images": 0}, r"^calibration_images=0 is not valid"),
        ({"seed": -1}, r"^seed=-1 is not valid"),
        ({"int8": "maybe"}, r"^int8=maybe is not valid"),
    ],
)
def test_mistakes(tmp_path, monkeypatch, values, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        command(tmp_path, **{"out": "x.onnx"} | values)
    assert not list(tmp_path.iterdir())
