"""TensorBoard: figures, images by name, and a table of runs by their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from yolov9_lit.training.loggers.images import LoggedImage
from yolov9_lit.training.loggers.installed import require_installed

TABLE_FIGURES = ("val/AP", "val/loss", "test/AP", "cost/seconds")
"""Figures that the HPARAMS page shows beside the settings, the latest value of each."""


class ImagesTensorBoardLogger(TensorBoardLogger):
    """Lightning's, with images; settings are columns of HPARAMS, the whole config is a text."""

    def __init__(self, **arguments: Any) -> None:
        # Lightning's own metric of hparams would be drawn as a curve at -1.
        super().__init__(default_hp_metric=False, **arguments)

    @rank_zero_only
    def log_hyperparams(  # type: ignore[override]
        self, params: Mapping[str, Any], metrics: Any = None, step: int | None = None
    ) -> None:
        """Record settings: what is no number or text of its own stands in the text."""
        from torch.utils.tensorboard.summary import hparams

        columns = {k: v for k, v in params.items() if isinstance(v, str | int | float)}
        self.hparams.update(params)  # for hparams.yaml
        writer = self.experiment._get_file_writer()
        for summary in hparams(columns, dict.fromkeys(TABLE_FIGURES, 0.0)):
            writer.add_summary(summary)
        for name in params.keys() - columns.keys():
            written = yaml.safe_dump(params[name], sort_keys=False)
            self.experiment.add_text(name, f"```yaml\n{written}```")

    @rank_zero_only
    def log_images(
        self, key: str, images: Sequence[LoggedImage], step: int, epoch: int | None = None
    ) -> None:
        """Show each under its name: a slider goes through the epochs."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        writer = self.experiment._get_file_writer()
        for image in images:
            encoded = BytesIO()  # As JPEG: PNG, torch's, takes twenty times as long.
            Image.fromarray(image.pixels).save(encoded, format="JPEG", quality=90)
            height, width = image.pixels.shape[:2]
            shown = Summary.Image(
                height=height,
                width=width,
                colorspace=3,
                encoded_image_string=encoded.getvalue(),
            )
            value = Summary.Value(tag=f"{key}/{image.name}", image=shown)
            writer.add_summary(Summary(value=[value]), step)


def tensorboard_logger(**arguments: Any) -> TensorBoardLogger:
    """Build the TensorBoard logger.

    Args:
        arguments: of `lightning.pytorch.loggers.TensorBoardLogger`.

    Raises:
        UserError: TensorBoard is not installed.
    """
    require_installed("tensorboard")
    return ImagesTensorBoardLogger(**arguments)
