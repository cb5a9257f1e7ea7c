"""Information that was measured of runs stands in the report; what cannot be read does not."""

import pytest

from yolov9_lit.research.report.information import information_table
from yolov9_lit.research.report.rows import make_rows
from yolov9_lit.research.report.runs import read_runs

HEADER = "model,network,seed,layer,depth,quantity,value\n"
DEPTHS = {"image": 0, "P1": 1, "P2": 2, "P3": 6, "P4": 12, "P5": 18}


def content(values, model="icn"):
    shares = dict(zip(DEPTHS, values, strict=True))
    lines = [f"{model},trained,0,{name},{DEPTHS[name]},image,{v}\n" for name, v in shares.items()]
    others = [f"{model},trained,0,P3,6,rank,40\n", "GELAN,50,0,P3,6,image,0.9\n"]
    return HEADER + "".join([*lines, *others])


def table(folder):
    made = information_table(make_rows(read_runs(folder))[0])
    return [dict(zip(made.columns, (c.text for c in row), strict=True)) for row in made.rows]


def test_seeds_are_pooled_and_half_of_p1_is_found(folders):
    for seed, last in enumerate((0.2, 0.5)):
        folder = folders.make(f"s{seed}", seed=seed)
        values = [1, 0.8, 0.7, 0.6, 0.3 + seed / 5, last]
        (folder / "information.csv").write_text(content(values))
    (row,) = table(folders.root)
    del row["configuration"]
    assert row == {
        "seeds": "2",
        "P3": "0.600 ± 0.000",
        "P4": "0.400 ± 0.141",
        "P5": "0.350 ± 0.212",
        "half depth": "12.0, never in 1",
    }


@pytest.mark.parametrize(
    "broken",
    [
        "",
        HEADER,
        "model\n1\n",
        "\x00\xff",
        content([1, 1, 1, 1, 1, "x"]),
        content([1] * 6) + content([1] * 6, "other").removeprefix(HEADER),
    ],
)
def test_a_file_of_which_nothing_can_be_said_is_passed_over(folders, broken):
    (folders.make("s0") / "information.csv").write_text(broken)
    assert table(folders.root) == []
