"""Names of configurations: few settings, unique, the same each time."""

from itertools import product

from yolov9_lit.research.report.naming import MOST, labels, short_labels, telling
from yolov9_lit.research.report.rows import make_rows
from yolov9_lit.research.report.runs import read_runs
from yolov9_lit.research.report.write import write_report


def test_settings_that_vary_together_are_named_once_by_the_shortest():
    both = [{"pgi": "none", "stages": "[[64, 64]]", "depth": "2", "width": "8"}]
    both += [{"pgi": "icn", "stages": "[[32, 32]]", "depth": "1", "width": "4"}]
    assert telling(both, kept=["pgi"]) == ["pgi"]
    assert telling(both, kept=[]) == ["depth"]


def test_what_varies_on_its_own_stays():
    every = [{"a": a, "b": b, "ab": a + b} for a, b in product("12", "34")]
    assert telling(every, kept=[]) == ["a", "b"]
    assert telling([{"model": "gelan_t"}], kept=[]) == ["model"]


def test_long_values_are_cut_where_the_names_stay_unique():
    long = [{"x": "a" * 50}, {"x": "b" * 50}, {"x": "b" * 49 + "c"}]
    for made in (labels(long), short_labels(long)):
        assert len(set(made)) == 3
        assert len(made[0]) <= MOST + 2
        assert made[1:] == ["x=" + "b" * 50, "x=" + "b" * 49 + "c"]
    assert labels([{"x": "none"}, {"x": "none"}]) == ["x=none", "x=none (2)"]


def test_a_folder_of_unlike_runs_has_short_names_and_tells_the_rest(folders):
    folders.make("a", choices={"pgi": "none"}, config={"data.batch_size": 8})
    folders.make("b", choices={"pgi": "none"}, epochs=6)
    folders.make("c", choices={"pgi": "fpn"}, epochs=6)
    rows, _ = make_rows(read_runs(folders.root))
    names = ["pgi=none batch_size=8", "pgi=none batch_size=16", "pgi=fpn batch_size=16"]
    short = [row.label for row in rows]
    assert len(set(short)) == 3
    assert all(len(label) <= max(map(len, names)) + 2 for label in short), short
    assert all({"batch_size", "max_epochs"} <= set(row.settings) for row in rows)
    out = write_report(folders.root, folders.root / "out", replicates=20).folder
    html = (out / "report.html").read_text()
    assert 'title="pgi=none batch_size=8 max_epochs=4"' in html
    assert "Further settings that differ" in html
    assert "All share model=yolov9_t block=csp." in html
