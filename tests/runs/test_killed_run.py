"""Training on shards with two ranks, killed in the middle of an epoch and started again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.data.shards.writer import write_shards

pytestmark = pytest.mark.slow

COUNT, EPOCHS, BATCH = 22, 2, 2
TOGETHER = [
    "model=gelan_t",
    "data=stream",
    "data.image_size=64",
    f"data.batch_size={BATCH}",
    "data.num_workers=1",
    "data.window_shards=2",
    "data.close_mosaic_epochs=1",
    "schedule.nominal_batch=8",
    "schedule.min_warmup_batches=4",
    "schedule.warmup_epochs=0.1",
    "trainer.accelerator=cpu",
    "trainer.devices=2",
    "trainer.strategy=ddp",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.check_val_every_n_epoch=100",
    "trainer.enable_progress_bar=false",
    "callbacks.last.minutes=0",
    "~callbacks.summary",
    "~callbacks.pictures",
    "+callbacks.recorder._target_=killing.Recorder",
    "+callbacks.recorder.directory=${run_dir}",
    "test=false",
]


def start(root, run_dir, kill_at=""):
    here = Path(__file__).resolve()
    paths = os.pathsep.join([str(here.parents[2]), str(here.parent)])
    command = [sys.executable, "-m", "yolov9_lit.train", *TOGETHER, f"data.root={root}"]
    return subprocess.Popen(
        [*command, f"hydra.run.dir={run_dir}"],
        env={**os.environ, "PYTHONPATH": paths, "KILL_AT": kill_at, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=(run_dir.parent / f"{run_dir.name}.log").open("a"),
        stderr=subprocess.STDOUT,
    )


def ended(process):
    """The exit code; nothing of the group of processes is left."""
    try:
        return process.wait(timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def log(run_dir):
    return (run_dir.parent / f"{run_dir.name}.log").read_text()


def seen(run_dir, rank):
    """Image ids of each batch by epoch and index, in the order they were trained on."""
    lines = (run_dir / f"seen{rank}.jsonl").read_text().splitlines()
    return [(tuple(key), ids) for *key, ids in map(json.loads, lines)]


def last(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)


def test_every_image_is_seen_once_and_the_weights_are_the_same(tmp_path):
    root, killed, whole = tmp_path / "shards", tmp_path / "killed", tmp_path / "whole"
    coco = make_shapes(tmp_path / "coco", train=COUNT, val=2, image_size=64)
    for split in ("train2017", "val2017"):
        annotations = coco / "annotations" / f"instances_{split}.json"
        write_shards(annotations, coco / split, root / split, shard_bytes=6_000, seed=0)

    both = start(root, whole), start(root, killed, kill_at="1,5")
    assert [ended(process) for process in both] == [0, -signal.SIGKILL], log(whole) + log(killed)
    checkpoint = last(killed)
    (loader,) = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    done = loader["batches"]
    assert checkpoint["epoch"] == 1
    assert 0 < done < 5, "there was one in mid-epoch, and what came after it is lost"
    before = [seen(killed, rank) for rank in range(2)]
    assert ended(start(root, killed)) == 0, log(killed)

    batches = -(-COUNT // 2 // BATCH)
    for rank in range(2):
        kept = [(key, ids) for key, ids in before[rank] if key < (1, done)]
        again = seen(killed, rank)[len(before[rank]) :]
        assert [key for key, _ in again] == [(1, k) for k in range(done, batches)]
        assert kept + again == seen(whole, rank)
    for epoch in range(EPOCHS):
        ids = [i for r in range(2) for (e, _), batch in seen(whole, r) for i in batch if e == epoch]
        assert sorted(ids) == list(range(1, COUNT + 1))

    expected, found = last(whole), last(killed)
    assert found["global_step"] == expected["global_step"] > EPOCHS
    for part in ("state_dict", "current_model_state"):
        for name, value in expected[part].items():
            assert torch.equal(value, found[part][name]), name
