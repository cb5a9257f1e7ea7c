"""Published files of every size against `published_oracle`, which knows no model of ours."""

import pytest
import torch
from published_files import build, save_pickled, state_dict
from published_oracle import run

import yolov9_lit
from yolov9_lit.errors import UserError
from yolov9_lit.weights.unpickling import read_torch_file


def assert_same(predictor, expected, image):
    """The main head is the last of the expected ones."""
    with torch.no_grad():
        found = predictor(image)
    assert len(found.aux) == len(expected) - 1
    for ours, theirs in zip((*found.aux, found.main), expected, strict=True):
        torch.testing.assert_close(ours.box_logits, theirs[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.class_logits, theirs[1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "aux"),
    [("t", True), ("s", True), ("s", False), ("m", True), ("c", True), ("c", False), ("e", True)],
)
def test_published_pickles(tmp_path, size, aux):
    torch.manual_seed(0)
    model = build(size, aux, classes=5)
    path = save_pickled(tmp_path / "file.pt", model, epoch=-1)
    image = torch.rand(1, 3, 64, 64)
    predictor = yolov9_lit.load(path)
    assert predictor.class_names == tuple("01234")
    assert_same(predictor, run(model, image), image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "classes"), [("t", 3), ("t", 80), ("s", 3), ("m", 80), ("c", 3), ("e", 80)]
)
def test_ultralytics_files(tmp_path, size, classes):
    """No groups in the box branch, another class width, main branch alone."""
    torch.manual_seed(0)
    model = build(size, False, classes, groups=1, width=min(classes, 100))
    del model.names
    path = save_pickled(tmp_path / "file.pt", model, train_args={"imgsz": 320})
    image = torch.rand(1, 3, 64, 64)
    predictor = yolov9_lit.load(path)
    assert predictor.card.image_size == 320
    assert predictor.class_names[0] == ("person" if classes == 80 else "class0")
    assert_same(predictor, run(model, image), image)


def yolo_mit(model):
    """Renamed and ordered as MultimediaTechLab/YOLO has it: each head follows its branch."""

    def rename(kind, child):
        if kind == "AConv":
            return "conv"
        return "bottleneck" if child == "m" else child.replace("cv", "conv")

    *body, last = model._modules["model"]._modules.values()
    heads = []
    for box, cls in (("cv4", "cv5"), ("cv2", "cv3")):  # main, auxiliary
        head = {}
        for name, branch in ((box, "anchor_conv"), (cls, "class_conv")):
            for level, child in last._modules[name]._modules.items():
                head |= state_dict(child, f"heads.{level}.{branch}.")
                head[f"heads.{level}.anc2vec.anc2vec.weight"] = torch.arange(16.0)
        heads.append(head)
    layers = [state_dict(layer, rename=rename) for layer in body]
    end = last.f[-1] + 1  # of the neck
    layers = [*layers[:end], heads[0], *layers[end:], heads[1]]
    return {f"{i}.{name}": t for i, layer in enumerate(layers) for name, t in layer.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "wrapped"), [("t", False), ("t", True), ("s", False), ("m", False), ("c", False)]
)
def test_multimediatechlab_state_dicts(tmp_path, size, wrapped):
    torch.manual_seed(0)
    model = build(size, True, classes=5)
    state = yolo_mit(model)
    if wrapped:  # as Lightning saves it, an average beside the weights
        wrong = {f"model.model.{name}": torch.zeros_like(t) for name, t in state.items()}
        state = {"state_dict": wrong | {f"ema.model.{name}": t for name, t in state.items()}}
    torch.save(state, tmp_path / "file.pt")
    image = torch.rand(1, 3, 64, 64)
    assert_same(yolov9_lit.load(tmp_path / "file.pt"), run(model, image), image)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("model.4.cv1.conv.weight"), r"1 tensors are missing.*model\.4\.cv1\.conv"),
        (lambda s: s.update({"model.4.cv9.x": torch.ones(1)}), r"1 left over.*model\.4\.cv9\.x"),
        (
            lambda s: s.update({"model.9.cv1.bn.bias": torch.ones(1)}),
            r"1 of another.*9\.cv1\.bn\.b",
        ),
        (lambda s: s.update({"other.3.x": torch.ones(1)}), r"1 left over.*other\.3\.x"),
        (lambda s: s.update({"other": torch.ones(1)}), r"1 left over.*\(first: other\)"),
        (lambda s: s.update({"model.99.x": torch.ones(1)}), "no YOLOv9 detector"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(tmp_path, change, words):
    state = state_dict(build("t", False, classes=2))
    change(state)
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(UserError, match=words):
        yolov9_lit.load(tmp_path / "file.pt")


def test_a_real_ultralytics_file_finds_the_ball(shared):
    """Its score is low, as the image has a ring and a trajectory drawn over the ball."""
    folder = shared / "data" / "checkpoints"
    predictor = yolov9_lit.load(folder / "ultralytics-yolov9t-volleyball.pt")
    (found,) = predictor.predict(folder / "volleyball.jpg", confidence=0.05, image_size=1280)
    centres = found.boxes.view(-1, 2, 2).mean(1)
    assert len(centres) <= 4
    assert (centres - torch.tensor([1228.0, 433.0])).norm(dim=1).min() < 10  # the ring's middle


def test_a_real_ultralytics_file(shared):
    folder = shared / "data" / "checkpoints"
    path = folder / "ultralytics-yolov9t-volleyball.pt"
    predictor = yolov9_lit.load(path)
    assert predictor.class_names == ("ball",)
    image = torch.rand(1, 3, 96, 128)
    assert_same(predictor, run(read_torch_file(path)["model"], image), image)
