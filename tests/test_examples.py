"""The notebooks of examples/: each is listed, holds no outputs, and runs from its first cell on."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
TRAINING = (
    "%env SETTINGS=debug=default trainer=cpu data.image_size=64 data.batch_size=4"
    " evaluation.report=false trainer.enable_progress_bar=false"
)
SHORT = {
    "ablation": f"{TRAINING}\n%env CHOICES=pgi=none,pfh seed=0",
    "detect": TRAINING,
    "features_and_gradients": "settings += ' data.image_size=64'",
    "fine_tune": TRAINING,
    "own_pgi_branch": TRAINING,
    "train_on_a_folder": TRAINING,
}
"""What makes a notebook short, by its name: run behind its settings."""

HOLDS = {
    "ablation": "{*pd.read_csv('report/report.csv').pgi} == {'none', 'pfh'}",
    "detect": "len(images) == 4 and len(detector.class_names) == 4",
    "features_and_gradients": "len(of_main) == len(of_icn) > 0 and cosine.isfinite()",
    "fine_tune": "len(after.class_names) == 12 and same < len(old)",
    "own_pgi_branch": "count_parameters(deployed) < count_parameters(detector)",
    "train_on_a_folder": "0 <= figures['AP'] <= 1",
}
"""What must hold at a notebook's end, in its own names."""


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_is_listed_and_run():
    listed = (ROOT / "examples" / "README.md").read_text()
    assert [path.stem for path in NOTEBOOKS] == sorted(HOLDS)
    assert all(f"]({path.name})" in listed for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in code(notebook))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One for all notebooks, in a folder of its own: torch is imported once."""
    folder = tmp_path_factory.mktemp("examples")
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PYTHONPATH": paths, "PATH": programs, "OMP_NUM_THREADS": "1"}
    manager, client = start_new_kernel(cwd=str(folder), env=env)
    client.stop_channels()  # Each notebook opens its own.
    yield manager
    manager.shutdown_kernel(now=True)


def shortened(path):
    """Put what makes a notebook short behind its settings, and what must hold at its end."""
    notebook = read(path)
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    notebook.cells.insert(
        tags.index(["parameters"]) + 1, nbformat.v4.new_code_cell(SHORT[path.stem])
    )
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    notebook.cells.append(nbformat.v4.new_code_cell(f"assert {HOLDS[path.stem]}"))
    return notebook


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, kernel):
    NotebookClient(shortened(path), km=kernel, timeout=300).execute()
