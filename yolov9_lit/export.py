"""Command: write the deploy form of a checkpoint as a file that runs elsewhere."""

from __future__ import annotations

from omegaconf import DictConfig

from yolov9_lit.app.cli import command


@command("export")
def main(cfg: DictConfig) -> None:
    """Export one checkpoint and compare the file with PyTorch."""
    from yolov9_lit.app.export import export

    export(cfg)


if __name__ == "__main__":
    main()
