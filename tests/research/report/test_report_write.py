"""The report's files from a half-finished sweep, and the command."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from yolov9_lit.data.class_choice import ClassChoice
from yolov9_lit.data.coco.truth import read_ground_truth
from yolov9_lit.research.report import curves
from yolov9_lit.research.report.matches import match
from yolov9_lit.research.report.power import seeds_needed
from yolov9_lit.research.report.rows import make_rows
from yolov9_lit.research.report.runs import read_runs
from yolov9_lit.research.report.write import write_report

PAPER = {"table": "table2", "params": 6.2, "gflops": 23.5, "ap": 44.8}


@pytest.fixture
def sweep(folders):
    for seed in (0, 1, 2):
        folders.make(f"none-{seed}", seed=seed, choices={"pgi": "none"}, noise=12, paper=PAPER)
        folders.make(f"lhg_icn-{seed}", seed=seed, choices={"pgi": "lhg_icn"}, noise=7)
        status = ("done", "failed", "running")[seed]
        folders.make(f"fpn-{seed}", seed=seed, choices={"pgi": "fpn"}, noise=12, status=status)
    folders.make("icn-0", choices={"pgi": "icn"}, status="running")
    return folders


def report(folders, **arguments):
    return write_report(folders.root, folders.root / "report", replicates=100, **arguments)


def test_a_curves_band_is_of_the_epochs_of_its_line(folders, monkeypatch):
    for pgi, seed in product(("none", "icn"), (0, 1)):
        folders.make(f"{pgi}-{seed}", seed=seed, choices={"pgi": pgi})
    monkeypatch.setattr(curves, "_save", lambda axes, path, caption: axes)
    axes = curves.draw_curves(make_rows(read_runs(folders.root))[0], folders.root / "x.png")
    assert len(axes.lines) == len(axes.collections) == 2
    for line, band in zip(axes.lines, axes.collections, strict=True):
        reach = band.get_paths()[0].get_extents()
        assert [reach.x0, reach.x1] == [*line.get_xdata()[[0, -1]]]


def column(table, name):
    i = table.columns.index(name)
    return {row[0].text: row[i] for row in table.rows}


def test_the_figures_are_those_of_the_runs(sweep):
    frame = pd.read_csv(report(sweep).folder / "report.csv").set_index("pgi")
    assert list(frame.index) == ["none", "fpn", "lhg_icn"]
    for pgi, seeds in (("none", 3), ("fpn", 1), ("lhg_icn", 3)):
        ap = [
            100 * json.loads((sweep.root / f"{pgi}-{s}" / "results.json").read_text())["AP"]
            for s in range(seeds)
        ]
        row = frame.loc[pgi]
        assert row["seeds"] == seeds
        assert row["AP"] == pytest.approx(np.mean(ap))
        if seeds > 1:
            assert row["AP_sd"] == pytest.approx(np.std(ap, ddof=1))
            assert row["AP_low"] < row["AP"] < row["AP_high"]
        else:
            assert np.isnan(row["AP_sd"])
    assert frame["AP_s"].isna().all(), "COCO's -1 is no figure"
    better = frame.loc["lhg_icn"]
    assert better["difference"] == pytest.approx(better["AP"] - frame.loc["none"]["AP"])
    assert 0 < better["difference_low"] < better["difference"] < better["difference_high"]
    # One run beside three of the base: compared with all of them, whose spread is in the interval.
    one = frame.loc["fpn"]
    assert one["difference"] == pytest.approx(one["AP"] - frame.loc["none"]["AP"])
    assert not one["difference_paired"]
    assert one["difference_sd_seeds"] == pytest.approx(frame.loc["none"]["AP_sd"])
    assert one["difference_low"] < one["difference"] < one["difference_high"]
    assert frame.loc["none", "paper_ap"] == 44.8
    assert not frame.loc["none", "paper_comparable"]


def test_tables_say_what_is_clear_and_what_does_not_count(sweep):
    found = report(sweep)
    difference = column(found.results, "difference")
    assert difference["pgi=lhg_icn"].strong
    assert not difference["pgi=fpn"].strong
    assert difference["pgi=none"].text == "base"
    assert column(found.results, "paper's AP")["pgi=none"].text == "44.8 †"
    assert set(column(found.left, "why")) == {"fpn-1", "fpn-2", "icn-0"}
    assert column(found.left, "status")["fpn-1"].text == "failed"
    assert column(found.left, "configuration")["icn-0"].text == "pgi=icn"


def test_what_the_differences_allow_to_say(sweep):
    """Against scipy's own tests on the runs' figures, and the seeds that they would need."""
    (table,) = report(sweep).differences
    ap = {
        pgi: [
            100 * json.loads((sweep.root / f"{pgi}-{s}" / "results.json").read_text())["AP"]
            for s in seeds
        ]
        for pgi, seeds in {"none": (0, 1, 2), "lhg_icn": (0, 1, 2)}.items()
    }
    sd = np.std(np.subtract(ap["lhg_icn"], ap["none"]), ddof=1)
    spread = column(table, "sd of seeds")["pgi=lhg_icn"]
    assert spread.value == pytest.approx(sd)
    assert column(table, "seeds")["pgi=lhg_icn"].text == "3 shared"
    assert column(table, "seeds")["pgi=fpn"].text == "1 and 3"
    for size in (0.1, 0.3, 0.5, 1.0):
        needed = column(table, f"seeds for {size}")["pgi=lhg_icn"].value
        assert needed == seeds_needed(size, sd, paired=True)
    page = (sweep.root / "report" / "report.md").read_text()
    assert "What can be said of the differences" in page


def test_a_claim_is_supported_or_not_or_cannot_be_told(folders):
    noises = {"none": (12, 11.5), "lhg_icn": (7, 7.2), "icn": (18, 17), "fpn": (7, 16)}
    for pgi, by_seed in noises.items():
        for seed, noise in enumerate(by_seed):
            folders.make(f"{pgi}-{seed}", seed=seed, choices={"pgi": pgi}, noise=noise)
    found = report(folders, base={"pgi": "none"})
    claims = {note.split(":")[0]: note for note in found.differences[0].notes if ": " in note}
    for pgi, verdict in (
        ("lhg_icn", "supported (2 shared seeds, +"),
        ("icn", "not supported, it has less (2 shared seeds, -"),
        ("fpn", "cannot tell (2 shared seeds, -"),
    ):
        assert f": {verdict}" in claims[f"pgi={pgi} has more AP than pgi=none"]


def test_each_table_for_a_paper_says_what_made_it(sweep):
    folder = report(sweep, base={"pgi": "none"}).folder
    made = f"Made by python -m yolov9_lit.report runs={sweep.root} 'base={{pgi:none}}', from runs"
    assert f"{made} of commit abcdef0." in (folder / "report.md").read_text()
    source = (folder / "report.tex").read_text()
    assert source.count("of commit abcdef0.") == source.count(r"\begin{table}") > 2


def test_of_one_seed_each_nothing_can_be_said(folders):
    folders.make("none", choices={"pgi": "none"}, noise=12)
    folders.make("fpn", choices={"pgi": "fpn"}, noise=7, seed=1)
    found = report(folders)
    assert not column(found.results, "difference")["pgi=fpn"].strong
    assert column(found.differences[0], "seeds for 1.0")["pgi=fpn"].text == "not known"
    assert any("nothing can be said" in note for note in found.differences[0].notes)


def test_costs_classes_and_where_runs_come_from(folders):
    folders.make("none", choices={"pgi": "none"}, record={"seconds_per_epoch": 20.0})
    overrides = ["pgi=fpn", "data.root=/my data"]
    record = {"overrides": overrides, "device": "H100", "dirty": True}
    folders.make("fpn", choices={"pgi": "fpn"}, record=record)
    page = (report(folders).folder / "report.md").read_text()
    costs = page[page.index("## What it costs") : page.index("## AP by class")]
    assert "| pgi=fpn | 3.70 | 2.00 | 7.7 | 30.00 | × 1.50 |" in costs  # noqa: RUF001
    classes = page[page.index("## AP by class") : page.index("## Every figure")]
    cells = [line.strip("| ").split(" | ") for line in classes.splitlines()[4:7]]
    assert [row[0] for row in cells] == ["RBC", "WBC", "Platelets"]
    assert sum(int(row[1]) for row in cells) == 6 * folders.images
    ap = 100 * json.loads((folders.root / "fpn" / "results.json").read_text())["AP"]
    assert np.mean([float(row[3]) for row in cells]) == pytest.approx(ap, abs=0.05)
    runs = page[page.index("## Runs that count") :]
    assert (
        "| abcdef0\\* | H100 | python -m yolov9\\_lit.train pgi=fpn 'data.root=/my data' |" in runs
    )


def test_the_same_runs_give_the_same_report(sweep, tmp_path):
    first, second = (
        write_report(sweep.root, tmp_path / name, replicates=50).folder for name in "ab"
    )
    for name in ("report.md", "report.csv", "report.tex", "report.html"):
        assert (first / name).read_text() == (second / name).read_text()


def test_the_page_stands_alone(sweep):
    page = (report(sweep).folder / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == page.count("<img ") == 5
    assert not re.search(r"https?://|src=\"(?!data:)|<link", page)
    assert "$" not in re.sub(r"base64,[^\"]+", "", page), "nothing of the template is left"
    assert "<strong>+" in page
    assert "RuntimeError: out of memory" in page


def test_latex_compiles(sweep, tmp_path):
    source = (report(sweep).folder / "report.tex").read_text()
    assert r"pgi=lhg\_icn" in source
    assert not re.search(r"(?<!\\)[_%#]", source)
    for body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", source, re.S):
        lines = [line for line in body[1].splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(body[0]) - 1}
    if not shutil.which("pdflatex"):
        pytest.skip("no pdflatex: only the structure was checked")
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\\usepackage{graphicx}\\begin{document}\n"
        + source
        + "\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda f, _: (f / "detections.json").unlink(), "detections.json is missing"),
        (lambda f, _: (f / "detections.json").write_text("[]"), "its detections give AP 0.0000"),
        (lambda f, all_: all_.annotations.unlink(), "cannot be read here"),
        (lambda f, _: edit(f / "results.json", num_images=7), "tested on 7 of 20 images"),
    ],
)
def test_without_evidence_there_is_no_interval_but_a_reason(folders, spoil, reason):
    folders.make("none", choices={"pgi": "none"}, noise=12)
    spoil(folders.make("fpn", choices={"pgi": "fpn"}), folders)
    found = report(folders)
    for table in (found.results, *found.differences):
        cell = column(table, "difference")["pgi=fpn"]
        assert cell.text.endswith("?")
        assert not cell.strong
    notes = found.differences[0].notes
    assert any(note.startswith("? pgi=fpn: ") and reason in note for note in notes)


@pytest.fixture(params=["mask", "pose"])
def further(request):
    """What runs find besides boxes, as the names of its figures begin."""
    return request.param


@pytest.fixture
def finding_more(folders, further):
    """Boxes are alike with and without a branch, masks or keypoints are better with it."""
    for seed in (0, 1, 2):
        for pgi, noise in (("none", 9), ("icn", 3)):
            folders.make(f"{pgi}-{seed}", seed=seed, choices={"pgi": pgi}, **{further: noise})
    return folders


def test_masks_and_keypoints_stand_beside_boxes_with_mean_spread_and_difference(
    finding_more, further
):
    found = report(finding_more)
    frame = pd.read_csv(found.folder / "report.csv").set_index("pgi")
    figure = f"{further}_AP"
    ap = {
        pgi: [
            100
            * json.loads((finding_more.root / f"{pgi}-{s}" / "results.json").read_text())[figure]
            for s in range(3)
        ]
        for pgi in ("none", "icn")
    }
    for pgi, values in ap.items():
        row = frame.loc[pgi]
        assert row[figure] == pytest.approx(np.mean(values))
        assert row[f"{figure}_sd"] == pytest.approx(np.std(values, ddof=1))
        assert row[f"{figure}_low"] < row[figure] < row[f"{figure}_high"]
        assert row[f"{figure}50"] > 0
    better = frame.loc["icn"]
    assert better["difference"] == pytest.approx(0)
    by_seed = np.subtract(ap["icn"], ap["none"])
    assert by_seed.min() > 1
    difference = f"{further}_difference"
    assert better[difference] == pytest.approx(by_seed.mean())
    assert better[f"{difference}_sd_seeds"] == pytest.approx(by_seed.std(ddof=1))
    assert better[f"{difference}_low"] < better[difference] < better[f"{difference}_high"]
    assert better[f"{difference}_sd_images"] > 0
    shown = [*found.results.columns]
    for name in ("AP", "sd", "95 %", "difference"):
        assert f"{further} {name}" in shown
    boxes, others = found.differences
    assert boxes.title.endswith("in AP")
    assert others.title.endswith(f"in {further} AP")
    assert column(others, "difference")["pgi=icn"].value == pytest.approx(by_seed.mean())
    files = {path.name for path in found.folder.iterdir()}
    assert {"ap_params.png", f"{further}_ap_params.png"} <= files
    assert {"curves.png", f"{further}_curves.png"} <= files
    page = (found.folder / "report.md").read_text()
    assert f"{further.capitalize()} AP by class" in page
    assert f"{further}\\_AP50" in page


def test_detections_that_do_not_give_a_figure_are_no_evidence_of_it(finding_more, further):
    edit(finding_more.root / "icn-1" / "results.json", **{f"{further}_AP": 0.001})
    boxes, others = report(finding_more).differences
    assert any(f"give {further} AP" in note for note in others.notes)
    assert not any(note.startswith("?") for note in boxes.notes)
    assert column(others, "difference")["pgi=icn"].text.endswith("?")


def test_other_sigmas_than_the_annotations_state_are_those_of_the_run(folders):
    """Keypoints are compared by what the run's own figure was measured with, or not at all."""
    for pgi in ("none", "icn"):
        folders.make(pgi, choices={"pgi": pgi}, pose=6)
    strict = read_ground_truth(
        folders.annotations, keypoints=folders.layout._replace(sigmas=(0.02, 0.02))
    )
    detections = json.loads((folders.root / "icn" / "detections.json").read_text())
    once = np.ones((1, folders.images), dtype=int)
    (ap,) = match(strict, detections, "keypoints").average_precision(once)
    edit(folders.root / "icn" / "results.json", pose_AP=float(ap))
    for folder in (folders.root / "none", folders.root / "icn"):
        edit(folder / "run.json", config={})
    config = folders.root / "icn" / ".hydra" / "config.yaml"
    content = yaml.safe_load(config.read_text())
    content["data"]["keypoints"] = {"sigmas": [0.02, 0.02]}
    config.write_text(yaml.safe_dump(content))
    found = report(folders)
    notes = found.differences[1].notes
    assert not any("its detections give" in note for note in notes)
    assert any("not tested on the same images, objects or sigmas" in note for note in notes)


