"""A command line that fits no config is one sentence; the help lists what a command has."""

import importlib
import json

import pytest
import yaml

from yolov9_lit.app.configs import compose
from yolov9_lit.app.folders import require_data
from yolov9_lit.building import CONFIG_DIR

COMMANDS = (
    "bench",
    "convert",
    "eval",
    "export",
    "figures",
    "predict",
    "report",
    "summary",
    "train",
)

MISTAKES = {
    ("predict", "trainer=cpu"): ("predict has no setting trainer", "confidence"),
    ("predict", "ckp=3"): ("predict has no setting ckp", "such as ckpt"),
    ("train", "+lernrate=3"): ("train has no setting lernrate", "such as"),
    ("summary", "++optimizer.lr=3"): ("summary has no setting optimizer.lr", "such as"),
    ("predict", "~confidnce"): ("predict has no setting confidnce", "such as confidence"),
    ("train", "~data=0"): ("~data=0 leaves nothing out", "give ~data"),
    ("train", "~data=coco"): ("~data=coco leaves nothing out", "give ~data"),
    ("train", "~data=[dog]"): ("~data=[dog] leaves nothing out", "give ~data"),
    ("train", "~data=['dog']"): ("leaves nothing out", "give ~data"),
    ("eval", "task=pose"): ("eval has no setting task, which is part of the checkpoint",),
    ("predict", "model.head.coefficients=3"): ("predict has no setting", "part of the checkpoint"),
    ("export", "pgi=icn"): ("export has no setting pgi, which is part of the checkpoint",),
    ("train", "prototypes=dseg"): ("no setting prototypes without task=segment",),
    ("summary", "prototypes=dseg"): ("no setting prototypes without task=segment",),
    ("figures", "loss=pose"): ("no setting loss without figure=gradients",),
    ("eval", "loss=pose"): ("eval has no setting loss", "such as"),
    ("predict", "~trainer"): ("predict has no setting trainer", "ckpt"),
    ("predict", "ckpt=x"): ("source is not given", "source=VALUE"),
    ("report", "out=x"): ("runs is not given", "runs=VALUE"),
    ("train", "model=yolov8_n"): ("There is no model=yolov8_n", "yolov9_t"),
    ("train", "data=cocco"): ("There is no data=cocco", "coco"),
    ("train", "trainer.epochs=3"): ("no setting trainer.epochs", "trainer.max_epochs"),
    ("train", "lr=3"): ("no setting lr", "optimizer.lr"),
    ("train", "seed=1,2"): ("seed=1,2 gives several values", "add -m"),
    ("train", "data=coco"): ("data.root is not given", "data.root="),
    ("train", "row=segment_pgi-seg-none task=detect"): ("row=segment_pgi-seg-none", "prototypes"),
    ("train", "hydra.run.dir=/dev/null/x"): ("/dev/null/x cannot be made", "hydra.run.dir=DIR"),
}


def answer(monkeypatch, capsys, name, *arguments):
    """Exit code, and what a command writes to the terminal."""
    monkeypatch.setattr("sys.argv", [name, *arguments])
    code = None
    try:
        importlib.import_module(f"yolov9_lit.{name}").main()
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize(("name", "argument"), MISTAKES)
def test_what_a_command_has_not_is_told_with_what_it_has(
    tmp_path, monkeypatch, capsys, name, argument
):
    monkeypatch.chdir(tmp_path)
    code, _, told = answer(monkeypatch, capsys, name, *argument.split())
    assert code == 2
    assert told.startswith("error: ")
    assert "defaults list" not in told, "Hydra's own sentence"
    assert told.count("\n") == 1
    assert all(words in told for words in MISTAKES[name, argument]), told
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


SHARED = {
    "data.root=nowhere": "no data folder nowhere",
    "seed=3,4": "data.root is not given",
    "model=gelan_s,gelan_z": "no model=gelan_z",
    "optimizer.lr=abc": "optimizer.lr=abc is not valid",
    "data.batch_size=0": "data.batch_size=0 is not valid",
    "ckpt_path=none.ckpt": "no checkpoint ckpt_path=none.ckpt",
    "+trainer.gradient_clip_val=1": "trainer.gradient_clip_val",
    "+foo=3": "train has no setting foo",
}


@pytest.mark.parametrize("argument", SHARED)
def test_a_mistake_that_all_jobs_of_a_sweep_share_is_told_once_before_any(
    tmp_path, monkeypatch, capsys, argument
):
    monkeypatch.chdir(tmp_path)
    root = [] if argument in ("data.root=nowhere", "seed=3,4") else [f"data.root={tmp_path}"]
    code, _, told = answer(
        monkeypatch, capsys, "train", "-m", "seed=1,2", "data=coco", *root, argument
    )
    assert code == 2
    assert told.startswith("error: ")
    assert SHARED[argument] in told
    assert told.count("\n") == 1
    assert not list(tmp_path.rglob("run.json"))


