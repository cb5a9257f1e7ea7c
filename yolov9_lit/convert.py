"""Command: write any readable checkpoint in this project's form, as trained or deployed."""

from __future__ import annotations

from omegaconf import DictConfig

from yolov9_lit.app.cli import command


@command("convert", lists=("src",))
def main(cfg: DictConfig) -> None:
    """Convert one file, or the average of several."""
    from yolov9_lit.app.convert import convert

    convert(cfg)


if __name__ == "__main__":
    main()
