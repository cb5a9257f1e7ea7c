"""README's section "Extend", done as a reader would do it: its files, its command."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.models.cost import count_parameters

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def section():
    """(language, text) of each fenced block of the section."""
    readme = (ROOT / "README.md").read_text()
    (text,) = re.findall(r"^## Extend$(.*?)^## ", readme + "\n## ", flags=re.M | re.S)
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.M | re.S)


@pytest.fixture(scope="module")
def folder(section, tmp_path_factory):
    """A folder elsewhere with the files of the section; each names itself in a comment."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("my_blocks.py", "my_conf/block/depthwise.yaml"):
        (text,) = (text for _, text in section if f"# {name}" in text)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.slow
def test_a_block_of_ones_own_is_a_class_and_a_yaml(section, folder):
    (command,) = (text for language, text in section if language == "bash")
    assert command == (
        "PYTHONPATH=. python -m yolov9_lit.train --config-dir my_conf block=depthwise\n"
    )
    # The reader has installed the package and trains; here it may lie in a checkout only.
    command = command.replace("PYTHONPATH=.", f"PYTHONPATH=.:{shlex.quote(str(ROOT))}")
    command = command.replace(
        "python -m yolov9_lit.train", f"{sys.executable} -m yolov9_lit.summary"
    )
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])

    block = runpy.run_path(str(folder / "my_blocks.py"))["DepthwiseBlock"]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        model = compose("summary").model
    model.block = {"_target_": "builtins.dict", "_partial_": True}  # a stand-in
    detector = instantiate(model, num_classes=80, block=block)
    assert figures["trained"]["params"] == count_parameters(detector)
