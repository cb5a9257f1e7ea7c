"""Decode every image of a data set once, to know before a training what it cannot use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from yolov9_lit.data.annotations import Annotations
from yolov9_lit.data.coco.faults import Fault, Faults
from yolov9_lit.data.images import ImageSource, UnreadableImage, load_image
from yolov9_lit.data.loader import single_threaded

_TOGETHER = 16  # Images in a message from a worker.


class ImageFacts(NamedTuple):
    """What a decoded image is, or what is wrong with it.

    Attributes:
        height: in pixels.
        width: in pixels.
        digest: a hash of its pixels.
        brightest: the largest of its samples, 0 to 255.
        fault: why it cannot be used; empty if it can.
    """

    height: int = 0
    width: int = 0
    digest: bytes = b""
    brightest: int = 0
    fault: str = ""


class _Decoded(Dataset[ImageFacts]):
    def __init__(self, images: ImageSource, count: int) -> None:
        self.images = images
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> ImageFacts:
        try:
            pixels = load_image(self.images, index)
        except UnreadableImage as error:
            return ImageFacts(fault=error.fault)
        digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
        digest.update(repr(pixels.shape).encode())
        height, width = pixels.shape[:2]
        return ImageFacts(height, width, digest.digest(), int(pixels.max()))


def scan(annotations: Annotations, workers: int) -> Iterator[ImageFacts]:
    """Decode each image, in order, and show the progress.

    Reading headers only is sixty times as fast, but files that are cut short have whole ones.

    Args:
        annotations: of the images.
        workers: processes; 0 for this one only.
    """
    loader = DataLoader(
        _Decoded(annotations.images, len(annotations)),
        batch_size=_TOGETHER,
        num_workers=workers,
        collate_fn=list,
        worker_init_fn=single_threaded,
        generator=torch.Generator(),  # The training's random numbers stay as they are.
    )
    title, count = f"decoding the images of {annotations.path.name}", len(annotations)
    yield from track(chain.from_iterable(loader), title, total=count, transient=True)


def note_faults(
    names: Iterable[str], sizes: np.ndarray, facts: Iterable[ImageFacts], faults: Faults
) -> None:
    """Add the images that cannot be used to `faults`.

    Args:
        names: of N images, for messages.
        sizes: (N, 2), their heights and widths as the annotations say.
        facts: what they are.
        faults: what is wrong is added.
    """
    for name, said, image in zip(names, sizes, facts, strict=True):
        height, width = image.height, image.width
        if image.fault:
            faults.add(Fault.IMAGE_UNUSABLE, name, detail=image.fault)
        elif (height, width) != tuple(said):
            faults.add_size(name, (height, width), tuple(said))


@rank_zero_only
def require_usable(source: str, splits: Iterable[Annotations], workers: int) -> None:
    """Refuse images that cannot be decoded or have another size than their annotations say.

    Only the first rank looks; the others wait for it at their next collective operation.

    Args:
        source: name of the data set.
        splits: the images to decode.
        workers: processes; 0 for this one only.

    Raises:
        UserError: there are such images; it lists all of them.
    """
    faults = Faults(source)
    for split in splits:
        names = map(split.images.name, range(len(split)))
        note_faults(names, split.sizes, scan(split, workers), faults)
    faults.raise_or_warn(strict=True)
