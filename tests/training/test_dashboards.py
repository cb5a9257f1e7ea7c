"""What a training leaves for W&B, for TensorBoard and in its folder, read back from the files."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

pytestmark = pytest.mark.slow

SETTINGS = {
    "model": "gelan_t",
    "block": "conv",
    "pgi": "pfh",
    "data": "shapes",
    "elan_depth": 1,
    "csp_depth": 3,
    "seed": 4,
}
COMMAND = [
    *("model=gelan_t", "block=conv", "pgi=pfh", "seed=4", "model.elan_depth=1"),
    *("data.image_size=64", "data.batch_size=4", "data.num_workers=0", "~data.prepare"),
    *("trainer=cpu", "trainer.enable_progress_bar=false", "~callbacks.summary"),
    *("schedule.nominal_batch=4", "schedule.min_warmup_batches=4", "hydra.run.dir=run"),
]


EPOCHS = 3


@pytest.fixture(scope="module")
def trained(tiny_shapes, tmp_path_factory):
    """Folder of a training that was interrupted after its first epoch, and continued."""
    place = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-m", "yolov9_lit.train", *COMMAND, f"data.root={tiny_shapes}"]
    command += [f"trainer.max_epochs={EPOCHS}", "logger=all", "logger.wandb.log_model=true"]
    environment = {**os.environ, "WANDB_API_KEY": "", "WANDB_DATA_DIR": str(place / "artifacts")}
    where = {"cwd": place, "env": environment, "text": True, "stderr": subprocess.PIPE}
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, **where)
    while first.poll() is None and not (place / "run" / "checkpoints" / "last.ckpt").is_file():
        time.sleep(0.02)
    first.terminate()  # Of a process that is killed W&B's offline file lacks what it had buffered.
    assert "it goes on with" in first.communicate()[1], "it was to be ended before its end"
    second = subprocess.run(command, stdout=subprocess.DEVNULL, timeout=300, **where)
    assert second.returncode == 0, second.stderr
    assert "Continuing from" in second.stderr
    return place / "run"


@pytest.fixture(scope="module")
def records(trained, wandb_records):
    return wandb_records(trained)


def of_kind(records, wanted):
    return [record for kind, record in records if kind == wanted]


def figures(items):
    """Nested entries of W&B's history, config and summary by their path."""
    return {"/".join([*([i.key] if i.key else []), *i.nested_key]): i.value_json for i in items}


