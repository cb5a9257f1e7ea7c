"""The sweep file for W&B, by what W&B's own agent makes of it."""

from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import (
    create_sweep_command,
    create_sweep_command_args,
    load_sweep_config,
)

from yolov9_lit.app.configs import compose
from yolov9_lit.app.train import check_training

FILE = Path(__file__).parents[1] / "experiments" / "wandb_sweep.yaml"


@pytest.fixture(scope="module")
def sweep():
    loaded = load_sweep_config(str(FILE))
    assert loaded == yaml.safe_load(FILE.read_text())
    return loaded


def arguments(sweep, chosen):
    """What the agent runs for chosen values, as its `_command_run` fills the command in."""
    filled = create_sweep_command_args({"args": {k: {"value": v} for k, v in chosen.items()}})
    filled |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
    command = []
    for chunk in create_sweep_command(list(sweep["command"])):
        command += filled[chunk[2:-1]] if chunk.startswith("${") else [chunk]
    return command


def choices(parameter):
    return parameter.get("values") or [parameter.get("value", parameter.get("min"))]


def test_the_agents_command_is_a_training(sweep):
    chosen = {name: choices(parameter)[0] for name, parameter in sweep["parameters"].items()}
    command = arguments(sweep, chosen)
    assert command[:4] == ["/usr/bin/env", "python", "-m", "yolov9_lit.train"]
    assert {"model=gelan_t", "block=csp", "optimizer.lr=0.003", "logger=wandb"} <= set(command)
    assert not any(argument.startswith("--") for argument in command)


def test_every_value_makes_a_config_that_a_training_takes(sweep):
    first = {name: choices(parameter)[0] for name, parameter in sweep["parameters"].items()}
    for name, parameter in sweep["parameters"].items():
        for value in choices(parameter):
            overrides = arguments(sweep, first | {name: value})[4:]
            overrides = [o for o in overrides if o != "logger=wandb"]  # its tags need a Hydra job
            check_training(compose("train", ["run_dir=run", *overrides]))


def test_what_is_optimised_is_logged(sweep):
    assert sweep["metric"] == {"name": "val/AP", "goal": "maximize"}
    assert set(sweep["parameters"]["pgi"]["values"]) <= {
        path.stem for path in (FILE.parents[1] / "conf" / "pgi").glob("*.yaml")
    }
