"""What weights a training takes over from a checkpoint: all that fit.

The file may be any that `read_checkpoint` reads. Its classes may be others: the rows of the class
outputs are told by the classes' names, never by their position.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from yolov9_lit.errors import UserError, first_few
from yolov9_lit.models.head import Head
from yolov9_lit.weights.checkpoints import Checkpoint, read_checkpoint

log = logging.getLogger(__name__)


class Transfer(NamedTuple):
    """What became of each tensor; BN's counters are not listed.

    Attributes:
        taken: names of those that fit.
        outputs: names of the class outputs, of which the rows of known classes are taken.
        absent: names of those that the file lacks.
        unequal: names of those that have another shape in the file.
        left_over: names in the file that the model lacks.
        known: classes of the model that the file knows.
        fresh: classes that it does not know.
        copied: number of parameters that the file gave.
        parameters: number of the model's.
    """

    taken: list[str]
    outputs: list[str]
    absent: list[str]
    unequal: list[str]
    left_over: list[str]
    known: list[str]
    fresh: list[str]
    copied: int
    parameters: int

    def lines(self) -> list[str]:
        """Write a few lines for the log, tensors grouped by part."""
        found = [f"{self.copied:,} of {self.parameters:,} parameters are the file's"]
        if self.outputs:
            which = f" ({first_few(self.fresh, 5)})" if self.fresh else ""
            found.append(
                f"class outputs, by name: {len(self.known)} classes taken, "
                f"{len(self.fresh)} start fresh{which}"
            )
        for reason, names in (
            ("start fresh, not in the file", self.absent),
            ("start fresh, of another shape in the file", self.unequal),
            ("left over in the file", self.left_over),
        ):
            if names:
                found.append(f"{reason}: {_by_part(names)}")
        return found


def take_weights(detector: nn.Module, path: str | Path, class_names: Sequence[str]) -> Transfer:
    """Load every tensor of a checkpoint that fits, and log which did not.

    Args:
        detector: as trained, with fresh weights; those that do not fit stay.
        path: any checkpoint that `read_checkpoint` reads.
        class_names: of the detector, by class index.

    Raises:
        UserError: the file cannot be read or trained, or nothing in it fits.
    """
    transfer = transfer_weights(detector, read_trainable(path), class_names)
    if not transfer.taken:
        raise UserError(
            f"Nothing in {path} fits this model: model=checkpoint takes the file's structure."
        )
    log.info("Weights from %s:", path)
    for line in transfer.lines():
        log.info("  %s", line)
    if transfer.copied < transfer.parameters / 2:
        log.warning("Most weights start fresh; model=checkpoint takes the file's structure.")
    return transfer


@torch.no_grad()
def transfer_weights(
    detector: nn.Module, checkpoint: Checkpoint, class_names: Sequence[str]
) -> Transfer:
    """Copy every tensor that has a detector's name and shape, class outputs by class name."""
    own, weights = detector.state_dict(), checkpoint.weights
    outputs = _class_outputs(detector)
    theirs = {name: row for row, name in enumerate(checkpoint.card.class_names)}
    rows = [(row, theirs[name]) for row, name in enumerate(class_names) if name in theirs]
    found = Transfer(
        *([], [], [], [], [name for name in weights if name not in own]),
        known=[name for name in class_names if name in theirs],
        fresh=[name for name in class_names if name not in theirs],
        copied=0,
        parameters=sum(p.numel() for p in detector.parameters()),
    )
    parameters, copied = {name for name, _ in detector.named_parameters()}, 0
    for name, tensor in own.items():
        if (given := weights.get(name)) is None:
            found.absent.append(name)
        elif name in outputs and tensor.shape[1:] == given.shape[1:]:
            found.outputs.append(name)
            for row, their_row in rows:
                tensor[row] = given[their_row]
            copied += len(rows) * tensor[0].numel()
        elif tensor.shape == given.shape:
            tensor.copy_(given)
            if tensor.ndim:
                found.taken.append(name)
            copied += tensor.numel() * (name in parameters)
        else:
            found.unequal.append(name)
    return found._replace(copied=copied)


def read_trainable(path: str | Path) -> Checkpoint:
    """Read a checkpoint that a training can start from.

    Raises:
        UserError: the file cannot be read, or is deployed.
    """
    checkpoint = read_checkpoint(path)
    if checkpoint.deployed:
        raise UserError(f"{path} is deployed, its training form is gone: give what it was made of.")
    return checkpoint


def _class_outputs(detector: nn.Module) -> set[str]:
    """Names of the tensors that have a row a class."""
    return {
        f"{path}.cls.{level}.2.{kind}"
        for path, head in detector.named_modules()
        if isinstance(head, Head)
        for level in range(len(head.cls))
        for kind in ("weight", "bias")
    }


def _by_part(names: Iterable[str]) -> str:
    parts = Counter(".".join(name.split(".")[:2]) for name in names)
    return ", ".join(f"{part} ({count} tensors)" for part, count in parts.items())
