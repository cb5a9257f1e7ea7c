"""Gradients that runs measured stand in the report; what cannot be read of them does not."""

import pytest

from yolov9_lit.research.report.gradients import gradient_table
from yolov9_lit.research.report.rows import make_rows
from yolov9_lit.research.report.runs import read_runs

HEADER = "epoch,stage,branch,quantity,value\n"


def table(folder):
    """Cells' texts by configuration, quantity and branch."""
    made = gradient_table(make_rows(read_runs(folder))[0])
    found = {}
    for row in made.rows:
        texts = dict(zip(made.columns, (cell.text for cell in row), strict=True))
        key = texts.pop("configuration"), texts.pop("gradient's"), texts.pop("branch")
        found[key] = texts
    return found


def test_the_later_half_of_each_run_counts_and_seeds_are_pooled(folders):
    for seed, late in enumerate((0.2, 0.4)):
        folder = folders.make(f"s{seed}", seed=seed)
        values = [9.0, 9.0, late - 0.1, late + 0.1]
        lines = [f"{epoch},P3,icn,cosine,{v}\n" for epoch, v in enumerate(values)]
        lines += [f"{epoch},P4,icn,cosine,0.5\n" for epoch in range(4)] if seed else []
        (folder / "gradients.csv").write_text(HEADER + "".join(lines))
    ((_, quantity, branch), texts), *more = table(folders.root).items()
    assert (quantity, branch, more) == ("cosine", "icn", [])
    assert texts == {"P3": "0.30 ± 0.14", "P4": "0.50"}


@pytest.mark.parametrize(
    "content",
    ["", "epoch\n1\n", HEADER, HEADER + "1,P3\n", HEADER + "a,P3,icn,cosine,b\n", "\x00\xff"],
)
def test_a_file_of_which_nothing_can_be_read_is_passed_over(folders, content):
    folder = folders.make("s0")
    (folder / "gradients.csv").write_text(content)
    assert table(folders.root) == {}


def test_runs_without_gradients_have_no_table(folders):
    folders.make("s0")
    assert table(folders.root) == {}
