"""From images and a backbone to a long table."""

import numpy as np
import pytest
import torch
from torch import nn

from yolov9_lit.models.gelan import BackboneOutput
from yolov9_lit.research.figures.inputs import Subject
from yolov9_lit.research.probes.cells import BACKGROUND, Images, cells_of, make_images, projected
from yolov9_lit.research.probes.measure import make_probes, measure

RNG = np.random.default_rng(1)


class Steps(nn.Module):
    """Convolutions that keep the image, its mean colour alone, or nothing of it."""

    def __init__(self):
        super().__init__()
        self.keep, self.grey, self.lose = (nn.Conv2d(3, 3, 1, bias=False) for _ in range(3))
        self.keep.weight.data = torch.eye(3)[:, :, None, None]
        self.grey.weight.data = torch.full((3, 3, 1, 1), 1 / 3)
        self.lose.weight.data.zero_()

    def forward(self, image):
        kept = self.keep(image)
        grey = self.grey(kept)
        outputs = (kept, grey, self.lose(grey))
        return BackboneOutput(outputs, outputs)


@pytest.fixture
def images():
    """White noise of three colours; in the upper cells an object where red is strong."""
    pixels = torch.from_numpy(RNG.random((40, 3, 2, 2))).float()
    labels = torch.where(pixels[:, 0] > 0.7, 5, BACKGROUND)
    labels[:, 1] = BACKGROUND
    whole = torch.nn.functional.interpolate(pixels, scale_factor=32.0)
    return Images(whole, labels)


def values(table, quantity):
    """Values by layer."""
    own = table[table["quantity"] == quantity]
    return dict(zip(own["layer"], own["value"], strict=True))


def test_layers_hold_what_they_were_built_to_hold(images):
    table = measure(Steps(), make_probes(images, classes=2, layers=5, dimensions=48))
    image, rank = values(table, "image"), values(table, "rank")
    assert list(image) == ["image", "P1", "P2", "P3"]
    assert image["image"] == pytest.approx(1, abs=1e-5)
    assert image["P1"] == pytest.approx(1, abs=1e-5)
    assert image["P2"] == pytest.approx(1 / 3, abs=0.1)  # one of three independent colours
    assert image["P3"] == 0
    assert [rank["P1"], rank["P2"], rank["P3"]] == pytest.approx([3, 1, 0], abs=0.1)
    objects = values(table, "objects")
    assert objects["P1"] > objects["P2"] > objects["P3"] == pytest.approx(0)
    covered = values(table, "covered")
    assert covered["P1"] > covered["P2"] > covered["P3"]
    assert covered["P1"] > 0 > covered["P3"]


def test_without_boxes_the_image_alone_is_read(images):
    probes = make_probes(images._replace(labels=None), classes=2, layers=5, dimensions=48)
    assert set(measure(Steps(), probes)["quantity"]) == {"image", "rank"}


def test_what_the_place_alone_tells_of_objects_is_known_from_the_other_images():
    labels = torch.full((40, 2, 2), BACKGROUND)
    labels[:, 0, 0] = 1
    images = Images(torch.zeros(40, 3, 64, 64), labels)
    assert make_probes(images, 2, 0, 8).covered is None  # There is nothing left to tell.
    labels[3::8, 0, 1] = 1  # In half of the tested images, and in no other.
    probes = make_probes(images, 2, 0, 8)
    # By place the first cell of all ten images comes first, the others have the rank of the rest.
    assert probes.place == pytest.approx((10 * 1 + 5 * 15 / 40) / 15)


def test_rare_classes_become_one_or_background():
    labels = torch.full((16, 2, 2), BACKGROUND)
    labels[:, 0, 0] = 1
    labels[::2, 0, 1] = 2  # on images that fit alone: 2 is not in the other parts
    labels[:, 1, 0] = 3
    images = Images(torch.zeros(16, 3, 64, 64), labels)
    assert set(make_probes(images, 2, 0, 8).labels) == {BACKGROUND, 1, 3}
    assert len(set(make_probes(images, 1, 0, 8).labels)) == 3  # 2 and 3 together
    assert make_probes(images._replace(labels=labels.clamp(max=BACKGROUND)), 2, 0, 8).labels is None


def test_cells_are_cut_in_the_order_of_the_grid():
    maps = torch.arange(64.0).reshape(1, 1, 8, 8)
    cells = cells_of(maps, 2)
    assert cells.shape == (4, 16)
    torch.testing.assert_close(cells[1], maps[0, 0, :4, 4:].flatten())
    assert cells_of(maps, 8).flatten().tolist() == list(range(64))
    large = torch.rand(2, 3, 64, 64)
    assert cells_of(large, 4).shape == (32, 48)
    torch.testing.assert_close(cells_of(large, 4)[0, 0], large[0, 0, :4, :4].mean())


def test_a_projection_keeps_distances_and_is_the_same_each_time():
    samples = torch.randn(50, 400)
    low = projected(samples, 200)
    assert low.shape == (50, 200)
    assert torch.equal(low, projected(samples, 200))
    lengths = [float(x.square().sum(1).mean()) for x in (low, samples)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.1)
    assert projected(samples, 400) is samples


def test_the_smallest_box_around_a_cells_centre_labels_it():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 200, 50], [110, 10, 190, 40]], np.float32)
    subject = Subject("a", np.zeros((100, 200, 3), np.uint8), boxes, np.array([7, 1, 2]))
    labels = make_images([subject], 64, with_boxes=True).labels
    assert labels.tolist() == [[[1, 2], [BACKGROUND, BACKGROUND]]]
    assert make_images([subject], 64, with_boxes=False).labels is None
