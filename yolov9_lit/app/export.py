"""A checkpoint's deploy form as a file that runs elsewhere, compared with PyTorch."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from yolov9_lit.building import build
from yolov9_lit.checks import existing_folder, path_argument, whole_number, yes_or_no
from yolov9_lit.data.images import has_image_ending, read_image
from yolov9_lit.data.letterbox import STRIDE
from yolov9_lit.data.prepare.shapes import make_shapes
from yolov9_lit.errors import UserError, counted
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export.agreement import Agreement
from yolov9_lit.inference.export.calibration import Calibration, draw_images, record_of
from yolov9_lit.inference.export.format import (
    ExportFormat,
    ExportRecord,
    InputShape,
    Int8Format,
)
from yolov9_lit.inference.export.outputs import names_of
from yolov9_lit.inference.export.write import export as write
from yolov9_lit.inference.predictor import Predictor, load
from yolov9_lit.kinds import LARGEST_SIDE

log = logging.getLogger(__name__)

MOST_IMAGES = 6
"""Number of images that a comparison takes."""


def export(cfg: DictConfig) -> Agreement:
    """Export `ckpt` to `out`.

    Returns:
        How well the file and PyTorch agree.

    Raises:
        UserError: the checkpoint cannot be exported, an option does not fit, or the file
            disagrees with PyTorch.
    """
    form: ExportFormat = build(cfg.form)
    ckpt, out = path_argument("ckpt", cfg.ckpt), path_argument("out", cfg.out)
    if out.suffix != form.suffix:
        raise UserError(
            f"out={out} does not fit this format: give a name that ends in {form.suffix}."
        )
    half, nms = yes_or_no("half", cfg.half), yes_or_no("nms", cfg.nms)
    shape = _shape(cfg)
    drawn = _calibration_images(cfg, form)
    settings = NMSSettings(cfg.confidence, cfg.iou, False, max_detections=cfg.max_detections)
    predictor = load(ckpt)
    if not isinstance(predictor, Predictor):
        raise UserError(f"{ckpt} is an exported file: give a checkpoint.")
    predictor = predictor.one_branch(cfg.head)
    record = ExportRecord(
        card=predictor.card,
        shape=shape,
        outputs=names_of(predictor.detector, nms),
        half=half,
        nms=settings if nms else None,
        head=cfg.head,
        int8=record_of(drawn, cfg.seed) if drawn else None,
        strides=predictor.detector.head.strides,
    )
    if drawn and cfg.pictures is None:
        images = [read_image(path) for path in drawn[:MOST_IMAGES]]
    else:
        images = _images(cfg.pictures, predictor.card.image_size)
    calibration = Calibration(drawn, predictor.card.image_size, shape) if drawn else None
    log.info(
        "Writing %s and comparing it on %s; this can take minutes",
        out,
        counted(len(images), "image"),
    )
    agreement = write(predictor.detector, record, form, out, images, settings, calibration)
    _tell(out, form, agreement)
    if record.int8:
        beside = f"ckpt={ckpt}" if shape.image is None else "a float32 file of the same size"
        log.info(
            "int8 by %s of %s; what it costs in AP: python -m yolov9_lit.eval ckpt=%s data=..., "
            "and the same with %s",
            *(counted(record.int8.images, "image"), cfg.calibration, out, beside),
        )
    return agreement


def _shape(cfg: DictConfig) -> InputShape:
    shape = InputShape(cfg.batch, cfg.height, cfg.width)
    given = {"image_size": cfg.image_size, **shape._asdict()}  # two of which default to the first
    for name, number in given.items():
        if number is None:
            continue
        if name == "batch":
            whole_number(name, number)
        elif whole_number(name, number, most=LARGEST_SIDE) % STRIDE:
            raise UserError(f"{name}={number} is not valid: give a multiple of {STRIDE}, or null.")
    if (shape.height is None) != (shape.width is None):
        raise UserError("Only one of height and width is given: give both, or neither.")
    return shape


def _calibration_images(cfg: DictConfig, form: ExportFormat) -> list[Path]:
    """Return the images that an int8 file is calibrated on; none where it is not to be int8."""
    count = whole_number("calibration_images", cfg.calibration_images)
    seed = whole_number("seed", cfg.seed, least=0)
    if not yes_or_no("int8", cfg.int8):
        if cfg.calibration is not None:
            raise UserError(
                f"calibration={cfg.calibration} is of int8 files only: give int8=true, or leave it "
                "out."
            )
        return []
    if cfg.half:
        raise UserError("half=true and int8=true exclude each other: give one of them.")
    if not isinstance(form, Int8Format):
        raise UserError(f"A {form.suffix} file has no int8: give format=onnx or openvino.")
    if cfg.calibration is None:
        raise UserError(
            "int8=true needs images that tell the ranges of activations: give calibration=FOLDER, "
            "the training images' own."
        )
    folder = existing_folder("calibration", path_argument("calibration", cfg.calibration))
    return draw_images(folder, count, seed)


def _images(given: str | None, size: int) -> list[np.ndarray]:
    """Read the first images of a folder, or draw some if none is given."""
    if given is None:
        with tempfile.TemporaryDirectory() as root:
            shapes = make_shapes(Path(root), train=0, val=MOST_IMAGES, image_size=size)
            return _read(shapes / "val2017")
    folder = path_argument("pictures", given)
    if not folder.is_dir():
        raise UserError(f"pictures={folder} is not a folder: give one with images in it.")
    if not (found := _read(folder)):
        raise UserError(f"There is no image in {folder}: give a folder with images in it.")
    return found


def _read(folder: Path) -> list[np.ndarray]:
    paths = sorted(p for p in folder.iterdir() if has_image_ending(p))
    return [read_image(path) for path in paths[:MOST_IMAGES]]


def _tell(out: Path, form: ExportFormat, agreement: Agreement) -> None:
    size = sum(out.with_suffix(suffix).stat().st_size for suffix in (form.suffix, *form.beside))
    log.info("%s: %.1f MB", out, size / 1e6)
    log.info("compared with PyTorch on %d images: %s", agreement.images, agreement)
    if not agreement.detections:
        log.warning(
            "No detection could be compared, as there is none on these images: "
            "compare on others with pictures=FOLDER"
        )
