"""What configurations are called: by the fewest settings that tell one from another."""

from __future__ import annotations

import re
from collections.abc import Sequence

from yolov9_lit.research.report.settings import Settings

MOST = 32
"""Letters of a value that a name shows."""


def telling(settings: Sequence[Settings], kept: Sequence[str]) -> list[str]:
    """Return the settings by which configurations are told apart as well as by all of them.

    Of those that vary together the one with the shortest values stays, of equal ones the first.

    Args:
        settings: of each configuration, all with the same names.
        kept: names that stay in any case: what was chosen, whatever else came with it.
    """
    names = list(settings[0]) if settings else []
    found = names.copy()
    longest = {name: max(len(one[name]) for one in settings) for name in names}
    for name in sorted(names, key=lambda name: (longest[name], names.index(name)), reverse=True):
        rest = [other for other in found if other != name]
        if name not in kept and rest and _count(settings, rest) == _count(settings, names):
            found = rest
    return found


def unabridged(settings: Settings) -> str:
    """One line, as one would type it: `block=csp pgi=icn`."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def labels(settings: Sequence[Settings]) -> list[str]:
    """One line each, long values cut; whole ones where two would have the same label."""
    cut = [{name: _cut(value) for name, value in one.items()} for one in settings]
    return _unique([unabridged(one) for one in cut], settings)


def short_labels(settings: Sequence[Settings]) -> list[str]:
    """Shorter, for images: `csp icn`; names stay with numbers, truth values and "none"."""
    found = [" ".join(map(_word, one, one.values())) for one in settings]
    return _unique(found, settings)


def _unique(found: Sequence[str], settings: Sequence[Settings]) -> list[str]:
    """Write out those that are not the only one; number what differs in nothing that is shown."""
    whole = [
        label if found.count(label) == 1 else unabridged(one)
        for label, one in zip(found, settings, strict=True)
    ]
    earlier = [whole[:i].count(label) for i, label in enumerate(whole)]
    return [f"{label} ({n + 1})" if n else label for label, n in zip(whole, earlier, strict=True)]


def _word(name: str, value: str) -> str:
    if re.fullmatch(r"[\d.\[{-].*|none|null|true|false", value):
        return f"{name}={_cut(value)}"
    return _cut(value.rsplit(".", 1)[-1])


def _cut(value: str) -> str:
    return value if len(value) <= MOST else f"{value[: MOST - 1]}…"


def _count(settings: Sequence[Settings], names: Sequence[str]) -> int:
    return len({tuple(one[name] for name in names) for one in settings})
