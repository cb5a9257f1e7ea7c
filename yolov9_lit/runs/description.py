"""What tells a run from others at a glance: settings in one flat list, and a name made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from yolov9_lit.runs.identity import is_experiment

if TYPE_CHECKING:  # Names are made before a command needs torch.
    from yolov9_lit.models.cost import DetectorCost

NAMED = ("model", "block", "pgi")
"""Config groups whose option is in every name, without the group's."""

PASSED_OVER = ("seed", "trainer", "callbacks", "debug", "experiment", "hparams_search")
"""What is in no name as it was given: the seed ends it, the others are where a run's settings or
its hardware come from."""

LONGEST = 128
"""Letters that W&B takes for a name."""


class Description(NamedTuple):
    """The settings by which dashboards group runs; None where a model has no such depth.

    Attributes:
        model: chosen option of this group, as of the next three; "none" where it is switched off.
        block: computational block.
        pgi: auxiliary branches.
        data: data set.
        elan_depth: branches of a GELAN stage.
        csp_depth: bottlenecks of a block.
        seed: of the run.
        parameters: of the deployed model.
        trained_parameters: with the branches.
        GFLOPs: of the deployed model at 640 pixels.
    """

    model: str
    block: str
    pgi: str
    data: str
    elan_depth: int | None
    csp_depth: int | None
    seed: int
    parameters: int
    trained_parameters: int
    GFLOPs: float

    @classmethod
    def of(
        cls, cfg: DictConfig, choices: Mapping[str, str | None], cost: DetectorCost
    ) -> Description:
        """Describe a run of a config with these chosen options and this cost of its detector."""
        model, block, pgi, data = (choices.get(group) or "none" for group in (*NAMED, "data"))
        return cls(
            *(model, block, pgi, data),
            elan_depth=OmegaConf.select(cfg, "model.elan_depth"),
            csp_depth=OmegaConf.select(cfg, "model.csp_depth"),
            seed=cfg.seed,
            parameters=cost.deployed.params,
            trained_parameters=cost.trained.params,
            GFLOPs=round(cost.deployed.gflops, 3),
        )

    def known(self) -> dict[str, Any]:
        """Return the settings that there are, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def run_name(
    choices: Mapping[str, str | None],
    overrides: Sequence[str],
    seed: int,
    execution: Mapping[str, Any] | None = None,
) -> str:
    """Say what a run is: "gelan_s csp icn elan_depth=3 seed0".

    Args:
        choices: chosen option of each config group.
        overrides: as given. Those that make the experiment are told by the last part of their key;
            paths are left out.
        seed: of the run.
        execution: the config's node of that name.
    """
    words = [choices.get(group) for group in NAMED]
    for key, value in sorted(o.lstrip("+").split("=", 1) for o in overrides if "=" in o):
        told = is_experiment(key, execution) and key not in (*NAMED, *PASSED_OVER)
        if told and "/" not in value and not key.startswith("~"):
            words.append(f"{key.rsplit('.', 1)[-1]}={value}")
    name = " ".join(word for word in words if word and word != "none")
    return f"{name[: LONGEST - 16]} seed{seed}".strip()
