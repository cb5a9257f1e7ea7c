"""The data module of the user's own torch datasets: whatever gives images, boxes and labels.

What a dataset says is read once at the start and kept as a COCO-format file, so that training,
metric, reports and figures find it as they find every data set; images are read by their index.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.faults import Note
from yolov9_lit.data.coco.file import Entry
from yolov9_lit.data.coco.judge import judge_annotations
from yolov9_lit.data.coco.mask_entries import mask_entry
from yolov9_lit.data.coco.reader import pack
from yolov9_lit.data.coco.records import load_records
from yolov9_lit.data.coco.traced import with_traced
from yolov9_lit.data.coco.truth import truth_of
from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.data.images import encode_image, image_size, read_encoded
from yolov9_lit.errors import UserError
from yolov9_lit.files import write_json
from yolov9_lit.kinds import AnyPath

_ITEM = "(image, boxes, labels) or (image, boxes, labels, masks)"


class OwnDataset(Protocol):
    """What a dataset has to be; the same item for the same index, each time and in any process.

    Attributes:
        class_names: by label.
    """

    class_names: Sequence[str]

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return an image and its K objects.

        Returns:
            The image, (H, W, 3) uint8 RGB or the path of a file; boxes (K, 4) xyxy in its pixels;
            labels (K,) from 0; and, if there are some, masks (K, H, W), true where an object is.
        """
        ...


class OwnDataModule(DetectionDataModule):
    """Splits that are datasets; they are augmented, cached and measured as all others are."""

    def __init__(
        self,
        root: AnyPath,
        train: Any,
        val: Any,
        test: Any = None,
        **kwargs: Annotated[Any, DetectionDataModule],
    ) -> None:
        """Set the parts; nothing is read yet.

        Args:
            root: a folder, in whose `.cache` by default lies what is kept.
            train: an `OwnDataset`.
            val: another.
            test: another; the validation's by default.
            kwargs: of `DetectionDataModule`.
        """
        kwargs |= {"test_images": None, "test_annotations": None if test is None else "test"}
        super().__init__(root, ".", "train", ".", "val", **kwargs)
        self.datasets = {"train": train, "val": val, "test": val if test is None else test}
        self._files: dict[int, Path] = {}

    def annotation_file(self, split: str) -> Path:
        """Return where what the dataset of a split says is kept; it is read once."""
        dataset = self.datasets[split]
        if id(dataset) not in self._files:
            name = "val" if dataset is self.datasets["val"] else split
            folder = self.batches.cache_dir / "own"
            self._files[id(dataset)] = _kept(_scanned(dataset, name), folder, name)
        return self._files[id(dataset)]

    def _open(self, split: str) -> Annotations:
        file = self.annotation_file(split)
        judged = judge_annotations(load_records(file))
        judged.faults.raise_or_warn(strict=self.strict)
        if judged.faults.notes[Note.RLE]:
            sound, entries = judged.sound, [*judged.images.values()]
            traced = with_traced(sound, judged.entries, entries, judged.sizes, judged.faults)
            judged = replace(judged, sound=traced)
        names = tuple(str(entry["file_name"]) for entry in judged.images.values())
        annotations = replace(pack(judged), images=OwnImages(self.datasets[split], names))
        if split != "train":
            truth = truth_of(annotations, judged.sound.given, judged.sound.area)
            self._truths[file, False, False] = self.choice.of_truth(truth, file)
        return annotations


@dataclass(frozen=True, eq=False)
class OwnImages:
    """The images of a dataset; an `ImageSource`.

    Attributes:
        dataset: that gives them.
        names: (N,) for messages.
    """

    dataset: OwnDataset
    names: tuple[str, ...]

    def name(self, index: int) -> str:
        """Return the file's path, or the split and the index."""
        return self.names[index]

    def encoded(self, index: int) -> bytes:
        """Return the file's content; of an array, that of an uncompressed BMP file."""
        image = self.dataset[index][0]
        if isinstance(image, str | Path):
            return read_encoded(Path(image))
        return encode_image(image, ".bmp")


def _kept(content: dict[str, Any], folder: Path, name: str) -> Path:
    """Write content in COCO's format, unless it is there, and return the file."""
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    file = folder / f"{name}-{digest}.json"
    try:
        if not file.is_file():
            write_json(file, content)
    except OSError as error:
        raise UserError(
            f"{file} cannot be written ({error.strerror}): give data.cache_dir=DIR."
        ) from error
    return file


def _scanned(dataset: Any, split: str) -> dict[str, Any]:
    """Return in COCO's form what a dataset says.

    Raises:
        UserError: it is none, or an item is not what it should be.
    """
    kind = type(dataset).__name__
    class_names = getattr(dataset, "class_names", None)
    lacking = [name for name in ("__len__", "__getitem__") if not hasattr(dataset, name)]
    if lacking or not isinstance(class_names, Sequence) or isinstance(class_names, str):
        what = ", ".join([*lacking, *["class_names"] * (not lacking)])
        raise UserError(f"data.{split}={kind} lacks {what}: give a dataset as OwnDataset is.")
    images: list[Entry] = []
    annotations: list[Entry] = []
    for index in range(len(dataset)):
        where = f"{split} {kind}[{index}]"
        try:
            image, objects = _read(dataset[index], where, len(class_names))
        except (TypeError, ValueError) as error:
            raise UserError(f"{where} is not {_ITEM} ({error}): correct the dataset.") from error
        images.append({"id": index} | image)
        for entry in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": index} | entry)
    if not images:
        raise UserError(f"data.{split}={kind} has no image: give a dataset with some.")
    categories = [{"id": i, "name": str(name)} for i, name in enumerate(class_names)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _read(item: Any, where: str, classes: int) -> tuple[Entry, list[Entry]]:
    """Return an item's image and objects in COCO's form.

    Raises:
        ValueError: it is something else, as is told.
        TypeError: it is something else.
    """
    image, boxes, labels, *rest = item
    if len(rest) > 1:
        raise ValueError(f"it has {3 + len(rest)} parts")
    name = str(image) if isinstance(image, str | Path) else where
    height, width = _size(image)
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    numbers = np.asarray(labels)
    if numbers.size == 0:
        numbers = np.zeros(0, dtype=np.int64)
    if numbers.shape != (len(corners),) or numbers.dtype.kind not in "iu":
        raise ValueError(f"its labels are not {len(corners)} whole numbers, one for each box")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
        raise ValueError(f"its labels are not all in 0..{classes - 1}")
    sides = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1).tolist()
    objects: list[Entry] = [
        {"category_id": label, "bbox": box, "iscrowd": 0}
        for label, box in zip(numbers.tolist(), sides, strict=True)
    ]
    if rest and rest[0] is not None:
        masks = np.asarray(rest[0]).astype(np.uint8)
        if masks.shape != (len(corners), height, width):
            raise ValueError(f"its masks are {masks.shape}, not one of the image's size a box")
        for entry, mask in zip(objects, masks, strict=True):
            entry |= mask_entry(mask)
    return {"file_name": name, "height": height, "width": width}, objects


def _size(image: Any) -> tuple[int, int]:
    """Return the height and width of an image in pixels."""
    if isinstance(image, str | Path):
        if (size := image_size(Path(image))) is None:
            raise ValueError(f"there is no image file {image}")
        return size
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,):
        return int(image.shape[0]), int(image.shape[1])
    kind, shape = getattr(image, "dtype", type(image).__name__), getattr(image, "shape", ())
    raise ValueError(
        f"its image is {kind} of shape {tuple(shape)}, not an array (H, W, 3) of uint8 or a path"
    )
