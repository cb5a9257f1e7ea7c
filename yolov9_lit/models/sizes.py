"""The sizes of GELAN as data (YOLOv9, arXiv 2402.13616, section 4.2, tables 1 and 3).

Widths are channels; a stage is (out, mid, branch) as in `GelanSpec`, which documents the fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = tuple[int, int, int]


@dataclass(frozen=True)
class Size:
    """One size of GELAN.

    Attributes:
        pgi: auxiliary branch that YOLOv9 of this size was published with.
        down: down-sampling layer.
        composite: the backbone has two columns (DHLC linkage).
        class_width_factor: of the head; the published T file has 2.

    The other fields are those of `GelanSpec`.
    """

    pgi: str
    down: Literal["AConv", "ADown"]
    elan_depth: int
    csp_depth: int
    stem: tuple[int, int]
    p2: Stage
    plain_p2: bool
    stages: tuple[Stage, Stage, Stage]
    downs: tuple[int, int, int]
    spp: tuple[int, int]
    top_down: tuple[Stage, Stage]
    bottom_up: tuple[Stage, Stage]
    bottom_up_downs: tuple[int, int]
    composite: bool = False
    class_width_factor: int = 1


T = Size(
    pgi="fpn",
    down="AConv",
    elan_depth=2,
    csp_depth=3,
    stem=(16, 32),
    p2=(32, 32, 16),
    plain_p2=True,
    stages=((64, 64, 32), (96, 96, 48), (128, 128, 64)),
    downs=(64, 96, 128),
    spp=(128, 64),
    top_down=((96, 96, 48), (64, 64, 32)),
    bottom_up=((96, 96, 48), (128, 128, 64)),
    bottom_up_downs=(48, 64),
    class_width_factor=2,
)
S = Size(
    pgi="fpn",
    down="AConv",
    elan_depth=2,
    csp_depth=3,
    stem=(32, 64),
    p2=(64, 64, 32),
    plain_p2=True,
    stages=((128, 128, 64), (192, 192, 96), (256, 256, 128)),
    downs=(128, 192, 256),
    spp=(256, 128),
    top_down=((192, 192, 96), (128, 128, 64)),
    bottom_up=((192, 192, 96), (256, 256, 128)),
    bottom_up_downs=(96, 128),
)
M = Size(
    pgi="icn",
    down="AConv",
    elan_depth=2,
    csp_depth=1,
    stem=(32, 64),
    p2=(128, 128, 64),
    plain_p2=False,
    stages=((240, 240, 120), (360, 360, 180), (480, 480, 240)),
    downs=(240, 360, 480),
    spp=(480, 240),
    top_down=((360, 360, 180), (240, 240, 120)),
    bottom_up=((360, 360, 180), (480, 480, 240)),
    bottom_up_downs=(184, 240),  # 184: with 180 the published count is not met
)
C = Size(
    pgi="icn",
    down="ADown",
    elan_depth=2,
    csp_depth=1,
    stem=(64, 128),
    p2=(256, 128, 64),
    plain_p2=False,
    stages=((512, 256, 128), (512, 512, 256), (512, 512, 256)),
    downs=(256, 512, 512),
    spp=(512, 256),
    top_down=((512, 512, 256), (256, 256, 128)),
    bottom_up=((512, 512, 256), (512, 512, 256)),
    bottom_up_downs=(256, 512),
)
E = Size(
    pgi="fpn",
    down="ADown",
    elan_depth=2,
    csp_depth=2,
    stem=(64, 128),
    p2=(256, 128, 64),
    plain_p2=False,
    stages=((512, 256, 128), (1024, 512, 256), (1024, 512, 256)),
    downs=(256, 512, 1024),
    spp=(512, 256),
    top_down=((512, 512, 256), (256, 256, 128)),
    bottom_up=((512, 512, 256), (512, 1024, 512)),
    bottom_up_downs=(256, 512),
    composite=True,
)

SIZES = {"t": T, "s": S, "m": M, "c": C, "e": E}

FAMILIES = ("gelan", "yolov9")
"""GELAN alone, and with the auxiliary branch that its size was published with."""


def list_models() -> list[str]:
    """Return the names that `create_model` takes: gelan_t ... gelan_e, yolov9_t ... yolov9_e."""
    return [f"{family}_{size}" for family in FAMILIES for size in SIZES]


def size_of(model: str) -> Size:
    """Return the size of a model.

    Raises:
        ValueError: there is no such model.
    """
    if model not in list_models():
        raise ValueError(f"there is no model {model!r}: choose from {', '.join(list_models())}")
    return SIZES[model.partition("_")[2]]
