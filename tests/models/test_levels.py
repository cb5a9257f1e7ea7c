"""The levels that heads read: anchors, parameters, tiny objects, every branch, transfer, ONNX."""

import pytest
import torch
from branch_checks import trained_and_deployed
from pgi_variants import VARIANTS

from yolov9_lit.losses import TaskAlignedAssigner
from yolov9_lit.models.anchor_head import AnchorHead
from yolov9_lit.models.cost import count_parameters
from yolov9_lit.models.create import create_model
from yolov9_lit.models.head import Head
from yolov9_lit.structures import Targets
from yolov9_lit.weights.transfer import at_own_levels, transfer_weights

P2 = "model.levels=[2,3,4,5]"
NARROW = [
    *("model=gelan_t", "model.csp_depth=1", "model.elan_depth=1"),
    *("model.stem=[4,8]", "model.p2=[8,8,4]", "model.stages=[[16,16,8],[16,16,8],[16,16,8]]"),
    *("model.downs=[8,8,8]", "model.spp=[16,8]", "model.top_down=[[16,16,8],[16,16,8]]"),
    *("model.bottom_up=[[16,16,8],[16,16,8]]", "model.bottom_up_downs=[8,8]"),
]


@pytest.mark.parametrize("levels", [[2, 3, 4, 5], [2, 3, 4], [4, 5], [3]], ids=str)
def test_each_cell_of_each_level_is_an_anchor_by_level_then_row_then_column(make, levels):
    with torch.no_grad():
        output = make(*NARROW, f"model.levels={levels}")(torch.rand(1, 3, 64, 96)).main
    expected = [
        ((x + 0.5) * 2**level, (y + 0.5) * 2**level, 2**level)
        for level in levels
        for y in range(64 // 2**level)
        for x in range(96 // 2**level)
    ]
    found = torch.cat((output.anchor_points, output.strides), dim=1)
    assert found.tolist() == [list(row) for row in expected]
    assert output.class_logits.shape == (1, len(expected), 4)


def conv(inputs, outputs, kernel=1):
    """Parameters of a convolution and its normalisation."""
    return inputs * outputs * kernel**2 + 2 * outputs


def stage(inputs, out, mid, width):
    """Parameters of a GELAN stage of two CSP blocks, three bottlenecks each, deployed or not."""
    half = width // 2
    bottleneck = conv(half, half, 3) + conv(half, half, 1) + conv(half, half, 3)
    branches = sum(
        2 * conv(c, half) + 3 * bottleneck + conv(width, width) + conv(width, width, 3)
        for c in (mid // 2, width)
    )
    return conv(inputs, mid) + branches + conv(mid + 2 * width, out)


def head(channels, box, classes, num_classes):
    """Parameters of a head whose box branches have four groups."""
    return sum(
        conv(c, box, 3)
        + (box * box * 9 // 4 + 2 * box)
        + (box * 64 // 4 + 64)
        + conv(c, classes, 3)
        + conv(classes, classes, 3)
        + (classes + 1) * num_classes
        for c in channels
    )


@pytest.mark.parametrize("size", ["t", "s"])
def test_a_level_2_adds_one_step_up_and_one_down_of_half_and_equal_widths(size):
    n, factor = {"t": (32, 2), "s": (64, 1)}[size]
    with torch.device("meta"):
        usual = create_model(f"gelan_{size}", num_classes=10)
        finer = create_model(f"gelan_{size}", num_classes=10, levels=[2, 3, 4, 5])
    up = stage(2 * n + n, n, n, n // 2)  # N3 and the backbone's P2 to N2
    down = conv(n, n, 3) + stage(n + 2 * n, 2 * n, 2 * n, n)  # N2, and N3 beside it, to P3
    assert count_parameters(finer.neck) - count_parameters(usual.neck) == up + down
    three = (2 * n, 3 * n, 4 * n)
    for detector, channels in ((usual, three), (finer, (n, *three))):
        width = max(channels[0], min(factor * 10, 128))
        assert count_parameters(detector.head) == head(channels, 64, width, 10)
    assert count_parameters(finer.backbone) == count_parameters(usual.backbone)
    assert finer.state_dict().keys() > usual.state_dict().keys()


@pytest.mark.parametrize("pgi", VARIANTS)
def test_every_branch_trains_a_head_of_stride_4_and_leaves_the_deployed_form(
    compose_config, randomise_statistics, pgi
):
    cfg = compose_config(*NARROW, P2, f"pgi={pgi}")
    deployed = trained_and_deployed(cfg, randomise_statistics, height=32)
    assert deployed.head.strides == (4, 8, 16, 32)


@pytest.mark.parametrize("levels", [[2, 3, 4], [5]], ids=str)
@pytest.mark.parametrize("pgi", ["pan", "icn", "fpn_icn"])
def test_every_weight_is_trained_where_the_coarsest_or_all_finer_levels_are_left_out(
    compose_config, randomise_statistics, pgi, levels
):
    cfg = compose_config(*NARROW, f"model.levels={levels}", f"pgi={pgi}")
    trained_and_deployed(cfg, randomise_statistics, height=64)


@pytest.mark.parametrize(
    ("levels", "anchors"), [([3, 4, 5], 1), ([2, 3, 4, 5], 4)], ids=["stride 8", "stride 4"]
)
def test_of_an_object_of_8_pixels_level_2_offers_four_anchors_where_level_3_has_one(
    make, levels, anchors
):
    output = make(*NARROW, f"model.levels={levels}")(torch.rand(1, 3, 64, 64)).main
    box = torch.tensor([[[24.0, 24.0, 32.0, 32.0]]])
    targets = Targets(box, torch.tensor([[1]]), torch.ones(1, 1, dtype=torch.bool))
    boxes = box.expand(1, len(output.strides), 4)
    assigner = TaskAlignedAssigner(topk=10)
    found = assigner(boxes, torch.full((1, len(boxes[0]), 4), 0.5), output.anchor_points, targets)
    finest = found.foreground[0] & (output.strides[:, 0] == 2 ** levels[0])
    assert int(finest.sum()) == anchors


@pytest.mark.parametrize(("levels", "scale"), [([2, 3, 4, 5], 1), ([3, 4, 5], 2), ([4, 5], 4)])
@pytest.mark.parametrize("prototypes", ["seg", "dseg"])
def test_prototypes_come_from_the_finest_level_and_have_stride_4(make, levels, scale, prototypes):
    detector = make(*NARROW, "task=segment", f"prototypes={prototypes}", f"model.levels={levels}")
    read = []
    detector.head.prototypes.register_forward_pre_hook(lambda _, inputs: read.extend(inputs))
    with torch.no_grad():
        output = detector(torch.rand(1, 3, 64, 96)).main
    assert read[0].shape[2:] == (16 // scale, 24 // scale)
    assert output.prototypes.shape[2:] == (16, 24)


def test_a_files_branches_go_to_the_same_stride(make):
    usual, finer = make(*NARROW, "pgi=fpn"), make(*NARROW, P2, "pgi=fpn")
    for file, levels, detector in ((usual, [3, 4, 5], finer), (finer, [2, 3, 4, 5], usual)):
        weights = at_own_levels(detector, file.state_dict(), levels)
        transfer = transfer_weights(detector, weights, ())
        pairs = zip(usual.head.box, finer.head.box[1:], strict=True)
        for one, other in pairs:
            assert torch.equal(one[1].conv[0].weight, other[1].conv[0].weight)
        lost = {name.split(".")[2] for name in transfer.left_over if name.startswith("head.")}
        assert lost == ({"P2"} if file is finer else set())
        torch.nn.init.normal_(file.head.box[0][1].conv[0].weight)


@pytest.mark.parametrize("levels", [[], [3, 5], [5, 4], [1, 2, 3], [4, 5, 6]], ids=str)
def test_levels_that_no_head_can_read_are_refused(levels):
    with pytest.raises(ValueError, match="levels are"):
        create_model("gelan_t", levels=levels)


def test_anchors_of_yolov7_are_for_its_own_levels():
    with pytest.raises(ValueError, match="levels 3, 4 and 5"):
        create_model("gelan_t", head=AnchorHead, levels=[2, 3, 4, 5])


def test_widths_of_the_further_steps_can_be_given(make):
    lists = ("top_down=[[16,16,8],[16,16,8],[12,8,4]]", "bottom_up=[[20,16,8],[16,16,8],[16,16,8]]")
    detector = make(*NARROW, P2, *(f"model.{one}" for one in lists))
    assert detector.neck.channels == (12, 20, 16, 16)
    with pytest.raises(Exception, match="top_down must have an entry"):
        make(*NARROW, "model.top_down=[[16,16,8]]")


def test_a_light_heads_box_branches_are_depth_wise():
    channels, width = (16, 24, 32), 64
    heads = [Head(channels, 3, depthwise_boxes=light) for light in (False, True)]
    plain, light = (count_parameters(head.box) for head in heads)
    last = sum(width * 64 // 4 + 64 for _ in channels)
    assert plain - last == sum(
        conv(c, width, 3) + width * width * 9 // 4 + 2 * width for c in channels
    )
    separable = [
        (9 * c + 2 * c) + conv(c, width) + (9 + 2) * width + width * width // 4 + 2 * width
        for c in channels
    ]
    assert light - last == sum(separable)
