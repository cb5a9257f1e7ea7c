"""Feature maps as pictures, and the figures of random weights as commands."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from yolov9_lit.app.configs import compose
from yolov9_lit.errors import UserError
from yolov9_lit.figures import main
from yolov9_lit.research.figures.feature_maps import brightness, channels_as_one

RNG = np.random.default_rng(2)


@pytest.fixture
def folder(tmp_path):
    """Images of one colour each."""
    (tmp_path / "images").mkdir()
    for i in range(16):
        pixels = np.full((40, 60, 3), RNG.integers(0, 256, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    return tmp_path / "images"


def draw(*overrides):
    """Run the command as far as its config is composed."""
    main.__wrapped__(compose("figures", overrides))


def test_channels_become_their_mean_or_first_component():
    pattern = torch.randn(6, 7).exp()  # skewed: few large values
    weights = torch.tensor([3.0, -2.0, 0.5])
    maps = weights[:, None, None] * pattern + torch.tensor([1.0, 5.0, 9.0])[:, None, None]
    np.testing.assert_allclose(channels_as_one(maps, "mean"), maps.mean(0), rtol=1e-5)
    component = channels_as_one(maps, "principal")
    centred = (pattern - pattern.mean()).numpy() * float(weights.norm())
    np.testing.assert_allclose(component, centred, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(channels_as_one(-maps, "principal"), component, atol=1e-4)


def test_brightness_spans_the_scale():
    values = np.array([[1.0, 2.0], [3.0, 5.0]])
    np.testing.assert_allclose(brightness(values, 1, 5), [[0, 0.25], [0.5, 1]])
    np.testing.assert_array_equal(brightness(np.full((2, 2), 3.0), 3, 3), np.full((2, 2), 0.5))


@pytest.mark.parametrize("settings", [(), ("figure.map=principal", "figure.scale=shared")])
def test_a_figure_is_a_grid_on_a_page_that_tells_how(folder, tmp_path, capsys, settings):
    small = ("figure.size=gelan_t", "figure.image_size=64", "figure.depths=[27]", "figure.images=2")
    models = "~figure.models.GELAN"
    draw("figure=6", f"image={folder}", f"out={tmp_path / 'out'}", models, *small, *settings)
    path = tmp_path / "out" / "figure6.html"
    assert capsys.readouterr().out == f"{path}\n"
    page = path.read_text()
    assert len(re.findall('src="data:image/png;base64,', page)) == 2
    assert "random weights" in page
    assert ("principal component" in page) == bool(settings)
    assert {p.name for p in path.parent.glob("*.png")} == {"figure6_0.png", "figure6_1.png"}


def test_a_depth_that_cannot_be_built_is_a_sentence(folder, tmp_path):
    with pytest.raises(UserError, match=r"figure\.depths=9 cannot be built"):
        draw("figure=2", f"image={folder}", f"out={tmp_path}", "figure.depths=[9]")


def test_information_is_a_page_and_its_data(folder, tmp_path):
    small = ("figure.image_size=64", "figure.depths=[27]", "figure.seeds=2", "figure.layers=2")
    models = ("~figure.models.GELAN", "~figure.models.ResNet")
    draw("figure=information", f"image={folder}", f"out={tmp_path / 'out'}", *models, *small)
    table = pd.read_csv(tmp_path / "out" / "information.csv")
    assert list(table) == ["model", "network", "seed", "layer", "depth", "quantity", "value"]
    assert set(table["model"]) == {"PlainNet", "CSPNet"}
    assert set(table["seed"]) == {0, 1}
    start = table[(table["layer"] == "image") & (table["quantity"] == "image")]["value"]
    np.testing.assert_allclose(start, 1, atol=1e-4)
    page = (tmp_path / "out" / "information.html").read_text()
    assert page.count("data:image/png;base64,") == 2  # no boxes: image and rank alone
    assert "PlainNet" in page


def test_too_few_images_are_a_sentence(folder, tmp_path):
    with pytest.raises(UserError, match=r"^1 image is too few to probe on"):
        draw("figure=information", f"image={folder / '0.png'}", f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("figure", "setting", "told"),
    [
        ("6", "figure.map=median", "mean or principal"),
        ("6", "figure.scale=1", "image or shared"),
        ("2", "figure.level=6", "in 1..5"),
        ("2", "figure.depths=[]", "figure.depths"),
        ("6", "figure.size=gelan_x", "figure.size=gelan_x"),
        ("information", "figure.depths=[]", "figure.depths, or ckpt"),
        ("information", "figure.seeds=0", "1 or more"),
        ("information", "figure.norm=none", "batch or running"),
        ("information", "ckpt=nothing.ckpt", "nothing.ckpt"),
    ],
)
def test_a_wrong_setting_is_a_sentence(folder, tmp_path, figure, setting, told):
    with pytest.raises(UserError, match=re.escape(told)):
        draw(f"figure={figure}", f"image={folder}", f"out={tmp_path / 'out'}", setting)
