"""Masks of detected objects, from their coefficients and the image's prototypes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.structures import MASK_STRIDE, ImageInfo

_TOGETHER = 32  # Masks of which the shares, four bytes a pixel, are held at a time.


def masks_of(coefficients: Tensor, prototypes: Tensor, boxes: Tensor, info: ImageInfo) -> Tensor:
    """Compute the masks of one image's objects; see `masks_in_parts`.

    Returns:
        (N, info.height, info.width) bool.
    """
    return torch.cat([*masks_in_parts(coefficients, prototypes, boxes, info)])


def masks_in_parts(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, info: ImageInfo
) -> Iterator[Tensor]:
    """Compute the masks of one image's objects in the image's own pixels, some at a time.

    The shares of the prototypes' cells, cropped to the box, are interpolated bilinearly at the
    centres of the image's pixels: in one step, which leaves the outline smooth in a large image.

    Args:
        coefficients: (N, M).
        prototypes: (M, H/4, W/4) of the image.
        boxes: (N, 4) xyxy in input pixels.
        info: where the image lies in the input; that of height H, width W and no scale gives masks
            in input pixels.

    Yields:
        (K, info.height, info.width) bool, of K objects each.
    """
    grid = _sampling_grid(info, prototypes)
    cells = boxes / MASK_STRIDE
    parts = zip(coefficients.split(_TOGETHER), cells.split(_TOGETHER), strict=True)
    for some, inside in parts:
        yield _sampled(_shares(some, prototypes, inside), grid) > 0.5


def inside_boxes(boxes: Tensor, shape: Sequence[int]) -> Tensor:
    """Tell which pixels lie from a box's left, top up to its right, bottom.

    Args:
        boxes: (..., 4) xyxy in pixels of the map.
        shape: (h, w) of the map.

    Returns:
        (..., h, w) bool.
    """
    x1, y1, x2, y2 = boxes.unsqueeze(-1).unbind(-2)
    rows = torch.arange(shape[0], device=boxes.device)
    columns = torch.arange(shape[1], device=boxes.device)
    down = (rows >= y1) & (rows < y2)
    across = (columns >= x1) & (columns < x2)
    return down.unsqueeze(-1) & across.unsqueeze(-2)


def _shares(coefficients: Tensor, prototypes: Tensor, cells: Tensor) -> Tensor:
    """Return (N, h, w) in 0..1, zero outside boxes (N, 4) in the prototypes' cells."""
    logits = torch.einsum("nm,mhw->nhw", coefficients.float(), prototypes.float())
    return logits.sigmoid() * inside_boxes(cells, prototypes.shape[1:])


def _sampling_grid(info: ImageInfo, prototypes: Tensor) -> Tensor:
    """Return where the centres of the image's pixels lie, (1, height, width, 2) in -1..1."""
    height, width = prototypes.shape[1:]
    device = prototypes.device
    x = (torch.arange(info.width, device=device).float() + 0.5) * info.scale_x + info.left
    y = (torch.arange(info.height, device=device).float() + 0.5) * info.scale_y + info.top
    relative = (2 * y / (MASK_STRIDE * height) - 1, 2 * x / (MASK_STRIDE * width) - 1)
    rows, columns = torch.meshgrid(*relative, indexing="ij")
    return torch.stack((columns, rows), dim=-1)[None]


def _sampled(shares: Tensor, grid: Tensor) -> Tensor:
    found: Tensor = F.grid_sample(
        shares[None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[0]
