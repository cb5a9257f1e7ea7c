"""How well the masks of assigned anchors fit those of their objects, in bounded memory.

YOLACT (arXiv 1904.02689), section 3.1: a mask is a linear combination of prototypes, compared by
binary cross-entropy inside the object's box and divided by the box's area.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.models.masks import inside_boxes
from yolov9_lit.structures import MASK_STRIDE, HeadOutput

MOST_PIXELS = 2**24
"""Pixels of predicted masks that are looked at together; more are looked at in parts."""

MOST_PIXELS_ON_CPU = 2**18
"""The same on a CPU, in whose caches more do not stay."""


def mask_loss(output: HeadOutput, boxes: Tensor, objects: Tensor, masks: Tensor) -> Tensor:
    """Compute the sum over images of the mean over their anchors that have an object with a mask.

    Args:
        output: of a head that finds masks.
        boxes: (B, A, 4) xyxy in input pixels, of the anchors' objects.
        objects: (B, A) int64, the value that an anchor's object has in `masks`; 0 for none.
        masks: (B, H/4, W/4) integers, 0 where nothing is.

    Returns:
        Scalar. An object that `masks` does not show counts for nothing: its outline is not known,
        or nothing of it is seen.
    """
    assert output.coefficients is not None
    assert output.prototypes is not None
    found = torch.ops.yolov9_lit.mask_loss(
        output.coefficients.float(),
        output.prototypes.float(),
        boxes.detach() / MASK_STRIDE,
        objects,
        masks,
    )
    return found[0]


@torch.library.custom_op("yolov9_lit::mask_loss", mutates_args=())
def _with_gradients(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, objects: Tensor, masks: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss and its gradients on the first two, in one pass over the masks' pixels.

    Kept for a backward pass, a crowd's masks would be gigabytes. As an operator of its own it may
    look how many anchors there are: compiled graphs hold tensors of fixed shapes only.

    Args:
        coefficients: (B, A, M).
        prototypes: (B, M, h, w).
        boxes: (B, A, 4) xyxy in pixels of the masks.
        objects: (B, A) int64.
        masks: (B, h, w).
    """
    with torch.autocast(coefficients.device.type, enabled=False):
        shown = _shown(objects, masks)
        weights = shown / shown.sum(dim=1, keepdim=True).clamp(min=1)
        weights = torch.where(shown, weights / _areas(boxes), 0)
        most = int(shown.sum(dim=1).amax()) if len(shown) else 0
        order = shown.byte().topk(most, dim=1).indices
        grid = prototypes.flatten(2)
        loss, by_anchor = coefficients.new_zeros(()), torch.zeros_like(coefficients)
        by_prototype = torch.zeros_like(grid)
        on_cpu = coefficients.device.type == "cpu"
        pixels = max(grid.shape[0] * grid.shape[2], 1)
        together = max((MOST_PIXELS_ON_CPU if on_cpu else MOST_PIXELS) // pixels, 1)
        for rows in order.split(together, dim=1):
            of_each = rows.unsqueeze(-1)
            wide = of_each.expand(-1, -1, coefficients.shape[-1])
            some = coefficients.gather(1, wide)
            logits = (some @ grid).unflatten(-1, prototypes.shape[2:])
            inside = inside_boxes(boxes.gather(1, of_each.expand(-1, -1, 4)), prototypes.shape[2:])
            inside = inside * weights.gather(1, rows)[..., None, None]
            wanted = (masks.unsqueeze(1) == objects.gather(1, rows)[..., None, None]).float()
            entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            loss += (entropy * inside).sum()
            slope = ((logits.sigmoid() - wanted) * inside).flatten(2)
            by_anchor.scatter_(1, wide, slope @ grid.transpose(1, 2))
            by_prototype += some.transpose(1, 2) @ slope
        return loss, by_anchor, by_prototype.view_as(prototypes)


@_with_gradients.register_fake
def _(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, objects: Tensor, masks: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Tell a compiler the shapes of what comes out."""
    loss = coefficients.new_empty(())
    return loss, torch.empty_like(coefficients), torch.empty_like(prototypes)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output[1:])


def _backward(ctx: Any, of_loss: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    by_anchor, by_prototype = ctx.saved_tensors
    return of_loss * by_anchor, of_loss * by_prototype, None, None, None


_with_gradients.register_autograd(_backward, setup_context=_keep)


def _shown(objects: Tensor, masks: Tensor) -> Tensor:
    """Return which anchors (B, A) bool have an object that `masks` shows."""
    most = max(int(tensor.max()) if tensor.numel() else 0 for tensor in (objects, masks))
    there = torch.zeros(len(masks), most + 1, dtype=torch.bool, device=masks.device)
    there.scatter_(1, masks.flatten(1).long(), True)
    return there.gather(1, objects) & (objects > 0)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
