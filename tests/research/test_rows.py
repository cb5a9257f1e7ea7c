"""The paper's tables as sweeps: rows, their figures and costs, the jobs that a table becomes."""

import csv
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.research import paper
from yolov9_lit.research.paper import paper_figures
from yolov9_lit.research.summary import row_costs
from yolov9_lit.runs.identity import differences, experiment_config, fingerprint

ROWS = sorted(path.stem for path in (CONFIG_DIR / "row").glob("*.yaml"))
COST = ("params", "gflops", "ap")
SIZES = ("ap", "ap_s", "ap_m", "ap_l")
IOUS = ("ap", "ap50", "ap75")
NECK_BRANCHES = {("none", "icn"): "icn_neck", ("fpn", "icn"): "fpn_icn"}  # else the backbone's
TABLE_5_PGI = {"gelan_s": "fpn", "gelan_m": "icn", "gelan_c": "lhg_icn", "gelan_e": "fpn"}
TABLE_6 = {
    "yolov7": ("table6-0_yolov7", "yolov7", "none"),
    "+ AF": ("table6-1_af", "yolov7_af", "none"),
    "+ GELAN": ("table6-2_gelan", "gelan_e_single", "none"),
    "+ DHLC": ("table6-3_dhlc", "gelan_e", "none"),
    "+ PGI": ("table6-4_pgi", "gelan_e", "fpn"),
}
BIASES = {"table6-0_yolov7": 0.087}
"""1e9 additions of convolutions' biases, which the paper's figure counts as multiply-adds."""

SEGMENT = {"source": "README of github.com/WongKinYiu/yolov9", "epochs": 300, "params": 27.4}
SEGMENT_PGI = {  # that README's table "Instance Segmentation", commit 5b1ea9a
    ("seg", "none"): {"gflops": 144.6, "ap": 52.3, "mask_ap": 42.4} | SEGMENT,
    ("dseg", "icn"): {"gflops": 145.5, "ap": 53.3, "mask_ap": 43.5} | SEGMENT,
}


@pytest.fixture(scope="module")
def tables(shared):
    return yaml.safe_load((shared / "paper" / "tables.yaml").read_text())


@pytest.fixture
def hydra():
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        yield GlobalHydra.instance().hydra


def expected_rows(tables):
    """Name -> (model, block, pgi), (ELAN depth, CSP depth), the paper's figures."""
    rows = {}
    for block, figures in tables["table2"].items():
        rows[f"table2-{block}"] = (
            ("gelan_s", block, "none"),
            (2, 1),
            dict(zip(COST, figures, strict=True)),
        )
    for model, elan, csp, *figures in tables["table3"]:
        name = f"table3-{model}-{elan}-{csp}"
        rows[name] = ((model, "csp", "none"), (elan, csp), dict(zip(COST, figures, strict=True)))
    for model, backbone, neck, *figures in tables["table4"]:
        pgi = NECK_BRANCHES.get((backbone, neck), backbone)
        rows[f"table4-{model}-{pgi}"] = (
            (model, "csp", pgi),
            None,
            dict(zip(SIZES, figures, strict=True)),
        )
    for model, supervision, *figures in tables["table5"]:
        pgi = {"none": "none", "ds": "pfh", "pgi": TABLE_5_PGI[model]}[supervision]
        name = f"table5-{model}-{supervision}"
        rows[name] = ((model, "csp", pgi), None, dict(zip(IOUS, figures, strict=True)))
    for step, *figures in tables["table6"]:
        name, model, pgi = TABLE_6[step]
        block = None if model.startswith("yolov7") else "csp"
        rows[name] = ((model, block, pgi), None, dict(zip(COST[:2] + SIZES, figures, strict=True)))
    for pgi, minutes in tables["pgi_cost"].items():
        figures = {"minutes_per_epoch": minutes}
        rows[f"pgi_cost-{pgi}"] = (("gelan_c", "csp", pgi), None, figures)
    for prototypes, pgi in product(("seg", "dseg", "dseg_deep"), ("none", "icn")):
        figures = SEGMENT_PGI.get((prototypes, pgi), {})
        rows[f"segment_pgi-{prototypes}-{pgi}"] = (("gelan_c", "csp", pgi), None, figures)
    return rows


@pytest.mark.slow
def test_every_row_of_the_paper_is_there_with_its_figures(tables, hydra):
    expected = expected_rows(tables)
    assert sorted(expected) == ROWS
    for name, (choices, depths, figures) in expected.items():
        cfg = compose("summary", [f"row={name}"], return_hydra_config=True)
        chosen = cfg.hydra.runtime.choices
        assert (chosen.model, chosen.block, chosen.pgi) == choices, name
        if depths:
            assert (cfg.model.elan_depth, cfg.model.csp_depth) == depths, name
        source = {"table": name.partition("-")[0], "model": choices[0]}
        assert "paper" not in cfg, "figures are no config"
        assert paper_figures(name, {}) == source | figures, name


