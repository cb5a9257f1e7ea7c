"""Published files of instance segmentation: what they compute, and what becomes of them."""

import numpy as np
import pytest
import torch

from yolov9_lit import load
from yolov9_lit.models.masks import masks_of
from yolov9_lit.structures import ImageInfo

FILES = ["gelan-seg", "gelan-dseg", "yolov9-dseg"]


@pytest.mark.parametrize("deployed", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_outputs_prototypes_and_masks_are_the_published_ones(shared, name, deployed):
    detector = load(shared / "reference" / f"published_{name}.pt").detector
    reference = np.load(shared / "reference" / f"forward_{name}.npz")
    if deployed:
        detector = detector.deploy()
    with torch.no_grad():
        output = detector(torch.from_numpy(reference["image"])).main
    boxes, probabilities = detector.decode(output)
    expected = torch.from_numpy(reference["main_cxcywh_scores_coefficients"]).transpose(1, 2)
    centre, size, others = expected[..., :2], expected[..., 2:4], expected[..., 4:]
    corners = torch.cat((centre - size / 2, centre + size / 2), dim=-1)
    torch.testing.assert_close(boxes, corners, rtol=1e-4, atol=2e-3)
    torch.testing.assert_close(probabilities, others[..., :4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.coefficients, others[..., 4:], rtol=1e-3, atol=1e-3)
    prototypes = torch.from_numpy(reference["main_prototypes"])
    torch.testing.assert_close(output.prototypes, prototypes, rtol=1e-3, atol=1e-3)
    picked = torch.from_numpy(reference["picked_anchors"])
    found = masks_of(
        output.coefficients[0, picked],
        output.prototypes[0],
        boxes[0, picked],
        ImageInfo(0, "", *reference["image"].shape[2:]),
    )
    masks = torch.from_numpy(reference["picked_masks_full_size"]).bool()
    assert (found == masks).float().mean() > 0.9999
