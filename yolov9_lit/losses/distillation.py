"""What an auxiliary branch's predictions teach the main head, beside the targets.

Localization distillation (LD, arXiv 2102.12252): a side's distribution over the DFL bins tells
more than the distance that is made of it, also how sure it is. Beside it LD distils the classes.
Both are done where there is an object, as in LD's code; what that adds around objects, of the sides
alone, is left out. Its classes are one softened softmax; here, as for the heads, each is there or
not by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from yolov9_lit.kinds import Amount, PositiveFloat
from yolov9_lit.losses.assigners import Assignment
from yolov9_lit.structures import HeadOutput


class DistillationItems(NamedTuple):
    """Terms of what the main branch learns from another, over the sum of target scores.

    The names are those they are logged under, beside the main branch's own.
    """

    distill_box: Tensor
    distill_cls: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the two."""
        return self.distill_box + self.distill_cls


@dataclass(frozen=True)
class Distillation:
    """Divergence of the main head's predictions from a teacher's, which gets no gradient.

    Attributes:
        teacher: name of the auxiliary branch.
        box_gain: weight of the term of the sides; 0.1 is to a `dfl_gain` of 1.5 what it is in LD,
            whose code takes the mean over the bins where this sums.
        cls_gain: weight of the term of the classes; half that of the targets' own, as in LD.
        temperature: T by which the sides' logits are divided; their term is multiplied by its
            square, so that the gradient keeps its size.
    """

    teacher: str
    box_gain: Amount = 0.1
    cls_gain: Amount = 0.25
    temperature: PositiveFloat = 10.0

    def __call__(
        self, student: HeadOutput, teacher: HeadOutput, assignment: Assignment
    ) -> DistillationItems:
        """Compute the terms, each anchor weighed by its target score, as in the loss's own.

        Args:
            student: raw outputs of the main branch.
            teacher: those of the auxiliary one.
            assignment: of the main branch; nothing is learnt where it has no object.
        """
        weight = assignment.scores.sum(dim=-1)
        norm = weight.sum().clamp(min=1)
        sides = side_divergence(student.box_logits, teacher.box_logits, self.temperature)
        classes = class_divergence(student.class_logits, teacher.class_logits)
        return DistillationItems(
            self.box_gain * (sides * weight).sum() / norm,
            self.cls_gain * (classes * weight).sum() / norm,
        )


def side_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher || student) of the softened distributions, the mean of the four sides.

    Args:
        student: (B, A, 4 * bins) logits.
        teacher: likewise; no gradient flows there.
        temperature: T > 0.

    Returns:
        (B, A), 0 where they agree.
    """
    log_p, log_q = (
        (logits.float().unflatten(-1, (4, -1)) / temperature).log_softmax(dim=-1)
        for logits in (teacher.detach(), student)
    )
    divergence = F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=-1)
    return temperature**2 * divergence.mean(dim=-1)


def class_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of each class's being there or not, the sum over the classes.

    Its gradient is that of the binary cross-entropy to the teacher's probabilities.

    Args:
        student: (B, A, C) logits.
        teacher: likewise; no gradient flows there.

    Returns:
        (B, A), 0 where they agree.
    """
    logits = teacher.detach().float()
    wanted = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    cross = F.binary_cross_entropy_with_logits(student.float(), wanted, reduction="none")
    return (cross - entropy).sum(dim=-1)