def test_the_table_of_figures_and_the_configs_name_the_same_rows():
    with (Path(paper.__file__).parent / "paper.csv").open() as file:
        names = [line["row"] for line in csv.DictReader(file)]
    assert sorted(names) == ROWS
    assert len(set(names)) == len(names)


def test_a_users_own_row_has_its_figures_in_its_config():
    own = {"ap": 12.3, "model": "mine"}
    assert paper_figures("mine-1", {"paper": own}) == own
    assert paper_figures(None, {"paper": None}) == paper_figures("mine-1", {}) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ROWS if n[:6] in ("table2", "table3", "table6")])
def test_rows_cost_what_the_paper_prints(tables, hydra, name):
    figures = expected_rows(tables)[name][2]
    (row,) = row_costs([name])
    assert row.cost.deployed.params / 1e6 == pytest.approx(figures["params"], abs=0.05)
    gflops = row.cost.deployed.gflops + 2 * BIASES.get(name, 0)
    assert gflops == pytest.approx(figures["gflops"], abs=0.1)


@pytest.mark.slow
def test_published_pairs_of_segmentation_cost_what_is_published(hydra):
    """Trained parameters: of the published files, less DFL's fixed 16 a head."""
    published = {("seg", "none"): 27_634_704, ("dseg", "none"): 27_668_240}
    published[("dseg_deep", "icn")] = 57_991_712
    found = {
        tuple(row.name.split("-")[1:]): row.cost
        for row in row_costs([n for n in ROWS if n.startswith("segment")])
    }
    assert published == {name: found[name].trained.params for name in published}
    for name, figures in SEGMENT_PGI.items():
        assert found[name].deployed.params / 1e6 == pytest.approx(figures["params"], abs=0.05)
        assert found[name].deployed.gflops == pytest.approx(figures["gflops"], abs=0.1)


def test_a_row_of_segmentation_is_the_task_its_prototypes_and_its_branch(hydra):
    cfg = compose("train", ["row=segment_pgi-dseg_deep-icn", "data.root=x", "run_dir=x"])
    assert cfg.model.head.prototypes.csp_depth == 2
    assert (list(cfg.model.pgi), cfg.data.masks, cfg.monitor) == (["icn"], True, "val/mask_AP")
    other = compose("train", ["row=segment_pgi-dseg_deep-icn", "prototypes=seg", "data.root=x"])
    assert other.model.head.prototypes._target_.endswith("UpsampledPrototypes")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ROWS if n.startswith(("table4", "table5", "pgi"))])
def test_rows_build_with_their_branches(hydra, name):
    cfg = compose("summary", [f"row={name}"])
    with torch.device("meta"):
        detector = instantiate(cfg.model, num_classes=80)
    assert list(detector.aux_heads) == list(cfg.model.pgi)
    guided = name.endswith("lhg_icn") or name == "table5-gelan_c-pgi"
    assert cfg.loss.lead_head_guided == guided


@pytest.mark.parametrize("model", ["gelan_c", "gelan_e"])
def test_pgi_of_table_5_is_the_best_row_of_table_4(tables, model):
    """One training, two tables: the branch that table 5 calls PGI has table 4's highest AP."""
    best = max(row[3] for row in tables["table4"] if row[0] == model)
    (ap,) = (row[2] for row in tables["table5"] if row[:2] == [model, "pgi"])
    assert ap == best == paper_figures(f"table4-{model}-{TABLE_5_PGI[model]}", {})["ap"]


def sweep(hydra, folder, *overrides):
    """What Hydra's sweeper and launcher make of a command: (choices, config) of each job."""
    arguments = [*overrides, f"data.root={folder}", f"hydra.sweep.dir={folder}"]
    assert hydra.get_mode("train", arguments) == RunMode.MULTIRUN, "a table needs no -m"
    jobs = []

    def record(cfg):
        jobs.append((HydraConfig.get().runtime.choices, cfg))

    hydra.multirun("train", record, arguments, with_log_configuration=False)
    return jobs


def experiments():
    """The arguments that name each sweep, and the sweep's name: numbers, and the old names."""
    numbered = [(["experiment=table", f"table={n}"], f"table{n}") for n in range(2, 7)]
    named = [([f"experiment={name}"], name) for _, name in numbered]
    others = [([f"experiment={name}"], name) for name in ("pgi_cost", "segment_pgi")]
    return [*numbered, *named, *others]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "name"), experiments())
