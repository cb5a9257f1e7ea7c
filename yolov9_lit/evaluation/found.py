"""The detections of a whole data set: in arrays, and as a file in COCO's results format."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolov9_lit.evaluation.masks import EncodedMasks
from yolov9_lit.files import atomic_write

BOX_DECIMALS = 3
"""Of detections' boxes, in pixels, as they are measured and written."""

SCORE_DECIMALS = 6
"""Of detections' scores, likewise."""

KEYPOINT_DECIMALS = 3
"""Of their keypoints, in pixels, and of how visible these are."""

_ROWS = 50_000  # Written at once: what text takes in memory is small beside the arrays.
_UNITS = 10**BOX_DECIMALS
_WHOLE = np.array([f"{i}" for i in range(10_000)], dtype=object)
_PART = np.array([f"{i / _UNITS}"[1:] for i in range(_UNITS)], dtype=object)


class Found(NamedTuple):
    """N detections in the images that were evaluated.

    Attributes:
        images: ids of the images, int64, each once.
        image_ids: (N,) int64.
        boxes: (N, 4), x, y, width and height in pixels, with `BOX_DECIMALS`.
        scores: (N,), with `SCORE_DECIMALS`.
        category_ids: (N,) int64.
        masks: of the N detections; None where the detector finds no masks.
        keypoints: (N, K, 3), x, y and how visible, 0..1, with `KEYPOINT_DECIMALS`; None where the
            detector finds none.
        extra: (N, E), see `Head.decode_extra`; None where the detector finds none.
    """

    images: np.ndarray
    image_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    category_ids: np.ndarray
    masks: EncodedMasks | None = None
    keypoints: np.ndarray | None = None
    extra: np.ndarray | None = None

    @property
    def wanted(self) -> dict[str, bool]:
        """Return what a ground truth must have besides boxes, as `ReadTruth` is asked for it."""
        kinds = {"masks": self.masks, "keypoints": self.keypoints}
        return {kind: True for kind, values in kinds.items() if values is not None}

    def of_images(self, ids: Collection[int]) -> Found:
        """Return those of some of the images."""
        wanted = np.fromiter(ids, np.int64, len(ids))
        kept = np.isin(self.image_ids, wanted)
        images = self.images[np.isin(self.images, wanted)]
        return Found(
            images,
            self.image_ids[kept],
            self.boxes[kept],
            self.scores[kept],
            self.category_ids[kept],
            None if self.masks is None else self.masks.take(kept),
            None if self.keypoints is None else self.keypoints[kept],
            None if self.extra is None else self.extra[kept],
        )

    def write(self, path: Path) -> None:
        """Write COCO's results format, whole or not at all; make the folder if needed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part, part.open("w", encoding="ascii") as file:
            file.writelines(self.json())
            file.write("\n")

    def json(self) -> Iterator[str]:
        """Yield the text of COCO's results format in parts.

        It is what `json.dumps` makes of a dictionary a detection, in a fifth of the time: most of
        that goes into the digits of the boxes, which are looked up here.
        """
        yield "["
        for start in range(0, len(self.scores), _ROWS):
            rows = slice(start, start + _ROWS)
            columns = (
                _texts(self.image_ids[rows], ', {"image_id": ', ', "category_id": '),
                _texts(self.category_ids[rows], "", ', "bbox": ['),
                *(
                    _lengths(side) + end
                    for side, end in zip(
                        self.boxes[rows].T, (", ", ", ", ", ", '], "score": '), strict=True
                    )
                ),
                _numbers(self.scores[rows]),
                self._ends(rows),
            )
            text = "".join(np.stack(columns, axis=1).ravel().tolist())
            yield text if start else text.removeprefix(", ")
        yield "]"

    def _ends(self, rows: slice) -> np.ndarray:
        """Return what follows the score of some detections."""
        ends = np.full(len(self.scores[rows]), "", dtype=object)
        if self.masks is not None:
            ends = ends + _values("segmentation", self.masks.entries(rows))
        if self.keypoints is not None:
            flat = self.keypoints[rows].reshape(len(ends), -1)
            ends = ends + _values("keypoints", flat.tolist())
        if self.extra is not None:
            ends = ends + _values("extra", self.extra[rows].tolist())
        return ends + "}"


def _values(key: str, values: Sequence[Any]) -> np.ndarray:
    """Return what detections have under a key, as text that follows what is before it."""
    return np.array([f', "{key}": {json.dumps(value)}' for value in values], dtype=object)


def _texts(ids: np.ndarray, before: str, after: str) -> np.ndarray:
    """Return ids between two texts."""
    values, places = np.unique(ids, return_inverse=True)
    return np.array([f"{before}{i}{after}" for i in values.tolist()], dtype=object)[places]


def _lengths(values: np.ndarray) -> np.ndarray:
    """Return the digits of pixels with `BOX_DECIMALS`; of odd ones as JSON has them."""
    usual = (values >= 0) & (values < len(_WHOLE) - 1)
    whole, part = np.divmod(np.rint(values[usual] * _UNITS).astype(np.int64), _UNITS)
    texts = np.empty(len(values), dtype=object)
    texts[usual] = _WHOLE[whole] + _PART[part]
    texts[~usual] = _numbers(values[~usual])
    return texts


def _numbers(values: np.ndarray) -> np.ndarray:
    """Return numbers as JSON has them."""
    return np.array(json.dumps(values.tolist())[1:-1].split(", ")[: len(values)], dtype=object)
