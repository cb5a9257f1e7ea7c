"""Test AP of finished trainings, with the running statistics and with estimated ones.

python experiments/less_noise/measure.py RUN ... > rows.csv; each run has kept every epoch:
callbacks.best.save_top_k=-1 callbacks.best.filename='epoch{epoch}'
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from omegaconf import OmegaConf

from yolov9_lit.app import configs
from yolov9_lit.building import build
from yolov9_lit.data.datamodule import DetectionDataModule, TruthOf
from yolov9_lit.inference.predictor import Predictor
from yolov9_lit.models.detector import Detector
from yolov9_lit.training.batch_norm import estimate, trained_norms
from yolov9_lit.training.evaluation import PredictorEvaluation
from yolov9_lit.weights.averaging import average
from yolov9_lit.weights.checkpoints import Checkpoint, load_detector, read_checkpoint

LATE = 3  # epochs measured, and averaged
IMAGES = 128  # that statistics are estimated on


def main(run: Path) -> None:
    """Write rows: data, seed, weights, statistics, AP, AP50."""
    configs.compose("train")  # registers what interpolations need
    cfg = OmegaConf.load(run / ".hydra" / "config.yaml")
    datamodule: DetectionDataModule = build(cfg.data, num_workers=0)
    datamodule.prepare_data()
    datamodule.setup()
    images = datamodule.fixed_training_images(IMAGES)
    metric = build(cfg.evaluation.metric)(
        truth=TruthOf(datamodule, "test"), category_ids=[c.id for c in datamodule.categories]
    )
    nms = build(cfg.evaluation.nms)
    batches = list(datamodule.test_dataloader())

    def write(name: str, statistics: str, checkpoint: Checkpoint, detector: Detector) -> None:
        module = PredictorEvaluation(Predictor(detector, checkpoint.card), nms, metric)
        module.begin(metric)
        for batch in batches:
            module.measure(metric, module.detect(batch.images), batch)
        figures = metric.compute().figures()
        row = [cfg.data.root, cfg.seed, name, statistics, figures["AP"], figures["AP50"]]
        csv.writer(sys.stdout).writerow(row)

    epochs = sorted((run / "checkpoints").glob("epoch*.ckpt"), key=lambda p: int(p.stem[5:]))
    files = {path: read_checkpoint(path) for path in epochs[-LATE:]}
    measured = {path.stem: checkpoint for path, checkpoint in files.items()}
    measured[f"average of {LATE}"] = average(files)
    for name, checkpoint in measured.items():
        detector = load_detector(checkpoint, run)
        write(name, "running", checkpoint, detector)
        norms = trained_norms(detector.train())
        estimate(detector.eval(), norms, images)
        write(name, "estimated", checkpoint, detector)


for argument in sys.argv[1:]:
    main(Path(argument))
