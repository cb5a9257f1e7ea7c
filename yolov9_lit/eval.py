"""Command: the 12 COCO figures of a checkpoint on a data set."""

from __future__ import annotations

from omegaconf import DictConfig

from yolov9_lit.app.cli import command


@command("eval", loads="yolov9_lit.app.evaluate", check="yolov9_lit.app.evaluate:check_job")
def main(cfg: DictConfig) -> dict[str, float]:
    """Measure a checkpoint and return its figures."""
    from yolov9_lit.app.evaluate import evaluate

    return evaluate(cfg)


if __name__ == "__main__":
    main()
