"""Which tensors everything passes through, and how deep they are."""

from functools import partial

import pytest
import torch
from torch import fx, nn

from yolov9_lit.errors import UserError
from yolov9_lit.models.create import create_model
from yolov9_lit.models.gelan import BackboneOutput
from yolov9_lit.models.layers import Conv, RepConv
from yolov9_lit.models.plain import CSPNet, DeepGELAN, PlainNet, ResNet
from yolov9_lit.research.probes.backbones import random_backbone
from yolov9_lit.research.probes.layers import find_layers, thinned, watch_layers


class Small(nn.Module):
    """A shortcut around two convolutions, and a branch that leads nowhere."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(5))

    def forward(self, image):
        a, b, c, d, e = self.convs
        first = a(image)
        e(image)
        second = first + c(torch.relu(b(first)))
        third = d(second)
        return BackboneOutput((first, third), (first, third))


def test_cuts_are_what_every_path_runs_through():
    image = torch.rand(1, 3, 8, 8)
    layers = find_layers(Small(), image)
    assert [(layer.name, layer.depth) for layer in layers] == [("P1", 1), ("layer 3", 3), ("P2", 4)]
    network, seen = Small(), {}
    watch_layers(network, image, layers, lambda layer, maps: seen.update({layer.name: maps}))
    a, b, c, d, _ = network.convs
    with torch.no_grad():
        second = a(image) + c(torch.relu(b(a(image))))
        expected = {"P1": a(image), "layer 3": second, "P2": d(second)}
    assert seen.keys() == expected.keys()
    for name, maps in expected.items():
        torch.testing.assert_close(seen[name], maps)


class Halves(nn.Module):
    """A convolution whose halves go different ways and come together again."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(*sizes, 1) for sizes in ((3, 4), (4, 4), (2, 2)))

    def forward(self, image):
        a, b, c = self.convs
        first = a(image)
        left, right = b(first).chunk(2, dim=1)
        last = torch.cat([left, c(right)], dim=1)
        return BackboneOutput((first, last), (first, last))


def test_a_layer_that_is_cut_in_parts_is_seen_whole():
    network, image, seen = Halves(), torch.rand(1, 3, 8, 8), {}
    layers = find_layers(network, image)
    watch_layers(network, image, layers, lambda layer, maps: seen.update({layer.name: maps}))
    a, b, _ = network.convs
    with torch.no_grad():
        torch.testing.assert_close(seen["layer 2"], b(a(image)))


def longest_path(backbone):
    """Layers from the image to P5, by torch.fx instead of by running."""

    class Tracer(fx.Tracer):
        def is_leaf_module(self, module, name):
            return isinstance(module, Conv | RepConv) or super().is_leaf_module(module, name)

    graph, depths = Tracer().trace(backbone), {}
    for node in graph.nodes:
        layer = node.op == "call_module" and isinstance(
            backbone.get_submodule(node.target), Conv | RepConv
        )
        depths[node] = max((depths[n] for n in node.all_input_nodes), default=0) + layer
    return max(depths.values())


@pytest.mark.parametrize("factory", [PlainNet, ResNet, CSPNet, DeepGELAN])
@pytest.mark.parametrize("size", ["gelan_t", "gelan_c"])
@pytest.mark.parametrize("depth", [53, 101])
def test_a_backbone_is_as_deep_as_it_says(factory, size, depth):
    with torch.device("meta"):
        backbone = random_backbone(factory, size, depth, 0, "running")
        layers = find_layers(backbone, torch.rand(1, 3, 64, 64))
    assert backbone.depth == longest_path(backbone) == layers[-1].depth
    assert layers[-1].name == "P5"
    assert abs(backbone.depth - depth) <= 3


def test_gelan_c_has_the_depths_of_the_paper_figure():
    depths = [random_backbone(DeepGELAN, "gelan_c", depth, 0, "batch").depth for depth in (50, 100)]
    assert depths == [53, 101]


def test_composite_and_deployed_backbones_are_followed():
    image = torch.rand(2, 3, 64, 64)
    for model in (create_model("gelan_e", block="conv"), create_model("gelan_t").deploy()):
        names = [layer.name for layer in find_layers(model.backbone, image)]
        assert [name for name in names if name.startswith("P")] == ["P1", "P2", "P3", "P4", "P5"]


def test_thinning_keeps_the_outputs():
    backbone = random_backbone(partial(PlainNet), "gelan_t", 50, 0, "batch")
    layers = find_layers(backbone, torch.rand(2, 3, 64, 64))
    assert [layer.depth for layer in layers] == list(range(1, 51))
    kept = thinned(layers, 5)
    assert [n.name for n in kept if n.name[0] == "P"] == ["P1", "P2", "P3", "P4", "P5"]
    assert len(kept) == 10
    assert len(thinned(layers, 0)) == 5


def test_weights_follow_the_seed_and_leave_torchs_own_random_numbers():
    torch.manual_seed(5)
    before = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (random_backbone(ResNet, "gelan_t", 50, s, "batch") for s in (1, 1, 2))
    assert torch.equal(before, torch.rand(1))
    weights = [next(b.parameters()) for b in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("size", "depth"), [("gelan_x", 50), ("gelan_t", 3)])
def test_what_cannot_be_built_is_a_sentence(size, depth):
    with pytest.raises(UserError, match=rf"figure\.size={size}, figure\.depths={depth}"):
        random_backbone(DeepGELAN, size, depth, 0, "batch")
