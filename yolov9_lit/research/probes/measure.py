"""Probe one backbone: what can be read from each of its layers, as rows of a long table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor, nn

from yolov9_lit.research.probes.cells import BACKGROUND, CELL, Images, cells_of, projected
from yolov9_lit.research.probes.layers import Layer, find_layers, thinned, watch_layers
from yolov9_lit.research.probes.quantities import COVERED, IMAGE, OBJECTS, RANK
from yolov9_lit.research.probes.readout import (
    Split,
    average_precision,
    balanced_accuracy,
    covered_precision,
    effective_rank,
    explained_variance,
    split_images,
)

OTHER = BACKGROUND - 1
"""Label of cells of a class that too few images have."""


class Probes(NamedTuple):
    """How backbones are probed.

    Attributes:
        images: on which.
        split: of their cells.
        covered: (N,) bool, the cells with an object around their centres; None where a part of the
            split has only such or none, or the place tells all of them.
        place: average precision on these, on test samples, by the cell's place in the image alone.
        labels: (N,) of the cells, rare classes taken together; None where none are known.
        layers: most layers between the outputs P1 to P5.
        dimensions: most that features are projected to.
    """

    images: Images
    split: Split
    covered: np.ndarray | None
    place: float
    labels: np.ndarray | None
    layers: int
    dimensions: int


def make_probes(images: Images, classes: int, layers: int, dimensions: int) -> Probes:
    """Prepare what is the same for all backbones.

    Args:
        images: at least 4.
        classes: most classes that are told apart; the others are one.
        layers: see `Probes`.
        dimensions: see `Probes`.
    """
    grid = images.pixels.shape[2] // CELL
    split = split_images(len(images.pixels), grid * grid)
    covered, place, labels = None, 1.0, None
    if images.labels is not None:
        found = images.labels.numpy().reshape(-1)
        labels = _grouped(found, split, classes)
        covered = found != BACKGROUND
        mixed = all(covered[part].any() and not covered[part].all() for part in split)
        place = _by_place(covered, split, grid * grid) if mixed else 1.0
        if place == 1:
            covered = None
    return Probes(images, split, covered, place, labels, layers, dimensions)


def class_count(labels: np.ndarray) -> int:
    """Return the number of labels of cells, background and "other" among them."""
    return len(np.unique(labels))


def measure(backbone: nn.Module, probes: Probes) -> pd.DataFrame:
    """Measure the image itself and the layers: columns layer, depth, quantity, value.

    Args:
        backbone: gives a BackboneOutput; in the mode in which it shall normalise.
        probes: from `make_probes`.
    """
    pixels = probes.images.pixels
    grid = pixels.shape[2] // CELL
    targets = cells_of(pixels, grid)
    rows = []

    def see(layer: Layer, maps: Tensor) -> None:
        features = projected(cells_of(maps.float(), grid), probes.dimensions)
        for quantity, value in _quantities(features, targets, probes).items():
            rows.append((layer.name, layer.depth, quantity, value))

    see(Layer("image", 0, 0), pixels)
    layers = thinned(find_layers(backbone, pixels[:2]), probes.layers)
    watch_layers(backbone, pixels, layers, see)
    return pd.DataFrame(rows, columns=["layer", "depth", "quantity", "value"])


def _quantities(features: Tensor, targets: Tensor, probes: Probes) -> dict[str, float]:
    x, y = features.double().numpy(), targets.double().numpy()
    found = {IMAGE: explained_variance(x, y, probes.split), RANK: effective_rank(x)}
    if probes.covered is not None:
        precision = covered_precision(x, probes.covered, probes.split)
        found[COVERED] = (precision - probes.place) / (1 - probes.place)
    if probes.labels is not None:
        chance = 1 / class_count(probes.labels)
        recall = balanced_accuracy(x, probes.labels, probes.split)
        found[OBJECTS] = (recall - chance) / (1 - chance)
    return found


def _by_place(covered: np.ndarray, split: Split, cells: int) -> float:
    """Rank test samples by how often the other images' cells at the same place are covered."""
    known = covered[~split.test].reshape(-1, cells).mean(axis=0)
    scores = np.tile(known, len(covered) // cells)
    return average_precision(scores[split.test], covered[split.test])


def _grouped(labels: np.ndarray, split: Split, most: int) -> np.ndarray | None:
    """Keep background and the commonest classes that each part has; None if one label is left."""
    classes, counts = np.unique(labels[labels != BACKGROUND], return_counts=True)
    everywhere = [all((labels[part] == c).any() for part in split) for c in classes]
    usable = classes[everywhere][np.argsort(-counts[everywhere], kind="stable")][:most]
    found = np.where(np.isin(labels, [BACKGROUND, *usable]), labels, OTHER)
    if not all((found[part] == OTHER).any() for part in split):
        found[found == OTHER] = BACKGROUND
    whole = all((found[part] == c).any() for part in split for c in np.unique(found))
    return found if whole and class_count(found) > 1 else None
