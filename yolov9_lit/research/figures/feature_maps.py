"""The paper's figures 2 and 6: what random initial weights leave of an image, by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError
from yolov9_lit.kinds import InputSide, Limits, PositiveInt
from yolov9_lit.reporting.page import Section, write_sections
from yolov9_lit.reporting.plot import FONT, Plot, save_plot
from yolov9_lit.research.figures.inputs import Subject, read_subjects
from yolov9_lit.research.probes.backbones import DeepBackboneFactory, Norm, random_backbone

Map = Literal["mean", "principal"]
"""How (C, h, w) becomes (h, w): the mean of the channels, or their first principal component."""

PRINCIPAL = (
    "the first principal component of its channels over the places of the map, its sign such that "
    "the few extreme places are bright"
)
"""Words for that."""

Scale = Literal["image", "shared"]
"""What is black and what is white: the extremes of each map, or of all maps of an image."""


class Picture(NamedTuple):
    """One map as it is drawn.

    Attributes:
        model: name of the backbone.
        depth: that was asked for, in layers.
        built: layers that the backbone has.
        values: (h, w) float.
    """

    model: str
    depth: int
    built: int
    values: np.ndarray


def write_feature_maps(
    out: Path,
    image: str | Sequence[str] | None,
    data: DetectionDataModule,
    seed: int,
    name: str,
    models: Mapping[str, DeepBackboneFactory],
    depths: Sequence[PositiveInt],
    level: Annotated[int, Limits(1, 5)],
    size: str,
    norm: Norm,
    map: Map,
    scale: Scale,
    image_size: InputSide,
    images: PositiveInt,
) -> Path:
    """Write a page with a grid of maps for each image, and the grids as PNG.

    Args:
        out: folder of the page; made if need be.
        image: images of one's own; None for validation images of `data`.
        data: where no image is given.
        seed: of the random weights.
        name: of the files.
        models: backbones, by the names they are shown with; a column each.
        depths: layers of each of them; a row each.
        level: which of the outputs P1 to P5 is shown.
        size: model whose widths they take.
        norm: statistics of batch normalisation.
        map: how the channels become one value.
        scale: what is black and what is white.
        image_size: side to which images are scaled, in pixels.
        images: most images.

    Returns:
        The page's path.

    Raises:
        UserError: images cannot be used, or there is nothing to draw.
    """
    if not (models and depths):
        raise UserError("There is nothing to draw: give figure.models and figure.depths.")
    subjects = read_subjects(image, data, images)
    out.mkdir(parents=True, exist_ok=True)
    inputs = [_input(subject, image_size) for subject in subjects]
    pictures: list[list[Picture]] = [[] for _ in subjects]
    for depth in depths:
        for model, factory in models.items():
            backbone = random_backbone(factory, size, depth, seed, norm)
            built = backbone.depth
            assert isinstance(built, int)
            for one, tensor in zip(pictures, inputs, strict=True):
                with torch.no_grad():
                    (maps,) = backbone(tensor).main[level - 1]
                one.append(Picture(model, depth, built, channels_as_one(maps, map)))
    caption = _caption(level, size, norm, map, scale, image_size, seed)
    plots = []
    for index, (subject, own) in enumerate(zip(subjects, pictures, strict=True)):
        path = out / (f"{name}.png" if len(subjects) == 1 else f"{name}_{index}.png")
        plots.append(_draw(subject, own, scale, path))
    section = Section("Feature maps with random weights", caption, plots)
    title = "What random initial weights leave of an image"
    return write_sections(out / f"{name}.html", title, "", [section])


def channels_as_one(maps: Tensor, kind: Map) -> np.ndarray:
    """Make one value of the channels at each place.

    Args:
        maps: (C, h, w).
        kind: mean or first principal component, whose few extreme places are positive.

    Returns:
        (h, w) float64.
    """
    values = maps.double().flatten(1)
    if kind == "mean":
        one = values.mean(dim=0)
    else:
        centred = values - values.mean(dim=1, keepdim=True)
        _, vectors = torch.linalg.eigh(centred @ centred.T)
        one = vectors[:, -1] @ centred
        one = one if one.pow(3).sum() >= 0 else -one
    return one.reshape(maps.shape[1:]).numpy()


def brightness(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale values linearly to 0..1; what is the same everywhere becomes 0.5."""
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return np.full_like(values, 0.5)
    return (values - low) / (high - low)


def _input(subject: Subject, image_size: int) -> Tensor:
    side = (image_size, image_size)
    scaled = cv2.resize(subject.image, side, interpolation=cv2.INTER_AREA)
    return torch.from_numpy(scaled).permute(2, 0, 1)[None].float() / 255


def _draw(subject: Subject, pictures: Sequence[Picture], scale: Scale, path: Path) -> Plot:
    models = list(dict.fromkeys(p.model for p in pictures))
    depths = list(dict.fromkeys(p.depth for p in pictures))
    shape = (len(depths), len(models) + 1)
    figure = Figure(figsize=(1.7 * shape[1], 1.85 * shape[0] + 0.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(*shape, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].imshow(cv2.resize(subject.image, (320, 320), interpolation=cv2.INTER_AREA))
    grid[0, 0].set_title("image", fontsize=FONT)
    everything = np.stack([(p.values.min(), p.values.max()) for p in pictures])
    for picture in pictures:
        axes = grid[depths.index(picture.depth), models.index(picture.model) + 1]
        own = (picture.values.min(), picture.values.max())
        ends = own if scale == "image" else (everything[:, 0].min(), everything[:, 1].max())
        shown = brightness(picture.values, *ends)
        axes.imshow(shown, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(f"{picture.model}, {picture.built} layers", fontsize=FONT)
    return save_plot(figure, path, subject.name)


def _caption(
    level: int, size: str, norm: Norm, kind: Map, scale: Scale, image_size: int, seed: int
) -> str:
    channels = {
        "mean": "the mean of its channels",
        "principal": PRINCIPAL,
    }
    ends = {
        "image": "each map from its own smallest value (dark) to its largest (bright)",
        "shared": "all maps between the same smallest (dark) and largest value (bright)",
    }
    statistics = {
        "batch": "the mean and variance of this image's own activations, as in training",
        "running": "the initial running averages, 0 and 1, which normalise nothing",
    }
    return (
        f"Output P{level} ({image_size // 2**level} x {image_size // 2**level} places for an "
        f"image of {image_size} x {image_size} pixels) of backbones with {size}'s widths and "
        "random weights as a training starts from (PyTorch's default: uniform, Kaiming with "
        f"a = sqrt 5; seed {seed}). A picture is {channels[kind]}, {ends[scale]}, without "
        f"smoothing. Batch normalisation uses {statistics[norm]}. The paper does not tell how it "
        "made its pictures; map, scale, norm and level are settings of this figure."
    )
