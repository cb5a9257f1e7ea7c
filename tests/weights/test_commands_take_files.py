"""Published, converted and deployed files give the commands the same detections."""

import json
import os
import subprocess
import sys

import pytest
import torch
from published_files import build, save_pickled

from yolov9_lit.data.prepare.shapes import make_shapes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set, a published file of its classes, and what `convert` makes of it."""
    folder = tmp_path_factory.mktemp("files")
    make_shapes(folder / "shapes", train=4, val=2, image_size=64)
    content = json.loads((folder / "shapes" / "annotations" / "instances_val2017.json").read_text())
    torch.manual_seed(0)
    model = build("t", True, len(content["categories"]))
    model.names = {i: category["name"] for i, category in enumerate(content["categories"])}
    save_pickled(folder / "published.pt", model, train_args={"imgsz": 64})
    run(folder, "convert", "src=published.pt", "out=own.ckpt")
    run(folder, "convert", "src=own.ckpt", "out=small.safetensors", "deploy=true")
    return folder


def run(folder, module, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", f"yolov9_lit.{module}", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    return done


FILES = ("published.pt", "own.ckpt", "small.safetensors")


def test_eval(folder):
    found = []
    options = ["data.root=shapes", "~data.prepare", "data.num_workers=0", "trainer=cpu"]
    for name in FILES[::2]:
        run(folder, "eval", f"ckpt={name}", *options, "pictures=0", f"hydra.run.dir={name}.eval")
        found.append(json.loads((folder / f"{name}.eval" / "detections.json").read_text()))
    published, deployed = found
    assert len(published) == len(deployed) > 0
    for one, other in zip(published, deployed, strict=True):
        assert one["category_id"] == other["category_id"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)
        assert one["bbox"] == pytest.approx(other["bbox"], abs=0.1)


def test_predict(folder):
    options = ["source=shapes/val2017", "confidence=0.001", "hydra.run.dir=found"]
    run(folder, "predict", "ckpt=small.safetensors", *options)
    assert json.loads((folder / "found" / "detections.json").read_text())


def test_summary_describes_the_file_it_is_given(folder):
    told = json.loads(run(folder, "summary", "ckpt=own.ckpt").stdout.splitlines()[-1])
    state = torch.load(folder / "own.ckpt", weights_only=True)["state_dict"]
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    held = sum(t.numel() for name, t in state.items() if not name.endswith(buffers))
    assert told["trained"]["params"] == held
    assert told["classes"] == 4
    small = json.loads(run(folder, "summary", "ckpt=small.safetensors").stdout.splitlines()[-1])
    assert small["deployed"] == told["deployed"]
    for arguments, words in (
        (["ckpt=none.ckpt"], "There is no checkpoint none.ckpt"),
        (["ckpt=own.ckpt", "model=gelan_s"], "model=gelan_s another model"),
        (["ckpt=own.ckpt", "image_size=33"], "give one multiple of 32"),
    ):
        assert words in run(folder, "summary", *arguments, code=2).stderr


def test_convert_leaves_its_file_alone(folder):
    assert not list(folder.glob("*.log"))
    assert not list(folder.glob("*.part"))
