"""Checkpoints: read without executing anything, loaded whole or not at all."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

import yolov9_lit
from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.data.class_choice import ClassChoice
from yolov9_lit.errors import UserError
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.weights.card import ModelCard
from yolov9_lit.weights.checkpoints import build_detector, read_checkpoint


@pytest.fixture(scope="module")
def card():
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("summary", overrides=["model=yolov9_t", "model.num_classes=2"])
    model = OmegaConf.to_container(cfg.model, resolve=True)
    return ModelCard(model, ("cat", "dog"), (7, 3), 96)


def save(path, card, detector):
    weights = {f"detector.{name}": value for name, value in detector.state_dict().items()}
    torch.save({"card": card.to_dict(), "state_dict": weights}, path)
    return path


def test_there_and_back(tmp_path, card):
    torch.manual_seed(0)
    detector = build_detector(card)
    predictor = yolov9_lit.load(save(tmp_path / "x.ckpt", card, detector))
    assert predictor.card == card
    assert not predictor.training
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = predictor(images).main, detector.eval()(images).main
        torch.testing.assert_close(ours[:4], theirs[:4], rtol=0, atol=0)


@pytest.mark.parametrize(
    "choice",
    [ClassChoice(), ClassChoice(("cat", "dog")), ClassChoice(None, "object")],
)
def test_the_choice_of_classes_comes_back(card, choice):
    ours = dataclasses.replace(card, choice=choice)
    assert ModelCard.from_dict(json.loads(json.dumps(ours.to_dict()))) == ours
    assert ("choice" in ours.to_dict()) == (choice != ClassChoice())


@pytest.mark.parametrize("parts", [3, {"names": ["cat"]}, {"names": [], "single": None}])
def test_a_broken_choice_of_classes_is_told(card, parts):
    with pytest.raises(TypeError, match="its choice of classes has no names or single"):
        ModelCard.from_dict(card.to_dict() | {"choice": parts})


@pytest.mark.slow
def test_weights_of_another_model_are_refused(tmp_path, card):
    wider = dataclasses.replace(card, model=card.model | {"stem": [24, 32]})
    path = save(tmp_path / "x.ckpt", card, build_detector(wider))
    with pytest.raises(UserError, match=r"another model: 0 tensors missing, .* of another shape"):
        yolov9_lit.load(path)
    lacking = torch.load(save(path, card, build_detector(card)), weights_only=True)
    lacking["state_dict"].popitem()
    torch.save(lacking, path)
    with pytest.raises(UserError, match="1 tensors missing"):
        yolov9_lit.load(path)
    other = torch.load(save(path, card, build_detector(card)), weights_only=True)
    name = next(iter(other["state_dict"]))
    other["state_dict"][name] = other["state_dict"][name].to(torch.complex64)
    torch.save(other, path)
    with pytest.raises(UserError, match=f"1 of another shape or kind .first: {name[9:]}"):
        yolov9_lit.load(path)


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "no_such_module.Block"])
def test_a_card_may_only_name_model_parts(card, target):
    model = card.model | {"block": {"_target_": target, "_partial_": True}}
    with pytest.raises(UserError, match=r"refused|cannot be imported"):
        build_detector(dataclasses.replace(card, model=model))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pgi", "fpn"),
        ("stages", 7),
        ("stem", [-1, 8]),
        ("downs", []),
        ("num_classes", 10**12),
        ("csp_depth", 10**9),
    ],
)
def test_a_card_whose_model_cannot_be_built_is_refused(tmp_path, card, key, value):
    content = {"card": card.to_dict() | {"model": card.model | {key: value}}, "state_dict": {}}
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError) as refused:
        yolov9_lit.load(tmp_path / "x.ckpt")
    assert len(str(refused.value).splitlines()) == 1


def test_other_files_are_told_apart(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="is neither a checkpoint of yolov9_lit"):
        read_checkpoint(tmp_path / "other.ckpt")
    torch.save({"card": {"format": 1}, "state_dict": {}}, tmp_path / "bare.ckpt")
    with pytest.raises(UserError, match="a card without 'model'"):
        read_checkpoint(tmp_path / "bare.ckpt")
    with pytest.raises(UserError, match="There is no checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(UserError, match="is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"hello, I am a log\n", "it is no file of torch.save"),  # "h": a pickle's memo
        (b"\x80\x02h\x05.", "it is no file of torch.save"),
        (b"PK\x03\x04 and the rest is missing", "it is no file of torch.save"),
    ],
)
def test_damage_is_told_in_our_own_words(tmp_path, content, reason):
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=rf"^{tmp_path}/x.ckpt cannot be read .*: {reason}"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_weights_that_are_not_finite_are_refused(tmp_path, card):
    detector = build_detector(card)
    with torch.no_grad():
        next(detector.parameters())[0] = torch.nan
    with pytest.raises(UserError, match=r"not finite .* its training diverged"):
        yolov9_lit.load(save(tmp_path / "x.ckpt", card, detector))


@pytest.mark.parametrize("size", [0, -64])
def test_a_card_without_an_image_size_is_refused(tmp_path, card, size):
    content = {"card": card.to_dict() | {"image_size": size}, "state_dict": {}}
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=f"its image_size is {size}"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_predict_takes_paths_arrays_and_images(tmp_path, card):
    torch.manual_seed(0)
    predictor = Predictor(build_detector(card), card)
    torch.nn.init.constant_(predictor.detector.head.cls[0][-1].bias, 0.0)  # find something
    rng = np.random.default_rng(0)
    array = rng.integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "x.png")
    tall = rng.integers(0, 255, (120, 40, 3), dtype=np.uint8)
    images = [tmp_path / "x.png", array, Image.fromarray(array), tall, array[..., 0]]
    results = predictor.predict(images)
    assert len(results) == 5
    for result, image in zip(results, (array, array, array, tall, array), strict=True):
        assert len(result.scores)
        height, width = image.shape[:2]
        assert (result.boxes >= 0).all()
        assert (result.boxes[:, 2] <= width).all()
        assert (result.boxes[:, 3] <= height).all()
        assert (result.scores.diff() <= 0).all()
    for other in results[1:3]:
        assert all(torch.equal(a, b) for a, b in zip(results[0][:3], other[:3], strict=True))
    (alone,) = predictor.predict(tall)
    torch.testing.assert_close(alone.boxes, results[3].boxes)
    (deployed,) = predictor.deploy().predict(tall)
    torch.testing.assert_close(deployed.boxes, alone.boxes, rtol=1e-3, atol=1e-2)


def test_predict_says_which_value_is_wrong(card):
    predictor = Predictor(build_detector(card), card)
    image = np.zeros((60, 90, 3), np.uint8)
    for values in ({"image_size": 0}, {"image_size": 64.5}, {"batch_size": 0}, {"confidence": 2}):
        with pytest.raises(UserError, match=f"{next(iter(values))}=.* is not valid"):
            predictor.predict(image, **values)
    wrong = [image / 255, image.transpose(2, 0, 1), image[:0], torch.zeros(3, 60, 90)]
    for other in wrong:
        with pytest.raises(UserError, match=r"An image is .*: give a path"):
            predictor.predict([other])


def test_a_deep_image_is_read_as_its_file(tmp_path, card):
    """Pillow alone would clip all 16-bit values above 255 to white."""
    torch.manual_seed(0)
    predictor = Predictor(build_detector(card), card)
    torch.nn.init.constant_(predictor.detector.head.cls[0][-1].bias, 0.0)
    deep = np.random.default_rng(0).integers(0, 2**16, (60, 90)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        as_image, as_file = predictor.predict([image, tmp_path / "x.png"])
    assert len(as_file.scores)
    assert all(torch.equal(a, b) for a, b in zip(as_image[:3], as_file[:3], strict=True))
