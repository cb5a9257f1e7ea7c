"""Weights into a detector of other classes or parts: what is taken, what is told of the rest."""

import functools

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.structures import KeypointLayout
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.checkpoints import load_detector, read_checkpoint
from yolov9_lit.weights.deployed import write_deployed
from yolov9_lit.weights.structure import adopt_structure
from yolov9_lit.weights.transfer import take_weights

NAMES = ("cat", "dog", "bird", "cow")
REASONS = ("not in the file", "of another shape", "left over")


def config(*overrides):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def write(path, *overrides, names=NAMES, keypoints=None):
    """Write a checkpoint of random weights, BN statistics included; gives its tensors."""
    torch.manual_seed(1)
    model = OmegaConf.to_container(config(*overrides).model, resolve=True)
    model["num_classes"] = len(names)
    card = ModelCard(model, names, tuple(range(len(names))), 64, keypoints)
    detector = build(card.model)
    for tensor in detector.state_dict().values():
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, -1 if tensor.ndim > 1 else 0.1, 1)  # variances
    state = {f"detector.{name}": tensor for name, tensor in detector.state_dict().items()}
    torch.save({"card": card.to_dict(), "state_dict": state}, path)
    return detector.state_dict()


def adopted(path, classes, *overrides):
    """A fresh detector of the file's structure."""
    cfg = config("model=checkpoint", f"ckpt={path}", *overrides)
    adopt_structure(cfg)
    torch.manual_seed(2)
    return build(cfg.model, num_classes=classes)


def is_output(name):
    return ".cls." in name and name.split(".")[-2] == "2"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "small.ckpt"
    return path, write(path, "model=yolov9_t")


@pytest.mark.slow
@pytest.mark.parametrize("names", [("dog", "fish", "cat"), tuple("abcdefg"), NAMES[::-1]])
def test_other_classes_leave_all_else_bit_for_bit(small, names):
    path, file = small
    fresh = {n: t.clone() for n, t in adopted(path, len(names)).state_dict().items()}
    detector = adopted(path, len(names))
    take_weights(detector, path, names)
    assert fresh.keys() == file.keys()
    for name, tensor in detector.state_dict().items():
        if not is_output(name):
            assert torch.equal(tensor, file[name]), name
            continue
        for row, class_name in enumerate(names):
            known = class_name in NAMES
            expected = file[name][NAMES.index(class_name)] if known else fresh[name][row]
            assert torch.equal(tensor[row], expected), (name, class_name)


@functools.cache
def published(model):
    """The config of a model, and its tensors for COCO's classes, without their values."""
    card = OmegaConf.to_container(config(f"model={model}").model, resolve=True)
    with torch.device("meta"):
        return card, build(card, num_classes=80).state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["yolov9_t", "yolov9_s", "yolov9_m", "yolov9_c", "yolov9_e"])
@pytest.mark.parametrize("classes", [3, 80, 365])
def test_only_class_outputs_depend_on_the_number_of_classes(tmp_path, model, classes):
    names = tuple(f"c{i}" for i in range(80))
    card, expected = published(model)
    with torch.device("meta"):
        # The file's tensors do not matter here, its card does.
        path = tmp_path / "card.ckpt"
        content = ModelCard(card | {"num_classes": 80}, names, tuple(range(80)), 640).to_dict()
        torch.save({"card": content, "state_dict": {}}, path)
        other = adopted(path, classes).state_dict()
    assert other.keys() == expected.keys()
    for name, tensor in other.items():
        same = tensor.shape == expected[name].shape
        assert same == (not is_output(name) or classes == 80), name


def told(caplog, detector, path, names=NAMES):
    caplog.clear()
    with caplog.at_level("INFO"):
        take_weights(detector, path, names)
    assert len(caplog.messages) < 8
    return "\n".join(caplog.messages)


def test_what_does_not_fit_is_told_by_part(small, tmp_path, caplog):
    path, file = small
    text = told(caplog, adopted(path, 4), path)
    total = sum(p.numel() for p in adopted(path, 4).parameters())
    assert f"{total:,} of {total:,} parameters are the file's" in text
    assert "4 classes taken, 0 start fresh" in text
    assert not any(reason in text for reason in REASONS)

    text = told(caplog, adopted(path, 3, "pgi=icn"), path, ("dog", "fish", "cat"))
    assert "2 classes taken, 1 start fresh (fish)" in text
    assert "fresh, not in the file: aux_branches.icn (" in text
    assert "left over in the file: aux_branches.fpn (" in text

    text = told(caplog, adopted(path, 4, "pgi=none"), path)
    tensors = sum(name.startswith("aux_heads.fpn") for name in file)
    assert f"aux_heads.fpn ({tensors} tensors)" in text

    ungrouped = build(config("model=yolov9_t", "model.head.box_groups=1").model, num_classes=4)
    text = told(caplog, ungrouped, path)
    # The second and third convolution of three levels.
    assert "of another shape in the file: head.box (6 tensors), aux_heads.fpn (6 tensors)" in text


