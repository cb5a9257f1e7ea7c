"""Every PGI variant on every size: builds, trains a step, deploys to the bare GELAN."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from yolov9_lit.configs import CONFIG_DIR
from yolov9_lit.models.detector import gelan_detector
from yolov9_lit.research.cost import count_parameters

BRANCHES = {
    "none": 0,
    "pfh": 1,
    "fpn": 1,
    "pan": 1,
    "icn": 1,
    "icn_neck": 1,
    "fpn_icn": 2,
    "lhg_icn": 1,
}


def make(*overrides, num_classes=4):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("summary", overrides=list(overrides))
    torch.manual_seed(0)
    return instantiate(cfg.model, num_classes=num_classes)


def randomise_statistics(detector):
    """Fresh batch normalisation is the identity: give it something to fuse."""
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)


@pytest.mark.parametrize("pgi", BRANCHES)
def test_every_branch_trains_and_deploys_to_gelan(pgi):
    detector = make("model=gelan_t", f"pgi={pgi}")
    randomise_statistics(detector)
    images = torch.rand(2, 3, 64, 96)
    prediction = detector.train()(images)
    assert len(prediction.aux) == BRANCHES[pgi]
    sum(
        o.class_logits.sum() + o.box_logits.sum() for o in (prediction.main, *prediction.aux)
    ).backward()
    assert all(p.grad is not None for p in detector.parameters())

    deployed = detector.deploy()
    assert count_parameters(deployed) == count_parameters(make("model=gelan_t").deploy())
    with torch.no_grad():
        before, after = detector.eval()(images).main, deployed(images).main
    torch.testing.assert_close(after.class_logits, before.class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.box_logits, before.box_logits, rtol=1e-4, atol=1e-4)
    assert detector.training is False
    assert len(detector(images).aux) == BRANCHES[pgi], "deploy() left the detector as it was"


@pytest.mark.parametrize("size", list("smce"))
@pytest.mark.parametrize("pgi", ["fpn", "icn"])
def test_every_size_takes_a_branch(size, pgi):
    with torch.device("meta"):
        detector = make(f"model=gelan_{size}", f"pgi={pgi}")
        prediction = detector(torch.empty(1, 3, 64, 64))
    assert prediction.main.class_logits.shape == (1, 84, 4)
    assert prediction.aux[0].box_logits.shape == (1, 84, 64)


def test_auxiliary_branch_of_e_reads_the_first_column():
    detector = make("model=yolov9_e").eval()
    aux = detector(torch.rand(1, 3, 64, 64)).aux[0]
    aux.class_logits.sum().backward()
    assert all(p.grad is None for p in detector.backbone.second.parameters())
    assert any(p.grad is not None for p in detector.backbone.first.parameters())


@pytest.mark.parametrize("block", ["conv", "res", "dark", "csp"])
@pytest.mark.parametrize("depths", [(1, 1), (3, 2)])
def test_blocks_and_depths(block, depths):
    elan, csp = depths
    detector = make(
        "model=gelan_t", f"block={block}", f"model.elan_depth={elan}", f"model.csp_depth={csp}"
    )
    stage = detector.backbone.column.stages[2]
    assert len(stage.branches) == elan
    assert detector.eval()(torch.rand(1, 3, 64, 64)).main.class_logits.shape == (1, 84, 4)


def test_input_channels_and_widths_are_arguments():
    detector = make("model=gelan_t", "model.in_channels=1", "model.stem=[8,16]", num_classes=1)
    assert detector.eval()(torch.rand(1, 1, 64, 64)).main.class_logits.shape == (1, 84, 1)


def test_anchors_run_by_level_row_column():
    output = make("model=gelan_t").eval()(torch.rand(1, 3, 64, 96)).main
    assert output.anchor_points[:2].tolist() == [[4.0, 4.0], [12.0, 4.0]]
    assert output.anchor_points[12].tolist() == [4.0, 12.0]
    assert output.strides.flatten().unique_consecutive().tolist() == [8.0, 16.0, 32.0]


def test_refuses_depth_and_classes_below_one():
    with pytest.raises(ValueError, match="num_classes is 0"):
        gelan_detector(num_classes=0, backbone=None, head=None)
    with pytest.raises(Exception, match="elan_depth is 0, it must be at least 1"):
        make("model=gelan_t", "model.elan_depth=0")
