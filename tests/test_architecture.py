"""docs/architecture.md tells what is: the rooms of the import contract, files that exist."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "yolov9_lit"
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_the_rooms_are_those_of_the_import_contract_in_its_order():
    """And each is described by the first line of its own docstring."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = content["tool"]["importlinter"]["contracts"]
    rooms = [layer for layer in contract["layers"] if (PACKAGE / layer).is_dir()]
    expected = []
    for room in rooms:
        doc = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
        expected.append(f"| `{room}/` | {doc.splitlines()[0]} |")
    (table,) = re.findall(r"^\| room \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, flags=re.M)
    assert table.splitlines() == expected


def test_every_file_and_folder_that_is_named_exists():
    named = set(re.findall(r"[`\"]([\w./]+(?:\.py|\.yaml|/))[`\"]", PAGE))
    assert len(named) > 40
    missing = [name for name in named if not any((p / name).exists() for p in (PACKAGE, ROOT))]
    assert not missing


def test_a_part_is_added_without_a_change_of_the_package():
    """The folders of configs that the page tells to add to are groups of a command."""
    groups = set(re.findall(r"`conf/(\w+)/`", PAGE))
    assert {"block", "pgi", "loss", "assigner", "evaluation", "data", "format"} <= groups
    assert all(list((ROOT / "conf" / group).glob("*.yaml")) for group in groups)