def test_what_a_users_own_config_reads_may_be_added(tmp_path, monkeypatch, capsys):
    own = (
        "+callbacks.mine={_target_: lightning.pytorch.callbacks.Timer, interval: '${my.interval}'}"
    )
    monkeypatch.chdir(tmp_path)
    _, _, told = answer(
        monkeypatch, capsys, "train", "data=coco", "data.root=no", own, "+my.interval=step"
    )
    assert "There is no data folder no" in told


@pytest.mark.parametrize("swept", ["optimizer.lr=abc,-1", "seed=1,abc", "test=1 optimizer.lr=x,y"])
def test_mistakes_of_single_jobs_are_told_by_each(tmp_path, monkeypatch, capsys, swept):
    """The sound ones among them begin, and find that the folder has no data."""
    monkeypatch.chdir(tmp_path)
    root = f"data.root={tmp_path}"
    arguments = ["-m", "data=coco", root, *swept.split(), "sweep=mine"]
    code, *_ = answer(monkeypatch, capsys, "train", *arguments)
    shared = swept.startswith("test")
    assert code == (2 if shared else 1)
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("run.json")]
    assert len(records) == (0 if shared else 2)
    assert all(record["status"] == "failed" for record in records)
    assert all(record["seed"] in (None, 0, 1) for record in records)


@pytest.mark.parametrize("root", ["s3://bucket/folder", "https://host/folder"])
def test_shards_in_a_store_are_no_folder_that_is_missing(root):
    require_data(compose("train", ["data=stream", f"data.root={root}"]).data)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_the_groups_of_the_command_alone(monkeypatch, capsys, name):
    _, told, _ = answer(monkeypatch, capsys, name, "--help")
    head, _, rest = told.partition("Groups, group=option")
    first = rest.partition("Settings, key=value")[0]
    assert f"python -m yolov9_lit.{name} " in head or not rest
    listed = {line.partition(" (")[0]: line for line in first.splitlines() if "): " in line}
    wanted = (CONFIG_DIR / f"{name}.yaml").read_text().partition("\ndefaults:\n")[2]
    wanted = wanted.partition("\n\n")[0]
    composed = {line.strip("- ").partition(":")[0] for line in wanted.splitlines() if ": " in line}
    composed = {group for group in composed if " " not in group} - {"hydra"}
    assert composed <= set(listed)
    assert set(listed) - composed <= ({"experiment"} if name == "train" else set())
    assert " _" not in "".join(listed.values())
    own = yaml.safe_load((CONFIG_DIR / f"{name}.yaml").read_text())
    assert all(f"\n{key}: " in told or f"\n{key}:\n" in told for key in own if key != "defaults")


def test_help_names_the_chosen_options(monkeypatch, capsys):
    _, told, _ = answer(monkeypatch, capsys, "train", "--help", "model=gelan_s", "pgi=icn")
    assert "\nmodel (gelan_s): " in told
    assert "\npgi (icn): " in told
    assert "\nrow (null): " in told
    assert "run_dir: ${hydra:runtime.output_dir}\n" in told


def test_the_package_lists_its_commands(monkeypatch, capsys):
    package = importlib.import_module("yolov9_lit.__main__")
    monkeypatch.setattr("sys.argv", ["yolov9_lit"])
    assert package.main() == 0
    told = capsys.readouterr().out
    assert all(f"python -m yolov9_lit.{name} " in told for name in (*COMMANDS, "data"))
    monkeypatch.setattr("sys.argv", ["yolov9_lit", "train"])
    assert package.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("before", [None, "empty", "notes", "run"])
def test_a_refused_command_leaves_a_named_folder_as_it_was(tmp_path, monkeypatch, capsys, before):
    folder = tmp_path / "mine" / "run"
    if before:
        folder.mkdir(parents=True)
    if before in ("notes", "run"):
        (folder / "of mine.log").touch()
    if before == "run":
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "mine.yaml").touch()
    found = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    code, *_ = answer(monkeypatch, capsys, "train", "optimizer.lr=abc", f"hydra.run.dir={folder}")
    assert code == 2
    left = [path for path in tmp_path.rglob("*") if path.parent.name != ".hydra"]
    assert sorted(left) == [path for path in found if path.parent.name != ".hydra"]
    assert all(path.exists() for path in found)
