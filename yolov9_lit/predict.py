"""Command: detect objects in images and videos."""

from __future__ import annotations

from omegaconf import DictConfig

from yolov9_lit.app.cli import command


@command("predict", loads="yolov9_lit.app.predict")
def main(cfg: DictConfig) -> None:
    """Detect objects and write annotated copies and detections.json."""
    from yolov9_lit.app.predict import predict

    predict(cfg)


if __name__ == "__main__":
    main()
