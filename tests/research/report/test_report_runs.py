"""Run folders in every state become rows, or are told apart with a reason."""

import json

import pytest
import yaml

from yolov9_lit.errors import UserError
from yolov9_lit.research.report.compare import compare, row_pairs
from yolov9_lit.research.report.rows import base_of, choose_base, make_rows
from yolov9_lit.research.report.runs import read_runs
from yolov9_lit.research.report.tables import result_frame, result_table
from yolov9_lit.research.report.tested import read_tests
from yolov9_lit.research.report.write import _summary


def rows_of(folders):
    return make_rows(read_runs(folders.root))


def test_every_state_of_a_run_is_seen(folders):
    folders.make("good")
    folders.make("failed", seed=1, status="failed")
    folders.make("running", seed=2, status="running")
    (folders.make("untested", seed=3) / "results.json").unlink()
    (folders.make("cut", seed=4) / "run.json").write_text('{"status": "do')
    (folders.make("half", seed=5) / "results.json").write_text('{"AP": 0.1')
    (folders.make("bare", seed=6) / ".hydra" / "config.yaml").unlink()
    started = folders.make("started", seed=7, status="running")
    (started / "run.json").unlink()
    (started / "metrics.csv").unlink()
    rows, left = rows_of(folders)
    assert [run.folder.name for row in rows for run in row.runs] == ["good"]
    told = {run.folder.name: (run.status, run.problem) for run in left}
    assert told == {
        "failed": ("failed", "RuntimeError: out of memory"),
        "running": ("running", "2 of 4 epochs validated"),
        "untested": ("done", "no results.json: it was not tested"),
        "cut": ("unknown", told["cut"][1]),
        "half": ("done", f"{folders.root / 'half' / 'results.json'} is damaged"),
        "bare": ("done", "no readable .hydra/config.yaml"),
        "started": ("unknown", "0 of 4 epochs validated"),
    }
    assert told["cut"][1].startswith(f"{folders.root / 'cut' / 'run.json'} is no record of a run")


@pytest.mark.parametrize("value", [-1, float("nan"), 10**400, "abc", [1]], ids=lambda v: str(v)[:9])
@pytest.mark.parametrize(
    ("file", "key"),
    [
        *(("run.json", key) for key in ("status", "choices", "seed", "ended", "cost", "config")),
        *(("run.json", key) for key in ("seconds_per_epoch", "epochs", "overrides", "error")),
        *(("results.json", key) for key in ("AP", "AP50", "num_images")),
        *((".hydra/config.yaml", key) for key in ("trainer", "seed", "paper", "execution", "data")),
        ("detections.json", None),
        (".hydra/hydra.yaml", None),
    ],
)
def test_no_value_of_one_run_hides_the_others(small_sweep, file, key, value):
    path = small_sweep / "odd" / file
    before = path.read_text()
    if key:
        nested = key in ("trainer", "data")
        found = {"max_epochs": value, "image_size": value} if nested else value
        path.write_text(json.dumps(yaml.safe_load(before) | {key: found}))
    else:
        path.write_text(json.dumps(value))
    runs = read_runs(small_sweep)
    rows, left = make_rows(runs)
    pairs = row_pairs(rows, choose_base(rows, None))
    counted = [run for row in rows for run in row.runs]
    tests = read_tests(counted, {run.folder for run in counted}, replicates=2, seed=0)
    comparisons = {"AP": compare(pairs, tests)}
    path.write_text(before)
    table = result_table(result_frame(rows, comparisons), rows, comparisons, {})
    assert {"none-0", "none-1", "fpn"} <= {run.folder.name for row in rows for run in row.runs}
    assert any("none" in row[0].text for row in table.rows)
    assert all(run.problem for run in left)
    assert _summary(runs, rows)


def test_a_refused_run_brings_no_settings(folders):
    """Its record has no config: the keys that it lacks are not what the others differ in."""
    for pgi in ("none", "fpn"):
        config = {"trainer": {"max_epochs": 4}, "model": {"pgi": {pgi: {"_partial_": True}}}}
        folders.make(pgi, choices={"pgi": pgi}, record={"config": config})
    folders.make("refused", status="failed", record={"config": {}, "error": "ckpt=5 is no path."})
    rows, left = rows_of(folders)
    assert [row.label for row in rows] == ["pgi=none", "pgi=fpn"]
    assert [(run.folder.name, run.problem) for run in left] == [("refused", "ckpt=5 is no path.")]


def test_runs_from_before_the_record_count_and_other_commands_do_not(folders):
    (folders.make("old/one", seed=3) / "run.json").unlink()
    evaluation = folders.make("old/evaluated", seed=4)
    (evaluation / "run.json").unlink()
    (evaluation / ".hydra" / "hydra.yaml").write_text("hydra: {job: {name: eval}}")
    rows, left = rows_of(folders)
    assert [run.folder.name for run in rows[0].runs] == ["one"]
    assert rows[0].runs[0].seed == 3
    assert left == []


