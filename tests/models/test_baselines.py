"""The baselines: YOLOv7 without and with anchors, and backbones of chosen depth."""

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.models.cost import count_parameters, detector_cost
from yolov9_lit.models.detector import Detector
from yolov9_lit.models.yolov7 import SPPCSP, yolov7_detector
from yolov9_lit.structures import Targets

DEEP = ("plainnet", "resnet", "cspnet")
LAYERS_OF_A_UNIT = {"plainnet": 1, "resnet": 3, "cspnet": 2}


def configure(*overrides):
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("summary", overrides=list(overrides))


def make(*overrides, num_classes=3):
    torch.manual_seed(0)
    return instantiate(configure(*overrides).model, num_classes=num_classes)


def shake(detector):
    """Fresh batch normalisation is the identity: give it something to fuse."""
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)


def one_box():
    boxes, labels = torch.tensor([[[8.0, 8.0, 50.0, 40.0]]]), torch.tensor([[1]])
    return Targets(boxes, labels, torch.ones(1, 1, dtype=torch.bool))


def test_yolov7_has_the_published_counts(shared):
    published = yaml.safe_load((shared / "paper" / "tables.yaml").read_text())["published_counts"]
    published = published["yolov7_af"]
    with torch.device("meta"):
        detector = make("model=yolov7_af", num_classes=80)
    assert count_parameters(detector) == published["train_params"] - 16  # DFL's fixed projection
    assert count_parameters(detector.deploy()) == published["fused_params"] - 16
    gflops = detector_cost(detector).deployed.gflops
    assert gflops == pytest.approx(published["fused_gflops"], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["yolov7", "yolov7_af", "gelan_e_single", *DEEP])
def test_a_baseline_learns_and_deploys(model):
    cfg = configure(f"model={model}")
    detector = make(f"model={model}")
    shake(detector)
    images = torch.rand(1, 3, 64, 96)
    loss = instantiate(cfg.loss)(detector.train()(images), one_box())
    loss.total.backward()
    assert all(p.grad is not None for p in detector.parameters())
    deployed = detector.deploy()
    with torch.no_grad():
        before, after = detector.eval()(images).main, deployed(images).main
    cells = 8 * 12 + 4 * 6 + 2 * 3
    assert before.class_logits.shape == (1, cells * (3 if model == "yolov7" else 1), 3)
    torch.testing.assert_close(after.class_logits, before.class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.box_logits, before.box_logits, rtol=1e-4, atol=1e-4)


def test_yolov7_refuses_block_and_branch():
    assert "block" not in configure("model=yolov7_af").model
    for refused in ({"block": object()}, {"pgi": {"fpn": object()}}, {"pgi": {"pan": Detector}}):
        with pytest.raises(ValueError, match="fixed baseline without computational blocks"):
            yolov7_detector(num_classes=3, head=None, **refused)


def test_its_own_branch_reads_the_top_down_path_and_is_dropped():
    with torch.device("meta"):
        published = make("model=yolov7", "pgi=yolov7_aux", num_classes=80)
    # Convolutions of 9 weights and 2 of batch normalisation, then the head as the main one is.
    widths = ((128, 320), (256, 640), (512, 1280))
    convs = sum(9 * a * b + 2 * b for a, b in widths)
    heads = sum(b * 255 + 255 + b + 255 for _, b in widths)
    parts = (published.aux_branches, published.aux_heads)
    assert sum(map(count_parameters, parts)) == convs + heads
    assert count_parameters(published.deploy()) == 36_905_341

    detector = make("model=yolov7", "model.width=0.125", "pgi=yolov7_aux")
    bare = make("model=yolov7", "model.width=0.125").state_dict()
    main = detector.without_auxiliary().state_dict()
    assert main.keys() == bare.keys()
    assert all(torch.equal(main[name], bare[name]) for name in bare)
    prediction = detector.train()(torch.rand(2, 3, 64, 64))
    (aux,) = prediction.aux
    assert aux.objectness.shape == prediction.main.objectness.shape
    sum(x.square().sum() for x in (aux.box_logits, aux.objectness)).backward()
    neck = detector.neck
    for part in (detector.backbone, neck.spp, neck.n4, neck.n3, detector.aux_branches):
        assert all(p.grad is not None and p.grad.any() for p in part.parameters())
    for part in (neck.down4, neck.p4, neck.p5, neck.outputs, detector.head):
        assert all(p.grad is None for p in part.parameters())
    detector.eval()
    with torch.no_grad():
        (expected,) = detector(torch.ones(1, 3, 64, 64)).aux
        alone = detector.auxiliary_alone("yolov7_aux")(torch.ones(1, 3, 64, 64)).main
    assert torch.equal(alone.objectness, expected.objectness)


def test_its_branch_is_of_no_other_model():
    with pytest.raises(Exception, match="inside YOLOv7's neck: give model=yolov7, or another pgi"):
        make("model=gelan_t", "pgi=yolov7_aux")


def test_chained_pools_are_yolov7s_three_pools():
    module = SPPCSP(8, 4).eval()
    x = torch.randn(1, 8, 20, 20)
    y = module.before(x)
    pools = [torch.nn.functional.max_pool2d(y, k, 1, k // 2) for k in (5, 9, 13)]
    y = module.after(torch.cat([y, *pools], dim=1))
    expected = module.merge(torch.cat((y, module.shortcut(x)), dim=1))
    torch.testing.assert_close(module(x), expected)


def longest_path(node, seen):
    """Convolutions on the longest way back from a node of the autograd graph."""
    if node not in seen:
        behind = [longest_path(n, seen) for n, _ in node.next_functions if n is not None]
        seen[node] = max(behind, default=0) + (node.name() == "ConvolutionBackward0")
    return seen[node]


@pytest.mark.parametrize("depth", [50, 100])
@pytest.mark.parametrize("model", DEEP)
def test_depth_is_that_of_the_longest_path(model, depth):
    widths = ["model.stem=[4,8]", "model.p2=[8,8,4]", "model.stages=[[8,8,4],[8,8,4],[8,8,4]]"]
    backbone = make(f"model={model}", f"model.backbone.depth={depth}", *widths).backbone
    p5 = backbone(torch.rand(1, 3, 64, 64)).main[-1]
    found = longest_path(p5.grad_fn, {})
    assert found == backbone.depth
    assert depth - LAYERS_OF_A_UNIT[model] < found <= depth


def test_gelan_is_as_deep_as_its_neighbours():
    for csp_depth, layers in ((1, 53), (4, 101)):
        detector = make("model=gelan_c", f"model.csp_depth={csp_depth}")
        p5 = detector.backbone.eval()(torch.rand(1, 3, 32, 32)).main[-1]
        assert longest_path(p5.grad_fn, {}) == layers


def test_refuses_what_is_too_shallow():
    with pytest.raises(Exception, match="depth is 16, it must be at least 17"):
        make("model=resnet", "model.backbone.depth=16")


@pytest.mark.parametrize("pgi", ["pfh", "fpn", "icn", "icn_neck"])
def test_a_deep_backbone_takes_gelans_branches(pgi):
    with torch.device("meta"):
        detector = make("model=resnet", f"pgi={pgi}")
        prediction = detector(torch.empty(1, 3, 64, 64))
    assert prediction.aux[0].box_logits.shape == (1, 84, 64)
