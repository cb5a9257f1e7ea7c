"""A sheet of training images as the training sees them, with their objects drawn on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from yolov9_lit.checks import whole_number_text
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.dataset import TrainDataset
from yolov9_lit.data.letterbox import resize_longest
from yolov9_lit.data.sample import Sample
from yolov9_lit.data.transforms.pipeline import Augmentation
from yolov9_lit.errors import UserError, counted
from yolov9_lit.files import atomic_write
from yolov9_lit.reporting.draw import draw_objects
from yolov9_lit.reporting.lettering import line_of_ink
from yolov9_lit.reporting.skeleton import skeletons_of
from yolov9_lit.structures import KeypointLayout

_LARGE, _SMALL = 480, 236  # Sides of the images; two small ones stand beside a large one.
_GAP = _LARGE - 2 * _SMALL
_MARGIN, _LINE, _LETTER = 24, 24, 15
_COLUMNS = 4
_INK, _PAPER = (40, 40, 40), (250, 250, 250)


class Entry(NamedTuple):
    """One training image: as it is augmented, letterboxed alone, and after mosaic has closed."""

    name: str
    augmented: Sample
    plain: Sample
    closed: Sample


def run(values: Mapping[str, str], build_data: Callable[[], DetectionDataModule]) -> None:
    """Draw a sheet of training images as the training sees them: the command `preview`.

    Args:
        values: "out"; optionally "count", 16 by default.
        build_data: makes the data module of the training's config.

    Raises:
        UserError: the config cannot be composed, the data is not there, or a value is wrong.
    """
    count = whole_number_text("count", values.get("count", "16"))
    datamodule = build_data()
    datamodule.prepare_data()
    datamodule.setup("fit")
    out = Path(values["out"])
    shown = write_preview(datamodule, out, count)
    sys.stdout.write(f"{out}: {shown} training images of {datamodule.root}\n")


def write_preview(datamodule: DetectionDataModule, out: Path, count: int) -> int:
    """Draw the first images of the first epoch, exactly as the training sees them.

    Args:
        datamodule: set up for training.
        out: the PNG file; its folder is made when needed.
        count: most images.

    Returns:
        How many there are.

    Raises:
        UserError: `out` is no .png, or an image cannot be read.
    """
    if out.suffix.lower() != ".png":
        raise UserError(f"The preview is a PNG image: give out=FILE.png instead of {out}.")
    entries = list(islice(_entries(datamodule), count))
    title = f"{datamodule.root}: seed {datamodule.batches.seed}, first epoch"
    sheet = draw_sheet(entries, datamodule.class_names, title, datamodule.keypoints)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as part:
        sheet.save(part, format="PNG")
    return len(entries)


def _entries(datamodule: DetectionDataModule) -> Iterator[Entry]:
    """Yield the training's samples in its own order."""
    loader = datamodule.train_dataloader()
    augmented = loader.dataset
    assert isinstance(augmented, TrainDataset)
    plain = TrainDataset(
        *(augmented.annotations, augmented.read, Augmentation(), augmented.image_size),
        seed=0,
        keypoints=augmented.keypoints,
    )
    for key in loader.sampler:
        name = Path(augmented.annotations.images.name(key.image)).name
        alone, skipped, *_ = plain.sample(key)
        if skipped:
            name = f"another in place of {name}, which {skipped[0].fault}"
        yield Entry(
            name,
            augmented.sample(key)[0],
            alone,
            augmented.sample(key._replace(closing=True))[0],
        )


def draw_sheet(
    entries: Sequence[Entry],
    class_names: Sequence[str],
    title: str,
    layout: KeypointLayout | None = None,
) -> Image.Image:
    """Draw a block for each entry, four in a row, under a title; keypoints of a layout."""
    columns = min(_COLUMNS, len(entries))
    rows = -(-len(entries) // columns)
    width, height = _LARGE + _GAP + _SMALL + _MARGIN, _LARGE + _LINE + _MARGIN
    size = (columns * width + _MARGIN, rows * height + 2 * _MARGIN + _LINE)
    sheet = Image.new("RGB", size, _PAPER)
    legend = "left: as trained on; right: as it is, and in the last epochs, mosaic closed"
    _write(sheet, (_MARGIN, _MARGIN), f"{title}  ({legend})", size[0] - 2 * _MARGIN)
    for i, entry in enumerate(entries):
        left = _MARGIN + i % columns * width
        top = 2 * _MARGIN + _LINE + i // columns * height
        caption = f"{entry.name}: {counted(len(entry.augmented.labels), 'object')}"
        _write(sheet, (left, top), caption, width - _MARGIN)
        right, top = left + _LARGE + _GAP, top + _LINE
        sheet.paste(_drawn(entry.augmented, _LARGE, class_names, layout), (left, top))
        sheet.paste(_drawn(entry.plain, _SMALL, class_names, layout), (right, top))
        sheet.paste(_drawn(entry.closed, _SMALL, class_names, layout), (right, top + _SMALL + _GAP))
    return sheet


def _drawn(
    sample: Sample, side: int, class_names: Sequence[str], layout: KeypointLayout | None
) -> Image.Image:
    """Scale an image, then draw on it, so that lines and letters are of one size."""
    image = resize_longest(sample.image, side, smooth=True)
    scaled = sample.resized(side)
    objects = (scaled.boxes, scaled.labels, list(scaled.polygons))
    skeletons = skeletons_of(scaled.keypoints.values, layout)
    return Image.fromarray(draw_objects(image, *objects, class_names, skeletons))


def _write(sheet: Image.Image, corner: tuple[int, int], text: str, width: int) -> None:
    """Write a line, its beginning cut where it is too long: names differ at their ends."""
    ink = line_of_ink(text, _LETTER)
    while ink.shape[1] > width and len(text) > 1:
        text = f"…{text[2:]}"
        ink = line_of_ink(text, _LETTER)
    sheet.paste(_INK, corner, Image.fromarray(ink))
