"""How much heat lies on the objects, on maps whose answer is known; the page of two models."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from yolov9_lit.research.figures.heat import Heats, resampled_means, shares_of
from yolov9_lit.research.figures.heat_maps import _table
from yolov9_lit.research.figures.inputs import Subject
from yolov9_lit.structures import ImageInfo

SHAPE = (64, 96)
INFO = ImageInfo(0, "", 40, 80, 1.0, 1.0, 8.0, 12.0)
"""An image of 40 x 80 pixels, padded on all sides to 64 x 96."""


def subject(*boxes):
    image = np.zeros((40, 80, 3), np.uint8)
    return Subject("a", image, np.array(boxes, np.float32), np.zeros(len(boxes), np.int64))


def share(one, *boxes):
    return shares_of(Heats((one,), INFO, SHAPE), subject(*boxes))[0]


def by_pixels(one, boxes):
    """The same, pixel by pixel of the image."""
    heat = one.repeat(SHAPE[0] // one.shape[0], axis=0).repeat(SHAPE[1] // one.shape[1], axis=1)
    heat = heat[12:52, 8:88]
    inside = np.zeros(heat.shape, bool)
    for left, top, right, bottom in boxes:
        inside[top:bottom, left:right] = True
    return heat[inside].sum() / heat.sum(), inside.mean()


@pytest.mark.parametrize("cells", [(8, 12), (4, 6), (2, 3)])
def test_shares_are_those_of_the_pixels(cells):
    one = np.random.default_rng(0).random(cells)
    boxes = [(0, 0, 24, 12), (16, 4, 40, 28), (70, 30, 80, 40)]
    np.testing.assert_allclose(share(one, *boxes), by_pixels(one, boxes))


def test_a_map_that_is_the_same_everywhere_knows_nothing():
    heat, area = share(np.ones((8, 12)), (3, 5, 60, 31))
    assert heat == pytest.approx(area)
    assert area == pytest.approx(57 * 26 / (40 * 80))


def test_heat_in_a_box_counts_and_heat_in_the_padding_does_not():
    one = np.zeros((8, 12))
    one[2, 2] = 1  # Pixels 16 to 24 of the input: 8 to 16 across and 4 to 12 down in the image.
    assert share(one, (8, 4, 16, 12)).heat == pytest.approx(1)
    assert share(one, (30, 20, 60, 30)).heat == 0
    one[0, 0] = 5
    assert share(one, (8, 4, 16, 12)).heat == pytest.approx(1)


def test_intervals_of_means_and_of_paired_differences():
    values = np.random.default_rng(1).normal(10, 2, (400, 1))
    both = np.hstack([values, values + 0.5])
    means = resampled_means(both, 2000, seed=0)
    assert means[:, 0].std() == pytest.approx(2 / 20, rel=0.1)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 0.5)


def test_a_model_beside_itself_differs_by_nothing():
    rows = [
        (model, image, level, 0.1 * image + 0.2, 0.25)
        for model in ("1-a", "2-a")
        for image in range(4)
        for level in ("P3", "P4")
    ]
    frame = pd.DataFrame(rows, columns=["model", "image", "level", "heat", "area"])
    made = _table(frame, ["1-a", "2-a"], 200, 0)
    texts = [dict(zip(made.columns, (c.text for c in row), strict=True)) for row in made.rows]
    assert [row["heat in boxes (%)"] for row in texts] == ["35.0"] * 4
    assert [row["heat / area"] for row in texts] == ["1.40"] * 4
    assert [row["minus 1-a's"] for row in texts] == ["", "", "0.0", "0.0"]
    assert texts[-1]["95 % of it"] == "0.0 to 0.0"


@pytest.mark.slow
def test_the_page_of_two_models(tiny_shapes, tmp_path):
    def command(name, *arguments):
        done = subprocess.run(
            [sys.executable, "-m", f"yolov9_lit.{name}", *arguments, f"data.root={tiny_shapes}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stderr

    small = ["model=gelan_t", "trainer=cpu", "data.image_size=64", "data.batch_size=4"]
    small += ["~data.prepare", "trainer.max_epochs=1", "test=false", "data.num_workers=0"]
    for pgi in ("none", "icn"):
        code, told = command("train", *small, f"pgi={pgi}", f"hydra.run.dir={pgi}")
        assert code == 0, told
    ckpt = "ckpt=none/checkpoints/last.ckpt,icn/checkpoints/last.ckpt"
    drawn = ["figure=7", ckpt, "~data.prepare", "figure.images=2", "out=page"]
    for kind in ("mean", "principal"):
        code, told = command("figures", *drawn, f"figure.map={kind}")
        assert code == 0, told
    frame = pd.read_csv(tmp_path / "page" / "figure7.csv")
    assert set(frame["model"]) == {"1-none", "2-icn"}
    assert frame["heat"].between(0, 1).all()
    assert (frame.groupby("image")["area"].nunique() <= 3).all()
    page = (tmp_path / "page" / "figure7.html").read_text()
    assert page.count("<img") == len(list((tmp_path / "page").glob("*.png"))) == 2
    code, told = command("figures", "figure=7", "~data.prepare", "out=other")
    assert (code, told) == (
        2,
        "error: figure=7 is drawn of trained models: give ckpt=FILE.\n",
    )
