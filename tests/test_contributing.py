"""CONTRIBUTING's recipes, done as a reader would do them: their files, their commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TINY = [
    "debug=default",
    "trainer=cpu",
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "test=true",
    "hydra.run.dir=run",
]
PARTS = {
    "block": "my_block.WideBlock",
    "pgi": "my_pgi.ConvolvedLevels",
    "loss": "my_loss.PenalisedLoss",
    "assigner": "my_assigner.HardAssigner",
    "evaluation": "my_metric.WorstClassMetric",
}
"""The class that each recipe's option must bring into the config of the run."""


@pytest.fixture(scope="module")
def blocks():
    """(language, text) of each fenced block of "Add a part"."""
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a part")[2]
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.M | re.S)


@pytest.fixture(scope="module")
def commands(blocks):
    """The overrides of each command, by the command's name."""
    lines = [shlex.split(text) for language, text in blocks if language == "bash"]
    assert all(line[:2] == ["python", "-m"] for line in lines)
    return [(line[2], line[3:]) for line in lines]


@pytest.fixture(scope="module")
def folder(blocks, tmp_path_factory, tiny_shapes):
    """A folder elsewhere with the files of the recipes; each names itself in a comment."""
    folder = tmp_path_factory.mktemp("user")
    for _, text in (block for block in blocks if block[0] != "bash"):
        (name,) = re.findall(r"^# (my_\S+\.(?:py|yaml))", text, flags=re.M)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "DIR").symlink_to(tiny_shapes)
    return folder


def run(folder, module, arguments):
    path = os.pathsep.join([".", str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_every_recipe_has_its_command(commands):
    options = [re.findall(r"\b(\w+)=\w+", " ".join(given)) for _, given in commands]
    assert len(options) == 8
    recipes = {"block", "pgi", "loss", "assigner", "data", "evaluation", "format", "task"}
    assert recipes <= {name for given in options for name in given}


def test_all_parts_together_train_and_are_exported(commands, folder):
    """One training with the parts of all commands, then the export of what it left."""
    trainings = [args for module, args in commands if module == "yolov9_lit.train"]
    given = [one for args in trainings if "task=ripeness" not in args for one in args]
    overrides = [one for one in dict.fromkeys(given) if one not in ("--config-dir", "my_conf")]
    run(folder, "yolov9_lit.train", ["--config-dir", "my_conf", *TINY, *overrides])
    config = (folder / "run" / ".hydra" / "config.yaml").read_text()
    for part, target in PARTS.items():
        assert f"_target_: {target}\n" in config, part
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["AP_worst"] <= results["AP"]

    (folder / "best.ckpt").symlink_to("run/checkpoints/best.ckpt")
    ((module, arguments),) = (one for one in commands if one[0] == "yolov9_lit.export")
    run(folder, module, arguments)
    assert (folder / "best.frozen").is_file()


def test_a_task_of_ones_own_trains_is_measured_predicts_and_is_exported(
    commands, folder, tiny_shapes
):
    root = folder / "ripe"
    shutil.copytree(tiny_shapes, root)
    for file in (root / "annotations").glob("*.json"):
        content = json.loads(file.read_text())
        for entry in content["annotations"]:
            entry["ripeness"] = entry["category_id"] / 10
        file.write_text(json.dumps(content))
    (given,) = (arguments for _, arguments in commands if "task=ripeness" in arguments)
    given = [one.replace("DIR", "ripe") for one in given]
    tiny = [one.replace("dir=run", "dir=ripe_run") for one in TINY]
    run(folder, "yolov9_lit.train", [*given, *tiny, "pgi=icn"])
    results = json.loads((folder / "ripe_run" / "results.json").read_text())
    header, *rows = (folder / "ripe_run" / "metrics.csv").read_text().splitlines()
    for branch in ("main", "icn"):
        place = header.split(",").index(f"train/{branch}/extra")
        assert any(row.split(",")[place] for row in rows)

    (folder / "ripe.ckpt").symlink_to("ripe_run/checkpoints/best.ckpt")
    measure = ["+task=ripeness", "ckpt=ripe.ckpt", "data=mine", "data.root=ripe"]
    measure += ["trainer=cpu", "data.num_workers=0", "hydra.run.dir=ripe_eval"]
    run(folder, "yolov9_lit.eval", ["--config-dir", "my_conf", *measure])
    again = json.loads((folder / "ripe_eval" / "results.json").read_text())
    assert again["ripeness_error"] == pytest.approx(results["ripeness_error"], abs=1e-3)

    images = ["source=ripe/val2017", "confidence=0.001", "max_detections=5"]
    run(folder, "yolov9_lit.predict", ["ckpt=ripe.ckpt", *images, "hydra.run.dir=ripe_found"])
    found = json.loads((folder / "ripe_found" / "detections.json").read_text())
    assert found
    assert all(0 <= ripeness <= 1 for row in found for (ripeness,) in [row["extra"]])

    export = ["ckpt=ripe.ckpt", "format=torchscript", "out=ripe.torchscript", "confidence=0.001"]
    run(folder, "yolov9_lit.export", export)
    exported = ["ckpt=ripe.torchscript", *images, "hydra.run.dir=ripe_exported"]
    run(folder, "yolov9_lit.predict", exported)
    same = json.loads((folder / "ripe_exported" / "detections.json").read_text())
    numbers = [[row["extra"][0] for row in rows] for rows in (found, same)]
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-3)