def test_the_curve_of_a_resumed_and_cut_file(folders):
    folder = folders.make("one")
    (folder / "metrics.csv").write_text(
        "epoch,step,val/AP\n0,1,\n0,1,0.1\n1,2,0.2\n1,2,0.3\n2,3,-1\n3,4,0.4\ninf,5,0.5\n5,6,nan\n"
        f"{10**400},7,0.5\n6,8,{10**400}\nx,9,0.5\n4"
    )
    (run,) = read_runs(folders.root)
    assert run.curves["AP"].to_dict() == {0: 0.1, 1: 0.3, 3: 0.4}


def test_the_losses_of_each_branch(folders):
    """The sum of the terms; a row that was killed while writing, or is no number, is left out."""
    branches = ("train/main", "train/icn", "val/main", "val/icn")
    names = [f"{branch}/{term}" for branch in branches for term in ("box", "cls", "dfl")]
    lines = [["epoch", "step", "val/loss", *names]]
    lines += [["0", "3", "9", *"123", *"456", *["", ""] * 3], ["0", "4", "9", *[""] * 6, *"111222"]]
    lines += [["1", "5", "9", *"12", "x", *"789", *[""] * 6], ["2", "6"]]
    folder = folders.make("one")
    (folder / "metrics.csv").write_text("\n".join(",".join(line) for line in lines))
    (run,) = read_runs(folders.root)
    first, second = run.losses.to_dict("index").values()
    assert first == {
        ("train", "main"): 6,
        ("train", "icn"): 15,
        ("val", "main"): 3,
        ("val", "icn"): 6,
    }
    assert second["train", "icn"] == 24
    assert second["train", "main"] != second["train", "main"], "one of its terms is not known"


def test_a_task_with_more_terms_has_them_in_its_losses(folders):
    terms = ["train/main/box", "train/main/mask", "train/main/cls", "train/main/dfl"]
    folder = folders.make("one")
    (folder / "metrics.csv").write_text(",".join(["epoch", "step", *terms]) + "\n0,3,1,20,300,4000")
    (run,) = read_runs(folders.root)
    assert run.losses.to_dict("index") == {0: {("train", "main"): 4321}}


def test_the_weight_of_a_branch_is_none_of_its_losses(folders):
    """It is logged beside them; where a branch is off it is zero, and there are no terms."""
    columns = ["epoch", "step", "train/icn/box", "train/icn/cls", "train/icn/weight"]
    folder = folders.make("one")
    (folder / "metrics.csv").write_text(",".join(columns) + "\n0,3,1,20,0.25\n1,6,,,0.0")
    (run,) = read_runs(folders.root)
    assert run.losses.to_dict("index") == {0: {("train", "icn"): 21}}


def test_seeds_are_pooled_and_what_differs_names_the_row(folders):
    for seed in (0, 1):
        for pgi in ("none", "fpn"):
            folders.make(f"a/{pgi}-{seed}", seed=seed, choices={"pgi": pgi})
        folders.make(
            f"b/deep-{seed}", seed=seed, choices={"pgi": "fpn"}, config={"model.elan_depth": 3}
        )
    rows, _ = rows_of(folders)
    assert [row.label for row in rows] == [
        "pgi=none elan_depth=2",
        "pgi=fpn elan_depth=2",
        "pgi=fpn elan_depth=3",
    ]
    assert [[run.seed for run in row.runs] for row in rows] == [[0, 1]] * 3
    assert rows[2].short_label == "fpn elan_depth=3"
    assert rows[0].seconds_per_epoch == 30.5
    assert rows[0].peak_memory_mb == 901


def test_keys_that_follow_from_a_choice_are_not_repeated(folders):
    folders.make("s", choices={"model": "gelan_s"}, config={"model.elan_depth": 5})
    folders.make("t", choices={"model": "gelan_t"})
    assert [row.label for row in rows_of(folders)[0]] == ["model=gelan_s", "model=gelan_t"]


def test_equal_endings_are_told_apart(folders):
    folders.make("a", config={"data.image_size": 1, "model.image_size": 1})
    folders.make("b", config={"data.image_size": 2, "model.image_size": 1})
    folders.make("c", config={"data.image_size": 1, "model.image_size": 2})
    labels = [row.label for row in rows_of(folders)[0]]
    assert labels[0] == "data.image_size=1 model.image_size=1"


def test_one_configuration_is_named_by_its_model(folders):
    folders.make("a")
    assert [row.label for row in rows_of(folders)[0]] == ["model=yolov9_t"]


def test_a_seed_counts_once_the_latest(folders):
    place = {"data.root": "here"}
    folders.make("first", config=place, record={"ended": "2026-01-01T00:00:00"})
    folders.make("second", config=place, record={"ended": "2026-01-02T00:00:00"})
    rows, left = rows_of(folders)
    assert [run.folder.name for run in rows[0].runs] == ["second"]
    assert left[0].problem == "repeated by second, which counts"


