"""Models against the published implementation: counts, outputs, the paper's costs."""

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from yolov9_lit import load
from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.models.cost import count_parameters, detector_cost

DFL_PROJECTION = 16  # the published heads count DFL's fixed projection as parameters
PUBLISHED = [f"{family}_{size}" for family in ("gelan", "yolov9") for size in "tsmce"]
PUBLISHED.append("yolov9_cf")
OVERRIDES = {"yolov9_cf": ["model=yolov9_c", "pgi=cf"]}


def make(*overrides, num_classes=80):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("summary", overrides=list(overrides))
    with torch.device("meta"):
        return instantiate(cfg.model, num_classes=num_classes)


@pytest.fixture(scope="module")
def tables(shared):
    return yaml.safe_load((shared / "paper" / "tables.yaml").read_text())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(tables, name):
    published = tables["published_counts"][name]
    detector = make(*OVERRIDES.get(name, [f"model={name}"]))
    heads = 1 + len(detector.aux_heads)
    assert count_parameters(detector) == published["train_params"] - heads * DFL_PROJECTION
    if "fused_params" in published:
        assert count_parameters(detector.deploy()) == published["fused_params"] - DFL_PROJECTION


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_cost_as_trained_is_the_published_one(tables, name):
    """The published counter adds 8 FLOPs for each output of a batch normalisation; torch's none."""
    detector = make(*OVERRIDES.get(name, [f"model={name}"])).eval()
    normalised = []
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda *call: normalised.append(call[-1].numel()))
    gflops = detector_cost(detector).trained.gflops
    published = tables["published_counts"][name]["train_gflops"]
    assert gflops + 8 * sum(normalised) / 1e9 == pytest.approx(published, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in PUBLISHED if n.split("_")[1] in list("smce")])
def test_deployed_cost_is_the_papers(tables, name):
    params, gflops = tables["table1"][name][:2]
    cost = detector_cost(make(f"model={name}")).deployed
    assert cost.params / 1e6 == pytest.approx(params, abs=0.051)
    assert cost.gflops == pytest.approx(gflops, abs=0.1)


def test_t_with_narrow_class_branch_costs_what_the_paper_repository_says(tables):
    params, gflops = tables["readme"]["yolov9_t"][:2]
    cost = detector_cost(make("model=yolov9_t", "model.head.class_width_factor=1")).deployed
    assert cost.params / 1e6 == pytest.approx(params, abs=0.05)
    assert cost.gflops == pytest.approx(gflops, abs=0.1)


@pytest.mark.parametrize("block", ["conv", "res", "dark", "csp"])
def test_blocks_cost_what_table_2_says(tables, block):
    params, gflops, _ = tables["table2"][block]
    cost = detector_cost(make("model=gelan_s", f"block={block}", "model.csp_depth=1")).deployed
    assert cost.params / 1e6 == pytest.approx(params, abs=0.05)
    assert cost.gflops == pytest.approx(gflops, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gelan-t", "yolov9-t"])
@pytest.mark.parametrize("deployed", [False, True])
def test_outputs_are_the_published_ones(shared, name, deployed):
    detector = load(shared / "reference" / f"published_{name}.pt").detector
    reference = np.load(shared / "reference" / f"forward_{name}.npz")
    if deployed:
        detector = detector.deploy()
    with torch.no_grad():
        prediction = detector(torch.from_numpy(reference["image"]))
    branches = {"main": prediction.main}
    if prediction.aux:
        branches["aux"] = prediction.aux[0]
    expected_branches = {n.split("_")[0] for n in reference.files} - {"image"}
    assert set(branches) == ({"main"} if deployed else expected_branches)
    for branch, output in branches.items():
        boxes, probabilities = detector.decode(output)
        expected = torch.from_numpy(reference[f"{branch}_cxcywh_scores"]).transpose(1, 2)
        centre, size = expected[..., :2], expected[..., 2:4]
        corners = torch.cat((centre - size / 2, centre + size / 2), dim=-1)
        torch.testing.assert_close(boxes, corners, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(probabilities, expected[..., 4:], rtol=1e-4, atol=1e-5)
