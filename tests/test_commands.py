"""The commands as a user types them: in another folder, with right and wrong arguments."""

import json
import os
import resource
import subprocess
import sys
from functools import partial

import pytest

from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.files import atomic_write

pytestmark = pytest.mark.slow

TINY = [
    "trainer=cpu",
    "trainer.max_epochs=1",
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "~data.prepare",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder elsewhere, with a tiny data set in it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    make_shapes(folder / "shapes", train=8, val=4, image_size=64)
    return folder


def run(folder, module, *arguments, env=None, largest_file=None):
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (largest_file, largest_file))
    if largest_file:  # Python would keep the beginning of what it compiles as if it were whole.
        env = {"PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", f"yolov9_lit.{module}", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limit if largest_file else None,
    )


@pytest.fixture(scope="module")
def trained(folder):
    """A run of the train command with everything a user may switch on."""
    done = run(
        folder,
        "train",
        *TINY,
        "data.root=shapes",
        "logger=all",
        "callbacks=early_stopping",
        "hydra.run.dir=run",
        env={"WANDB_API_KEY": ""},
    )
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_train_leaves_a_run_and_tells_where(trained):
    run_dir, done = trained
    for name in ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv", "results.json"):
        assert (run_dir / name).is_file(), name
    assert (run_dir / ".hydra" / "config.yaml").is_file()
    assert list((run_dir / "predictions").glob("*.jpg"))
    assert list((run_dir / "tensorboard").glob("events*"))
    assert list((run_dir / "wandb").glob("offline-run*")), "no account: W&B records offline"
    assert "recording offline" in done.stderr
    assert "Everything of this run is in" in done.stderr
    assert "deployed" in done.stdout
    assert "AP50" in done.stdout


def test_predict_from_the_checkpoint_alone(trained, folder):
    run_dir, _ = trained
    (folder / "shapes" / "val2017" / "broken.jpg").write_bytes(b"no image")
    done = run(
        folder,
        "predict",
        f"ckpt={run_dir}/checkpoints/best.ckpt",
        "source=shapes/val2017",
        "confidence=0.0001",
        "hydra.run.dir=seen",
    )
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "seen").glob("*.jpg"))) == 4
    rows = json.loads((folder / "seen" / "detections.json").read_text())
    assert rows
    assert {"file", "category", "category_id", "bbox", "score"} <= set(rows[0])
    assert "1 file cannot be read and is passed over" in done.stderr
    (folder / "shapes" / "val2017" / "broken.jpg").unlink()


def test_summary_ends_with_one_json_line(folder):
    done = run(folder, "summary", "model=yolov9_t")
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["trained"]["params"] == 3_717_648
    assert set(figures["parts"]) == {"backbone", "neck", "head", "pgi fpn"}


def test_two_processes_train_and_evaluate_as_one(folder):
    done = run(
        folder,
        "train",
        *TINY,
        "trainer=ddp",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "trainer.precision=32-true",
        "trainer.sync_batchnorm=false",
        "data.root=shapes",
        "data.batch_size=2",
        "hydra.run.dir=ddp",
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "ddp" / "results.json").read_text())
    assert results["num_images"] == 4


MISTAKES = {
    "no data": (
        ["train", "data=coco", "data.root=nowhere"],
        "error: There is no data folder nowhere: get it with `python -m yolov9_lit.data download",
    ),
    "no root": (["train", "data=coco"], "error: data.root is not given: add data.root="),
    "no checkpoint": (
        ["eval", "ckpt=none.ckpt"],
        "error: There is no checkpoint none.ckpt: give the path of a .ckpt file.",
    ),
    "not a checkpoint": (
        ["predict", "ckpt=shapes/annotations/instances_val2017.json", "source=shapes/val2017"],
        "cannot be read as a checkpoint",
    ),
    "depth": (
        ["train", *TINY, "data.root=shapes", "model.elan_depth=0"],
        "elan_depth=0 is not valid",
    ),
    "classes": (
        ["train", *TINY, "data.root=shapes", "model.num_classes=7"],
        "error: model.num_classes is 7 but the data in shapes has 4 classes",
    ),
    "channels": (
        ["train", *TINY, "data.root=shapes", "model.in_channels=4"],
        "error: model.in_channels is 4 but the images of shapes are read with 3 channels",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_get_one_sentence_and_code_2(folder, name):
    arguments, sentence = MISTAKES[name]
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_at_the_source(trained, folder):
    done = run(folder, "predict", "ckpt=run/checkpoints/best.ckpt", "source=none/*.jpg")
    assert done.returncode == 2
    assert "error: Nothing is at source=none/*.jpg" in done.stderr


def test_what_there_is_not_is_told_with_what_there_is(folder):
    wrong_group = run(folder, "train", "model=yolov8_n")
    assert wrong_group.returncode == 2
    assert "There is no model=yolov8_n: give one of yolov9_t" in wrong_group.stderr
    unknown = run(folder, "train", "trainer.epochs=3")
    assert unknown.returncode == 2
    assert "such as trainer.max_epochs" in unknown.stderr
    assert wrong_group.stderr.count("\n") == unknown.stderr.count("\n") == 1
    overview = run(folder, "train", "--help").stdout
    for group in ("block", "pgi", "model", "data", "augment", "trainer", "logger"):
        assert f"{group} (" in overview
    assert "yolov9_c" in overview


def test_a_users_own_block(folder):
    (folder / "my_blocks.py").write_text(
        "from torch import nn\n"
        "class Pointwise(nn.Sequential):\n"
        "    def __init__(self, in_channels, out_channels, depth):\n"
        "        super().__init__(nn.Conv2d(in_channels, out_channels, 1), nn.SiLU())\n"
    )
    (folder / "my_conf" / "block").mkdir(parents=True)
    (folder / "my_conf" / "block" / "pointwise.yaml").write_text(
        "# @package model.block\n_target_: my_blocks.Pointwise\n_partial_: true\n"
    )
    done = run(
        folder,
        "train",
        "--config-dir=my_conf",
        *TINY,
        "data.root=shapes",
        "block=pointwise",
        "hydra.run.dir=own",
        env={"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    again = run(
        folder,
        "eval",
        "ckpt=own/checkpoints/best.ckpt",
        "data.root=shapes",
        "~data.prepare",
        "data.num_workers=0",
        env={"PYTHONPATH": str(folder)},
    )
    assert again.returncode == 0, again.stderr


def test_a_write_that_finds_no_room_names_its_file(tmp_path, largest_file):
    def write():
        with atomic_write(tmp_path / "whole.bin") as part:
            part.write_bytes(bytes(5000))

    with largest_file(1000), pytest.raises(OSError, match=r"whole\.bin"):
        write()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_ends_a_training_in_a_sentence(folder, tmp_path):
    command = ("train", *TINY, "data.root=shapes", f"hydra.run.dir={tmp_path}", "test=false")
    done = run(folder, *command, largest_file=1_000_000)  # Enough for all but the checkpoints.
    assert done.returncode == 2, done.stderr
    error = done.stderr[done.stderr.index("error: ") :]
    assert error.count("\n") == 1
    assert "best.ckpt cannot be written (File too large): make room" in error
    assert f"hydra.run.dir={tmp_path}" in error
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "checkpoints").iterdir())