def test_an_experiment_is_its_whole_table(hydra, tmp_path, arguments, name):
    jobs = sweep(hydra, tmp_path, *arguments, "data=coco")
    assert [choices["row"] for choices, _ in jobs] == [r for r in ROWS if r.startswith(name)]
    assert {choices["data"] for choices, _ in jobs} == {"coco"}
    assert {cfg.sweep for _, cfg in jobs} == {name}
    assert {paper_figures(choices["row"], {})["table"] for choices, _ in jobs} == {name}
    epochs = {"pgi_cost": 3, "segment_pgi": 300}.get(name, 500)
    assert {cfg.trainer.max_epochs for _, cfg in jobs} == {epochs}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["experiment=table4"], ["experiment=table", "table=4"]])
def test_seeds_multiply_and_a_subset_is_an_override(hydra, tmp_path, arguments):
    rows = ["table4-gelan_c-icn", "table4-gelan_c-lhg_icn"]
    jobs = sweep(hydra, tmp_path, *arguments, f"row={','.join(rows)}", "seed=1,2,3")
    seen = [(choices["row"], cfg.seed) for choices, cfg in jobs]
    assert seen == [(row, seed) for row in rows for seed in (1, 2, 3)]


def test_another_model_and_data_set_are_overrides(hydra, tmp_path):
    jobs = sweep(hydra, tmp_path, "experiment=table2", "model=yolov9_t", "data=bccd", "pgi=fpn")
    assert [choices["block"] for choices, _ in jobs] == ["conv", "csp", "dark", "res"]
    for choices, cfg in jobs:
        assert (choices["model"], choices["pgi"], choices["data"]) == ("yolov9_t", "fpn", "bccd")
        assert list(cfg.model.stem) == [16, 32]
        assert cfg.model.csp_depth == 1


def test_the_sweep_of_pose_is_of_each_branch(hydra, tmp_path):
    jobs = sweep(hydra, tmp_path, "experiment=pose_pgi", "data=coco_keypoints")
    seen = [choices["pgi"] for choices, _ in jobs]
    assert seen == ["none", "pfh", "fpn", "icn", "lhg_icn"]
    for choices, cfg in jobs:
        assert (choices["task"], choices["model"], choices["row"]) == ("pose", "gelan_c", None)
        assert (cfg.sweep, cfg.monitor) == ("pose_pgi", "val/pose_AP")
        assert cfg.model.head._target_.endswith("PoseHead")
        branch = {"none": [], "lhg_icn": ["icn"]}.get(choices["pgi"], [choices["pgi"]])
        assert list(cfg.model.pgi) == branch
        assert cfg.loss.lead_head_guided == (choices["pgi"] == "lhg_icn")


def test_a_rows_branch_wins_over_the_models_own(hydra):
    cfg = compose("train", ["row=table4-gelan_c-pfh", "model=yolov9_t"])
    assert list(cfg.model.pgi) == ["pfh"]


def test_jobs_of_an_earlier_versions_sweep_are_the_same_experiment(hydra):
    """It had the paper's figures in the config, and no number of a table."""
    row = ["row=table4-gelan_c-icn", "data.root=x", "run_dir=x"]
    new = experiment_config(compose("train", ["experiment=table4", *row]))
    old = experiment_config(compose("train", row)) | {"paper": {"ap": 52.9}}
    assert differences(old, new, None) == []
    assert fingerprint(old) == fingerprint(new)


def test_without_an_experiment_nothing_is_swept(hydra):
    assert hydra.get_mode("train", []) in (None, RunMode.RUN)
    assert compose("train").sweep is None


def summary(folder, *arguments):
    command = [sys.executable, "-m", "yolov9_lit.summary", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_summary_of_a_table(tmp_path):
    done = summary(tmp_path, "rows=table2-*", "markdown=true", "model=gelan_t")
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.strip().splitlines()
    rows = json.loads(last)["rows"]
    assert list(rows) == ["table2-conv", "table2-csp", "table2-dark", "table2-res"]
    assert rows["table2-conv"]["paper"] == {"params": 6.2, "gflops": 23.5, "ap": 44.8}
    assert rows["table2-conv"]["deployed"]["params"] < 2_500_000, "of GELAN-T, as asked"
    line = next(line for line in table if "table2-conv" in line)
    millions = rows["table2-conv"]["deployed"]["params"] / 1e6
    assert line.startswith("| table2-conv")
    assert f"{millions:.2f} (6.2)" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rows=table9-*"], "error: No row is called table9-*: use a pattern like"),
        (["rows=*", "row=table2-csp"], "error: Both row and rows are given: leave out one of them"),
    ],
)
def test_mistakes_get_one_sentence(tmp_path, arguments, sentence):
    done = summary(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
