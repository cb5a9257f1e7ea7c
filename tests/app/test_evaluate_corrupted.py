"""`eval corruption=coco_c`: what it leaves of each task and file, and after an interruption."""

import json

import pytest
from fresh_checkpoints import LAYOUT, save_fresh

from yolov9_lit.app.configs import compose
from yolov9_lit.app.evaluate import evaluate
from yolov9_lit.app.export import export
from yolov9_lit.app.robustness import Rows
from yolov9_lit.errors import UserError

SUITE = (
    "corruption=coco_c",
    "corruption.kinds=[fog,elastic_transform]",
    "corruption.severities=[1,5]",
    "evaluation.report=false",
    "evaluation.nms.confidence=0",  # a fresh model is sure of nothing
)
TASKS = {
    "detect": ([], [""]),
    "segment": (["task=segment"], ["", "mask_"]),
    "pose": (["task=pose", "model.head.keypoints=5"], ["", "pose_"]),
}


def finding_boxes(detector):
    """Make the head find boxes of about 32 pixels everywhere."""
    for branch, cells in zip(detector.head.box, (2, 1, 0), strict=True):
        branch.get_parameter("2.bias").data.view(4, -1)[:, cells] += 8


def checkpoint(path, task="detect"):
    layout = LAYOUT if task == "pose" else None
    return save_fresh(path, *TASKS[task][0], layout=layout, change=finding_boxes)


@pytest.fixture
def evaluated(config, tmp_path):
    """Evaluate a file under the suite; gives the figures and the folder."""

    def run(ckpt, name="run"):
        return evaluate(config(tmp_path / name, f"ckpt={ckpt}", *SUITE, command="eval"))

    return run


def rows_of(folder):
    return json.loads((folder / "corruption.json").read_text())["rows"]


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_a_row_of_each_corruption(evaluated, tmp_path, task):
    evaluated(checkpoint(tmp_path / "x.ckpt", task))
    rows = rows_of(tmp_path / "run")
    kinds = [("clean", 0), *((k, s) for k in ("elastic_transform", "fog") for s in (1, 5))]
    assert sorted((row["kind"], row["severity"]) for row in rows) == sorted(kinds)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    for prefix in TASKS[task][1]:
        corrupted = [row[f"{prefix}AP"] for row in rows if row["severity"]]
        assert results[f"{prefix}mPC"] == pytest.approx(sum(corrupted) / 4)
        assert (tmp_path / "run" / f"{prefix}corruption.png").is_file()
        assert f"{prefix}AP" in (tmp_path / "run" / "corruption.csv").read_text()


def test_an_interrupted_one_goes_on_and_ends_with_the_same(evaluated, tmp_path, monkeypatch):
    ckpt = checkpoint(tmp_path / "x.ckpt")
    figures = evaluated(ckpt)
    whole = (tmp_path / "run" / "results.json").read_text()
    path = tmp_path / "run" / "corruption.json"
    content = json.loads(path.read_text())
    lost = content["rows"].pop()
    path.write_text(json.dumps(content))

    measured = []
    add = Rows.add

    def watch(self, kind, severity, figures):
        measured.append((kind, severity))
        add(self, kind, severity, figures)

    monkeypatch.setattr(Rows, "add", watch)
    assert evaluated(ckpt) == figures
    assert measured == [(lost["kind"], lost["severity"])]
    assert rows_of(tmp_path / "run")[-1] == lost
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == json.loads(whole)


def test_a_file_that_is_not_there_is_told(evaluated, tmp_path):
    with pytest.raises(UserError, match=r"none\.ckpt"):
        evaluated(tmp_path / "none.ckpt")


@pytest.mark.slow
def test_an_exported_file_is_measured_as_its_checkpoint(evaluated, tmp_path):
    ckpt = checkpoint(tmp_path / "x.ckpt")
    exported = tmp_path / "x.torchscript"
    export(compose("export", [f"ckpt={ckpt}", "format=torchscript", f"out={exported}"]))
    evaluated(ckpt, "checkpoint")
    evaluated(exported, "exported")
    ours, theirs = rows_of(tmp_path / "checkpoint"), rows_of(tmp_path / "exported")
    assert any(row["AR_100"] > 0 for row in ours)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-4)
