"""Rows of the paper's tables (`conf/row`): what each costs here, beside what the paper prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from yolov9_lit.building import build
from yolov9_lit.errors import UserError
from yolov9_lit.models.cost import DetectorCost, detector_cost


class RowCost(NamedTuple):
    """A row of a table.

    Attributes:
        name: its file in `conf/row`, without the ending.
        cost: of the detector it describes.
        paper: the paper's figures of it: `params` in millions and `gflops` (both deployed), `ap`,
            `ap50`, ... in percent; as many as its table prints.
    """

    name: str
    cost: DetectorCost
    paper: dict[str, float]


def row_names(pattern: str) -> list[str]:
    """Rows that Hydra can find, a user's own among them; inside a command only.

    Args:
        pattern: of their names, with `*` and `?`.

    Raises:
        UserError: there is none.
    """
    names = GlobalHydra.instance().config_loader().get_group_options("row")
    found = sorted(name for name in names if fnmatchcase(name, pattern))
    if not found:
        tables = sorted({name.partition("-")[0] for name in names})
        raise UserError(f"No row is called {pattern}: use a pattern like '{tables[0]}-*'.")
    return found


def row_costs(names: Sequence[str], overrides: Sequence[str] = ()) -> Iterator[RowCost]:
    """Compose, build and count each row, on the meta device; inside a command only.

    Args:
        names: files in `conf/row`, without their ending.
        overrides: of the summary's config, e.g. `model=gelan_t`, for all of them.

    Raises:
        UserError: a constructor refused a value.
    """
    for name in names:
        cfg = compose("summary", overrides=[*overrides, f"row={name}"])
        with torch.device("meta"):
            detector = build(cfg.model, num_classes=cfg.model.num_classes or cfg.num_classes)
        cost = detector_cost(detector, cfg.image_size, cfg.model.in_channels)
        yield RowCost(name, cost, _paper(cfg))


def _paper(cfg: DictConfig) -> dict[str, float]:
    figures = OmegaConf.to_container(cfg.paper)
    assert isinstance(figures, dict)
    return {str(k): v for k, v in figures.items() if k not in ("table", "model")}
