"""Computes a tree of bare objects, made by `published_files` or read from a real file.

It follows the tree by the class names of the published code and of Ultralytics, without our models.
"""

import torch
from torch.nn import functional as F


def run(model, image):
    """[auxiliary, ...,] main head of a tree: (box logits (B, A, 64), class logits (B, A, C))."""
    outputs, x = [], image
    for one in model._modules["model"]._modules.values():
        source = one.f if isinstance(one.f, list) else [one.f]
        x = compute(one, [x if j == -1 else outputs[j] for j in source], image)
        outputs.append(x)
    return x


def compute(one, inputs, image=None):
    kind, children, x = type(one).__name__, one._modules, inputs[0]

    def child(name, value):
        return compute(children[name], [value])

    if kind in ("Silence", "Identity"):
        return image if kind == "Silence" else x
    if kind == "SiLU":
        return F.silu(x)
    if kind == "Conv2d":
        tensors = {k: None if t is None else t.float() for k, t in one._parameters.items()}
        options = {"stride": one.stride, "padding": one.padding, "groups": one.groups}
        return F.conv2d(x, **tensors, **options)
    if kind == "BatchNorm2d":
        b, p = one._buffers, one._parameters
        tensors = (b["running_mean"], b["running_var"], p["weight"], p["bias"])
        return F.batch_norm(x, *(t.float() for t in tensors), eps=one.eps)
    if kind in ("Conv", "DWConv"):
        return child("act", child("bn", child("conv", x)))
    if kind in ("RepConvN", "RepConv"):
        return child("act", child("conv1", x) + child("conv2", x))
    if kind in ("RepNBottleneck", "RepBottleneck"):
        y = child("cv2", child("cv1", x))
        return x + y if one.add else y
    if kind in ("RepNCSP", "RepCSP"):
        return child("cv3", torch.cat((child("m", child("cv1", x)), child("cv2", x)), 1))
    if kind == "Sequential":
        for name in children:
            x = child(name, x)
        return x
    if kind in ("ELAN1", "RepNCSPELAN4"):
        parts = list(child("cv1", x).chunk(2, 1))
        parts += [two := child("cv2", parts[1]), child("cv3", two)]
        return child("cv4", torch.cat(parts, 1))
    if kind == "AConv":
        return child("cv1", F.avg_pool2d(x, 2, 1))
    if kind == "ADown":
        one_half, other = F.avg_pool2d(x, 2, 1).chunk(2, 1)
        return torch.cat((child("cv1", one_half), child("cv2", F.max_pool2d(other, 3, 2, 1))), 1)
    if kind == "SPPELAN":
        pooled = [child("cv1", x)]
        pooled += [F.max_pool2d(pooled[0], k, 1, k // 2) for k in (5, 9, 13)]
        return child("cv5", torch.cat(pooled, 1))
    if kind == "Upsample":
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    if kind == "Concat":
        return torch.cat(inputs, 1)
    if kind == "CBLinear":
        return child("conv", x).split(one.c2s, 1)
    if kind == "CBFuse":
        size = inputs[-1].shape[2:]
        picked = (splits[i] for splits, i in zip(inputs[:-1], one.idx, strict=True))
        return sum((F.interpolate(p, size=size) for p in picked), inputs[-1])
    assert kind in ("Detect", "DDetect", "DualDDetect"), kind
    return [
        tuple(
            torch.cat(
                [
                    compute(children[f"cv{2 * h + offset}"]._modules[str(i)], [value]).flatten(2)
                    for i, value in enumerate(inputs[3 * h : 3 * h + 3])
                ],
                dim=2,
            ).transpose(1, 2)
            for offset in (2, 3)
        )
        for h in range(len(inputs) // 3)
    ]
