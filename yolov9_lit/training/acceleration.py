"""How a training step is computed, which changes its speed and memory and not what it computes."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from yolov9_lit.errors import UserError, one_line
from yolov9_lit.memory import keep_freed_memory
from yolov9_lit.models.gelan import GELANStage
from yolov9_lit.models.layers import statistics_as_they_are
from yolov9_lit.models.plain import DeepBackbone
from yolov9_lit.models.reversible import ReversibleColumns
from yolov9_lit.models.yolov7 import ELAN
from yolov9_lit.training.module import DetectionModule


@dataclass(frozen=True)
class Acceleration:
    """What makes a training faster or smaller; losses and weights are the same, to rounding.

    Attributes:
        channels_last: keep a pixel's channels beside each other in memory; None: where it is known
            to be faster, on CUDA and on x86 processors.
        compile: "off"; "blocks", each stage of backbone and neck by itself, in seconds; "whole",
            model and loss as one graph, in minutes. Both need a C++ compiler on the CPU, Triton on
            a GPU.
        checkpointing: compute a stage's activations again in the backward pass instead of keeping
            them (arXiv 1604.06174): less memory, more time.
    """

    channels_last: bool | None = None
    compile: Literal["off", "blocks", "whole"] = "off"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError where two exclude each other."""
        if self.checkpointing and self.compile != "off":
            raise ValueError(
                f"checkpointing=true and compile={self.compile} do not go together: choose one, "
                "compiled graphs decide themselves what to compute again"
            )

    def apply(self, module: DetectionModule, device: torch.device) -> None:
        """Set a module up, before its weights are averaged or given to an optimiser.

        Raises:
            UserError: the device's compiler is not there, or it cannot compile the model.
        """
        if device.type == "cpu":
            keep_freed_memory()
        wanted = self.channels_last
        if _is_faster_channels_last(device) if wanted is None else wanted:
            module.detector.to(memory_format=torch.channels_last)
        if self.checkpointing:
            for stage in stages(module.detector):
                recompute(stage)
        if self.compile == "whole":
            _require_graph(module.detector)
        if self.compile != "off":
            _require_compiler(self.compile, device)
        if self.compile == "blocks":
            # Every stage is an entry of its own in the cache of the one forward that they share.
            torch._dynamo.config.recompile_limit = 256
            for stage in stages(module.detector):
                stage.compile()
        if self.compile == "whole":
            module.compared = torch.compile(  # type: ignore[method-assign]
                module.compared, fullgraph=True
            )


def stages(detector: nn.Module) -> Iterator[nn.Module]:
    """Yield the parts of backbones, necks and auxiliary branches in which most work is done."""
    for module in detector.modules():
        if isinstance(module, GELANStage | ELAN):
            yield module
        elif isinstance(module, DeepBackbone):
            yield from module.blocks


def recompute(stage: nn.Module) -> None:
    """Make a module drop its activations in training, and compute them again when needed."""
    stage.forward = partial(_recomputed, stage, stage.forward)


def _recomputed(stage: nn.Module, forward: Any, *inputs: Tensor) -> Tensor:
    if not (stage.training and torch.is_grad_enabled()):
        return forward(*inputs)
    contexts = partial(_contexts, stage)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


def _contexts(
    stage: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), statistics_as_they_are(stage)


def _is_faster_channels_last(device: torch.device) -> bool:
    on_x86 = device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64")
    return on_x86 or device.type == "cuda"


def _require_graph(detector: nn.Module) -> None:
    """Raise UserError if a part computes its gradients by itself."""
    if any(isinstance(m, ReversibleColumns) and m.reversible for m in detector.modules()):
        raise UserError(
            "compile=whole and reversible columns do not go together: give compile=blocks, or "
            "model.backbone.reversible=false."
        )


def _require_compiler(setting: str, device: torch.device) -> None:
    """Compile next to nothing.

    Raises:
        UserError: that fails.
    """
    try:
        with torch._inductor.config.patch(force_disable_caches=True):
            torch.compile(torch.sin, fullgraph=True)(torch.ones(2, device=device))
    except Exception as error:
        needed = "a C++ compiler, such as g++ or clang," if device.type == "cpu" else "Triton"
        reason = one_line(str(error).strip().split("\n")[0])
        raise UserError(
            f"compile={setting} needs {needed} and a {device.type} that torch compiles for "
            f"({type(error).__name__}: {reason}): install it, or leave compile out."
        ) from error
