"""What a user types, and the folders that commands make for it."""

import itertools
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf

from yolov9_lit.app.arguments import readable
from yolov9_lit.app.folders import OwnFolder, remove_traces
from yolov9_lit.building import quoted

NAMES = ("größe", "set (1)", "epoch=3.ckpt", "2024_01_05", "007", "1e3", "true", "[a]", "{a}", "猫")
NAMES += ("it's", "a\\b", "a\\", "C:\\my set", "a: b", "50%", "a&b", "#1", "-1", "a'", "'")


def value_of(argument):
    """What Hydra reads."""
    value = OverridesParser.create().parse_override(argument).value()
    return value.text if isinstance(value, QuotedString) else value


@pytest.mark.parametrize("name", NAMES)
def test_a_name_or_path_is_read_as_it_was_typed(name):
    for key in ("data.root", "ckpt", "++data.cache_dir", "sweep", "hydra.run.dir"):
        assert value_of(readable(f"{key}={name}")) == name


@pytest.mark.parametrize("name", NAMES)
def test_reading_twice_changes_nothing(name):
    """A sweep's jobs are given what the sweep has read."""
    once = readable(f"data.root={name}")
    assert readable(once) == once


def test_whatever_is_quoted_is_read_back():
    for letters in itertools.product("\\'\"a ", repeat=5):
        text = "".join(letters)
        assert value_of(f"key={quoted(text)}") == text


def test_other_arguments_stay_as_they_are():
    for argument in (
        "trainer.max_epochs=3",
        "data.root=${oc.env:HOME}",
        "data.root=a,b",
        "ckpt=null",
        "freeze=[backbone,neck.*]",
        "pictures=8",
        "base={pgi:none}",
        "--config-dir=my conf (1)",
        "~callbacks",
        "-m",
        "source=*.jpg",
    ):
        assert readable(argument) == argument


def test_a_group_is_switched_off_by_null():
    assert readable("logger=null") == "~logger"


def test_several_files_are_a_list_where_the_command_takes_several():
    assert readable("ckpt=a.ckpt,b (1).ckpt", {"ckpt"}) == "ckpt=['a.ckpt','b (1).ckpt']"
    assert readable("ckpt=a.ckpt", {"ckpt"}) == "ckpt=a.ckpt"
    assert readable("ckpt=[a.ckpt,b.ckpt]", {"ckpt"}) == "ckpt=[a.ckpt,b.ckpt]"
    assert value_of(readable("ckpt=[a.ckpt]")) == "[a.ckpt]"
    assert readable("seed=1,2", {"ckpt"}) == "seed=1,2"


def test_text_that_hydra_cannot_read_is_told_by_its_key():
    assert value_of(readable("trainer.max_epochs=3)")) == "3)"


def start(folder, *overrides):
    hydra = {"run": {"dir": str(folder)}, "overrides": {"hydra": list(overrides)}}
    config = OmegaConf.create({"hydra": hydra})
    OmegaConf.set_readonly(config.hydra, True)
    OwnFolder().on_run_start(config)
    return config.hydra.run.dir


def test_runs_that_start_at_one_time_have_a_folder_each(tmp_path):
    folders = [start(tmp_path / "runs" / "now") for _ in range(3)]
    names = [name for name in folders if (tmp_path / "runs" / name).is_dir()]
    assert len(set(names)) == 3


def test_a_folder_that_is_named_is_used(tmp_path):
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "mine"
    assert start(folder, f"hydra.run.dir={folder}") == str(folder)


def test_a_refused_command_leaves_no_folder_but_what_is_the_users(tmp_path):
    for extra in (None, "notes.txt"):
        folder = Path(start(tmp_path / str(extra)))
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "config.yaml").touch()
        (folder / "train.log").touch()
        if extra:
            (folder / extra).touch()
        remove_traces(folder)
        assert folder.exists() == bool(extra)


def test_a_refused_command_leaves_the_folder_that_was_there_and_its_logs(tmp_path):
    """The report's is the current one, which may hold nothing but the user's own logs."""
    log = tmp_path / "of the cluster.log"
    log.touch()
    remove_traces(tmp_path)
    assert log.is_file()
