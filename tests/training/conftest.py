"""A small data set and a way to run a command's function on it."""

import pytest
from hydra import compose, initialize_config_dir

from yolov9_lit.configs import CONFIG_DIR
from yolov9_lit.data.shapes import make_shapes

TINY = [
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
    "data.image_size=64",
    "data.batch_size=4",
    "data.num_workers=0",
    "~data.prepare",
]
TINY_TRAINING = ["~callbacks.summary"]


@pytest.fixture(scope="session")
def tiny_shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes(root, train=14, val=6, image_size=64)
    return root


@pytest.fixture(scope="session")
def config(tiny_shapes):
    """Compose a command's config for the small data set."""

    def make(run_dir, *overrides, command="train"):
        base = TINY + (TINY_TRAINING if command == "train" else [])
        base += [f"data.root={tiny_shapes}", f"run_dir={run_dir}"]
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose(command, overrides=[*base, *overrides])

    return make
