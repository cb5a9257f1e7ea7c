"""Detection in images and videos: annotated copies and detections.json."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig
from rich.progress import track

from yolov9_lit.app.views import views_of
from yolov9_lit.checks import folder_argument, path_argument, whole_number, yes_or_no
from yolov9_lit.errors import UserError, counted, told
from yolov9_lit.inference.exported import ExportedPredictor
from yolov9_lit.inference.images import MOST_ON_CPU, ImagePredictor
from yolov9_lit.inference.media import AnnotatedWriter, Frame
from yolov9_lit.inference.pipeline import ahead
from yolov9_lit.inference.predictor import load
from yolov9_lit.inference.source import Source, open_source
from yolov9_lit.inference.views import Views
from yolov9_lit.memory import keep_freed_memory
from yolov9_lit.reporting.draw import draw_detections
from yolov9_lit.structures import Detections

if TYPE_CHECKING:
    from yolov9_lit.app.explaining import Explanations

log = logging.getLogger(__name__)


def predict(cfg: DictConfig) -> Path:
    """Detect objects; leave annotated copies and detections.json in the run's folder.

    With `explain` it leaves pictures of where the best detections come from as well.

    Returns:
        The run's folder.

    Raises:
        UserError: checkpoint, source or device does not exist, or a value is out of its range.
    """
    batch_size = whole_number("batch_size", cfg.batch_size)
    save_pictures = yes_or_no("save_pictures", cfg.save_pictures)
    explains = yes_or_no("explain", cfg.explain)
    for name in ("ckpt", "source", "run_dir"):
        path_argument(name, cfg[name])
    keep_freed_memory()
    source = open_source(cfg.source)
    run_dir = folder_argument("run_dir", cfg.run_dir)
    views = views_of(cfg)
    predictor = _on_device(load(Path(cfg.ckpt)).deploy(cfg.head), cfg.device)
    explanations = _explanations(cfg, predictor, source, run_dir) if explains else None
    rows: list[dict[str, Any]] = []
    frames = 0
    # A predictor takes no more at a time on a CPU: longer chunks would keep the writer waiting.
    chunk = min(batch_size, MOST_ON_CPU) if _is_on_cpu(predictor) else batch_size
    read = ahead(source, chunk)
    detected = ahead(_detect(predictor, _chunks(read, chunk), cfg, views), chunk)
    with closing(read), closing(detected), AnnotatedWriter(run_dir) as writer:
        for frame, detections in track(detected, "Detecting", transient=True):
            frames += 1
            rows += _rows(frame, detections, predictor)
            if save_pictures:
                layout = predictor.card.keypoints
                names, captions = predictor.class_names, predictor.captions(detections)
                image = draw_detections(frame.image, detections, names, layout, captions)
                writer.write(frame, image)
            if explanations:
                explanations.write(frame)
    if not frames:
        raise UserError(f"Nothing at source={cfg.source} can be read: give images or videos.")
    lines = ",\n".join(map(json.dumps, rows))
    (run_dir / "detections.json").write_text(f"[\n{lines}\n]\n")
    objects, images = counted(len(rows), "object"), counted(frames, "image")
    log.info("%s in %s; everything is in %s", objects, images, run_dir)
    if source.unreadable:
        unread = told(len(source.unreadable), "files cannot be read and are passed over")
        log.warning(unread)
    return run_dir


def _detect(
    predictor: ImagePredictor, chunks: Iterable[list[Frame]], cfg: DictConfig, views: Views | None
) -> Iterator[tuple[Frame, Detections]]:
    for frames in chunks:
        found = predictor.predict(
            [frame.image for frame in frames],
            confidence=cfg.confidence,
            iou=cfg.iou,
            max_detections=cfg.max_detections,
            image_size=cfg.image_size,
            batch_size=cfg.batch_size,
            views=views,
        )
        yield from zip(frames, found, strict=True)


def _rows(
    frame: Frame, detections: Detections, predictor: ImagePredictor
) -> Iterator[dict[str, Any]]:
    """Yield COCO results entries, with the file instead of an image id and the class's name."""
    boxes, scores, labels = (tensor.tolist() for tensor in detections[:3])
    found = zip(
        *(boxes, scores, labels),
        *(_segmentations(detections), _keypoints(detections), _extra(detections)),
        strict=True,
    )
    for (x1, y1, x2, y2), score, label, segmentation, keypoints, extra in found:
        row = {
            "file": str(frame.path),
            "category_id": predictor.card.category_ids[label],
            "category": predictor.class_names[label],
            "bbox": [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(score, 5),
        }
        if segmentation is not None:
            row["segmentation"] = segmentation
        if keypoints is not None:
            row["keypoints"] = keypoints
        if extra is not None:
            row["extra"] = extra
        if frame.frame_index is not None:
            row["frame"] = frame.frame_index
        yield row


def _segmentations(detections: Detections) -> list[dict[str, Any] | None]:
    """Return each mask in COCO's compressed run lengths; None where there are no masks."""
    if detections.masks is None:
        return [None] * len(detections.scores)
    from yolov9_lit.evaluation.masks import EncodedMasks  # hotcoco, which boxes do without.

    return [*EncodedMasks.of(detections.masks).entries()]


def _keypoints(detections: Detections) -> list[list[float] | None]:
    """Return x, y and how visible of each keypoint, one after another; None where none are."""
    if detections.keypoints is None:
        return [None] * len(detections.scores)
    return [[round(v, 3) for v in values] for values in detections.keypoints.flatten(1).tolist()]


def _extra(detections: Detections) -> list[list[float] | None]:
    """Return the extra numbers of each detection; None where there are none."""
    if detections.extra is None:
        return [None] * len(detections.scores)
    return [*detections.extra.tolist()]


def _chunks(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    iterator = iter(frames)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _explanations(
    cfg: DictConfig, predictor: ImagePredictor, source: Source, run_dir: Path
) -> Explanations:
    from yolov9_lit.app.explaining import Explanations  # Its imports take time.

    return Explanations(cfg, predictor, source, run_dir / "explained")


def _on_device(predictor: ImagePredictor, name: str) -> ImagePredictor:
    if not isinstance(predictor, ExportedPredictor):
        return predictor.to(_device(name))
    if name not in ("auto", "cpu"):
        raise UserError(f"device={name}: exported files run on the CPU: choose auto or cpu.")
    return predictor


def _is_on_cpu(predictor: ImagePredictor) -> bool:
    return all(weight.device.type == "cpu" for weight in predictor.parameters())


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UserError(f"device={name} is not available here: choose auto or cpu.") from error
    return device
