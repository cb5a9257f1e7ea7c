"""Every computational block that conf/block names, alone and in every size."""

import copy

import pytest
import torch
from hydra.utils import instantiate
from torch.utils.flop_counter import FlopCounterMode

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.models.attention import (
    AttentionBlock,
    EfficientAttention,
    WindowAttention,
    head_count,
)
from yolov9_lit.models.cost import count_parameters

BLOCKS = sorted(path.stem for path in (CONFIG_DIR / "block").glob("*.yaml"))


@pytest.fixture(params=BLOCKS)
def block(request, compose_config):
    """A constructor of (in_channels, out_channels, depth)."""
    return instantiate(compose_config(f"block={request.param}").model.block)


def fuse(module):
    module = copy.deepcopy(module).eval()
    for part in list(module.modules()):
        if hasattr(part, "fuse"):
            part.fuse()
    return module


def gflops(module, height, width):
    module = copy.deepcopy(module).to("meta")
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, 16, height, width, device="meta"))
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize("size", [(3, 5), (10, 7), (20, 20), (1, 1)])
def test_keeps_height_and_width(block, size):
    for channels in ((16, 16), (12, 32)):
        y = block(*channels, 2).eval()(torch.randn(2, channels[0], *size))
        assert y.shape == (2, channels[1], *size)


def test_depth_repeats_the_same_unit(block):
    one, two, three = (count_parameters(block(16, 16, depth)) for depth in (1, 2, 3))
    assert one > 0
    assert three - two == two - one > 0


@pytest.mark.parametrize("channels", [(16, 16), (12, 32)])
def test_fuses_to_the_same_outputs(block, channels, randomise_statistics):
    torch.manual_seed(0)
    trained = block(*channels, 2).eval()
    randomise_statistics(trained)
    fused = fuse(trained)
    x = torch.randn(2, channels[0], 9, 16)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), trained(x), rtol=1e-4, atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    assert count_parameters(fused) < count_parameters(trained)


