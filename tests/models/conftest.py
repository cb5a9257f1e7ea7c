"""Models from the configs, as the commands build them."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from yolov9_lit.app.configs import CONFIG_DIR


@pytest.fixture(scope="session")
def compose_config():
    """(*overrides) -> the summary command's config."""

    def compose_config(*overrides):
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            return compose("summary", overrides=list(overrides))

    return compose_config


@pytest.fixture(scope="session")
def make(compose_config):
    """(*overrides) -> a detector of 4 classes with reproducible weights."""

    def make(*overrides, num_classes=4):
        torch.manual_seed(0)
        return instantiate(compose_config(*overrides).model, num_classes=num_classes)

    return make


@pytest.fixture(scope="session")
def randomise_statistics():
    """(module) -> batch normalisation that does something: fresh, it is nearly the identity."""

    def randomise_statistics(module):
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.uniform_(-0.1, 0.1)
                part.running_var.uniform_(0.5, 1.5)
                torch.nn.init.uniform_(part.weight, 0.5, 1.5)
                torch.nn.init.uniform_(part.bias, -0.1, 0.1)

    return randomise_statistics
