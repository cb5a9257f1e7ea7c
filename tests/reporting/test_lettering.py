"""Names in any script are letters on images and in plots, and no formulas."""

import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from yolov9_lit.reporting import lettering
from yolov9_lit.reporting.draw import draw_detections
from yolov9_lit.reporting.lettering import fonts_for, line_of_ink
from yolov9_lit.reporting.plot import save_plot
from yolov9_lit.structures import Detections

STIX = str(Path(matplotlib.get_data_path(), "fonts/ttf/STIXGeneral.ttf"))
NAMES = ("Fußgänger", "الطريق", "дом", "$\\frac$", "a$_{$", "US$", "[/b] x", "a\nb", "", "{}%_^")


@pytest.fixture
def machine(monkeypatch):
    """Set which fonts the machine has."""

    def set_fonts(*fonts):
        monkeypatch.setattr(lettering, "_fonts_here", lambda: fonts)
        monkeypatch.setattr(lettering, "_TOLD", [])
        lettering._fallbacks.cache_clear()
        line_of_ink.cache_clear()

    yield set_fonts
    lettering._fallbacks.cache_clear()
    line_of_ink.cache_clear()


def letters_of_stix():
    """Letters that it has and the plain font has not."""
    only = lettering._letters(STIX) - lettering._letters(lettering.PLAIN)
    return "".join(chr(c) for c in sorted(only) if chr(c).isprintable())[:3]


def test_a_font_that_has_the_letters_is_found(machine, caplog):
    machine(STIX)
    assert fonts_for("plain ä") == (lettering.PLAIN,)
    assert fonts_for(letters_of_stix()) == (lettering.PLAIN, STIX)
    assert not caplog.text
    with_font = line_of_ink(letters_of_stix(), 20)
    machine()
    assert line_of_ink(letters_of_stix(), 20).shape != with_font.shape, "boxes"


def test_letters_that_no_font_has_are_told_once(machine, caplog):
    machine()
    for name in ("汽车", "行人", "汽车 x"):
        line_of_ink(name, 12)
    assert len(caplog.records) == 1
    assert "no font on this machine has" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_letters(name):
    """Another name of as many letters leaves other ink: none of them is a row of "?"."""
    found = Detections(torch.tensor([[2.0, 40, 90, 90]]), torch.tensor([0.5]), torch.tensor([0]))
    image = np.zeros((100, 200, 3), np.uint8)
    drawn, other = (draw_detections(image, found, [n]) for n in (name, "?" * len(name)))
    assert (drawn != other).any() == bool(name)


@pytest.mark.parametrize("box", [[-50, -50, -10, -10], [300, 300, 400, 400], [0, 0, 3, 3]])
@pytest.mark.parametrize("size", [(100, 200), (4, 4), (1, 300)])
def test_labels_stay_within_the_image(box, size):
    found = Detections(torch.tensor([box]).float(), torch.tensor([0.5]), torch.tensor([0]))
    drawn = draw_detections(np.zeros((*size, 3), np.uint8), found, ["a long name " * 20])
    assert drawn.shape == (*size, 3)


def test_plots_show_names_as_they_are_and_powers_as_powers(tmp_path, machine):
    machine()
    figure = Figure(figsize=(4, 4))
    axes = figure.add_subplot(xlabel="$\\frac$", title="汽车 $x$")
    axes.barh(range(len(NAMES)), range(1, 1 + len(NAMES)), label="US$ $\\frac$")
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.set_xscale("log", base=2)
    axes.legend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot = save_plot(figure, tmp_path / "x.png", "any")
    assert Image.open(plot.path).size == (400, 400)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())
    assert all(label.get_parse_math() for label in axes.get_xticklabels())