def test_runs_of_some_classes_are_tested_on_these(folders):
    """AP comes from the truth of the chosen classes, of which a class by class table tells."""
    chosen = ClassChoice(("WBC", "RBC"), "cell")
    truth = chosen.of_truth(read_ground_truth(folders.annotations), folders.annotations)
    once = np.ones((1, folders.images), dtype=int)
    for pgi in ("none", "icn"):
        folder = folders.make(
            pgi,
            choices={"pgi": pgi},
            config={"data.classes": ["WBC", "RBC"], "data.single_class": "cell"},
        )
        rows = json.loads((folder / "detections.json").read_text())
        rows = [row | {"category_id": 1} for row in rows if row["category_id"] != 3]
        (folder / "detections.json").write_text(json.dumps(rows))
        (ap,) = match(truth, rows).average_precision(once)
        edit(folder / "results.json", AP=float(ap))
    found = report(folders)
    assert not any("cell" in note or "detections" in note for note in found.differences[0].notes)
    page = (found.folder / "report.md").read_text()
    assert "cell" in page
    assert "Platelets" not in page


def test_boxes_and_masks_in_one_report(folders, further):
    """A run that finds boxes only has no figures of masks or poses, nor a difference in them."""
    for seed in (0, 1):
        for task, noise in (("detect", {}), ("more", {further: 4})):
            settings = {"data.root": "/data", "model.head": {"finds": task}}
            of_task = {"choices": {"task": task}, "config": settings}
            folders.make(f"{task}-{seed}", seed=seed, **noise, **of_task)
    found = report(folders)
    frame = pd.read_csv(found.folder / "report.csv").set_index("task")
    assert frame[f"{further}_AP"].notna().to_dict() == {"detect": False, "more": True}
    assert len(found.differences[0].rows) == 1
    assert not found.differences[1].rows


