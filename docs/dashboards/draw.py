"""Draw what TensorBoard shows of runs, from their event files.

    python docs/dashboards/draw.py OUT.png RUN RUN ...

A run is the folder of a training with `logger=tensorboard`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from yolov9_lit.reporting.plot import COLORS, save_plot

COLUMNS = ("model", "block", "pgi", "elan_depth", "csp_depth", "seed", "parameters", "GFLOPs")
CURVES = ("val/AP", "val/loss", "cost/seconds")
EPOCHS = (0, 3, 6, 10)


def main(out: str, *folders: str) -> None:
    """Draw figures by epoch, one image in several epochs, and the settings."""
    runs = [EventAccumulator(f"{folder}/tensorboard", {"images": 0}).Reload() for folder in folders]
    settings = [read_settings(run) for run in runs]
    figure = Figure(figsize=(10, 7.2), dpi=100, layout="constrained")
    curves, images, table = figure.subfigures(3, height_ratios=(3, 2, 1.1))
    for axes, tag in zip(curves.subplots(1, len(CURVES)), CURVES, strict=True):
        for run, given, color in zip(runs, settings, COLORS, strict=False):
            values = [event.value for event in run.Scalars(tag)]
            axes.plot(values, color=color, marker=".", label=f"pgi {given['pgi']}")
        axes.set(title=tag, xlabel="epoch")
        axes.legend()
    run = runs[0]
    tag = next(tag for tag in run.Tags()["images"] if tag.startswith("val/"))
    for axes, epoch in zip(images.subplots(1, len(EPOCHS)), EPOCHS, strict=True):
        encoded = run.Images(tag)[epoch].encoded_image_string
        axes.imshow(Image.open(io.BytesIO(encoded)))
        axes.set(title=f"{tag}, epoch {epoch}", xticks=[], yticks=[])
        axes.title.set_fontsize(8)
    axes = table.subplots()
    axes.axis("off")
    rows = [
        [*(written(given[name]) for name in COLUMNS), f"{run.Scalars('test/AP')[-1].value:.3f}"]
        for run, given in zip(runs, settings, strict=True)
    ]
    axes.table(rows, colLabels=[*COLUMNS, "test/AP"], loc="center").scale(1, 1.4)
    save_plot(figure, Path(out), "")


def read_settings(run: EventAccumulator) -> dict[str, object]:
    """Return what the HPARAMS page shows of a run, by name."""
    content = run.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def written(value: object) -> str:
    """Return a setting as a cell: TensorBoard keeps all numbers as floats."""
    whole = isinstance(value, float) and value.is_integer()
    return f"{value:,.0f}" if whole else str(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
