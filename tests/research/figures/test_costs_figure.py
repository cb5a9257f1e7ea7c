"""AP against cost: the paper's models as it prints them, and runs of one's own beside them."""

import pandas as pd
import pytest
import yaml

from yolov9_lit.errors import UserError
from yolov9_lit.research.figures.costs import write_costs


def test_the_papers_models_are_as_printed(shared, tmp_path):
    write_costs(tmp_path / "page")
    frame = pd.read_csv(tmp_path / "page" / "figure5.csv").set_index("model")
    tables = yaml.safe_load((shared / "paper" / "tables.yaml").read_text())
    printed = {**tables["table1"], **tables["readme"]}
    ours = frame[["params", "gflops", "ap"]].apply(list, axis=1).to_dict()
    assert ours == {model: values[:3] for model, values in printed.items()}
    page = (tmp_path / "page" / "figure5.html").read_text()
    assert page.count("<img") == len(list((tmp_path / "page").glob("*.png"))) == 2


def test_runs_of_ones_own_stand_beside_them(small_sweep, tmp_path):
    write_costs(tmp_path, small_sweep)
    own = pd.read_csv(tmp_path / "figure5.csv").query("series == 'own runs'")
    assert sorted(own["model"]) == ["fpn", "pgi=none"]
    assert (own["params"] == 2.0).all()
    assert own["ap"].between(0, 100).all()


def test_a_folder_without_runs_is_a_sentence(folders, tmp_path):
    folders.make("a", status="failed")
    with pytest.raises(UserError, match="test AP"):
        write_costs(tmp_path / "page", folders.root)
    assert not (tmp_path / "page").exists()
