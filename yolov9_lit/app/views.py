"""What a config says of how images are looked at."""

from __future__ import annotations

from omegaconf import DictConfig

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.inference.views import Views


def views_of(cfg: DictConfig) -> Views | None:
    """Build the views of a config; None where each image is looked at once, as a whole.

    Raises:
        UserError: a setting of them is not valid.
    """
    if not cfg.get("views"):
        return None
    built = build(cfg.views)
    if not isinstance(built, Views):
        raise UserError("views._target_ makes no Views: start from conf/views/tiles.yaml.")
    return built
