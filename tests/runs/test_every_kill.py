"""A run killed at any moment and started again ends as one that was never interrupted.

A kill leaves what is in the files. So every state that the folder of a whole run is ever in is
kept, and a run goes on from each.
"""

import builtins
import csv
import io
import json
import os
import shutil

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.app.train import train
from yolov9_lit.models.cost import Cost, DetectorCost
from yolov9_lit.runs.resume import recorded
from yolov9_lit.training import module

pytestmark = pytest.mark.slow

SMALL = [
    "model=gelan_t",
    "model.backbone._target_=yolov9_lit.models.plain.PlainNet",
    "+model.backbone.depth=9",
    "model.elan_depth=1",
    "block=conv",
    "data.batch_size=7",
    "schedule.nominal_batch=7",
    "schedule.min_warmup_batches=2",
    "callbacks.ema.tau=1",  # else the averaged weights are all but the trained ones
    "trainer.log_every_n_steps=1",
    "callbacks.last.minutes=0",
    "callbacks.pictures.count=1",
]
EARLY_END = [  # after two of three epochs
    "trainer.max_epochs=3",
    "callbacks=early_stopping",
    "callbacks.early_stopping.patience=1",
    "+callbacks.early_stopping.min_delta=1",
]
DIFFERS = {"started", "ended", "resumed", "seconds_per_epoch", "peak_memory_mb"}


@pytest.fixture(autouse=True)
def in_hydra(monkeypatch):
    """A job of Hydra's; to count the model's cost each time would take half the test's time."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        HydraConfig.instance().set_config(compose("train", return_hydra_config=True))
    cost = DetectorCost(Cost(2, 2.0), Cost(1, 1.0), {})
    monkeypatch.setattr(module, "detector_cost", lambda *_, **__: cost)
    yield
    HydraConfig.instance().cfg = None


def states_of(folder, copies, monkeypatch, function):
    """Call a function that fills a folder; copies of the folder in every state it is ever in.

    Looked at before and after a file is opened or moved. What is half written, to be moved to its
    place when it is whole, is no state of its own.
    """
    found, seen = [], {()}

    def look():
        files = [path for path in sorted(folder.rglob("*")) if path.suffix != ".part"]
        stats = [(path, path.stat()) for path in files if path.is_file()]
        state = tuple((path, s.st_ino, s.st_size, s.st_mtime_ns) for path, s in stats)
        if state not in seen:
            seen.add(state)  # The copying opens files, too.
            found.append(copies / str(len(found)))
            copy(folder, found[-1])

    def watched(call):
        def watching(*args, **kwargs):
            look()
            try:
                return call(*args, **kwargs)
            finally:
                look()

        return watching

    with monkeypatch.context() as patch:
        for owner, name in ((builtins, "open"), (io, "open"), (os, "replace")):
            patch.setattr(owner, name, watched(getattr(owner, name)))
        function()
    return found


def copy(folder, target):
    """Copy a run's folder; checkpoints are never changed in place, links of them will do."""
    shutil.copytree(
        folder,
        target,
        copy_function=lambda a, b: (os.link if a.endswith(".ckpt") else shutil.copy2)(a, b),
    )


def ending(folder):
    """All that a run left, by file, without times and memory."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "hparams.yaml"]
    return {str(path.relative_to(folder)): content(path) for path in files}


def content(path):
    if path.name == "run.json":
        return {k: v for k, v in json.loads(path.read_text()).items() if k not in DIFFERS}
    if path.name == "metrics.csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [{k: v for k, v in row.items() if not k.startswith("cost/")} for row in rows]
    if path.suffix == ".ckpt":
        kept = torch.load(path, weights_only=True)
        weights = [*kept["state_dict"].values(), *kept["current_model_state"].values()]
        return kept["epoch"], kept["global_step"], [w.numpy().tobytes() for w in weights]
    return path.read_bytes()


def test_a_run_goes_on_from_every_state_of_its_folder(config, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    composed = config(folder, *SMALL, *EARLY_END)

    def run():
        recorded(composed.copy(), train)

    states = states_of(folder, tmp_path, monkeypatch, run)
    expected = ending(folder)
    assert expected["run.json"]["epochs"] == 2, "it ended early"
    assert len(states) > 20
    for state in states:
        shutil.rmtree(folder)
        copy(state, folder)
        run()
        assert ending(folder) == expected, sorted(map(str, state.rglob("*")))


@pytest.mark.parametrize("option", ["test=false", "trainer.check_val_every_n_epoch=9"])
def test_a_run_killed_at_its_very_end_gives_the_same(config, tmp_path, option):
    """Nothing is left to be trained: what a training leaves in memory has to be in its files."""
    run_once = config(tmp_path, *SMALL, "trainer.max_epochs=1", option)
    recorded(run_once.copy(), train)
    expected = ending(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**record, "status": "running", "figures": {}}))
    recorded(run_once.copy(), train)
    assert ending(tmp_path) == expected
