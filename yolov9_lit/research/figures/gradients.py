"""The page of gradients by branch, of trained checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pandas as pd
import torch

from yolov9_lit.data.datamodule import DetectionDataModule
from yolov9_lit.errors import UserError, told
from yolov9_lit.kinds import Count, PathText, PositiveInt
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.losses.segmentation import SegmentationLoss
from yolov9_lit.models.detector import Detector
from yolov9_lit.reporting.page import Section, write_sections
from yolov9_lit.research.figures.inputs import checkpoint_names, listed, require_classes
from yolov9_lit.structures import Batch
from yolov9_lit.training.gradient_plots import MEANINGS, plot_stages
from yolov9_lit.training.gradients import Measure, branch_gradients, measure, undisturbed
from yolov9_lit.weights.checkpoints import load_detector
from yolov9_lit.weights.transfer import read_trainable


def write_gradients_page(
    out: Path,
    checkpoints: PathText | Sequence[PathText] | None,
    data: DetectionDataModule,
    loss: DetectionLoss,
    batches: PositiveInt = 4,
    reference: PositiveInt = 8,
    seed: Count = 0,
) -> Path:
    """Write `gradients.html`, `gradients.csv` and a picture of each quantity and checkpoint.

    Args:
        out: folder of the page; made if need be.
        checkpoints: trained files, not deployed ones; of a run, its averaged weights are measured.
        data: its training images are measured, in random order.
        loss: what the checkpoints were trained with.
        batches: number of batches that are measured.
        reference: number of further batches whose summed gradient they are compared with.
        seed: of what is random in the models; the data have their own.

    Returns:
        The page's path.

    Raises:
        UserError: a file cannot be used, its classes are others than the data's, it finds
            keypoints, or masks of which the loss has no term (or the other way round), or the data
            have too few batches.
    """
    if checkpoints is None:
        raise UserError("figure=gradients is drawn of trained models: give ckpt=FILE.")
    files = listed(checkpoints)
    read = [read_trainable(file) for file in files]
    data.adopt(read[0].card.choice)
    chosen = _training_batches(data, batches + reference)
    names = checkpoint_names(files)
    out.mkdir(parents=True, exist_ok=True)
    frames, sections = [], []
    for name, file, checkpoint in zip(names, files, read, strict=True):
        torch.manual_seed(seed)
        require_classes(file, checkpoint.card, data)
        detector = load_detector(checkpoint, file).train()
        _require_loss_of(detector, loss, data, file)
        found = _measured(detector, loss, chosen[:batches], chosen[batches:])
        frames.append(found.assign(checkpoint=name))
        sections.append(_section(name, found, out))
    pd.concat(frames).to_csv(out / "gradients.csv", index=False)
    images = data.batches.batch_size
    subtitle = (
        f"Means and standard deviations over {told(batches, 'batches')} of "
        f"{told(images, 'images')}; reliability: against the sum over "
        f"{told(reference, 'further batches')}."
    )
    return write_sections(out / "gradients.html", "Gradients by branch", subtitle, sections)


def _require_loss_of(
    detector: Detector, loss: DetectionLoss, data: DetectionDataModule, file: PathText
) -> None:
    """Refuse to leave a term out: another loss has other gradients than the training's."""
    if detector.head.num_keypoints:
        raise UserError(
            f"{file} finds keypoints, and the figure has no loss of these: train with "
            "callbacks=gradients, which measures by the training's own loss."
        )
    finds_masks = detector.finds_masks
    learns_masks = isinstance(loss, SegmentationLoss) and data.batches.masks
    if finds_masks and not learns_masks:
        raise UserError(
            f"{file} finds masks, whose loss is another: give loss@figure.loss=segmentation "
            "+data.masks=true."
        )
    if isinstance(loss, SegmentationLoss) and not finds_masks:
        raise UserError(f"{file} finds no masks: leave out loss@figure.loss=segmentation.")


def _training_batches(data: DetectionDataModule, count: int) -> list[Batch]:
    data.prepare_data()
    data.setup("fit")
    loader = data.train_dataloader()
    if len(loader) < count:
        raise UserError(
            f"figure.batches and figure.reference need {count} batches of training images, and "
            f"{data.root} gives {len(loader)}: lower them, or data.batch_size."
        )
    return list(islice(loader, count))


def _measured(
    detector: Detector, loss: DetectionLoss, batches: Sequence[Batch], reference: Sequence[Batch]
) -> pd.DataFrame:
    """Return the quantities of each batch: batch, stage, branch, quantity, value."""
    with undisturbed(detector):
        found = measure(lambda b: branch_gradients(detector, loss, b), batches, reference)
    rows = [(i, *m) for i, measures in enumerate(found) for m in measures]
    return pd.DataFrame(rows, columns=["batch", *Measure._fields])


def _section(name: str, found: pd.DataFrame, out: Path) -> Section:
    keys = ["stage", "branch", "quantity"]
    spread = found.groupby(keys, sort=False)["value"].agg(["mean", "std"]).reset_index()
    plots = [
        plot_stages(spread, quantity, out / f"{name}-{quantity}.png", name)
        for quantity in MEANINGS
        if quantity in set(spread["quantity"])
    ]
    auxiliary = found.loc[found["quantity"] == "cosine", "branch"].unique()
    text = (
        f"Auxiliary branches: {', '.join(auxiliary)}."
        if len(auxiliary)
        else "This checkpoint has no auxiliary branch: there is nothing to compare the main one to."
    )
    return Section(name, text, plots)
