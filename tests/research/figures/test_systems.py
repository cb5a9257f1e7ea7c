"""The page of systems: its blocks are filled from the models, its tables are theirs."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from yolov9_lit.app.configs import compose
from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.figures import main as figures
from yolov9_lit.models.cost import count_parameters, detector_cost

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "systems.md").read_text()
ROW = re.compile(r"^\| `(model=[^`]+)` \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|$", re.M)
ROWS = {row[0]: row[1:] for row in ROW.findall(PAGE)}


def draw(folder):
    figures.__wrapped__(compose("figures", ["figure=systems", f"out={folder}"]))
    return (folder / "systems.md").read_text()


def block(kind, overrides, made=""):
    return f"<!-- {kind}: {overrides} -->\n{made}<!-- end -->\n"


@pytest.fixture
def composed(monkeypatch):
    """Inside a command Hydra is there; here each config is composed by itself."""
    for module in ("drawing", "systems"):
        monkeypatch.setattr(f"yolov9_lit.research.figures.{module}.compose", compose)


@pytest.mark.usefixtures("composed")
def test_blocks_are_filled_and_words_stay(tmp_path):
    blocks = block("drawing", "model=gelan_t", "old\n"), block("costs", "model=gelan_t")
    (tmp_path / "systems.md").write_text("# Words\n\n{}\n* more\n\n{}".format(*blocks))
    once = draw(tmp_path)
    assert once.startswith("# Words\n\n<!-- drawing: model=gelan_t -->\n```mermaid\nflowchart TB\n")
    assert once.endswith("| `model=gelan_t` | 2,442,624 | 2,407,616 | 9.9 | 9.8 |\n<!-- end -->\n")
    assert "\n* more\n" in once
    assert "old" not in once
    assert draw(tmp_path) == once


def test_a_page_that_is_not_there_and_an_unknown_block_are_told(tmp_path):
    with pytest.raises(UserError, match=r"There is no page .*systems\.md: write it first"):
        draw(tmp_path)
    (tmp_path / "systems.md").write_text(block("picture", "model=gelan_t"))
    with pytest.raises(UserError, match="wants picture: give one of drawing, costs"):
        draw(tmp_path)


@pytest.mark.slow
def test_the_tables_of_the_page_are_the_models():
    """Parameters of all rows; GFLOPs, which take longer, of the small models."""
    assert len(ROWS) > 20
    for overrides, (trained, deployed, *gflops) in ROWS.items():
        cfg = compose("summary", shlex.split(overrides))
        with torch.device("meta"):
            detector = build(cfg.model, num_classes=80)
            counts = count_parameters(detector), count_parameters(detector.deploy())
        assert (trained, deployed) == tuple(f"{count:,}" for count in counts), overrides
        if overrides in ("model=gelan_s", "model=yolov7_af", "model=revcol_t pgi=icn"):
            cost = detector_cost(detector)
            assert gflops == [f"{form.gflops:.1f}" for form in cost[:2]], overrides


@pytest.mark.usefixtures("composed")
@pytest.mark.parametrize("model", ["revcol_t", "timm model.backbone.name=resnet18 pgi=pfh"])
def test_a_drawing_of_the_page_is_the_model(model, tmp_path):
    (drawing,) = re.findall(
        rf"<!-- drawing: model={re.escape(model)} -->\n.*?<!-- end -->", PAGE, re.S
    )
    (tmp_path / "systems.md").write_text(block("drawing", f"model={model}"))
    assert draw(tmp_path) == f"{drawing}\n"


def test_the_readme_has_the_same_costs():
    readme = (ROOT / "README.md").read_text()
    told = re.findall(r"^\| `(yolov9_\w)` \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \|", readme, re.M)
    assert len(told) == 5
    for model, trained, deployed, gflops in told:
        assert ROWS[f"model={model}"][:2] + ROWS[f"model={model}"][3:] == (
            trained,
            deployed,
            gflops,
        )
