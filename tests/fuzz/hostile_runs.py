"""A sweep of three sound runs and an odd one, and what can be wrong with the files of that one."""

import importlib.util
import io
import json
import tempfile
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from data_properties import in_folder
from hostile_files import Files, of_texts, read_files, write_text
from hostile_values import mutation, numbers, some, texts, values
from hypothesis import strategies as st
from PIL import Image

from yolov9_lit.reporting.page import make_page
from yolov9_lit.reporting.render import latex, markdown, terminal
from yolov9_lit.research.report.compare import compare, row_pairs
from yolov9_lit.research.report.costs import cost_table
from yolov9_lit.research.report.differences import difference_table
from yolov9_lit.research.report.listings import class_table, figure_table, left_table, run_table
from yolov9_lit.research.report.rows import choose_base, make_rows
from yolov9_lit.research.report.runs import read_runs
from yolov9_lit.research.report.tables import result_frame, result_table
from yolov9_lit.research.report.tested import read_tests
from yolov9_lit.research.report.write import write_report

ODD = "odd"
RECORD, RESULTS, METRICS = f"{ODD}/run.json", f"{ODD}/results.json", f"{ODD}/metrics.csv"
DETECTIONS, CONFIG = f"{ODD}/detections.json", f"{ODD}/.hydra/config.yaml"
CHOICES = f"{ODD}/.hydra/hydra.yaml"

_made = tempfile.TemporaryDirectory()  # Runs name the annotations that they were tested on.


@cache
def sound_sweep() -> Files:
    """Two seeds of one setting, one of another, and the odd run, a second seed of that."""
    file = Path(__file__).parents[1] / "research/conftest.py"
    spec = importlib.util.spec_from_file_location("report_runs", file)
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    with redirect_stdout(io.StringIO()):  # pycocotools prints
        folders = module.RunFolders(Path(_made.name) / "sweep", images=2)
        for seed in (0, 1):
            folders.make(f"none-{seed}", seed=seed, choices={"pgi": "none"})
        folders.make("fpn")
        folders.make(ODD, seed=1)
    return read_files(folders.root)


def _change(files: Files, file: str, parents: list[str], last: str, value: Any) -> None:
    form = json if file.endswith(".json") else yaml
    content = files.get(file)
    try:
        whole = form.loads(content) if form is json else yaml.safe_load(content)  # type: ignore
    except (TypeError, ValueError, AttributeError, yaml.YAMLError):
        return
    node = whole
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node[last] = value
        text = json.dumps(whole) if form is json else yaml.safe_dump(whole)
        files[file] = text.encode("utf-8", "replace")


def set_key(files: Files, file, key, value):
    *parents, last = key.split(".")
    _change(files, file, parents, last, value)


def set_whole(files: Files, file, value):
    text = json.dumps(value) if file.endswith(".json") else yaml.safe_dump(value)
    files[file] = text.encode("utf-8", "replace")


def set_detection(files: Files, key, value):
    try:
        found = json.loads(files[DETECTIONS])  # type: ignore[arg-type]
        found[0][key] = value
    except (TypeError, ValueError, KeyError, IndexError):
        return
    files[DETECTIONS] = json.dumps(found).encode()


def add_rows(files: Files, rows):
    before = files.get(METRICS)
    if isinstance(before, bytes):
        added = "".join(f"{','.join(row)}\n" for row in rows)
        files[METRICS] = before + added.encode("utf-8", "replace")


def name_choice(files: Files, run, key, name):
    """Give a run's configuration a name, as a user's own YAML file has it."""
    _change(files, f"{run}/.hydra/hydra.yaml", ["hydra", "runtime", "choices"], key, name)


def set_cost(files: Files, run, key, value):
    _change(files, f"{run}/run.json", ["cost"], key, value)


def set_metric(files: Files, value, rows):
    """Write one value over the AP of some epochs."""
    lines = files[METRICS].decode().splitlines() if isinstance(files.get(METRICS), bytes) else []
    column = lines[0].split(",").index("val/AP") if lines and "val/AP" in lines[0] else None
    for number in rows if column is not None else ():
        if number < len(lines) and column < len(cells := lines[number].split(",")):
            cells[column] = str(value)
            lines[number] = ",".join(cells)
    files[METRICS] = "\n".join(lines).encode("utf-8", "replace")


