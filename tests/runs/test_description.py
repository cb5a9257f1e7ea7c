"""What tells runs apart in a dashboard."""

import pytest
from hydra import compose, initialize_config_dir

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.models.cost import Cost, DetectorCost
from yolov9_lit.runs.description import Description, run_name

EXECUTION = {"run_dir": None, "logger": None, "data": {"num_workers": 4}}
CHOICES = {"model": "gelan_s", "block": "csp", "pgi": "icn", "data": "coco"}


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "gelan_s csp icn seed3"),
        (["model=gelan_s", "block=csp", "pgi=icn", "seed=3"], "gelan_s csp icn seed3"),
        (["model.elan_depth=3", "optimizer.lr=0.02"], "gelan_s csp icn elan_depth=3 lr=0.02 seed3"),
        (["optimizer.lr=0.02", "model.elan_depth=3"], "gelan_s csp icn elan_depth=3 lr=0.02 seed3"),
        (["row=table3-gelan_s-2-3"], "gelan_s csp icn row=table3-gelan_s-2-3 seed3"),
        (["logger=wandb", "data.num_workers=1", "trainer=cpu", "~x.y"], "gelan_s csp icn seed3"),
        (["data.root=/some/where", "++loss.penalty=1"], "gelan_s csp icn penalty=1 seed3"),
    ],
)
def test_a_name_says_the_configuration(overrides, name):
    assert run_name(CHOICES, overrides, 3, EXECUTION) == name


def test_groups_that_are_switched_off_are_not_named():
    assert run_name({"model": "resnet", "block": None, "pgi": "none"}, [], 0) == "resnet seed0"


def test_a_name_is_as_long_as_a_dashboard_takes_and_keeps_the_seed():
    many = [f"model.setting_{i}={i}" for i in range(40)]
    name = run_name(CHOICES, many, 4_000_000_000)
    assert len(name) <= 128
    assert name.endswith(" seed4000000000")


@pytest.mark.parametrize(("model", "depths"), [("gelan_c", (2, 1)), ("yolov7_af", (None, None))])
def test_settings_are_those_of_the_config(model, depths):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", overrides=[f"model={model}", "seed=5"])
    cost = DetectorCost(Cost(20, 3.0), Cost(10, 1.23456), {})
    described = Description.of(cfg, CHOICES | {"model": model}, cost)
    assert (described.elan_depth, described.csp_depth) == depths
    assert described[:4] == (model, "csp", "icn", "coco")
    assert described[-4:] == (5, 10, 20, 1.235)
    assert ("elan_depth" in described.known()) == (depths[0] is not None)
