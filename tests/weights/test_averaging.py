"""The average of checkpoints: against numpy, and what cannot be averaged."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from yolov9_lit.app.convert import convert
from yolov9_lit.data.class_choice import ClassChoice
from yolov9_lit.errors import UserError
from yolov9_lit.weights.averaging import average
from yolov9_lit.weights.card import ModelCard, model_config
from yolov9_lit.weights.checkpoints import Checkpoint, build_detector, read_checkpoint

CARD = ModelCard(model_config("gelan_t") | {"num_classes": 2}, ("cat", "dog"), (7, 3), 96)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three checkpoints of one model; weights, statistics and counts differ."""
    folder = tmp_path_factory.mktemp("epochs")
    paths = []
    for seed in range(3):
        torch.manual_seed(seed)
        weights = build_detector(CARD).state_dict()
        for name, value in weights.items():
            if name.endswith(("running_mean", "running_var")):
                value.uniform_(0.5, 2)
            if name.endswith("num_batches_tracked"):
                value.fill_(seed)
        paths.append(folder / f"epoch{seed}.ckpt")
        state = {f"detector.{name}": value for name, value in weights.items()}
        torch.save({"card": CARD.to_dict(), "state_dict": state}, paths[-1])
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("form", ["[{}]", "{}"])
def test_the_command_takes_a_list(files, tmp_path, form):
    src = f"src={form.format(','.join(path.name for path in files))}"
    command = [sys.executable, "-m", "yolov9_lit.convert", src, f"out={tmp_path / 'average.ckpt'}"]
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, cwd=files[0].parent, env={**os.environ, **path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(tmp_path / "average.ckpt").card == CARD


def test_convert_writes_the_mean_of_all_numbers(files, tmp_path):
    out = tmp_path / "average.ckpt"
    convert(OmegaConf.create({"src": [*map(str, files)], "out": str(out), "deploy": False}))
    found, parts = read_checkpoint(out), [read_checkpoint(path).weights for path in files]
    assert found.card == CARD
    assert set(found.weights) == set(parts[0])
    for name, value in found.weights.items():
        if name.endswith("num_batches_tracked"):
            assert value == 2, "counts are those of the last file"
            continue
        wanted = np.mean([part[name].numpy().astype(np.float64) for part in parts], axis=0)
        np.testing.assert_allclose(value.numpy(), wanted, rtol=1e-6, atol=1e-9)
        assert value.dtype == parts[0][name].dtype


def test_one_file_is_what_it_was(files, tmp_path):
    out = tmp_path / "same.ckpt"
    convert(OmegaConf.create({"src": [str(files[0])], "out": str(out), "deploy": False}))
    weights = read_checkpoint(files[0]).weights
    assert all(torch.equal(weights[name], v) for name, v in read_checkpoint(out).weights.items())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"class_names": ("dog", "cat")}, "class_names"),
        ({"image_size": 64}, "image_size"),
        ({"choice": ClassChoice(("cat", "dog"))}, "choice"),
        ({"model": CARD.model | {"elan_depth": 3}}, "model"),
    ],
)
def test_files_of_another_training_are_refused(files, change, told):
    one = read_checkpoint(files[0])
    other = one._replace(card=dataclasses.replace(CARD, **change))
    with pytest.raises(UserError, match=rf"b\.ckpt and a\.ckpt cannot be averaged.* in {told}:"):
        average({"a.ckpt": one, "b.ckpt": other})


def test_deployed_files_and_other_tensors_are_refused():
    one = Checkpoint(CARD, {"a": torch.ones(2)})
    with pytest.raises(UserError, match=r"b\.safetensors is deployed"):
        average({"a.ckpt": one, "b.safetensors": one._replace(deployed=True)})
    with pytest.raises(UserError, match="they differ in tensors"):
        average({"a.ckpt": one, "b.ckpt": one._replace(weights={"a": torch.ones(3)})})


@pytest.mark.parametrize(
    ("src", "told"),
    [
        ([], r"src=\[\] names no checkpoint"),
        (["a.ckpt", "b.ckpt"], r"There is no checkpoint a\.ckpt"),
        (["a.ckpt", "out.ckpt"], "is a source, which would be lost"),
        (["a.ckpt", 3], "src=3 is not a path"),
    ],
)
def test_mistakes_are_told(tmp_path, monkeypatch, src, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told):
        convert(OmegaConf.create({"src": src, "out": "out.ckpt", "deploy": False}))
