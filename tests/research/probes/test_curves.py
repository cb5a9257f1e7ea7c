"""Tables of what was measured."""

import pandas as pd

from yolov9_lit.research.probes.curves import half_depths, last_layers

COLUMNS = ["model", "network", "seed", "layer", "depth", "quantity", "value"]


def rows(model, seed, *values):
    layers = ["image", "P1", "layer 4", "P2", "P5"]
    depths = [0, 1, 4, 7, 9]
    return [
        (model, "9", seed, layer, depth, "image", value)
        for layer, depth, value in zip(layers, depths, values, strict=True)
    ]


TABLE = pd.DataFrame(
    [
        *rows("A", 0, 1.0, 0.8, 0.5, 0.3, 0.2),
        *rows("A", 1, 1.0, 0.8, 0.39, 0.45, 0.1),
        *rows("A", 2, 1.0, 0.8, 0.7, 0.6, 0.39),
        *rows("B", 0, 1.0, 0.8, 0.7, 0.6, 0.5),
    ],
    columns=COLUMNS,
)


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_half_is_that_of_the_first_level():
    found = half_depths(TABLE, "image")
    assert found.columns == ["model", "9 layers"]
    assert texts(found) == [["A", "7 (4 to 9)"], ["B", "never"]]


def test_the_last_level_has_its_spread():
    assert texts(last_layers(TABLE, "image")) == [["A", "0.200 (0.100 to 0.390)"], ["B", "0.500"]]