@pytest.mark.parametrize("spike", [3.5, 900.0])
def test_a_spike_of_the_validation_does_not_flatten_the_losses(folders, spike):
    """The lines take most of the image's height; what lies above is told, and nothing else."""
    folder = folders.make("none", epochs=12)
    lines = (folder / "metrics.csv").read_text().splitlines()
    lines[8] = ",".join([*lines[8].split(",")[:-2], str(spike), "0.5"])
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    page = (report(folders).folder / "report.md").read_text()
    assert ("1 of the validation's values lie above the axis, up to 900.5." in page) == (spike > 4)
    picture = np.asarray(Image.open(folders.root / "report" / "losses.png").convert("RGB"))
    blue = (np.abs(picture - np.array([0, 114, 178])).sum(axis=2) < 40).nonzero()[0]
    assert np.quantile(blue, 0.95) - np.quantile(blue, 0.05) > 0.4 * len(picture)


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def of_other_truth(folders, name, **values):
    """A run below the folders that was tested on annotations of another class."""
    other = type(folders)(folders.root.parent / "other" / "sweep", images=20)
    other.truth["annotations"][0]["category_id"] = 2
    other.annotations.write_text(json.dumps(other.truth))
    shutil.move(other.make(name, **values), folders.root / name)


def test_another_test_set_is_not_paired(folders):
    folders.make("none", choices={"pgi": "none"}, noise=12)
    of_other_truth(folders, "fpn", choices={"pgi": "fpn"})
    found = report(folders)
    assert any("not tested on the same images" in note for note in found.differences[0].notes)
    assert not any("mean is of unlike figures" in note for note in found.results.notes)