def test_gradient_reaches_every_parameter(block):
    torch.manual_seed(0)
    module = block(12, 32, 2)
    y = module(torch.randn(2, 12, 9, 16))
    (y * torch.randn_like(y)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("scale", [1, 100])
def test_trains_in_half_precision(block, scale):
    """Also on inputs that are large: nothing may sum over positions in sixteen bits."""
    torch.manual_seed(0)
    module = block(32, 32, 1)
    x = scale * torch.randn(2, 32, 40, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = module(x)
    full = module(x)
    assert half.float().sub(full).norm() < 0.03 * full.norm()
    half.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_cost_grows_with_the_number_of_positions(block):
    """Not with its square: P3 at 640 pixels has sixteen times the positions of P5."""
    module = block(16, 16, 1).eval()
    assert gflops(module, 64, 80) == pytest.approx(16 * gflops(module, 16, 20), rel=0.25)


def test_exports(block):
    module = fuse(block(16, 16, 1)).requires_grad_(False)
    x = torch.randn(1, 16, 10, 7)
    exported = torch.export.export(module, (x,)).module()
    torch.testing.assert_close(exported(x), module(x), rtol=1e-5, atol=1e-5)


def test_fits_every_width_of_every_size(block, compose_config):
    widths = set()
    for size in "tsmce":
        model = compose_config(f"model=gelan_{size}").model
        for _, mid, width in (model.p2, *model.stages, *model.top_down, *model.bottom_up):
            widths |= {(mid // 2, width), (width, width)}
    assert len(widths) > 8
    for in_channels, out_channels in widths:
        module = block(in_channels, out_channels, 1).eval()
        assert module(torch.randn(1, in_channels, 2, 3)).shape == (1, out_channels, 2, 3)


@pytest.mark.parametrize("name", BLOCKS)
def test_depths_start_at_one(name, make):
    for elan, csp in ((1, 1), (3, 2)):
        depths = (f"model.elan_depth={elan}", f"model.csp_depth={csp}")
        detector = make("model=gelan_t", f"block={name}", *depths)
        assert len(detector.backbone.column.stages[2].branches) == elan
        assert detector.eval()(torch.rand(1, 3, 64, 64)).main.class_logits.shape == (1, 84, 4)
    for depth in ("elan_depth", "csp_depth"):
        with pytest.raises(Exception, match=f"{depth} is 0, it must be at least 1"):
            make("model=gelan_t", f"block={name}", f"model.{depth}=0")


@pytest.mark.parametrize("name", BLOCKS)
def test_deploys_in_a_detector(name, make, randomise_statistics):
    detector = make("model=gelan_t", f"block={name}").eval()
    randomise_statistics(detector)
    images = torch.rand(2, 3, 64, 96)
    deployed = detector.deploy()
    with torch.no_grad():
        before, after = detector(images).main, deployed(images).main
    torch.testing.assert_close(after.class_logits, before.class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.box_logits, before.box_logits, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in deployed.modules())


def queries_keys_values(attention, x):
    """(heads, C / heads, H, W) each, of one image."""
    qkv = attention.qkv(x)[0].unflatten(0, (3, attention.heads, -1))
    return qkv[0], qkv[1], qkv[2]


def test_efficient_attention_is_a_weighted_mean_over_all_positions(randomise_statistics):
    """By its definition: the matrix of all pairs of positions, whose rows sum to one."""
    torch.manual_seed(0)
    attention = EfficientAttention(64).eval()
    randomise_statistics(attention)
    x = torch.randn(1, 64, 5, 3)
    query, key, value = (t.flatten(2) for t in queries_keys_values(attention, x))
    heads = []
    for q, k, v in zip(query, key, value, strict=True):
        pairs = torch.zeros(15, 15)
        for i in range(15):
            channels = torch.softmax(q[:, i], dim=0)
            for j in range(15):
                pairs[i, j] = sum(
                    channels[c] * torch.exp(k[c, j]) / torch.exp(k[c]).sum() for c in range(len(k))
                )
        torch.testing.assert_close(pairs.sum(dim=1), torch.ones(15))
        heads.append((pairs @ v.T).T)
    expected = attention.project(torch.cat(heads).view_as(x))
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_efficient_attention_does_not_know_the_order_of_positions(randomise_statistics):
    torch.manual_seed(0)
    block = AttentionBlock(32, 64, 2).eval()
    randomise_statistics(block)
    x = torch.randn(2, 32, 6, 4)
    order = torch.randperm(24)
    shuffled = block(x.flatten(2)[..., order].view_as(x)).flatten(2)
    torch.testing.assert_close(shuffled, block(x).flatten(2)[..., order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (3, 5), (10, 7)])
def test_window_attention_is_softmax_attention_inside_each_window(
    height, width, randomise_statistics
):
    torch.manual_seed(0)
    attention = WindowAttention(64, window=4).eval()
    randomise_statistics(attention)
    x = torch.randn(1, 64, height, width)
    qkv = queries_keys_values(attention, x)
    seen = torch.zeros(attention.heads, 64 // attention.heads, height, width)
    for top in range(0, height, 4):
        for left in range(0, width, 4):
            window = (..., slice(top, top + 4), slice(left, left + 4))
            for head, (q, k, v) in enumerate(zip(*qkv, strict=True)):
                query, key, value = (t[window].flatten(1) for t in (q, k, v))
                weights = torch.softmax(query.T @ key / len(q) ** 0.5, dim=1)
                seen[(head, *window)] = (value @ weights.T).view(q[window].shape)
    expected = attention.project(seen.flatten(0, 1)[None])
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_window_attentions_products_are_counted():
    attention = WindowAttention(16).eval()
    projections = 2 * 16 * 4 * 16 * 32 * 32
    products = 2 * 2 * 32 * 32 * 64 * 16
    assert gflops(attention, 32, 32) * 1e9 == projections + products


@pytest.mark.parametrize("channels", [1, 7, 32, 48, 120, 180, 240, 512])
def test_heads_divide_any_width(channels):
    heads = head_count(channels)
    assert channels % heads == 0
    assert heads == 1 or channels / heads >= 32
