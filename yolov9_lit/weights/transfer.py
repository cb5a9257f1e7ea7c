"""What weights a training takes over from a checkpoint: all that fit.

The file may be any that `read_checkpoint` reads. Its classes and keypoints may be others: the rows
of their outputs are told by their names, never by their position.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from yolov9_lit.errors import UserError
from yolov9_lit.models.head import BaseHead
from yolov9_lit.models.levels import LEVELS, levels_of
from yolov9_lit.weights.checkpoints import Checkpoint, read_checkpoint
from yolov9_lit.weights.named_rows import NamedRows, class_rows, keypoint_rows

log = logging.getLogger(__name__)

_BRANCH = re.compile(r"(?:head|aux_heads\.[^.]+)\.[^.]+\.\d+\.")


class Transfer(NamedTuple):
    """What became of each tensor; BN's counters are not listed.

    Attributes:
        taken: names of those that fit.
        outputs: of which the rows of known names are taken.
        absent: names of those that the file lacks.
        unequal: names of those that have another shape in the file.
        left_over: names in the file that the model lacks.
        copied: number of parameters that the file gave.
        parameters: number of the model's.
    """

    taken: list[str]
    outputs: list[NamedRows]
    absent: list[str]
    unequal: list[str]
    left_over: list[str]
    copied: int
    parameters: int

    def lines(self) -> list[str]:
        """Write a few lines for the log, tensors grouped by part."""
        found = [f"{self.copied:,} of {self.parameters:,} parameters are the file's"]
        found += [rows.line() for rows in self.outputs]
        for reason, names in (
            ("start fresh, not in the file", self.absent),
            ("start fresh, of another shape in the file", self.unequal),
            ("left over in the file", self.left_over),
        ):
            if names:
                found.append(f"{reason}: {_by_part(names)}")
        return found


def take_weights(
    detector: nn.Module,
    path: str | Path,
    class_names: Sequence[str],
    keypoint_names: Sequence[str] = (),
) -> Transfer:
    """Load every tensor of a checkpoint that fits, and log which did not.

    Args:
        detector: as trained, with fresh weights; those that do not fit stay.
        path: any checkpoint that `read_checkpoint` reads.
        class_names: of the detector, by class index.
        keypoint_names: of the detector, if it finds any.

    Raises:
        UserError: the file cannot be read or trained, or nothing in it fits.
    """
    checkpoint = read_trainable(path)
    theirs = checkpoint.card.keypoints
    named = (
        class_rows(detector, class_names, checkpoint.card.class_names),
        keypoint_rows(detector, keypoint_names, theirs.names if theirs else ()),
    )
    levels = checkpoint.card.model.get("levels", LEVELS)
    weights = at_own_levels(detector, checkpoint.weights, levels)
    transfer = transfer_weights(detector, weights, named)
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


def at_own_levels(
    detector: nn.Module, weights: Mapping[str, Tensor], levels: Sequence[int]
) -> dict[str, Tensor]:
    """Name a file's head branches as the detector does: both count them from their finest level.

    Args:
        detector: whose heads may read other levels.
        weights: the file's.
        levels: that the file's heads read.
    """
    names = {
        f"{path}.{child}.{index}.": f"{path}.{child}.{place}."
        for path, head in detector.named_modules()
        if isinstance(head, BaseHead)
        for child, parts in head.named_children()
        if isinstance(parts, nn.ModuleList)
        for index, place in _places(levels, levels_of(head.strides))
    }

    def renamed(name: str) -> str:
        found = _BRANCH.match(name)
        return names.get(found[0], found[0]) + name[found.end() :] if found else name

    return {renamed(name): tensor for name, tensor in weights.items()}


def _places(theirs: Sequence[int], ours: Sequence[int]) -> Iterator[tuple[int, int | str]]:
    """Yield for each branch of theirs its place in ours; its level's name where ours has none."""
    for index, level in enumerate(theirs):
        yield index, ours.index(level) if level in ours else f"P{level}"


@torch.no_grad()
def transfer_weights(
    detector: nn.Module, weights: Mapping[str, Tensor], named: Sequence[NamedRows]
) -> Transfer:
    """Copy every tensor that has a detector's name and shape, and named rows by their names."""
    own = detector.state_dict()
    parameters = dict(detector.named_parameters())
    found = Transfer(
        *([], [], [], [], [name for name in weights if name not in own]),
        copied=0,
        parameters=sum(p.numel() for p in parameters.values()),
    )
    by_tensor = {name: rows for rows in named for name in rows.tensors}
    copied = 0
    for name, tensor in own.items():
        rows = by_tensor.get(name)
        if (given := weights.get(name)) is None:
            found.absent.append(name)
        elif rows and given.shape == (rows.file_rows, *tensor.shape[1:]):
            for row, their_row in rows.pairs:
                tensor[row] = given[their_row]
            copied += len(rows.pairs) * tensor[0].numel()
            if rows not in found.outputs:
                found.outputs.append(rows)
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


def _by_part(names: Iterable[str]) -> str:
    parts = Counter(".".join(name.split(".")[:2]) for name in names)
    return ", ".join(f"{part} ({count} tensors)" for part, count in parts.items())
