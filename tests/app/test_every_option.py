"""Every option of every group fits the commands that have the group: the table is the folder's."""

from functools import partial

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from yolov9_lit.app.settings import check_evaluation, check_training
from yolov9_lit.building import CONFIG_DIR, build, check, quoted
from yolov9_lit.figures import KINDS as FIGURES
from yolov9_lit.research.summary import KINDS as SUMMARY
from yolov9_lit.weights.card import ModelCard, spelled_out
from yolov9_lit.weights.structure import adopt_structure

NEEDED = {
    "bench": ("data.root=x",),
    "eval": ("ckpt=x", "data.root=x", "run_dir=x"),
    "export": ("ckpt=x", "out=x"),
    "figures": ("data.root=x", "out=x"),
    "predict": ("ckpt=x", "source=x", "run_dir=x"),
    "summary": (),
    "train": ("data.root=x", "run_dir=x"),
}
"""What each command that has groups cannot do without."""

CHECKS = {
    "eval": check_evaluation,
    "figures": partial(check, kinds=FIGURES),
    "summary": partial(check, kinds=SUMMARY),
    "train": check_training,
}


def groups(command):
    """Names of the groups in a command's list of defaults, without Hydra's own."""
    defaults = yaml.safe_load((CONFIG_DIR / f"{command}.yaml").read_text())["defaults"]
    names = [next(iter(entry)) for entry in defaults if isinstance(entry, dict)]
    return [name for name in names if "hydra" not in name]


def options():
    """Command, group and option; the paper's rows in training are composed by their own tests."""
    for path in sorted(CONFIG_DIR.glob("*.yaml")):
        for group in groups(path.stem):
            for option in sorted((CONFIG_DIR / group).glob("*.yaml")):
                if not option.stem.startswith("_"):
                    slow = [pytest.mark.slow] if (path.stem, group) == ("train", "row") else []
                    name = f"{path.stem} {group}={option.stem}"
                    yield pytest.param(path.stem, group, option.stem, marks=slow, id=name)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file whose structure `model=checkpoint` takes."""
    path = tmp_path_factory.mktemp("files") / "small.ckpt"
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", ["model=gelan_t"])
    model = spelled_out(OmegaConf.to_container(cfg.model, resolve=True)) | {"num_classes": 1}
    card = ModelCard(model, ("a",), (1,), 64)
    detector = build(card.model)
    state = {f"detector.{name}": tensor for name, tensor in detector.state_dict().items()}
    torch.save({"card": card.to_dict(), "state_dict": state}, path)
    return path


@pytest.fixture
def composed(tmp_path):
    """Compose a command's config as its run does."""

    def make(command, *overrides):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            cfg = compose(command, [*NEEDED[command], *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    yield make
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(("command", "group", "option"), options())
def test_an_option_composes_and_its_values_are_valid(composed, checkpoint, command, group, option):
    more = [f"ckpt={checkpoint}"] if (group, option) == ("model", "checkpoint") else []
    if group == "experiment" and option.startswith(("table", "pgi_cost", "segment_pgi")):
        more = ["row=table2-conv"]  # as the jobs of this sweep have one each
    if (group, option) == ("corruption", "one"):
        more = ["corruption.kind=fog"]  # whoever chooses it names the kind
    cfg = composed(command, f"{group}={quoted(option)}", *more)  # a figure's name is a number
    assert HydraConfig.get().runtime.choices[group] == option
    if "model" in cfg:
        adopt_structure(cfg)
    CHECKS.get(command, check)(cfg)


def test_every_folder_is_a_group_of_a_command():
    used = {group for path in CONFIG_DIR.glob("*.yaml") for group in groups(path.stem)}
    folders = {path.name for path in CONFIG_DIR.iterdir() if path.is_dir()}
    # `data download` reads its files itself; the forms of prototypes come with task=segment, those
    # of merging with views.
    assert folders - used == {"hydra", "download", "merge", "prototypes"}
