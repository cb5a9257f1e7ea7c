"""Each option that a training is documented with, in a real one: several options a run."""

import csv
import math
from itertools import cycle

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from pgi_variants import VARIANTS

from yolov9_lit.app.train import train
from yolov9_lit.building import CONFIG_DIR

pytestmark = pytest.mark.slow

SHORT = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"]


def names(group):
    """Options of a group by its folder, without private ones."""
    return sorted(p.stem for p in (CONFIG_DIR / group).glob("*.yaml") if p.stem[0] != "_")


PARTS = ("block", "schedule", "aux_schedule", "augment", "optimizer")
OTHERS = {
    "trainer.precision": ("32-true", "mixed", "bf16-mixed"),
    "channels_last": ("true", "false", "null"),
    "checkpointing": ("true", "false"),
    "logger": ("tensorboard", "csv"),
}


def combinations():
    """As many lists of overrides as there are PGI branches; each option of the rest is in one."""
    columns = [[f"{group}={option}" for option in names(group)] for group in PARTS]
    columns += [[f"{key}={value}" for value in values] for key, values in OTHERS.items()]
    assert max(map(len, columns)) <= len(VARIANTS)
    return [
        [f"pgi={pgi}", *others]
        for pgi, *others in zip(VARIANTS, *map(cycle, columns), strict=False)
    ]


@pytest.fixture
def run(config, tmp_path):
    """Train with overrides; gives the outcome."""

    def run(*overrides, model="gelan_t"):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            HydraConfig.instance().set_config(compose("train", return_hydra_config=True))
        cfg = config(tmp_path, f"model={model}", "schedule.nominal_batch=4", *overrides)
        return train(cfg)

    yield run
    HydraConfig.instance().cfg = None


def losses(folder):
    with (folder / "metrics.csv").open() as file:
        found = [row.get("train/loss") for row in csv.DictReader(file)]
    return [float(loss) for loss in found if loss]


def test_yolov7_and_its_branch_train(run, tmp_path):
    outcome = run(*SHORT, "model.width=0.125", "pgi=yolov7_aux", model="yolov7")
    assert len(outcome.figures) == 12
    assert losses(tmp_path)
    assert all(map(math.isfinite, losses(tmp_path)))


@pytest.mark.parametrize("given", combinations(), ids=" ".join)
def test_options_train_and_leave_a_checkpoint(run, tmp_path, given):
    outcome = run(*SHORT, "trainer.limit_test_batches=1", *given)
    assert len(outcome.figures) == 12
    assert losses(tmp_path)
    assert all(map(math.isfinite, losses(tmp_path)))
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert bool(list(tmp_path.rglob("events.*"))) == ("logger=tensorboard" in given)


def test_overfit_trains_on_its_two_batches_in_every_epoch(run, tmp_path):
    outcome = run("debug=overfit", "trainer.max_epochs=3", "test=false")
    assert outcome.epochs == 3
    assert outcome.data["train"]["pictures"] == 8  # two batches of four
    assert all(map(math.isfinite, losses(tmp_path)))


def test_no_epoch_leaves_the_figures_of_the_start(run, tmp_path, caplog):
    outcome = run("trainer.max_epochs=0")
    assert outcome.epochs == 0
    assert len(outcome.figures) == 12
    assert "No epoch was left to train of trainer.max_epochs=0" in caplog.text


def test_wandb_records_offline(run, tmp_path):
    run(*SHORT, "test=false", "logger=wandb", "logger.wandb.offline=true")
    assert list((tmp_path / "wandb").glob("offline-run*"))
    assert (tmp_path / "metrics.csv").is_file()
