"""Command: any readable checkpoint into this project's form, as trained or deployed."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from omegaconf import DictConfig

from yolov9_lit.cli import command
from yolov9_lit.errors import UserError
from yolov9_lit.files import whole
from yolov9_lit.interop.card import PREFIX, ModelCard
from yolov9_lit.interop.checkpoints import load_detector, read_checkpoint
from yolov9_lit.interop.deployed import SUFFIX, write_deployed
from yolov9_lit.models.detector import Detector

log = logging.getLogger(__name__)


def convert(cfg: DictConfig) -> Path:
    """Convert `src` to `out`.

    Returns:
        The path of the file written.

    Raises:
        UserError: the source cannot be read, or the output's name does not fit its form.
    """
    out = Path(cfg.out)
    if (out.suffix == SUFFIX) != bool(cfg.deploy):
        wanted = f"deploy=true writes {SUFFIX}" if cfg.deploy else f"{SUFFIX} needs deploy=true"
        raise UserError(f"out={out} does not fit deploy={str(cfg.deploy).lower()}: {wanted}.")
    checkpoint = read_checkpoint(cfg.src)
    if checkpoint.deployed and not cfg.deploy:
        raise UserError(f"{cfg.src} is deployed, its training form is gone: use deploy=true.")
    detector = load_detector(checkpoint, cfg.src)
    if cfg.deploy:
        detector = detector.deploy()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(out, detector, checkpoint.card, deployed=cfg.deploy)
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


def _write(out: Path, detector: Detector, card: ModelCard, *, deployed: bool) -> None:
    if deployed:
        write_deployed(out, detector, card)
        return
    state = {f"{PREFIX}{name}": value for name, value in detector.state_dict().items()}
    with whole(out) as part:
        torch.save({"card": card.to_dict(), "state_dict": state}, part)


@command("convert")
def main(cfg: DictConfig) -> None:
    """Convert."""
    convert(cfg)


if __name__ == "__main__":
    main()
