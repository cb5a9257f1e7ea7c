"""Sweeps as a user runs them: killed, with failing jobs, distributed, logged."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.runs.sweeps import print_sweep

pytestmark = pytest.mark.slow

TINY = [
    "model=gelan_t",
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "schedule.min_warmup_batches=2",
    "evaluation.report=false",
    "~data.prepare",
]
SHORT = ["model.elan_depth=1", "model.csp_depth=1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("sweeps") / "shapes"
    make_shapes(root, train=12, val=4, image_size=64)
    return root


def start(folder, data, *overrides):
    log = (folder / "output.txt").open("a")
    return subprocess.Popen(
        [sys.executable, "-m", "yolov9_lit.train", "-m", *TINY, f"data.root={data}", *overrides],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "250", "WANDB_API_KEY": ""},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def sweep(folder, data, *overrides):
    code = start(folder, data, *overrides).wait(timeout=500)
    return code, (folder / "output.txt").read_text()


def jobs(folder):
    """Record and folder of each job, by its seed or other differing override."""
    found = {}
    for path in (folder / "multirun").glob("*/*/run.json"):
        record = json.loads(path.read_text())
        found[record["overrides"][-1]] = (record, path.parent)
    return found


def outcome(folder):
    """What a report would read of a job, without times."""
    results = json.loads((folder / "results.json").read_text())
    results.pop("checkpoint")
    with (folder / "metrics.csv").open() as file:
        rows = [
            {k: v for k, v in row.items() if v and not k.startswith("cost/")}
            for row in csv.DictReader(file)
        ]
    return results, json.loads((folder / "detections.json").read_text()), rows


def report(folder):
    """Rows of the sweep's report, without times and memory."""
    subprocess.run(
        [sys.executable, "-m", "yolov9_lit.report", "runs=multirun", "replicates=50"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
    )
    with (folder / "multirun" / "report" / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in r.items() if not k.startswith(("seconds", "peak"))} for r in rows]


def test_a_sweep_killed_at_random_ends_as_an_uninterrupted_one(tmp_path, data):
    """The real thing; `test_every_kill` tries all moments of a run."""
    common = [*SHORT, "sweep=killed", "trainer.max_epochs=2", "evaluation.report=true", "seed=1,2"]
    seed = random.randrange(2**32)
    sys.stdout.write(f"The kill is drawn from seed {seed}.")  # shown where the test fails
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    code, output = sweep(whole, data, *common)
    assert code == 0, output

    process = start(broken, data, *common)
    deadline = time.monotonic() + 120
    # Kill a random moment after a job has begun, so that something is half done.
    while not list(broken.glob("multirun/*/*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(random.Random(seed).uniform(0, 4))
    process.send_signal(signal.SIGKILL)  # the sweep alone: its job must not live on
    assert process.wait() == -signal.SIGKILL
    code, output = sweep(broken, data, *common)
    assert code == 0, output
    assert jobs(whole).keys() == jobs(broken).keys() == {"seed=1", "seed=2"}
    for name, (record, folder) in jobs(broken).items():
        assert record["status"] == "done"
        assert record["epochs"] == 2
        assert outcome(folder) == outcome(jobs(whole)[name][1])
    (row,) = report(whole)
    assert row["seeds"] == "2"
    assert report(broken) == [row]


def test_a_failing_job_is_reported_and_tried_again_alone(tmp_path, data):
    common = [*SHORT, "sweep=failing", "trainer.max_epochs=1", "model.num_classes=9,4"]
    code, output = sweep(tmp_path, data, *common)
    assert code == 1
    bad, good = (jobs(tmp_path)[f"model.num_classes={count}"] for count in (9, 4))
    assert bad[0]["status"] == "failed"
    assert "model.num_classes is 9 but the data" in bad[0]["error"]
    assert good[0]["status"] == "done"
    table = output[output.index("Sweep ") :]
    assert "1 done, 1 failed, 0 not finished" in table
    assert "num_classes is 9" in table

    written = (good[1] / "results.json").stat().st_mtime_ns
    code, output = sweep(tmp_path, data, *common)
    assert code == 1
    assert jobs(tmp_path)["model.num_classes=9"][0]["resumed"] == 1
    assert (good[1] / "results.json").stat().st_mtime_ns == written


def test_a_distributed_sweep_starts_no_sweep_in_its_ranks(tmp_path, data, wandb_records):
    ddp = ["trainer.strategy=ddp", "trainer.devices=2", "data.batch_size=2", *SHORT]
    code, output = sweep(
        tmp_path, data, "sweep=ddp", "trainer.max_epochs=1", *ddp, "logger=wandb", "seed=1,2"
    )
    assert code == 0, output
    assert {name: record["status"] for name, (record, _) in jobs(tmp_path).items()} == {
        "seed=1": "done",
        "seed=2": "done",
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["multirun", "output.txt"]
    folders = [p for p in (tmp_path / "multirun" / "ddp").iterdir() if p.is_dir()]
    assert len(folders) == 2

    for seed in (1, 2):
        records = wandb_records(jobs(tmp_path)[f"seed={seed}"][1])
        (run,) = [record for kind, record in records if kind == "run"]
        assert run.run_group == "ddp"
        assert run.display_name.startswith("gelan_t csp batch_size=2 ")
        assert run.display_name.endswith(f" seed{seed}")
        assert "exit" in [kind for kind, _ in records], "each job's W&B run is closed"
        expected = {"gelan_t", "block-csp", "elan-1", "csp-1", "pgi-none", f"seed-{seed}"}
        assert set(run.tags) == expected


def test_jobs_share_no_folder_and_a_single_run_takes_the_same_command(tmp_path, data):
    """The command that the table tells for one job alone is the sweep's own."""
    code, output = sweep(tmp_path, data, "sweep=x", "trainer.max_epochs=1", "seed=5", "block=conv")
    assert code == 0, output
    ((record, folder),) = jobs(tmp_path).values()
    assert re.search(r"seed=5.*-[0-9a-f]{8}$", folder.name)
    assert record["sweep"] == "x"
    assert record["choices"]["block"] == "conv"
    assert (folder / ".hydra" / "config.yaml").is_file()


def test_every_mistake_before_a_job_is_told(tmp_path, data):
    """Hydra tells of the first failed job only."""
    code, output = sweep(tmp_path, data, "model=checkpoint", "ckpt=one.pt,two.pt")
    assert code != 0
    table = output[output.index("Sweep ") :]
    for name in ("one.pt", "two.pt"):
        assert f"error: There is no checkpoint {name}" in output
        assert f"There is no checkpoint {name}" in table
    assert "0 done, 2 failed, 0 not finished" in table


def test_a_sweep_without_a_job_says_so(tmp_path, capsys):
    print_sweep(tmp_path / "table9")
    assert "No job of sweep" in capsys.readouterr().err
