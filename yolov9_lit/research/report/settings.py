"""What a set of runs varies: the few settings that tell one configuration from another."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from yolov9_lit.research.report.runs import Run

NOT_A_SETTING = (
    "seed",
    "test",
    "objectives",
    "data.seed",
    "trainer.devices",
    "trainer.max_time",
    "trainer.num_nodes",
    "trainer.strategy",
)
"""Keys (and all below them) that do not tell configurations apart."""

PLACE = "data.root"
"""Key of where the data lie: the same data may lie elsewhere on another machine."""

NOT_A_CHOICE = (
    "execution",
    "logger",
    "trainer",
    "callbacks",
    "debug",
    "experiment",
    "row",
    "hydra",
)
"""Groups that only bring settings which show in the config, or none."""

Settings = Mapping[str, str]
"""Short name -> value, in the same order for all runs of a set."""


def configurations(runs: Sequence[Run]) -> list[tuple[Settings, list[Run]]]:
    """Group runs by configuration: by everything that varies among them except the seed.

    A configuration is named by the group choices that vary, and by those keys that vary among
    runs with the same choices. Where nothing varies, by its model. Where the data lie tells
    configurations apart if one was trained from one seed in two places: they are other data.
    """
    keys = _varying([run.config for run in runs], (*NOT_A_SETTING, PLACE))
    finished = [run for run in runs if run.counts]
    if not _follows(
        [_value(run.config, PLACE) for run in finished],
        [(run.seed, _values(run.config, keys)) for run in finished],
    ):
        keys = _varying([run.config for run in runs], NOT_A_SETTING)
    groups = groups_of(runs)
    chosen = [_values(run.choices, groups) for run in runs]
    own = [key for key in keys if not _follows([_value(run.config, key) for run in runs], chosen)]
    names = _short_names(own, taken=groups or ["model"])
    members: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        members[_values(run.config, keys)].append(run)
    found = []
    for same in members.values():
        first = same[0]
        settings = {group: text(first.choices.get(group)) for group in groups}
        settings |= {names[key]: text(first.config.get(key)) for key in own}
        found.append((settings or {"model": text(first.choices.get("model"))}, same))
    return sorted(found, key=lambda pair: [_natural(value) for value in pair[0].values()])


def groups_of(runs: Sequence[Run]) -> list[str]:
    """Return the config groups of which runs have made different choices."""
    return _varying([run.choices for run in runs], NOT_A_CHOICE)


def _varying(mappings: Sequence[Mapping[str, Any]], ignored: Sequence[str]) -> list[str]:
    """Keys that do not have one value in all mappings, in the order of first appearance."""
    names = dict.fromkeys(key for mapping in mappings for key in mapping)
    return [
        key
        for key in names
        if not any(re.match(rf"{re.escape(part)}(\.|/|$)", key) for part in ignored)
        and len({_value(mapping, key) for mapping in mappings}) > 1
    ]


def _follows(values: Sequence[str], causes: Sequence[Hashable]) -> bool:
    """Whether equal causes always come with equal values."""
    seen: dict[Hashable, str] = {}
    return all(
        seen.setdefault(cause, value) == value for cause, value in zip(causes, values, strict=True)
    )


def _values(mapping: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(_value(mapping, key) for key in keys)


def _value(mapping: Mapping[str, Any], key: str) -> str:
    """Make a value comparable; an absent key differs from null."""
    return json.dumps(mapping[key], sort_keys=True, default=str) if key in mapping else ""


def _short_names(keys: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Return the shortest ending of each dotted key that no other name has."""
    names = {}
    for key in keys:
        parts = key.split(".")
        endings = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        others = [other for other in keys if other != key]
        names[key] = next(
            ending
            for ending in [*endings, key]
            if ending == key
            or (ending not in taken and not any(f".{o}".endswith(f".{ending}") for o in others))
        )
    return names


def text(value: Any) -> str:
    """Write a value as one would type it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _natural(value: str) -> list[tuple[int, float, str]]:
    """Sort key: "none" first, numbers by size, words by letters."""
    parts = re.findall(r"\d+\.?\d*|\D+", value) if value != "none" else []
    return [(0, float(p), "") if p[0].isdigit() else (1, 0.0, p) for p in parts]
