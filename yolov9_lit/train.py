"""Command: train, validate after each epoch, test the best checkpoint."""

from __future__ import annotations

from omegaconf import DictConfig

from yolov9_lit.app.cli import command


@command("train", loads="yolov9_lit.app.train", check="yolov9_lit.app.train:check_job")
def main(cfg: DictConfig) -> dict[str, float] | tuple[float, ...] | None:
    """Run one training, or one job of a sweep; return its figures, or a search's objectives."""
    from yolov9_lit.app.train import run_training

    return run_training(cfg)


if __name__ == "__main__":
    main()