def test_a_sweep_over_data_sets_has_a_row_for_each(folders):
    """One seed in two places was trained on other data: neither repeats the other."""
    for seed, place in ((0, "clean"), (0, "noisy"), (1, "noisy")):
        folders.make(f"{place}-{seed}", seed=seed, config={"data.root": place})
    rows, left = rows_of(folders)
    assert [row.label for row in rows] == ["root=clean", "root=noisy"]
    assert [[run.seed for run in row.runs] for row in rows] == [[0], [0, 1]]
    assert not left


def test_runs_behind_links_count_once(folders, tmp_path):
    folders.make("a/one", seed=0)
    elsewhere = tmp_path / "elsewhere"
    (folders.root / "a").rename(elsewhere)
    for name in ("first", "second"):
        (folders.root / name).symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "back").symlink_to(folders.root, target_is_directory=True)
    folders.make("b", seed=1)
    assert sorted(run.seed for run in read_runs(folders.root)) == [0, 1]


def test_the_base_of_each_model(folders):
    for model in ("gelan_s", "gelan_t"):
        for pgi in ("none", "fpn"):
            folders.make(f"{model}-{pgi}", choices={"model": model, "pgi": pgi})
    rows, _ = rows_of(folders)
    base = choose_base(rows, None)
    assert base == {"pgi": "none"}
    found = {row.label: other.label for row in rows if (other := base_of(row, rows, base))}
    assert found == {
        "model=gelan_s pgi=fpn": "model=gelan_s pgi=none",
        "model=gelan_t pgi=fpn": "model=gelan_t pgi=none",
    }
    one = choose_base(rows, {"model": "gelan_t", "pgi": "none"})
    found = [base_of(row, rows, one) for row in rows]
    assert {other.label for other in found if other} == {"model=gelan_t pgi=none"}
    with pytest.raises(UserError, match="No row has pgi=icn"):
        choose_base(rows, {"pgi": "icn"})


def test_the_base_without_pgi_is_the_first_row_or_as_told(folders):
    for block in ("csp", "conv"):
        folders.make(block, choices={"block": block})
    rows, _ = rows_of(folders)
    assert choose_base(rows, None) == {"block": "conv"}
    assert choose_base(rows, {"block": "csp"}) == {"block": "csp"}


def test_a_base_is_told_by_a_settings_whole_key_too(folders):
    for rate in (0.01, 0.02):
        folders.make(f"width{rate}", config={"model.width": rate})
    rows, _ = rows_of(folders)
    assert choose_base(rows, {"model.width": 0.02}) == {"width": "0.02"}
    with pytest.raises(UserError, match=r"No row has width=0\.5 \(base\): .* width=0\.01; w"):
        choose_base(rows, {"model.width": 0.5})


def test_of_many_rows_an_error_names_some(folders):
    for number in range(25):
        folders.make(f"run{number}", config={"model.width": number})
    with pytest.raises(UserError, match=r"width=0; .*; width=19; and 5 more\.$"):
        choose_base(rows_of(folders)[0], {"width": "none"})


@pytest.mark.parametrize(
    ("choices", "config", "record", "why"),
    [
        ({"data": "bccd"}, {"trainer.max_epochs": 20}, {"epochs": 20}, "data=bccd, 20 epochs"),
        ({}, {"trainer.max_epochs": 20}, {"epochs": 20}, "20 epochs"),
        ({}, {"data.image_size": 320}, {}, "320 pixels"),
        ({"model": "gelan_t"}, {}, {}, "model=gelan_t"),
        ({}, {}, {"epochs": 7}, "ended before the last epoch"),
        ({}, {}, {"cost": {"params": 2.0e6}}, "2.0 M parameters, not 6.2"),
        ({}, {}, {}, ""),
    ],
)
def test_when_the_papers_figure_is_comparable(folders, choices, config, record, why):
    folders.make(
        "a",
        choices={"data": "coco", "model": "gelan_s"} | choices,
        config={"trainer.max_epochs": 500, "data.image_size": 640} | config,
        record={"cost": {"params": 6.2e6}, "epochs": 500} | record,
        paper={"ap": 44.8, "params": 6.2, "model": "gelan_s"},
    )
    (row,) = rows_of(folders)[0]
    assert row.paper["ap"] == 44.8
    assert row.why_not_comparable == why


def test_a_row_with_another_length_of_training_is_compared_at_that_length(folders):
    for epochs in (300, 500):
        folders.make(
            str(epochs),
            choices={"data": "coco", "model": "gelan_c"},
            config={"trainer.max_epochs": epochs, "data.image_size": 640},
            record={"epochs": epochs},
            paper={"ap": 52.3, "epochs": 300, "model": "gelan_c"},
        )
    why = {row.settings["max_epochs"]: row.why_not_comparable for row in rows_of(folders)[0]}
    assert why == {"300": "", "500": "500 epochs"}


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        read_runs(tmp_path / "nowhere")
    (tmp_path / "run.txt").write_text(json.dumps({}))
    with pytest.raises(UserError, match="holds no training"):
        read_runs(tmp_path)
