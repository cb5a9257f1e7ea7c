"""The figure of information by depth: probe backbones, and write curves, tables and data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch import nn

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError, told
from yolov9_lit.files import atomic_write
from yolov9_lit.kinds import Count, InputSide, PositiveInt
from yolov9_lit.reporting.page import Section, write_sections
from yolov9_lit.research.figures.inputs import checkpoint_names, listed, read_subjects
from yolov9_lit.research.probes.backbones import (
    DeepBackboneFactory,
    Norm,
    random_backbone,
    trained_backbone,
)
from yolov9_lit.research.probes.cells import make_images
from yolov9_lit.research.probes.curves import (
    WORDS,
    draw_by_layer,
    half_depths,
    last_layers,
)
from yolov9_lit.research.probes.measure import Probes, class_count, make_probes, measure
from yolov9_lit.research.probes.quantities import IMAGE, TRAINED

log = logging.getLogger(__name__)

LEAST_IMAGES = 8
"""Fewer leave too few to choose the penalty and to test."""


def write_information(
    out: Path,
    image: str | Sequence[str] | None,
    checkpoints: str | Sequence[str] | None,
    data: DetectionDataModule,
    seed: int,
    models: Mapping[str, DeepBackboneFactory],
    depths: Sequence[PositiveInt],
    seeds: PositiveInt,
    size: str,
    norm: Norm,
    image_size: InputSide,
    images: PositiveInt,
    classes: PositiveInt,
    layers: Count,
    dimensions: PositiveInt,
) -> Path:
    """Write `information.html`, `information.csv` and the curves as PNG.

    Args:
        out: folder of the page; made if need be.
        image: images of one's own, without boxes; None for validation images of `data`.
        checkpoints: trained models to probe besides.
        data: where no image is given.
        seed: first seed of the random weights.
        models: backbones with random weights, by the names they are shown with.
        depths: layers of each of them.
        seeds: sets of random weights of each.
        size: model whose widths they take.
        norm: statistics of batch normalisation with random weights.
        image_size: side to which images are scaled, in pixels.
        images: most images.
        classes: most classes that are told apart.
        layers: most layers between the outputs P1 to P5.
        dimensions: most that the features of a cell are projected to.

    Returns:
        The page's path.

    Raises:
        UserError: images or checkpoints cannot be used, or there are too few images.
    """
    if not (models and depths) and not listed(checkpoints):
        raise UserError("There is nothing to probe: give figure.models and figure.depths, or ckpt.")
    files = listed(checkpoints)
    backbones = dict(zip(checkpoint_names(files), map(trained_backbone, files), strict=True))
    subjects = read_subjects(image, data, images)
    if len(subjects) < LEAST_IMAGES:
        few = told(len(subjects), "images are too few to probe on")
        raise UserError(f"{few}: give at least {LEAST_IMAGES}.")
    prepared = make_images(subjects, image_size, with_boxes=image is None)
    probes = make_probes(prepared, classes, layers, dimensions)
    if probes.covered is None:
        log.warning("No objects are known on enough of the images: only the image is read.")
    seeds_used = range(seed, seed + seeds)
    random = _of_random(models, depths, seeds_used, size, norm, probes)
    trained = _of_checkpoints(backbones, probes)
    table = pd.concat([*random, *trained], ignore_index=True)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "information.csv") as part:
        table.to_csv(part, index=False, float_format="%.5g")
    subtitle = _subtitle(len(subjects), image_size, size, norm, probes)
    sections = list(_sections(table, out))
    return write_sections(out / "information.html", "Information by depth", subtitle, sections)


def _of_random(
    models: Mapping[str, DeepBackboneFactory],
    depths: Sequence[int],
    seeds: Sequence[int],
    size: str,
    norm: Norm,
    probes: Probes,
) -> Iterator[pd.DataFrame]:
    for depth in depths:
        for name, factory in models.items():
            for seed in seeds:
                backbone = random_backbone(factory, size, depth, seed, norm)
                found = measure(backbone, probes)
                yield found.assign(model=name, network=str(depth), seed=seed)[_COLUMNS]
            log.info("%s of %d layers is probed.", name, depth)


def _of_checkpoints(backbones: Mapping[str, nn.Module], probes: Probes) -> Iterator[pd.DataFrame]:
    for name, backbone in backbones.items():
        found = measure(backbone, probes)
        yield found.assign(model=name, network=TRAINED, seed=0)[_COLUMNS]


_COLUMNS = ["model", "network", "seed", "layer", "depth", "quantity", "value"]


def _sections(table: pd.DataFrame, out: Path) -> Iterator[Section]:
    for quantity, words in WORDS.items():
        if quantity not in set(table["quantity"]):
            continue
        plot = draw_by_layer(table, quantity, out / f"{quantity}.png")
        tables = [last_layers(table, quantity)]
        if quantity == IMAGE:  # The others are no whole at P1 that could be halved.
            tables.append(half_depths(table, quantity))
        yield Section(words.capitalize(), _TEXTS[quantity], (plot,), tables)


_TEXTS = {
    "image": (
        "How much of the image a ridge regression reads from the features: each cell's 4 x 4 "
        "averages of the three colours (8 x 8 pixels each) from that cell's features, on images "
        "that it was not fitted on. 1 is all, 0 what the mean image tells."
    ),
    "covered": (
        "How well a linear readout tells the cells whose centre lies in an object's box: average "
        "precision of the cells ranked by it, 1 for faultless, 0 for what the cell's place alone "
        "tells (objects are more often in the middle), and less where not even that is read."
    ),
    "objects": (
        "How well a linear readout tells which class the smallest box around a cell's centre has, "
        "or that there is none: mean recall of these classes, 0 for chance and 1 for faultless."
    ),
    "rank": (
        "Effective rank of the cells' features: exp of the entropy of their normalised singular "
        "values (Roy & Vetterli 2007); at most the number of dimensions."
    ),
}


def _subtitle(images: int, image_size: int, size: str, norm: Norm, probes: Probes) -> str:
    kinds = "" if probes.labels is None else f", {class_count(probes.labels)} labels of cells"
    normalised = "the images at hand" if norm == "batch" else "their running averages"
    return (
        f"{images} images of {image_size} x {image_size} pixels{kinds}; widths of {size}; random "
        "weights are PyTorch's default (uniform, Kaiming with a = sqrt 5), batch normalisation by "
        f"the statistics of {normalised}, in checkpoints by their own. A layer is a tensor that "
        "every path from the image to P5 runs through, or an output P1 to P5; features are "
        "averaged at 4 x 4 places of a cell, or as many as it has, and projected at random to at "
        f"most {probes.dimensions} dimensions. Half of the images fit, a quarter chooses the "
        "penalty, a quarter is tested. What is projected may show less than a later layer does."
    )
