"""How the commands start: --help without the heavy libraries, nothing left in the user's folder."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import yolov9_lit

COMMANDS = (
    *("train", "eval", "predict", "convert", "export"),
    *("summary", "report", "figures", "bench", "data"),
)
HEAVY = {"torch", "lightning", "torchvision", "matplotlib", "pandas", "cv2", "albumentations"}
ROOMS = sorted(
    module.name
    for module in pkgutil.walk_packages(yolov9_lit.__path__, "yolov9_lit.")
    if module.ispkg
)


def python(code, folder, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def loaded_by(code, folder):
    """The packages that are loaded after a piece of code has ended."""
    done = python(
        "import sys\n"
        f"try:\n    {code}\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))",
        folder,
        "--help",
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split()), done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command, tmp_path):
    module = f"yolov9_lit.{command}"
    code = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=False)"
    loaded, shown = loaded_by(code, tmp_path)
    assert shown
    assert not loaded & HEAVY


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_names_what_it_offers_and_loads_it_when_asked(room, tmp_path):
    assert not loaded_by(f"import {room}", tmp_path)[0] & HEAVY
    module = importlib.import_module(room)
    for name in getattr(module, "__all__", ()):
        assert name in dir(module)
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_every_command_is_a_console_script_too(tmp_path):
    root = Path(__file__).parents[1]
    declared = [
        line.split(" = ")
        for line in (root / "pyproject.toml").read_text().splitlines()
        if line.startswith("yolov9-")
    ]
    for name, target in declared:
        module, function = ast.literal_eval(target).split(":")
        assert module.removesuffix(".__main__") == f"yolov9_lit.{name.removeprefix('yolov9-')}"
        assert callable(getattr(importlib.import_module(module), function))
    assert {name.removeprefix("yolov9-") for name, _ in declared} == set(COMMANDS)


def test_a_console_script_names_its_job_as_python_m_does(tmp_path):
    """What an installed script does: import, then call."""
    code = "import sys; sys.argv[0] = 'yolov9-train'; from yolov9_lit.train import main; main()"
    done = python(code, tmp_path, "--cfg", "hydra", "-p", "hydra", "--resolve")
    assert done.returncode == 0, done.stderr
    assert "  name: train\n" in done.stdout
    assert "  dir: runs/train/" in done.stdout


WITHOUT_RUN = {
    "summary": ["model=gelan_t"],
    "figures": ["figure=nothing", "out=page"],
    "report": ["runs=nowhere"],
    "convert": ["src=nowhere.pt", "out=out.ckpt"],
    "export": ["ckpt=nowhere.ckpt", "out=out.onnx"],
    "bench": ["data.root=nowhere"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", WITHOUT_RUN)
def test_a_command_without_a_run_leaves_no_file(command, tmp_path):
    run = f"from yolov9_lit.{command} import main; main()"
    python(run, tmp_path, *WITHOUT_RUN[command])
    logging = python(run, tmp_path, "--cfg=hydra", "--package=hydra.job_logging.root").stdout
    assert "- console" in logging
    assert "- file" not in logging
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_convert_and_export_write_their_file_alone(tmp_path):
    make = (
        "import torch, yolov9_lit.weights.card as c, yolov9_lit.weights.checkpoints as k\n"
        "from yolov9_lit.app.configs import compose\n"
        "from omegaconf import OmegaConf\n"
        "model = compose('summary', ['model=gelan_t']).model\n"
        "model = OmegaConf.to_container(model, resolve=True)\n"
        "card = c.ModelCard(model | {'num_classes': 2}, ('a', 'b'), (1, 2), 64)\n"
        "state = {c.PREFIX + n: v for n, v in k.build_detector(card).state_dict().items()}\n"
        "torch.save({'card': card.to_dict(), 'state_dict': state}, 'start.ckpt')\n"
    )
    done = python(make, tmp_path)
    assert done.returncode == 0, done.stderr
    for command, *arguments in (
        ("convert", "src=start.ckpt", "out=deployed.safetensors", "deploy=true"),
        ("export", "ckpt=start.ckpt", "format=torchscript", "out=deployed.torchscript"),
    ):
        run = f"from yolov9_lit.{command} import main; main()"
        done = python(run, tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        assert "deployed" in done.stderr, "the log is on the terminal"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"start.ckpt", "deployed.safetensors", "deployed.torchscript"}


def test_prediction_does_without_lightning(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"")
    command = [sys.executable, "-X", "importtime", "-m", "yolov9_lit.predict", "ckpt=x", "source=x"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.split("\n")}
    assert "yolov9_lit" in loaded
    assert "torch" in loaded
    assert not loaded & {"lightning", "pandas", "albumentations", "scipy"}
