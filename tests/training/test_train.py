"""Training end to end on a tiny data set: what it leaves, and that resuming continues exactly."""

import copy
import csv
import json

import pytest
import torch

import yolov9_lit
from yolov9_lit.app.cli import DISK_FULL
from yolov9_lit.app.evaluate import evaluate
from yolov9_lit.app.train import build_module, train
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.training.checkpointing import AtomicCheckpointIO

pytestmark = pytest.mark.slow

LOSSES = ("train/loss", "train/main/box", "train/fpn/cls", "val/loss", "val/AP")


def rows(run_dir):
    """Logged values by epoch and name."""
    table = {}
    with (run_dir / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            values = {name: float(v) for name, v in row.items() if v and name in LOSSES}
            table.setdefault(int(row["epoch"]), {}).update(values)
    return table


def test_a_run_leaves_what_the_design_lists(config, tmp_path, tiny_shapes):
    figures = train(config(tmp_path, "trainer.max_epochs=2")).figures
    results = json.loads((tmp_path / "results.json").read_text())
    assert {k: results[k] for k in figures} == figures
    assert len(figures) == 12
    assert results["num_images"] == 6
    assert results["checkpoint"] == str(tmp_path / "checkpoints" / "best.ckpt")
    truth = json.loads((tiny_shapes / "annotations" / "instances_val2017.json").read_text())
    detections = json.loads((tmp_path / "detections.json").read_text())
    assert {d["image_id"] for d in detections} <= {i["id"] for i in truth["images"]}
    assert {d["category_id"] for d in detections} <= {c["id"] for c in truth["categories"]}
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()
    assert len(list((tmp_path / "predictions").glob("*.jpg"))) == 6
    logged = rows(tmp_path)
    assert set(logged[0]) == set(logged[1]) == set(LOSSES), "main and auxiliary losses apart"

    # The checkpoint is enough to use the model, and holds the averaged weights.
    checkpoint = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    predictor = yolov9_lit.load(tmp_path / "checkpoints" / "best.ckpt")
    assert predictor.class_names == tuple(c["name"] for c in truth["categories"])
    for name, value in predictor.detector.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"][f"detector.{name}"])
    trained = checkpoint["current_model_state"]
    key = "detector.backbone.column.downs.0.conv.0.weight"
    assert not torch.equal(trained[key], checkpoint["state_dict"][key])
    boxed = predictor.predict(tiny_shapes / "val2017" / truth["images"][0]["file_name"])
    assert len(boxed) == 1

    # eval of the same checkpoint says the same, deployed or not.
    for deploy in ("true", "false"):
        again = evaluate(
            config(
                tmp_path / deploy,
                f"ckpt={tmp_path / 'checkpoints' / 'best.ckpt'}",
                f"deploy={deploy}",
                command="eval",
            )
        )
        assert again == pytest.approx(figures, abs=2e-3)


def test_resuming_continues_exactly(config, tmp_path):
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    common = [
        "test=false",
        "augment=paper",
        "trainer.max_epochs=4",
        "data.close_mosaic_epochs=1",
        "schedule.min_warmup_batches=6",
        "callbacks.best.save_top_k=-1",
        "callbacks.best.filename='epoch{epoch}'",
    ]
    train(config(whole, *common))
    train(config(rest, *common, f"ckpt_path={whole / 'checkpoints' / 'epoch1.ckpt'}"))
    resumed, uninterrupted = rows(rest), rows(whole)
    assert set(resumed) == {2, 3}
    assert resumed == {epoch: uninterrupted[epoch] for epoch in resumed}
    ends = [torch.load(p / "checkpoints" / "last.ckpt", weights_only=True) for p in (whole, rest)]
    for part in ("state_dict", "current_model_state"):
        for name, value in ends[0][part].items():
            assert torch.equal(value, ends[1][part][name]), name


def test_mistakes_are_told(config, tmp_path):
    with pytest.raises(UserError, match=r"num_classes is 9 but the data .* has 4 classes"):
        train(config(tmp_path, "model.num_classes=9"))
    with pytest.raises(UserError, match="elan_depth=0 is not valid"):
        train(config(tmp_path, "model.elan_depth=0"))
    with pytest.raises(UserError, match=r"no checkpoint ckpt_path=.*none.ckpt"):
        train(config(tmp_path, f"ckpt_path={tmp_path / 'none.ckpt'}"))
    with pytest.raises(UserError, match=r"There is no checkpoint .*none.ckpt"):
        evaluate(config(tmp_path, f"ckpt={tmp_path / 'none.ckpt'}", command="eval"))


@pytest.mark.parametrize("room", [0, 5_000, 100_000])
def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path, largest_file, room):
    path, checkpoint = tmp_path / "last.ckpt", {"weights": torch.ones(100_000)}
    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(2)}, path)
    with largest_file(room), pytest.raises(OSError, match="File too large") as error:
        AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    assert error.value.errno in DISK_FULL
    assert list(tmp_path.iterdir()) == [path]
    assert torch.equal(torch.load(path)["weights"], torch.zeros(2))


def test_a_copied_module_shares_its_ground_truth(config, tmp_path):
    """Averaging copies the module: its data, which may be large, must not come along."""
    cfg = config(tmp_path)
    datamodule = build(cfg.data)
    datamodule.setup("fit")
    module = build_module(cfg, datamodule)
    copied = copy.deepcopy(module)
    assert copied.val_metric.truth.datamodule is datamodule
    assert copied.val_metric.truth() is module.val_metric.truth()
