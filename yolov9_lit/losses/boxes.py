"""Box geometry on xyxy boxes of any broadcastable leading shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPS = 1e-7


def complete_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Complete IoU (Zheng et al., arXiv 1911.08287): IoU less a centre and an aspect-ratio term.

    The aspect term's weight carries no gradient, as its authors define it.

    Args:
        boxes: (..., 4) xyxy.
        others: (..., 4) xyxy, broadcastable to `boxes`.

    Returns:
        (...), at most 1; differentiable in both.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    u1, v1, u2, v2 = others.unbind(-1)
    width, height = x2 - x1, y2 - y1 + EPS
    other_width, other_height = u2 - u1, v2 - v1 + EPS

    inter_width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp(min=0)
    inter_height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp(min=0)
    intersection = inter_width * inter_height
    union = width * height + other_width * other_height - intersection + EPS
    iou = intersection / union

    hull_width = torch.maximum(x2, u2) - torch.minimum(x1, u1)
    hull_height = torch.maximum(y2, v2) - torch.minimum(y1, v1)
    diagonal = hull_width.square() + hull_height.square() + EPS
    centre_distance = ((u1 + u2 - x1 - x2).square() + (v1 + v2 - y1 - y2).square()) / 4

    angle = torch.atan(other_width / other_height) - torch.atan(width / height)
    aspect = angle.square() * (4 / math.pi**2)
    with torch.no_grad():
        weight = aspect / (aspect - iou + (1 + EPS))
    return iou - (centre_distance / diagonal + weight * aspect)


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union, 0..1.

    Args:
        boxes: (..., 4) xyxy.
        others: (..., 4) xyxy, broadcastable to `boxes`.

    Returns:
        (...); 0 of boxes without an area.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    u1, v1, u2, v2 = others.unbind(-1)
    width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp(min=0)
    height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).clamp(min=0)
    intersection = width * height
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - intersection
    return intersection / (union + EPS)
