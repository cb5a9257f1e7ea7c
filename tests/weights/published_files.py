"""Files of other projects, made without our models.

`rows` lists a model's layers as the published model files do (from, class, arguments); `build`
makes a tree of bare objects with random tensors from them; `save_pickled` pickles it under the
class names of the published code. `published_oracle` computes such trees.
"""

import math
import sys
import types
from collections import OrderedDict
from typing import NamedTuple

import torch


class Size(NamedTuple):
    stem: tuple
    p2: tuple
    stages: tuple
    downs: tuple
    spp: tuple
    n4: tuple
    n3: tuple
    p4: tuple
    p5: tuple
    neck_downs: tuple
    down: str
    depth: int


def _aconv(stem, p2, c3, c4, c5, spp, neck_downs, depth):
    three, four, five = ((c, c, c // 2) for c in (c3, c4, c5))
    stages = (three, four, five)
    widths = (c3, c4, c5)
    return Size(stem, p2, stages, widths, spp, four, three, four, five, neck_downs, "AConv", depth)


_C = (512, 512, 256)
_E = (1024, 512, 256)
SIZES = {
    "t": _aconv((16, 32), (32, 32, 16), 64, 96, 128, (128, 64), (48, 64), 3),
    "s": _aconv((32, 64), (64, 64, 32), 128, 192, 256, (256, 128), (96, 128), 3),
    "m": _aconv((32, 64), (128, 128, 64), 240, 360, 480, (480, 240), (184, 240), 1),
    "c": Size(
        *((64, 128), (256, 128, 64), ((512, 256, 128), _C, _C), (256, 512, 512), (512, 256), _C),
        *((256, 256, 128), _C, _C, (256, 512), "ADown", 1),
    ),
    "e": Size(
        *((64, 128), (256, 128, 64), ((512, 256, 128), _E, _E), (256, 512, 1024), (512, 256), _C),
        *((256, 256, 128), _C, (512, 1024, 512), (256, 512), "ADown", 2),
    ),
}


class Rows(list):
    def add(self, source, kind, *args):
        self.append((source, kind, args))
        return len(self) - 1


def rows(size, aux):
    """Published layers of yolov9-<size> (aux) or gelan-<size>."""
    s = SIZES[size]
    out = Rows()
    if size in "mce" and (aux or size == "e"):
        out.add(-1, "Silence")

    def elan(source, widths):
        return out.add(source, "RepNCSPELAN4", *widths, s.depth)

    def column(links, source):
        """P1 to P5; links: level -> rows to fuse, with the split's index."""
        outputs = []

        def fuse(level):
            if level in links:
                picks, index = links[level]
                out.add([*picks, -1], "CBFuse", [index] * len(picks))

        outputs.append(out.add(source, "Conv", s.stem[0], 3, 2))
        fuse(1)
        out.add(-1, "Conv", s.stem[1], 3, 2)
        fuse(2)
        outputs.append(out.add(-1, "ELAN1", *s.p2) if size in "ts" else elan(-1, s.p2))
        for level, down, stage in zip((3, 4, 5), s.downs, s.stages, strict=True):
            out.add(-1, s.down, down)
            fuse(level)
            outputs.append(elan(-1, stage))
        return outputs

    def top_down(p3, p4, p5):
        s5 = out.add(p5, "SPPELAN", *s.spp)
        out.add(-1, "Upsample")
        out.add([-1, p4], "Concat")
        n4 = elan(-1, s.n4)
        out.add(-1, "Upsample")
        out.add([-1, p3], "Concat")
        return elan(-1, s.n3), n4, s5

    first = main = column({}, -1)
    if size == "e":
        widths = (*s.stem, *s.downs)
        cb = [out.add(p, "CBLinear", list(widths[:i])) for i, p in enumerate(first, start=1)]
        main = column({level: (cb[level - 1 :], level - 1) for level in range(1, 6)}, 0)
    if aux and size == "e":
        auxiliary = top_down(*first[2:])
    n3, n4, s5 = top_down(*main[2:])
    out.add(-1, s.down, s.neck_downs[0])
    out.add([-1, n4], "Concat")
    p4 = elan(-1, s.p4)
    out.add(-1, s.down, s.neck_downs[1])
    out.add([-1, s5], "Concat")
    p5 = elan(-1, s.p5)
    if aux and size in "ts":
        auxiliary = top_down(*main[2:])
    if aux and size in "mc":
        cb = [out.add(p, "CBLinear", list(s.downs[:i])) for i, p in enumerate(main[2:], start=1)]
        links = {level: (cb[level - 3 :], level - 3) for level in (3, 4, 5)}
        auxiliary = column(links, 0)[2:]
    heads = [*auxiliary, n3, p4, p5] if aux else [n3, p4, p5]
    out.add(heads, "DualDDetect" if aux else "DDetect")
    return out


class Node:
    """What a module pickles to."""

    def __init__(self, children=(), parameters=(), buffers=(), **attributes):
        self.training = False
        self._parameters = OrderedDict(parameters)
        self._buffers = OrderedDict(buffers)
        self._modules = OrderedDict(children)
        self.__dict__.update(attributes)


def node(kind, *args, **kwargs):
    return type(kind, (Node,), {})(*args, **kwargs)


def conv2d(c1, c2, k=1, s=1, g=1, bias=False):
    weight = torch.randn(c2, c1 // g, k, k) * math.sqrt(2 / (c1 // g * k * k))
    parameters = {"weight": weight.half(), "bias": torch.randn(c2).half() if bias else None}
    options = {"stride": (s, s), "padding": (k // 2, k // 2), "groups": g}
    return node("Conv2d", parameters=parameters, **options)


def conv(c1, c2, k=1, s=1, g=1, act="SiLU"):
    def around(middle):
        return (middle + torch.rand(c2) - 0.5).half()

    bn = node(
        "BatchNorm2d",
        parameters={"weight": around(1.0), "bias": around(0.0)},
        buffers={
            "running_mean": around(0.0),
            "running_var": around(1.0),
            "num_batches_tracked": torch.tensor(7),
        },
        eps=1e-3,
    )
    return node("Conv", {"conv": conv2d(c1, c2, k, s, g), "bn": bn, "act": node(act)})


def sequence(*nodes, kind="Sequential"):
    return node(kind, {str(i): n for i, n in enumerate(nodes)})


def rep_csp(c1, c2, depth):
    c = c2 // 2

    def bottleneck():
        two = {"conv1": conv(c, c, 3, act="Identity"), "conv2": conv(c, c, 1, act="Identity")}
        rep = node("RepConvN", two | {"act": node("SiLU")})
        return node("RepNBottleneck", {"cv1": rep, "cv2": conv(c, c, 3)}, add=True)

    inner = sequence(*(bottleneck() for _ in range(depth)))
    children = {"cv1": conv(c1, c), "cv2": conv(c1, c), "cv3": conv(2 * c, c2), "m": inner}
    return node("RepNCSP", children)


def layer(kind, c, args):
    """A node and its output's channels; c: the input's."""
    if kind == "Conv":
        return conv(c, *args), args[0]
    if kind == "AConv":
        return node("AConv", {"cv1": conv(c, args[0], 3, 2)}), args[0]
    if kind == "ADown":
        half, out = c // 2, args[0] // 2
        return node("ADown", {"cv1": conv(half, out, 3, 2), "cv2": conv(half, out)}), args[0]
    if kind == "SPPELAN":
        return node(kind, {"cv1": conv(c, args[1]), "cv5": conv(4 * args[1], args[0])}), args[0]
    if kind == "CBLinear":
        return node(kind, {"conv": conv2d(c, sum(args[0]), bias=True)}, c2s=args[0]), args[0]
    out, mid, w = args[:3]
    if kind == "ELAN1":
        two, three = conv(mid // 2, w, 3), conv(w, w, 3)
    else:
        two = sequence(rep_csp(mid // 2, w, args[3]), conv(w, w, 3))
        three = sequence(rep_csp(w, w, args[3]), conv(w, w, 3))
    children = {"cv1": conv(c, mid), "cv2": two, "cv3": three, "cv4": conv(mid + 2 * w, out)}
    return node(kind, children), out


def branches(channels, classes, groups, width):
    """The box and the class branches of one head."""
    c2 = math.ceil(max(channels[0] // 4, 64) / 4) * 4
    c3 = max(channels[0], width)

    def branch(c, hidden, out, g):
        last = conv2d(hidden, out, 1, g=g, bias=True)
        return sequence(conv(c, hidden, 3), conv(hidden, hidden, 3, g=g), last)

    boxes = sequence(*(branch(c, c2, 64, groups) for c in channels), kind="ModuleList")
    return boxes, sequence(*(branch(c, c3, classes, 1) for c in channels), kind="ModuleList")


def build(size, aux, classes, groups=4, width=None):
    """A model of random tensors; the class branch is at least `width` wide."""
    width = min(2 * classes, 128) if width is None else width
    layers, channels = [], []
    for i, (source, kind, args) in enumerate(rows(size, aux)):
        sources = [channels[j] if channels else 3 for j in ([source] if source == -1 else [])]
        if isinstance(source, int) and source != -1:
            sources = [channels[source]]
        elif isinstance(source, list):
            sources = [channels[j] for j in source]
        if kind in ("Silence", "Upsample"):
            made, out = node(kind), sources[0]
        elif kind == "Concat":
            made, out = node(kind), sum(sources)
        elif kind == "CBFuse":
            made, out = node(kind, idx=args[0]), sources[-1]
        elif kind.endswith("Detect"):
            heads = [sources[j : j + 3] for j in range(0, len(sources), 3)]
            children = {}
            for h, head in enumerate(heads):
                box, cls = branches(head, classes, groups, width)
                children |= {f"cv{2 * h + 2}": box, f"cv{2 * h + 3}": cls}
            fixed = {"weight": torch.arange(16.0).view(1, 16, 1, 1)}
            for h in range(len(heads)):
                dfl = node("DFL", {"conv": node("Conv2d", parameters=fixed)})
                children["dfl" if h == 0 else f"dfl{h + 1}"] = dfl
            made, out = node(kind, children), 0
        else:
            made, out = layer(kind, sources[0], args)
        made.i, made.f = i, source
        layers.append(made)
        channels.append(out)
    return node(
        "DetectionModel", {"model": sequence(*layers)}, names=list(map(str, range(classes)))
    )


def save_pickled(path, model, **content):
    """`torch.save` under the published class names, which this process then forgets."""
    module = types.ModuleType("models.yolo")
    sys.modules |= {"models": types.ModuleType("models"), "models.yolo": module}
    todo, by_name = [model], {}
    while todo:
        one = todo.pop()
        name = type(one).__name__
        by_name.setdefault(name, type(name, (Node,), {"__module__": "models.yolo"}))
        one.__class__ = by_name[name]
        todo += one._modules.values()
    vars(module).update(by_name)
    try:
        torch.save({"model": model, "ema": None, **content}, path)
    finally:
        del sys.modules["models.yolo"], sys.modules["models"]
    return path


def state_dict(tree, prefix="", rename=lambda kind, child: child):
    own = {**tree._parameters, **tree._buffers}
    state = {prefix + name: tensor for name, tensor in own.items() if tensor is not None}
    for name, child in tree._modules.items():
        state |= state_dict(child, f"{prefix}{rename(type(tree).__name__, name)}.", rename)
    return state