def run_mutations() -> list[st.SearchStrategy]:
    keys = {
        RECORD: "status seed choices annotations cost cost.params seconds_per_epoch error ended"
        " peak_memory_mb config config.seed overrides epochs figures data sweep resumed new",
        RESULTS: "AP AP50 AP75 AP_s AP_l num_images per_class new",
        CONFIG: "seed data data.image_size model model.pgi trainer.max_epochs execution paper row"
        " paper.ap data.root trainer new",
        CHOICES: "hydra hydra.job.name hydra.runtime.choices hydra.runtime.choices.model",
    }
    run = st.sampled_from(["none-0", "fpn", ODD])
    sets = [
        mutation(set_key, file=st.just(file), key=st.sampled_from(names.split()), value=values)
        for file, names in keys.items()
    ]
    files = [RECORD, RESULTS, DETECTIONS, CONFIG, CHOICES]
    detection = st.sampled_from(["image_id", "category_id", "bbox", "score", "new"])
    cells = st.lists(numbers.map(str) | texts, min_size=1, max_size=5)
    yamls = st.sampled_from(
        ["seed: ${no}", "a: *b", "seed: ${seed}", "!!python/name:os.x", "[", "??"]
    )
    return [
        *sets,
        mutation(set_whole, file=st.sampled_from(files), value=values),
        mutation(set_detection, key=detection, value=values),
        mutation(add_rows, rows=st.lists(cells, max_size=3)),
        mutation(name_choice, run=run, key=st.sampled_from(["pgi", "model", "data"]), name=texts),
        mutation(
            set_cost, run=st.just(ODD), key=st.sampled_from(["params", "gflops"]), value=values
        ),
        mutation(set_metric, value=numbers, rows=st.sets(st.integers(1, 5), min_size=1)),
        mutation(write_text, file=st.sampled_from([CONFIG, CHOICES, METRICS]), text=yamls | texts),
        *of_texts([*files, METRICS]),
    ]


def report(root: Path) -> None:
    """Make the report's tables; hold that the sound runs are in them."""
    runs = read_runs(root)
    rows, left = make_rows(runs)
    told = {run.folder.name for row in rows for run in (*row.runs, *row.unfinished)}
    told |= {run.folder.name for run in left}
    assert {"none-0", "none-1", "fpn"} <= told
    counted = [run for row in rows for run in row.runs]
    names = {run.folder.name for run in counted}
    assert {"none-0", "none-1", "fpn"} <= names, f"a sound run does not count: {names}"
    pairs = row_pairs(rows, choose_base(rows, None))
    compared = {run.folder for pair in pairs for row in pair for run in row.runs}
    tests = read_tests(counted, compared, replicates=5, seed=0)
    comparisons = {"AP": compare(pairs, tests)}
    frame = result_frame(rows, comparisons)
    frame.to_csv(index=False)
    tables = [result_table(frame, rows, comparisons, {}), left_table(left, rows, root)]
    tables += [difference_table(comparisons["AP"]), cost_table(rows, comparisons["AP"])]
    tables += [class_table(rows, tests), figure_table(rows), run_table(rows, root)]
    for table in tables:
        terminal(table), markdown(table), latex(table)
    make_page("title", "subtitle", tables, [], [])


def write_whole_report(root: Path) -> None:
    """Write the report with its plots: all of its files are there and can be opened."""
    out = root.parent / "report"
    write_report(root, out, replicates=5)
    for name in ("report.md", "report.tex", "report.csv", "report.html"):
        assert (out / name).read_text(encoding="utf-8").strip(), f"{name} is empty"
    plots = sorted(out.glob("*.png"))
    assert {"ap_params.png", "curves.png"} <= {path.name for path in plots}
    for path in plots:
        with Image.open(path) as plot:
            plot.load()
            assert max(plot.size) < 3000, f"{path.name} is {plot.size}"


def run_pages() -> tuple[st.SearchStrategy, Any]:
    """Runs as the report draws them."""
    return some(run_mutations()), partial(in_folder, sound_sweep, run=write_whole_report)


def run_records() -> tuple[st.SearchStrategy, Any]:
    """Runs as the report reads them."""
    return some(run_mutations()), partial(in_folder, sound_sweep, run=report)
