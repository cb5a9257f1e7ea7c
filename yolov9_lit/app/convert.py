"""Any readable checkpoint, or the average of several, in this project's form."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig

from yolov9_lit.checks import path_argument, yes_or_no
from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write
from yolov9_lit.models.detector import Detector
from yolov9_lit.weights.averaging import average
from yolov9_lit.weights.card import PREFIX, ModelCard
from yolov9_lit.weights.checkpoints import load_detector, read_checkpoint
from yolov9_lit.weights.deployed import SUFFIX, write_deployed

log = logging.getLogger(__name__)

TRAINABLE = (".ckpt", ".pt", ".pth")
"""Endings of checkpoints in training form."""


def convert(cfg: DictConfig) -> Path:
    """Convert `src`, averaged if it is several files, to `out`.

    Returns:
        The path of the file written.

    Raises:
        UserError: a source cannot be read, several cannot be averaged, or the output's name does
            not fit its form.
    """
    sources = [path_argument("src", value) for value in _listed(cfg.src)]
    src, out = sources[0], path_argument("out", cfg.out)
    deploy = yes_or_no("deploy", cfg.deploy)
    _check_name(out, sources, deploy)
    checkpoint = read_checkpoint(src)
    if checkpoint.deployed and not deploy:
        raise UserError(f"{src} is deployed and has no training form: use deploy=true.")
    if len(sources) > 1:
        others = {path: read_checkpoint(path) for path in sources[1:]}
        checkpoint = average({src: checkpoint} | others)
        log.info("The average of %s", ", ".join(map(str, sources)))
    detector = load_detector(checkpoint, src)
    if deploy:
        detector = detector.deploy()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(out, detector, checkpoint.card, deployed=deploy)
    except OSError as error:
        raise UserError(f"out={out} cannot be written ({error.strerror}): give another.") from error
    log.info(
        "%s: %d classes, %d parameters, %.1f MB",
        out,
        len(checkpoint.card.class_names),
        sum(p.numel() for p in detector.parameters()),
        out.stat().st_size / 1e6,
    )
    return out


def _listed(src: Any) -> Sequence[Any]:
    """Return one source as a list of one.

    Raises:
        UserError: it is an empty list.
    """
    if not isinstance(src, ListConfig):
        return [src]
    if not src:
        raise UserError("src=[] names no checkpoint: give one, or several to be averaged.")
    return list(src)


def _check_name(out: Path, sources: Sequence[Path], deploy: bool) -> None:
    if (out.suffix == SUFFIX) != deploy:
        wanted = f"deploy=true writes {SUFFIX}" if deploy else f"{SUFFIX} needs deploy=true"
        raise UserError(f"out={out} does not fit deploy={str(deploy).lower()}: {wanted}.")
    if not deploy and out.suffix not in TRAINABLE:
        endings = " or ".join((", ".join(TRAINABLE), f"{SUFFIX} with deploy=true"))
        raise UserError(f"out={out} does not end as a checkpoint does: end it in {endings}.")
    if out.exists() and not out.is_file():
        raise UserError(f"out={out} cannot be written (it is not a file): give another.")
    if out.resolve() in [src.resolve() for src in sources]:
        raise UserError(f"out={out} is a source, which would be lost: give another.")


def _write(out: Path, detector: Detector, card: ModelCard, *, deployed: bool) -> None:
    if deployed:
        write_deployed(out, detector, card)
        return
    state = {f"{PREFIX}{name}": value for name, value in detector.state_dict().items()}
    with atomic_write(out) as part, part.open("wb") as file:
        torch.save({"card": card.to_dict(), "state_dict": state}, file)