def test_another_size_is_warned_of(small, caplog):
    path, _ = small
    text = told(caplog, build(config("model=gelan_s").model, num_classes=4), path)
    assert "Most weights start fresh; model=checkpoint takes the file's structure" in text


def test_mistakes_are_told(small, tmp_path):
    path, file = small
    renamed = {f"detector.x.{name}": tensor for name, tensor in file.items()}
    content = torch.load(path, weights_only=True) | {"state_dict": renamed}
    torch.save(content, tmp_path / "renamed.ckpt")
    with pytest.raises(UserError, match=r"Nothing in .*renamed.ckpt fits this model"):
        take_weights(adopted(path, 4), tmp_path / "renamed.ckpt", NAMES)
    checkpoint = read_checkpoint(path)
    fused = tmp_path / "fused.safetensors"
    write_deployed(fused, load_detector(checkpoint, path), checkpoint.card)
    with pytest.raises(UserError, match=r"fused.safetensors is deployed"):
        adopted(fused, 4)
    with pytest.raises(UserError, match=r"fused.safetensors is deployed"):
        take_weights(adopted(path, 4), fused, NAMES)
    with pytest.raises(UserError, match=r"model=checkpoint takes .* give ckpt=FILE"):
        adopt_structure(config("model=checkpoint"))
    with pytest.raises(UserError, match="There is no checkpoint"):
        adopted(tmp_path / "none.pt", 4)


@pytest.mark.slow
def test_an_ultralytics_file_gives_all_but_its_class(shared, caplog):
    path = shared / "data" / "checkpoints" / "ultralytics-yolov9t-volleyball.pt"
    text = told(caplog, adopted(path, 3, "pgi=fpn"), path, ("red", "ball", "white"))
    assert "1 class taken, 2 start fresh (red, white)" in text
    assert "not in the file: aux_branches.fpn" in text
    assert not any(reason in text for reason in REASONS[1:])
    file = read_checkpoint(path).weights
    detector = adopted(path, 3, "pgi=fpn")
    take_weights(detector, path, ("red", "ball", "white"))
    state = detector.state_dict()
    assert all(torch.equal(state[n], t) for n, t in file.items() if not is_output(n))
    assert torch.equal(state["head.cls.1.2.weight"][1], file["head.cls.1.2.weight"][0])


def test_outputs_of_keypoints_are_taken_by_name(tmp_path, caplog):
    """Of three keypoints two are known in another order; the third starts fresh."""
    path = tmp_path / "pose.ckpt"
    theirs = KeypointLayout(("nose", "tail", "paw"), (), (0, 1, 2), (0.1,) * 3)
    file = write(path, "model=gelan_t", "task=pose", "model.head.keypoints=3", keypoints=theirs)
    ours = ("tail", "wing", "nose")
    cfg = config("model=gelan_t", "task=pose", "model.head.keypoints=3").model
    detector = build(cfg, num_classes=4)
    fresh = {n: t.clone() for n, t in detector.state_dict().items()}
    with caplog.at_level("INFO"):
        take_weights(detector, path, NAMES, ours)
    assert "keypoint outputs, by name: 2 keypoints taken, 1 start fresh (wing)" in caplog.text
    for level in range(3):
        for kind in ("weight", "bias"):
            name = f"head.keypoints.{level}.2.{kind}"
            tensor = detector.state_dict()[name].unflatten(0, (3, 3))
            given = file[name].unflatten(0, (3, 3))
            assert torch.equal(tensor[0], given[1])
            assert torch.equal(tensor[1], fresh[name].unflatten(0, (3, 3))[1])
            assert torch.equal(tensor[2], given[0])


def test_the_structure_of_a_file_is_for_any_number_of_keypoints(tmp_path):
    path = tmp_path / "pose.ckpt"
    theirs = KeypointLayout(("nose", "tail"), (), (0, 1), (0.1, 0.1))
    write(path, "model=gelan_t", "task=pose", "model.head.keypoints=2", keypoints=theirs)
    cfg = config("model=checkpoint", f"ckpt={path}", "task=pose")
    adopt_structure(cfg)
    assert cfg.model.head.keypoints is None


