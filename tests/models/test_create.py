"""Models by name: the published counts, the same networks as the configs build, no framework."""

import subprocess
import sys

import pytest
import torch
from hydra import compose, initialize_config_dir
from pgi_variants import VARIANTS

import yolov9_lit
from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.building import build
from yolov9_lit.models.create import BLOCKS, PGI, TASKS, create_model
from yolov9_lit.models.sizes import SIZES, list_models

PUBLISHED = {
    "gelan_t": 2_442_640,
    "gelan_s": 7_226_208,
    "gelan_m": 20_124_000,
    "gelan_c": 25_498_752,
    "gelan_e": 58_114_432,
    "yolov9_t": 3_717_680,
    "yolov9_s": 9_804_512,
    "yolov9_m": 32_878_432,
    "yolov9_c": 51_182_080,
    "yolov9_e": 69_529_664,
}
"""Parameters of the published files, DFL's fixed projection of 16 a head among them."""


@pytest.fixture(autouse=True)
def nothing_is_computed():
    with torch.device("meta"):
        yield


def shapes(detector):
    return {name: tensor.shape for name, tensor in detector.state_dict().items()}


def composed(*overrides):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return build(compose("summary", list(overrides)).model, num_classes=80)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_name_gives_the_published_model(name):
    detector = create_model(name)
    heads = 1 + len(detector.aux_heads)
    assert sum(p.numel() for p in detector.parameters()) == PUBLISHED[name] - 16 * heads


@pytest.mark.slow
@pytest.mark.parametrize("pgi", PGI)
@pytest.mark.parametrize("size", SIZES)
def test_names_build_what_the_configs_build(size, pgi):
    expected = composed(f"model=gelan_{size}", f"pgi={pgi}")
    assert shapes(create_model(f"gelan_{size}", pgi=pgi)) == shapes(expected)


@pytest.mark.slow
def test_a_models_default_branch_is_the_configs():
    for name in list_models():
        assert shapes(create_model(name)) == shapes(composed(f"model={name}")), name


@pytest.mark.parametrize("name", ["gelan_t", "yolov9_c"])
def test_a_tasks_name_builds_what_its_config_builds(name):
    expected = composed(f"model={name}", "task=segment")
    assert shapes(create_model(name, task="segment")) == shapes(expected)
    assert shapes(create_model(name, task="detect")) == shapes(create_model(name))


def test_every_choice_of_the_configs_has_a_name():
    assert set(PGI) == set(VARIANTS)
    for group, known in (("block", BLOCKS), ("task", TASKS)):
        assert {path.stem for path in (CONFIG_DIR / group).glob("*.yaml")} == set(known)


def test_blocks_depths_and_widths_can_be_chosen():
    ours = create_model("gelan_s", block="dark", elan_depth=3, csp_depth=1, stem=[16, 64])
    config = ["block=dark", "model.elan_depth=3", "model.csp_depth=1", "model.stem=[16,64]"]
    assert shapes(ours) == shapes(composed("model=gelan_s", *config))


def test_parts_of_ones_own_can_be_handed_in():
    by_name = create_model("yolov9_t", num_classes=3, pgi="fpn_icn", block="conv")
    by_part = create_model("yolov9_t", num_classes=3, pgi=PGI["fpn_icn"], block=BLOCKS["conv"])
    assert shapes(by_name) == shapes(by_part)
    assert by_name.num_classes == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "yolov8_n"}, "there is no model 'yolov8_n': choose from gelan_t, "),
        ({"name": "gelan_t", "pgi": "icm"}, "there is no pgi='icm': choose from none, pfh"),
        ({"name": "gelan_t", "block": "cps"}, "there is no block='cps': choose from csp, conv"),
        ({"name": "gelan_t", "task": "masks"}, "there is no task='masks': choose from detect, seg"),
        ({"name": "gelan_t", "num_classes": 0}, "num_classes is 0"),
        ({"name": "gelan_t", "elan_depth": 0}, "elan_depth is 0"),
    ],
)
def test_wrong_names_and_values_are_told(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        create_model(**arguments)


def test_the_package_gives_them_and_loads_no_framework():
    assert yolov9_lit.list_models() == list_models()
    code = (
        "import sys, yolov9_lit; from yolov9_lit.models import sizes\n"
        "assert 'torch' not in sys.modules\n"
        "yolov9_lit.create_model('yolov9_t', pgi='lhg_icn')\n"
        "import yolov9_lit.losses.detection\n"
        "assert not {'lightning', 'hydra', 'omegaconf'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
