"""Which kinds at which severities, as a config names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from yolov9_lit.data.corruptions.corruption import SEVERITIES, Corruption
from yolov9_lit.data.transforms.albumentations import AnyTransform
from yolov9_lit.errors import UserError, first_few
from yolov9_lit.kinds import Limits

Kind: TypeAlias = Callable[[int], AnyTransform] | AnyTransform
"""Gives the transform of a severity, 1 to 5; or is one, whatever the severity."""

Severity = Annotated[int, Limits(SEVERITIES.start, SEVERITIES.stop - 1)]


@dataclass(frozen=True)
class Suite:
    """Corruptions that a detector is measured under, one after the other.

    Attributes:
        library: kinds by name.
        kinds: names of those that are measured; None for all.
        severities: of each kind.
    """

    library: Mapping[str, Kind]
    kinds: list[str] | None = None
    severities: Sequence[Severity] = tuple(SEVERITIES)

    def corruptions(self) -> list[Corruption]:
        """Return them, kind by kind.

        Raises:
            UserError: there is no such kind, or none, or one that boxes cannot follow.
        """
        kinds = [*self.library] if self.kinds is None else self.kinds
        if not kinds or not self.severities:
            raise UserError(
                "corruption.kinds and corruption.severities name nothing: give at least one each."
            )
        return [
            one(self.library, kind, severity)
            for kind in dict.fromkeys(kinds)
            for severity in sorted({*self.severities})
        ]


def one(library: Mapping[str, Kind], kind: str, severity: Severity) -> Corruption:
    """Return one kind of a library at one severity.

    Raises:
        UserError: there is no such kind, or one that boxes cannot follow.
    """
    if kind not in library:
        raise UserError(f"There is no corruption {kind}: choose from {first_few([*library], 20)}.")
    made = library[kind]
    return Corruption(kind, severity, made if isinstance(made, AnyTransform) else made(severity))