@pytest.mark.parametrize(
    ("source", "task"), [("detect", "pose"), ("segment", "pose"), ("detect", "segment")]
)
def test_a_task_s_head_takes_the_place_of_the_file_s(tmp_path, caplog, source, task):
    """All that both tasks have is taken: it is a head of the file's widths."""
    path = tmp_path / "other.ckpt"
    file = write(path, "model=gelan_t", f"task={source}")
    detector = adopted(path, 4, f"task={task}")
    with caplog.at_level("INFO"):
        take_weights(detector, path, NAMES)
    shared = [n for n in detector.state_dict() if not n.startswith(("head.keypoints", "head.box"))]
    for name in shared:
        if "coefficients" not in name and "prototypes" not in name:
            assert torch.equal(detector.state_dict()[name], file[name]), name
    assert "start fresh, not in the file: head." in caplog.text


def masks(name):
    return ".coefficients." in name or ".prototypes." in name


def test_a_detector_becomes_one_of_masks_with_all_it_has(small, caplog):
    """Its box and class branches, grouped unlike those of prototypes=seg, in both heads."""
    path, file = small
    with caplog.at_level("INFO"):
        detector = adopted(path, 4, "task=segment", "model.head.coefficients=8")
    (line,) = [m for m in caplog.messages if "The checkpoint is of task=detect" in m]
    assert line.endswith(
        "what both heads have is the file's, prototypes and coefficients start fresh"
    )
    text = told(caplog, detector, path)
    state = detector.state_dict()
    assert {n for n in state if not masks(n)} == file.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in file.items())
    assert {n.split(".")[0] for n in state if masks(n)} == {"head", "aux_heads"}
    assert state["head.coefficients.0.2.weight"].shape[0] == 8
    assert "start fresh, not in the file: head.coefficients (" in text
    assert "of another shape" not in text


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "masks.ckpt"
    overrides = ("task=segment", "prototypes=dseg", "model.head.prototypes.width=32")
    return path, write(path, "model=yolov9_t", *overrides)


def test_a_detector_of_masks_is_taken_whole_for_masks(masked, caplog):
    path, file = masked
    with caplog.at_level("INFO"):
        detector = adopted(path, 4, "task=segment")
    (line,) = [m for m in caplog.messages if "The head is the checkpoint's" in m]
    assert line.endswith("(model.head.box_groups, model.head.prototypes)")
    text = told(caplog, detector, path)
    state = detector.state_dict()
    assert state.keys() == file.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in file.items())
    assert not any(reason in text for reason in REASONS)


def test_a_detector_of_masks_is_taken_without_them_for_boxes(masked, caplog):
    path, file = masked
    with caplog.at_level("INFO"):
        detector = adopted(path, 4)
    (line,) = [m for m in caplog.messages if "The checkpoint is of task=segment" in m]
    assert line.endswith("the file's, prototypes and coefficients are left out")
    text = told(caplog, detector, path)
    state = detector.state_dict()
    assert state.keys() == {name for name in file if not masks(name)}
    assert all(torch.equal(tensor, file[name]) for name, tensor in state.items())
    assert "left over in the file: head.coefficients (" in text


@pytest.mark.parametrize("task", ["segment", "pose"])
def test_depthwise_class_branches_go_on_in_another_task(tmp_path, caplog, task):
    path = tmp_path / "depthwise.ckpt"
    own = "model.head._target_=yolov9_lit.models.head.DepthwiseClassHead"
    file = write(path, "model=gelan_t", own)
    detector = adopted(path, len(NAMES), f"task={task}")
    text = told(caplog, detector, path)
    state = detector.state_dict()
    assert file.keys() <= state.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in file.items())
    assert "left over in the file" not in text


def test_a_head_of_ones_own_is_laid_out_as_the_files(small):
    path, file = small
    own = "model.head._target_=yolov9_lit.models.head.DepthwiseClassHead"
    state = adopted(path, 4, own).state_dict()
    assert state["head.cls.0.0.0.conv.0.weight"].shape[1] == 1, "depth-wise"
    same = {n for n in state if n in file and state[n].shape == file[n].shape}
    assert {n for n in file if ".box." in n or n.startswith("neck.")} <= same


@pytest.mark.parametrize("name", ["gelan-seg", "gelan-dseg", "yolov9-dseg"])
@pytest.mark.parametrize("task", ["detect", "segment"])
def test_published_files_of_masks_are_taken_whole(shared, caplog, name, task):
    path = shared / "reference" / f"published_{name}.pt"
    names = read_checkpoint(path).card.class_names
    text = told(caplog, adopted(path, len(names), f"task={task}"), path, names)
    first, last = text.split(" parameters are the file's")[0].split()[-3::2]
    assert first == last, "all of them"
    assert ("left over" in text) == (task == "detect")
