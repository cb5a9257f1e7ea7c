"""Masks of detected objects, from their coefficients and the image's prototypes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.structures import ImageInfo

STRIDE = 4
"""Of the prototypes, in input pixels."""

_TOGETHER = 32  # Masks of which the shares, four bytes a pixel, are held at a time.


def masks_of(coefficients: Tensor, prototypes: Tensor, boxes: Tensor, info: ImageInfo) -> Tensor:
    """Compute the masks of one image's objects in the image's own pixels.

    The shares of the prototypes' cells, cropped to the box, are interpolated bilinearly at the
    centres of the image's pixels: in one step, which leaves the outline smooth in a large image.

    Args:
        coefficients: (N, M).
        prototypes: (M, H/4, W/4) of the image.
        boxes: (N, 4) xyxy in input pixels.
        info: where the image lies in the input; that of height H, width W and no scale gives masks
            in input pixels.

    Returns:
        (N, info.height, info.width) bool.
    """
    grid = _sampling_grid(info, prototypes)
    masks = [
        _sampled(_shares(some, prototypes, cells), grid) > 0.5
        for some, cells in zip(
            coefficients.split(_TOGETHER), (boxes / STRIDE).split(_TOGETHER), strict=True
        )
    ]
    return torch.cat(masks) if masks else boxes.new_zeros((0, info.height, info.width)).bool()


def _shares(coefficients: Tensor, prototypes: Tensor, cells: Tensor) -> Tensor:
    """Return (N, h, w) in 0..1, zero outside boxes (N, 4) in the prototypes' cells."""
    logits = torch.einsum("nm,mhw->nhw", coefficients.float(), prototypes.float())
    height, width = prototypes.shape[1:]
    x = torch.arange(width, device=cells.device)
    y = torch.arange(height, device=cells.device)[:, None]
    left, top, right, bottom = cells[:, :, None, None].unbind(dim=1)
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return logits.sigmoid() * inside


def _sampling_grid(info: ImageInfo, prototypes: Tensor) -> Tensor:
    """Return where the centres of the image's pixels lie, (1, height, width, 2) in -1..1."""
    height, width = prototypes.shape[1:]
    device = prototypes.device
    x = (torch.arange(info.width, device=device).float() + 0.5) * info.scale_x + info.left
    y = (torch.arange(info.height, device=device).float() + 0.5) * info.scale_y + info.top
    relative = (2 * y / (STRIDE * height) - 1, 2 * x / (STRIDE * width) - 1)
    rows, columns = torch.meshgrid(*relative, indexing="ij")
    return torch.stack((columns, rows), dim=-1)[None]


def _sampled(shares: Tensor, grid: Tensor) -> Tensor:
    found: Tensor = F.grid_sample(
        shares[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[0]
