"""What a format of exported files is, and the record that each file holds."""

from __future__ import annotations

import importlib
import json
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from inspect import isabstract
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor, nn

import yolov9_lit
from yolov9_lit.data.letterbox import GREY, STRIDE
from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export import formats
from yolov9_lit.inference.export.outputs import Outputs, kind_of, known_names
from yolov9_lit.models.levels import STRIDES
from yolov9_lit.weights.card import ModelCard

KEY = "yolov9_lit"
"""Name of the record, as JSON, in a file's metadata."""


class InputShape(NamedTuple):
    """The images (batch, 3, height, width) that a file takes; None where any size will do."""

    batch: int | None = None
    height: int | None = None
    width: int | None = None

    @property
    def image(self) -> tuple[int, int] | None:
        """Return height and width in pixels if they are fixed."""
        return None if self.height is None or self.width is None else (self.height, self.width)


class CalibrationRecord(NamedTuple):
    """With what an int8 file was calibrated.

    Attributes:
        folder: name of the images' folder.
        images: number of images.
        seed: that they were drawn by.
        sha256: of their files, one behind the other in the order of their names.
    """

    folder: str
    images: int
    seed: int
    sha256: str


@dataclass(frozen=True)
class ExportRecord:
    """Everything needed to use an exported file.

    Attributes:
        card: classes and preprocessing, and the model that was deployed.
        shape: shape of the input.
        outputs: names of what the file gives, in order, see `export.outputs`.
        half: whether weights are float16; inputs and outputs are always float32.
        nms: settings of the NMS inside; None if the file returns all candidates.
        head: name of the auxiliary branch that was written; None for the main one.
        int8: how its convolutions were quantized to 8 bits; None if they were not.
        version: version of this package that wrote the file.
        strides: input pixels per cell at the model's levels.
    """

    card: ModelCard
    shape: InputShape
    outputs: tuple[str, ...]
    half: bool = False
    nms: NMSSettings | None = None
    head: str | None = None
    int8: CalibrationRecord | None = None
    version: str = yolov9_lit.__version__
    strides: tuple[int, ...] = STRIDES

    @property
    def task(self) -> str:
        """Return what the file finds, by the names of `conf/task`."""
        if "keypoints" in self.outputs:
            return "pose"
        return "segment" if "prototypes" in self.outputs else "detect"

    def named(self, tensors: Iterable[Tensor]) -> Outputs:
        """Return a run's tensors by their names.

        Raises:
            ValueError: there are more or fewer of them.
        """
        return kind_of(self.nms is not None)(**dict(zip(self.outputs, tensors, strict=True)))

    def to_json(self) -> str:
        """Return the record, with the conventions that a reader without this package must know."""
        return json.dumps(
            {
                "version": self.version,
                "task": self.task,
                "card": self.card.to_dict(),
                "shape": self.shape._asdict(),
                "outputs": self.outputs,
                "half": self.half,
                "nms": asdict(self.nms) if self.nms else None,
                "head": self.head,
                "int8": self.int8._asdict() if self.int8 else None,
                "strides": self.strides,
                "letterbox": {"placement": "centred", "grey": GREY, "input": "RGB, 0..1"},
            }
        )

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> ExportRecord:
        """Read what `to_json` returned.

        Args:
            text: the JSON; None if the file has no record.
            path: path of the file, for messages.

        Raises:
            UserError: there is no record, or it is broken or of a later version.
        """
        try:
            record: dict[str, Any] = json.loads(text or "{}")
            return cls(
                card=ModelCard.from_dict(record["card"]),
                shape=InputShape(**record["shape"]),
                outputs=known_names(record.get("outputs"), nms=bool(record["nms"])),
                half=record["half"],
                nms=NMSSettings(**record["nms"]) if record["nms"] else None,
                head=record.get("head"),
                int8=CalibrationRecord(**record["int8"]) if record.get("int8") else None,
                version=record["version"],
                strides=tuple(record.get("strides", STRIDES)),
            )
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise UserError(
                f"{path} does not tell its classes and preprocessing ({error}): "
                "give a file that yolov9_lit.export wrote."
            ) from error


class Exported(NamedTuple):
    """An opened file.

    Attributes:
        record: its record.
        run: batches of images (B, 3, H, W) float32 in 0..1 on the CPU -> the outputs of each, in
            the record's order.
        least_side: smallest H and W in pixels.
    """

    record: ExportRecord
    run: Callable[[Sequence[Tensor]], Iterable[Sequence[Tensor]]]
    least_side: int = STRIDE


class ExportFormat(ABC):
    """A kind of exported file.

    Attributes:
        suffix: ending of its files. It alone tells the format of a file: some formats are programs
            that are run when opened, and are never guessed.
        beside: endings of what is written beside each.
    """

    suffix: ClassVar[str]
    beside: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def write(self, graph: nn.Module, record: ExportRecord, path: Path) -> None:
        """Write a graph of `export.graph` to a path of this suffix, with the record inside."""

    @staticmethod
    @abstractmethod
    def read(path: Path) -> Exported:
        """Open a file on the CPU.

        Raises:
            UserError: the file is damaged or has no record, or its runtime is not installed.
        """


class Int8Format(ExportFormat):
    """One whose files may compute in 8 bits."""

    @abstractmethod
    def write_int8(
        self, graph: nn.Module, record: ExportRecord, path: Path, images: Iterable[np.ndarray]
    ) -> None:
        """Write a graph as `write` does, its convolutions in int8.

        Args:
            graph: of `export.graph`.
            record: that the file holds.
            path: of this suffix.
            images: inputs (B, 3, H, W) float32 in 0..1 that tell the ranges of activations.
        """


def find_format(path: str | Path) -> type[ExportFormat] | None:
    """Return the class in `export.formats` for a path's suffix, or None."""
    for module in pkgutil.iter_modules(formats.__path__, f"{formats.__name__}."):
        importlib.import_module(module.name)
    return _by_suffix(ExportFormat).get(Path(path).suffix)


def _by_suffix(form: Any) -> dict[str, type[ExportFormat]]:
    """Return the classes that derive from one, also by way of another, which goes before them."""
    known = {} if isabstract(form) else {form.suffix: form}
    for kind in form.__subclasses__():
        known = _by_suffix(kind) | known
    return known


def runtime(name: str) -> Any:
    """Import a package that only exported files need.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"This needs {name.partition('.')[0]}, which is not installed: "
            "pip install -e '.[export]'."
        ) from error


def reason(error: Exception) -> str:
    """Return a runtime's error in one line: OpenVINO says it last, torch before its advice."""
    said = str(error).partition("This is an internal miniz error")[0]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].rstrip(".! ") if lines else type(error).__name__
