"""What an exported file tells of itself: the card, and how the file wants its input."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor, nn

import yolov9_lit
from yolov9_lit.data.letterbox import GREY, STRIDE
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.models.head import STRIDES
from yolov9_lit.weights.card import ModelCard

KEY = "yolov9_lit"
"""Of the record's JSON in a file's metadata."""


class InputShape(NamedTuple):
    """The images a file takes: (batch, 3, height, width); None where any will do."""

    batch: int | None = None
    height: int | None = None
    width: int | None = None

    @property
    def image(self) -> tuple[int, int] | None:
        """Height and width in pixels, if they are fixed."""
        return None if self.height is None or self.width is None else (self.height, self.width)


@dataclass(frozen=True)
class ExportRecord:
    """All that is needed to use an exported file.

    Attributes:
        card: classes and preprocessing, and the model that was deployed.
        shape: of the input.
        half: weights are float16; inputs and outputs are float32 always.
        nms: settings of the NMS inside; None where the file gives all candidates.
        version: of this package that wrote the file.
    """

    card: ModelCard
    shape: InputShape
    half: bool = False
    nms: NMSSettings | None = None
    version: str = yolov9_lit.__version__

    def to_json(self) -> str:
        """The record, and conventions that a reader without this package wants to know."""
        return json.dumps(
            {
                "version": self.version,
                "card": self.card.to_dict(),
                "shape": self.shape._asdict(),
                "half": self.half,
                "nms": asdict(self.nms) if self.nms else None,
                "strides": STRIDES,
                "letterbox": {"placement": "centred", "grey": GREY, "input": "RGB, 0..1"},
            }
        )

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> ExportRecord:
        """Read what `to_json` gave.

        Args:
            text: None where the file has none.
            path: of the file, for messages.

        Raises:
            UserError: there is no record, or it is broken or of a later version.
        """
        try:
            record: dict[str, Any] = json.loads(text or "{}")
            return cls(
                card=ModelCard.from_dict(record["card"]),
                shape=InputShape(**record["shape"]),
                half=record["half"],
                nms=NMSSettings(**record["nms"]) if record["nms"] else None,
                version=record["version"],
            )
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise UserError(
                f"{path} does not tell its classes and preprocessing ({error}): "
                "give a file that yolov9_lit.export wrote."
            ) from error


class Exported(NamedTuple):
    """An opened file.

    Attributes:
        record: what it tells of itself.
        run: images (B, 3, H, W) float32 in 0..1 on the CPU -> its outputs, see `export.graph`.
        least_side: smallest H and W in pixels.
    """

    record: ExportRecord
    run: Callable[[Tensor], Sequence[Tensor]]
    least_side: int = STRIDE


class ExportFormat(Protocol):
    """A kind of file."""

    suffix: ClassVar[str]

    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Write a graph of `export.graph` to a path of this suffix, with the record inside."""
        ...

    @staticmethod
    def read(path: Path) -> Exported:
        """Open a file.

        Raises:
            UserError: the file is damaged or has no record, or its runtime is not installed.
        """
        ...
