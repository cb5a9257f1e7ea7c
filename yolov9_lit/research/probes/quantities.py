"""What probes measure, by name, and what is read from it; without torch, for reports."""

from __future__ import annotations

import pandas as pd

IMAGE, COVERED, OBJECTS, RANK = "image", "covered", "objects", "rank"
"""Quantities: share of the image's variance that is explained; average precision on the cells that
an object covers, less that of knowing the cell's place alone (0 is no more, 1 is faultless);
balanced accuracy on the classes of cells, chance taken off (0 is chance, 1 is faultless);
effective rank."""

TRAINED = "trained"
"""`network` of a checkpoint; that of a backbone with random weights is its nominal depth."""


def half_depth(layers: pd.DataFrame) -> float:
    """Return the first depth with less than half of P1's value; NaN where it never falls so far.

    Args:
        layers: of one network and quantity: layer, depth, value.
    """
    half = layers.loc[layers["layer"] == "P1", "value"].iloc[0] / 2
    fallen = layers[(layers["depth"] > 1) & (layers["value"] < half)]
    return float(fallen["depth"].min())
