"""Deploy checkpoints: the main branch alone, fused, in safetensors with the card in the header.

The card describes the detector before fusion, without its auxiliary branches.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from yolov9_lit.errors import UserError
from yolov9_lit.files import atomic_write
from yolov9_lit.models.detector import Detector
from yolov9_lit.weights.card import PREFIX, ModelCard

SUFFIX = ".safetensors"
_CARD = "yolov9_lit"


def write_deployed(path: Path, detector: Detector, card: ModelCard) -> None:
    """Deploy a detector and write it.

    Args:
        path: where to write; an earlier file is replaced once the new one is complete.
        detector: as trained, or already deployed.
        card: the detector's card.
    """
    without = {"pgi": None} if "pgi" in card.model else {}
    bare = dataclasses.replace(card, model=card.model | without)
    state = detector.deploy().state_dict()
    tensors = {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in state.items()}
    with atomic_write(path) as part:
        part.write_bytes(save(tensors, metadata={_CARD: json.dumps(bare.to_dict())}))


def read_deployed(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the card, as `ModelCard.to_dict` returns it, and the tensors by name.

    Raises:
        UserError: the file is damaged, or has no card.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            card = json.loads((file.metadata() or {})[_CARD])
            return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} cannot be read as safetensors ({error}): convert it again."
        ) from error
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} has no card in its header: give a file that yolov9_lit.convert deploy=true "
            "wrote."
        ) from error
