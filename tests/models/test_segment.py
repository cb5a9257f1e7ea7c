"""The heads of instance segmentation: published counts, every branch, deploy form, masks."""

import pytest
import torch
from torch.nn import functional as F

from yolov9_lit.models.cost import count_parameters
from yolov9_lit.models.masks import masks_of
from yolov9_lit.structures import ImageInfo

PUBLISHED = {
    ("gelan_c", "seg"): 27_634_704,
    ("gelan_c", "dseg"): 27_668_240,
    ("yolov9_c", "dseg_deep"): 57_991_712,
    ("yolov7_af", "seg"): 45_928_432,
}
"""Trainable parameters with 80 classes."""


@pytest.mark.parametrize(("model", "prototypes"), PUBLISHED)
def test_parameter_counts_are_the_published_ones(make, model, prototypes):
    with torch.device("meta"):
        detector = make(
            f"model={model}", "task=segment", f"prototypes={prototypes}", num_classes=80
        )
    assert count_parameters(detector) == PUBLISHED[model, prototypes]


@pytest.mark.parametrize("prototypes", ["seg", "dseg"])
@pytest.mark.parametrize("pgi", ["none", "fpn", "icn_neck", "cf"])
def test_every_branch_finds_masks_and_the_deploy_form_the_same(make, prototypes, pgi):
    detector = make("model=gelan_t", "task=segment", f"prototypes={prototypes}", f"pgi={pgi}")
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        before, after = detector.eval()(images), detector.deploy()(images)
    for output in (before.main, *before.aux):
        assert output.coefficients.shape == (1, len(output.anchor_points), 32)
        assert output.prototypes.shape == (1, 32, 16, 24)
    assert len(before.aux) == len(detector.aux_heads)
    for ours, theirs in zip(after.main, before.main, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", ["s", "m", "c", "e"])
def test_all_sizes_have_the_task(make, size):
    with torch.device("meta"):
        detector = make(f"model=yolov9_{size}", "task=segment").eval()
        output = detector(torch.empty(1, 3, 64, 64)).aux[0]
    assert output.prototypes.shape == (1, 32, 16, 16)


def test_masks_in_input_pixels_are_the_published_steps():
    """Crop at prototype size, bilinear without aligned corners, above one half."""
    torch.manual_seed(0)
    coefficients, prototypes = torch.randn(40, 8), torch.randn(8, 16, 24)
    corner = torch.rand(40, 2) * 40
    boxes = torch.cat((corner, corner + 5 + torch.rand(40, 2) * 30), dim=1)
    masks = masks_of(coefficients, prototypes, boxes, ImageInfo(0, "", 64, 96))
    x, y = torch.arange(24)[None, None], torch.arange(16)[None, :, None]
    x1, y1, x2, y2 = (boxes / 4)[:, :, None, None].unbind(1)
    cropped = torch.einsum("nm,mhw->nhw", coefficients, prototypes).sigmoid()
    cropped = cropped * ((x >= x1) & (x < x2) & (y >= y1) & (y < y2))
    enlarged = F.interpolate(cropped[None], size=(64, 96), mode="bilinear")[0]
    sure = (enlarged - 0.5).abs() > 1e-4  # Rounding may tip what is one half.
    assert (masks == (enlarged > 0.5))[sure].all()
    assert 0 < masks.float().mean() < 1


def test_a_mask_lies_where_the_image_does():
    """A disc seen at half the size beside padding is a disc in the image's own pixels."""
    y, x = torch.meshgrid(*(torch.arange(16) * 4.0 + 2,) * 2, indexing="ij")
    disc = 20 - ((x - 32) ** 2 + (y - 28) ** 2).sqrt()
    info = ImageInfo(0, "", 80, 128, scale_x=0.5, scale_y=0.5, left=0.0, top=12.0)
    box = torch.tensor([[0.0, 0.0, 64.0, 64.0]])
    (mask,) = masks_of(torch.ones(1, 1), disc[None], box, info)
    y, x = torch.meshgrid(torch.arange(80.0) + 0.5, torch.arange(128.0) + 0.5, indexing="ij")
    expected = ((x - 64) ** 2 + (y - 32) ** 2).sqrt() < 40
    assert (mask == expected).float().mean() > 0.98


def test_no_detection_has_no_mask():
    found = masks_of(
        torch.rand(0, 8), torch.rand(8, 4, 4), torch.rand(0, 4), ImageInfo(0, "", 9, 7)
    )
    assert found.shape == (0, 9, 7)
