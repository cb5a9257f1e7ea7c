"""Reversible columns: recovered maps, gradients, statistics and memory beside back-propagation."""

import copy
from functools import partial

import pytest
import torch
from branch_checks import trained_and_deployed
from pgi_variants import VARIANTS

from yolov9_lit.errors import UserError
from yolov9_lit.models.create import create_model
from yolov9_lit.models.reversible import ReversibleColumns

SMALL = {
    **{"block": "conv", "csp_depth": 1, "stem": [4, 8], "p2": [8, 8, 4], "downs": [8, 8, 8]},
    **{"stages": [[8, 8, 4], [12, 12, 4], [16, 16, 8]]},
}
TINY = [
    *("model=revcol_t", "model.csp_depth=1", "model.backbone.columns=2", "block=conv"),
    *("model.stem=[4,8]", "model.p2=[8,8,4]", "model.stages=[[16,16,8],[16,16,8],[16,16,8]]"),
    *("model.downs=[8,8,8]", "model.spp=[16,8]", "model.top_down=[[16,16,8],[16,16,8]]"),
    *("model.bottom_up=[[16,16,8],[16,16,8]]", "model.bottom_up_downs=[8,8]"),
]


def backbone_of(columns):
    torch.manual_seed(0)
    backbone = partial(ReversibleColumns, columns=columns)
    return create_model("gelan_t", num_classes=4, backbone=backbone, **SMALL).backbone


def gradients(backbone, image):
    maps = backbone(image).main
    sum(x.float().square().mean() for x in maps).backward()
    return maps, torch.cat([p.grad.flatten() for p in backbone.parameters()])


def kept(backbone, image):
    """Bytes that a training step keeps for its backward pass, weights left out."""
    weights, sizes = {p.data_ptr() for p in backbone.parameters()}, {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: sizes.update({t.data_ptr(): t.nbytes}) or t, lambda t: t
    ):
        maps = backbone(image)  # held while it is counted
    assert maps
    return sum(size for pointer, size in sizes.items() if pointer not in weights)


def test_a_column_is_recovered_from_the_next():
    backbone, maps = backbone_of(4), [()]
    stem = torch.rand(2, 8, 16, 16)
    with torch.no_grad():
        for column in backbone.columns:
            maps.append(column(stem, maps[-1]))
    for column, before, after in zip(backbone.columns, maps, maps[1:], strict=False):
        found = column.back(stem, after, [torch.zeros_like(x) for x in after]).maps
        torch.testing.assert_close(tuple(found), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("columns", [1, 4, 8])
def test_gradients_and_statistics_are_those_of_back_propagation(columns):
    backbone, image = backbone_of(columns), torch.rand(2, 3, 64, 96)
    plain = copy.deepcopy(backbone)
    plain.reversible = False
    maps, found = gradients(backbone, image)
    same_maps, expected = gradients(plain, image)
    torch.testing.assert_close(maps, same_maps, rtol=1e-4, atol=1e-4)
    assert (found - expected).norm() < 1e-4 * expected.norm()
    for own, other in zip(backbone.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


def test_mixed_precision_loses_nothing_on_the_way_back():
    backbone, image = backbone_of(4), torch.rand(2, 3, 64, 64)
    exact, mixed = copy.deepcopy(backbone), copy.deepcopy(backbone)
    mixed.reversible = False
    _, expected = gradients(exact.double(), image.double())
    with torch.autocast("cpu", torch.bfloat16):
        errors = [(gradients(m, image)[1] - expected).norm() for m in (backbone, mixed)]
    assert errors[0] < errors[1]


def test_a_small_scale_is_used_as_a_larger_one_and_learns():
    level = backbone_of(2).columns[1].levels[0]
    with torch.no_grad():
        level.scale.copy_(torch.linspace(-0.05, 0.3, 8).view(-1, 1, 1))
    level.used_scale().sum().backward()
    assert level.used_scale().abs().min() >= 0.0999
    assert torch.equal(level.scale.grad, torch.ones_like(level.scale))
    assert torch.equal(level.used_scale().sign(), torch.where(level.scale < 0, -1.0, 1.0))


def test_what_a_step_keeps_does_not_grow_with_the_columns():
    image = torch.rand(1, 3, 64, 64)
    assert kept(backbone_of(2), image) == kept(backbone_of(6), image)


@pytest.mark.parametrize("pgi", VARIANTS)
def test_every_branch_trains_it_and_leaves_the_deployed_form(
    compose_config, randomise_statistics, pgi
):
    trained_and_deployed(compose_config(*TINY, f"pgi={pgi}"), randomise_statistics, height=64)


def test_what_cannot_be_recovered_is_refused():
    with pytest.raises(ValueError, match="columns is 0, it must be at least 1"):
        backbone_of(0)
    with pytest.raises(UserError, match="need weights in float32"):
        backbone_of(2).bfloat16()(torch.rand(1, 3, 64, 64, dtype=torch.bfloat16))