@pytest.mark.parametrize("same", [True, False])
def test_a_mean_of_seeds_with_other_test_sets_is_told(folders, same):
    folders.make("none-0", seed=0, choices={"pgi": "none"})
    if same:
        folders.make("none-1", seed=1, choices={"pgi": "none"})
    else:
        of_other_truth(folders, "none-1", seed=1, choices={"pgi": "none"})
    notes = [note for note in report(folders).results.notes if "unlike figures" in note]
    assert len(notes) == (not same)
    assert all(note.startswith("AP of ") for note in notes)


def test_sweeps_of_two_machines_join(folders):
    """Of the other machine's runs neither data nor annotations are where they were."""
    there = {"annotations": "/elsewhere/instances_test.json"}
    for seed, record in ((0, {}), (1, there)):
        for pgi, noise in (("none", 9), ("icn", 4)):
            settings = {"seed": seed, "choices": {"pgi": pgi}, "noise": noise}
            folders.make(f"machine-{seed}/{pgi}", record=record, **settings)
    rows = pd.read_csv(report(folders).folder / "report.csv").set_index("pgi")
    assert rows["seeds"].to_dict() == {"none": 2, "icn": 2}
    joined = rows.loc["icn"]
    assert joined["difference_low"] < joined["difference"] < joined["difference_high"]
    assert joined["difference_seeds"] == 2


