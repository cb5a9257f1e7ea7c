"""Gradients of each branch's loss in the stages that main and auxiliary branches share.

PGI claims that its auxiliary branch gives the backbone reliable gradients (YOLOv9 paper, section
4.1); these are the quantities that can tell: how large a branch's gradient is, whether it points
where the main branch's does, and how much of it is there in the next batch too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from yolov9_lit.inference.images import unit_range
from yolov9_lit.losses.detection import DetectionLoss
from yolov9_lit.models.detector import Detector
from yolov9_lit.structures import Batch

Gradients = Mapping[str, Mapping[str, Tensor]]
"""By stage and branch, of those branches that reach the stage: (number of its parameters,)."""

MAIN, ALL = "main", "all"
"""Names of the main branch, and of the sum over the branches, by which weights are updated."""


class Measure(NamedTuple):
    """A quantity of one branch's gradient in one stage, in one batch.

    Attributes:
        stage: "P1" to "P5" of the backbone, or "neck".
        branch: "main", an auxiliary branch's name, or "all".
        quantity: "norm", of the gradient as weighted in the loss, for the mean image; "cosine"
            with the main branch's, -1..1; "reliability", the cosine with the gradient of the
            reference, -1..1.
        value: NaN where a gradient of length zero has no direction.
    """

    stage: str
    branch: str
    quantity: str
    value: float


def stages(detector: Detector) -> dict[str, list[nn.Parameter]]:
    """Return the trained parameters by stage, of a composite backbone those of its first column.

    A stage's down-sampling belongs to it. A backbone that is not made of levels is one stage.
    """
    backbone = detector.backbone
    column = getattr(backbone, "column", getattr(backbone, "first", backbone))
    levels = [list(child) for child in column.children() if isinstance(child, nn.ModuleList)]
    count = max(map(len, levels), default=0)
    parts = {f"P{i + 1}": [part[i] for part in levels if i < len(part)] for i in range(count)}
    parts = {**(parts or {"backbone": [backbone]}), "neck": [detector.neck]}
    trained = {
        stage: [p for module in modules for p in module.parameters() if p.requires_grad]
        for stage, modules in parts.items()
    }
    return {stage: parameters for stage, parameters in trained.items() if parameters}


def branch_gradients(
    detector: Detector,
    loss: DetectionLoss,
    batch: Batch,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> dict[str, dict[str, Tensor]]:
    """Compute the gradients of a batch, see `Gradients`; the parameters' own `grad` is not touched.

    Args:
        detector: in the mode in which it trains.
        loss: with the branches' weights.
        batch: on the detector's device.
        autocast: makes the context of the forward pass.
    """
    shared = stages(detector)
    parameters = [parameter for found in shared.values() for parameter in found]
    if not parameters:
        return {}
    with autocast():
        prediction = detector(unit_range(batch.images), auxiliary=loss.aux_active)
        output = loss(prediction, batch.targets)
    names = (MAIN, *detector.aux_branches)[: 1 + len(output.aux)]
    weights = loss.weights(len(output.aux))
    terms = [w * total for w, total in zip(weights, output.branch_totals, strict=True)]
    found: dict[str, dict[str, Tensor]] = {stage: {} for stage in shared}
    for i, (name, term) in enumerate(zip(names, terms, strict=True)):
        keep = i + 1 < len(terms)
        grads = iter(
            torch.autograd.grad(term, parameters, retain_graph=keep, allow_unused=True)
            if term.requires_grad
            else [None] * len(parameters)
        )
        for stage, members in shared.items():
            own = [next(grads) for _ in members]
            if any(grad is not None for grad in own):
                found[stage][name] = torch.cat([_flat(*p) for p in zip(own, members, strict=True)])
    for branches in found.values():
        if len(branches) > 1:
            branches[ALL] = torch.stack(list(branches.values())).sum(dim=0)
    return found


def measure(
    gradients: Callable[[Batch], Gradients], batches: Sequence[Batch], reference: Sequence[Batch]
) -> list[list[Measure]]:
    """Measure each of some batches.

    Args:
        gradients: computes those of a batch, in float32.
        batches: to measure.
        reference: others: the sum of their gradients is what a batch is compared with.

    Returns:
        The quantities of each batch.
    """
    total: dict[str, dict[str, Tensor]] = {}
    for batch in reference:
        for stage, branches in gradients(batch).items():
            into = total.setdefault(stage, {})
            for name, grad in branches.items():
                into[name] = into[name] + grad if name in into else grad
    return [list(compare(gradients(batch), total)) for batch in batches]


def compare(batch: Gradients, reference: Gradients) -> Iterator[Measure]:
    """Yield the quantities of a batch's gradients."""
    for stage, branches in batch.items():
        for name, grad in branches.items():
            yield Measure(stage, name, "norm", float(grad.norm()))
            if name not in (MAIN, ALL) and MAIN in branches:
                yield Measure(stage, name, "cosine", cosine(grad, branches[MAIN]))
            if name in (others := reference.get(stage, {})):
                yield Measure(stage, name, "reliability", cosine(grad, others[name]))


def cosine(a: Tensor, b: Tensor) -> float:
    """Return the cosine of the angle between two vectors (N,), NaN if one is zero."""
    # Each is scaled by itself first: the product of two small norms would vanish in float32.
    return float((a / a.norm()) @ (b / b.norm()))


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Let a module compute in training mode, and set back all that this changes.

    These are the buffers (statistics of batch normalisation) and the state of random numbers.
    Compiled parts run uncompiled: compiled graphs cannot be followed back more than once.
    """
    kept = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        with torch.random.fork_rng(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)


def _flat(grad: Tensor | None, parameter: Tensor) -> Tensor:
    return (torch.zeros_like(parameter) if grad is None else grad).flatten().float()
