"""Options of the config groups around a training, each in a short real one."""

import csv
import json
import subprocess
import sys

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.app.train import train
from yolov9_lit.errors import UserError

pytestmark = pytest.mark.slow

SMALL = [
    "model=gelan_t",
    "model.elan_depth=1",
    "block=conv",
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "~data.prepare",
    "schedule.nominal_batch=4",
    "trainer.enable_progress_bar=false",
]
CPU = ["trainer=cpu", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def run(tiny_shapes):
    """Train on the small data set, with all callbacks unless told otherwise."""

    def run(folder, *overrides):
        base = [*SMALL, f"data.root={tiny_shapes}", f"run_dir={folder}"]
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            cfg = compose("train", overrides=[*base, *overrides])
        return train(cfg)

    return run


@pytest.fixture
def in_hydra():
    """A job of Hydra's: W&B's tags are its choices."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        HydraConfig.instance().set_config(compose("train", return_hydra_config=True))
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture(scope="module")
def usual(run, tmp_path_factory):
    """Folder of a run with the default callbacks and logger."""
    folder = tmp_path_factory.mktemp("usual")
    run(folder, *CPU)
    return folder


def training_rows(folder):
    """What metrics.csv has of the training itself."""
    with (folder / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    wanted = ("epoch", "step", "lr", "train/")
    kept = [{k: v for k, v in row.items() if k.startswith(wanted)} for row in rows]
    return [row for row in kept if len(row) > 2]


def test_a_run_without_callbacks_trains_the_same_and_leaves_its_metrics(run, usual, tmp_path):
    outcome = run(tmp_path, *CPU, "callbacks=none")
    assert len(outcome.figures) == 12
    assert outcome.epochs == 1
    assert outcome.seconds_per_epoch > 0
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.csv", "hparams.yaml"}
    assert training_rows(tmp_path) == training_rows(usual)


def test_a_run_without_a_logger_leaves_all_but_metrics(run, usual, tmp_path):
    run(tmp_path, *CPU, "logger=none")
    left = {path.name for path in usual.iterdir()} - {"metrics.csv", "hparams.yaml", "images"}
    assert {path.name for path in tmp_path.iterdir()} == left
    ends = [
        torch.load(p / "checkpoints" / "last.ckpt", weights_only=True) for p in (tmp_path, usual)
    ]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name


def test_groups_are_switched_off(run, tmp_path):
    outcome = run(tmp_path / "run", *CPU, "~callbacks", "~logger")
    assert len(outcome.figures) == 12
    assert not list(tmp_path.iterdir())


def test_groups_are_switched_off_by_null_on_the_command_line(tiny_shapes, tmp_path):
    command = [sys.executable, "-m", "yolov9_lit.train", *SMALL, *CPU, f"data.root={tiny_shapes}"]
    off = ["callbacks=null", "logger=null", "debug=null", "hydra.run.dir=run"]
    done = subprocess.run([*command, *off], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"run.json", "train.log"}
    assert not (tmp_path / "run" / "metrics.csv").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["figures"]


@pytest.mark.parametrize("trainer", ["mps", "gpu"])
def test_a_device_that_is_missing_is_told(run, tmp_path, trainer):
    available = {"mps": torch.backends.mps.is_available(), "gpu": torch.cuda.is_available()}
    if available[trainer]:
        pytest.skip("this machine has one")
    expected = (
        rf"trainer\.accelerator={trainer}\b.*: choose another trainer, for example trainer=auto"
    )
    with pytest.raises(UserError, match=expected) as error:
        run(tmp_path, f"trainer={trainer}")
    assert "\n" not in str(error.value)


def test_limit_is_a_whole_run_in_miniature(run, tmp_path):
    outcome = run(
        tmp_path,
        "debug=limit",
        "trainer.max_epochs=2",
        "trainer.limit_train_batches=2",
        "trainer.limit_val_batches=1",
        "trainer.limit_test_batches=1",
    )
    assert outcome.epochs == 2
    rows = training_rows(tmp_path)
    assert [row["step"] for row in rows if "lr" in row] == ["0", "1", "2", "3"]
    assert (tmp_path / "results.json").is_file()
    assert (tmp_path / "checkpoints" / "best.ckpt").is_file()


def test_profiler_leaves_its_tables_in_the_runs_folder(run, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run(tmp_path / "run", "debug=profiler", "trainer.accelerator=cpu")
    assert not list((tmp_path / "here").iterdir())
    for stage, part in (("fit", "run_training_batch"), ("test", "test_step")):
        table = (tmp_path / "run" / f"{stage}-profile.txt").read_text()
        assert part in table


@pytest.mark.parametrize("package", ["wandb", "tensorboard"])
def test_a_logger_that_is_not_installed_is_told(run, in_hydra, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"logger={package}: .*: pip install {package}"):
        run(tmp_path, *CPU, f"logger={package}", "callbacks=none")


def test_an_epoch_that_is_cut_short_has_losses_but_no_cost(run, tmp_path):
    outcome = run(tmp_path, *CPU, "+trainer.max_steps=2", "callbacks=none", "test=false")
    assert outcome.seconds_per_epoch is None
    with (tmp_path / "metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row.get("train/loss")]
    assert not row.get("cost/seconds")