def test_annotations_with_which_a_run_has_other_figures_are_not_taken(folders):
    folders.make("none", choices={"pgi": "none"}, noise=12)
    other = folders.make(
        "icn", choices={"pgi": "icn"}, record={"annotations": "/elsewhere/instances_test.json"}
    )
    edit(other / "results.json", AP=0.123)
    notes = report(folders).differences[0].notes
    assert any("/elsewhere/instances_test.json cannot be read here" in note for note in notes)


def test_a_sweep_without_any_result_is_a_list_of_runs(folders):
    folders.make("a", status="running")
    folders.make("b", status="failed", choices={"pgi": "none"})
    found = report(folders)
    assert not found.results.rows
    assert len(found.left.rows) == 2
    assert (found.folder / "curves.png").is_file()
    assert not (found.folder / "ap_params.png").exists()


def test_reading_runs_needs_neither_torch_nor_lightning():
    code = "import sys, yolov9_lit.research.report.write as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning"} & set(done.stdout.split())


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "yolov9_lit.report", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_the_command(sweep, tmp_path):
    done = run(tmp_path, "runs=sweep", "base={pgi:fpn}", "replicates=20")
    assert done.returncode == 0, done.stderr
    assert "pgi=lhg_icn" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Report: sweep/report/report.html")
    written = {path.name for path in (sweep.root / "report").iterdir()}
    assert {"report.md", "report.csv", "report.tex", "report.html", "curves.png"} <= written
    assert sorted(p.name for p in tmp_path.iterdir()) == ["instances_test.json", "sweep"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["runs=nowhere"], "error: There is no folder nowhere (runs)"),
        (["runs=.", "base=none"], "error: base=none is not a setting"),
        (["runs=5"], "error: There is no folder 5 (runs)"),
        (["runs=.", "replicates=0"], "error: replicates=0 is not valid"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, arguments, sentence):
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