def test_metrics_have_no_figure_that_could_not_be_measured(trained):
    with (trained / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert not any(value == "-1.0" for row in rows for value in row.values())
    results = json.loads((trained / "results.json").read_text())
    unmeasured = {name for name in ("AP_s", "AP_m", "AP_l") if results[name] < 0}
    assert unmeasured, "the small images hold no objects of some size"
    for name in ("AP_s", "AP_m", "AP_l"):
        assert (f"val/{name}" in rows[0]) == (name not in unmeasured)
        assert (f"test/{name}" in rows[0]) == (name not in unmeasured)
    measured = [int(row["epoch"]) for row in rows if row["val/AP"]]
    assert measured == list(range(EPOCHS))


def test_the_folder_has_images_of_each_epoch_and_the_first_batch(trained):
    images = {path.name for path in (trained / "images").iterdir()}
    assert images == {"train_batch.png", *(f"val_images_{i:04d}.png" for i in range(EPOCHS))}


def test_wandb_has_flat_settings_and_a_name_that_says_them(records, trained):
    record = json.loads((trained / "run.json").read_text())
    runs = of_kind(records, "run")
    assert len(runs) == 2, "before and after the interruption"
    assert len({run.run_id for run in runs}) == 1
    assert {run.display_name for run in runs} == {
        "gelan_t conv pfh batch_size=4 image_size=64 elan_depth=1 min_warmup_batches=4"
        " nominal_batch=4 max_epochs=3 seed4"
    }
    for update in of_kind(records, "config"):
        given = {name: json.loads(value) for name, value in figures(update.update).items()}
        assert given.items() >= SETTINGS.items()
        assert given["parameters"] == record["cost"]["params"]
        assert given["trained_parameters"] == record["cost"]["train_params"]
        assert given["GFLOPs"] == pytest.approx(record["cost"]["gflops"], abs=1e-3)
        assert given["config"]["model"]["elan_depth"] == 1


def test_wandb_has_the_same_images_in_each_epoch_and_the_batch_once(records):
    shown = [r for r in of_kind(records, "artifact") if r.type == "run_table"]
    kept = {}
    for table in shown:
        paths = {Path(entry.path): Path(entry.local_path) for entry in table.manifest.contents}
        (written,) = [local for path, local in paths.items() if path.suffix == ".json"]
        content = json.loads(written.read_text())
        assert sum(path.suffix == ".jpg" for path in paths) == len(content["data"])
        assert content["columns"] == ["epoch", "name", "image", "caption"]
        for epoch, name, image, _ in content["data"]:
            assert Path(image["path"]) in paths
            kept.setdefault(epoch, []).append(name)
    once = kept.pop(None)
    assert sum(name.endswith(".jpg") for name in once) == 4, "the first batch"
    assert {"precision_recall", "confusion"} <= set(once), "after the test"
    assert sorted(kept) == list(range(EPOCHS))
    assert len(kept[0]) == 4
    assert all(names == kept[0] for names in kept.values())


def test_wandb_summary_has_the_best_figures_and_the_checkpoint_is_an_artifact(records, trained):
    best = {}
    for metric in of_kind(records, "metric"):
        if metric.name.startswith("val/"):
            best[metric.name] = "max" if metric.summary.max else "min"
    highest = ("val/AP", "val/AP50", "val/mask_AP", "val/pose_AP")
    assert best == dict.fromkeys(highest, "max") | {"val/loss": "min"}
    history = [figures(row.item) for row in of_kind(records, "history")]
    losses = [json.loads(row["val/loss"]) for row in history if "val/loss" in row]
    assert len(losses) == EPOCHS
    summaries = [figures(row.update).get("val/loss") for row in of_kind(records, "summary")]
    lowest = min(json.loads(text)["min"] for text in summaries if text)
    assert lowest == pytest.approx(min(losses))
    (model,) = [r for r in of_kind(records, "artifact") if r.type == "model"]
    assert "best" in model.aliases
    (entry,) = model.manifest.contents
    best = trained / "checkpoints" / "best.ckpt"
    assert Path(entry.local_path).read_bytes() == best.read_bytes()


def test_wandb_has_system_figures(records):
    names = {item.key.split(".")[0] for row in of_kind(records, "stats") for item in row.item}
    assert {"cpu", "memory"} <= names or "disk" in names


def test_tensorboard_has_figures_images_and_settings(trained):
    read = EventAccumulator(str(trained / "tensorboard"), {"images": 0, "scalars": 0})
    read.Reload()
    tags = read.Tags()
    assert {"val/AP", "val/loss", "train/loss", "test/AP", "lr"} <= set(tags["scalars"])
    assert "hp_metric" not in tags["scalars"]
    assert not any(e.value == -1 for tag in tags["scalars"] for e in read.Scalars(tag))
    validation = [tag for tag in tags["images"] if tag.startswith("val/images/")]
    assert len(validation) == 4
    assert all(len(read.Images(tag)) == EPOCHS for tag in validation)
    batch = [tag for tag in tags["images"] if tag.startswith("train/batch/")]
    assert len(batch) == 4
    assert all(len(read.Images(tag)) == 1 for tag in batch)
    assert {"test/analysis/precision_recall", "test/analysis/confusion"} <= set(tags["images"])
    start = HParamsPluginData.FromString(
        read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    ).session_start_info
    given = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    assert given.items() >= SETTINGS.items()
    assert {"parameters", "trained_parameters", "GFLOPs"} <= given.keys()
    assert yaml.safe_load((trained / "tensorboard" / "hparams.yaml").read_text())["config"]
