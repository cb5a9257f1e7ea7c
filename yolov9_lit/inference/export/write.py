"""Export: write a file, compare it with PyTorch, and only then give it its name."""

from __future__ import annotations

import dataclasses
import errno
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from yolov9_lit.errors import UserError
from yolov9_lit.evaluation.nms import NMSSettings
from yolov9_lit.inference.export.agreement import FLOAT, HALF, INT8, Agreement
from yolov9_lit.inference.export.check import compare
from yolov9_lit.inference.export.format import ExportFormat, ExportRecord, Int8Format
from yolov9_lit.inference.export.graph import CandidateGraph, DetectionGraph
from yolov9_lit.inference.exported import ExportedPredictor
from yolov9_lit.models.detector import Detector


def export(
    detector: Detector,
    record: ExportRecord,
    form: ExportFormat,
    out: Path,
    images: Sequence[np.ndarray],
    settings: NMSSettings,
    calibration: Iterable[np.ndarray] | None = None,
) -> Agreement:
    """Write a detector's deploy form.

    Args:
        detector: as trained, or already deployed.
        record: how to write it.
        form: the format of the file.
        out: path of the file; an earlier file is replaced only if the new one agrees.
        images: images to compare on, each (H, W, 3) uint8 RGB.
        settings: settings of the comparison's NMS if none is inside.
        calibration: inputs for an int8 file, see `Int8Format.write_int8`.

    Raises:
        UserError: the model cannot be written in this form, or the file disagrees with PyTorch.
    """
    reference = CandidateGraph(detector)
    settings = dataclasses.replace(record.nms or settings, multi_label=False)
    with _folder_beside(out) as folder:
        draft = Path(folder) / out.name
        try:
            graph = _graph(detector, record)
            if calibration is None:
                form.write(graph, record, draft)
            else:
                assert isinstance(form, Int8Format)
                form.write_int8(graph, record, draft, calibration)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"This model cannot be written to {out.name} ({reason}): "
                "try a fixed batch, height and width, or another format."
            ) from error
        agreement = _checked(form, draft, record, reference, images, settings)
        others = [path for path in Path(folder).iterdir() if path != draft]
        for path in (*others, draft):  # The file itself comes last.
            os.replace(path, out.parent / path.name)
    return agreement


def _folder_beside(out: Path) -> tempfile.TemporaryDirectory[str]:
    """Make a folder for drafts on the same disk, which proves that `out` can be written."""
    try:
        if out.exists() and not out.is_file():
            raise OSError(errno.EINVAL, "it is not a file")
        out.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-")
    except OSError as error:
        raise UserError(f"out={out} cannot be written ({error.strerror}): give another.") from error


def _graph(detector: Detector, record: ExportRecord) -> nn.Module:
    candidates = CandidateGraph(detector, record.half)
    return (DetectionGraph(candidates, record.nms) if record.nms else candidates).eval()


def _checked(
    form: ExportFormat,
    draft: Path,
    record: ExportRecord,
    reference: CandidateGraph,
    images: Sequence[np.ndarray],
    settings: NMSSettings,
) -> Agreement:
    file = form.read(draft)
    if file.record.to_json() != record.to_json():
        raise UserError(f"{draft.name} lost its record, nothing was written: try another format.")
    limits = INT8 if record.int8 else HALF if record.half else FLOAT
    try:
        agreement = compare(ExportedPredictor(file), reference, images, settings, limits.overlap)
    except UserError as error:
        raise UserError(f"{draft.name} does not run, nothing was written: {error}") from error
    if (record.nms or record.int8) and not agreement.detections:
        kind = "with NMS inside" if record.nms else "in int8"
        raise UserError(
            f"PyTorch finds nothing on these images, so {draft.name} {kind} cannot be "
            "checked; nothing was written: give pictures=FOLDER with objects of the model's "
            "classes, or a lower confidence."
        )
    if faults := agreement.faults(limits):
        raise UserError(
            f"{draft.name} is another model than PyTorch's; nothing was written: "
            f"{', '.join(faults)}."
        )
    return agreement
