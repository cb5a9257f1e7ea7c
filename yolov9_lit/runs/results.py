"""The test's figures on the terminal, in results.json and as COCO detections."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from yolov9_lit.evaluation.tables import per_class_table, results_table
from yolov9_lit.files import write_json
from yolov9_lit.reporting.console import console
from yolov9_lit.reporting.render import terminal
from yolov9_lit.runs.provenance import git_state
from yolov9_lit.training.evaluation import EvaluationModule


class ResultsWriter(L.Callback):
    """Writes results.json and detections.json, and prints the tables, when a test ends."""

    def __init__(self, directory: str | Path, checkpoint: str | None = None) -> None:
        """Set where.

        Args:
            directory: for the files.
            checkpoint: what is tested, where the trainer does not know it.
        """
        self.directory = Path(directory)
        self.checkpoint = checkpoint

    @rank_zero_only
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write and print."""
        assert isinstance(pl_module, EvaluationModule)
        result, found = pl_module.result, pl_module.found
        assert result is not None
        assert found is not None
        checkpoint = self.checkpoint or trainer.ckpt_path
        figures = {
            **result.figures(),
            "num_images": result.num_images,
            "checkpoint": str(checkpoint) if checkpoint else None,
            **git_state()._asdict(),
        }
        found.write(self.directory / "detections.json")
        write_json(self.directory / "results.json", figures, indent=2)
        out = console()
        out.print(terminal(results_table(result)))
        out.print(terminal(per_class_table(result)))
