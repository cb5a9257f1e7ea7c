"""`hparams_search=optuna` as a user types it, with a task of milliseconds in training's place."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

optuna = pytest.importorskip("optuna", reason="needs the extra: yolov9-lit[search]")

from yolov9_lit.app.configs import CONFIG_DIR
from yolov9_lit.runs.search.loop import FOLDER

pytestmark = pytest.mark.slow

TASK = f"""
import time
from pathlib import Path
import hydra
from yolov9_lit.app import resolvers

resolvers.register()  # as every command does

@hydra.main(version_base="1.3", config_path="{CONFIG_DIR}", config_name="train")
def main(cfg):
    folder = Path(cfg.run_dir)
    with Path("starts").open("a") as file:
        file.write(folder.name + "\\n")
    if Path("slow").exists():
        time.sleep(60)
    depth = cfg.model.elan_depth
    if depth == 2:
        raise RuntimeError("no memory")
    assert list(cfg.objectives) == ["val/AP", "gflops"]
    assert cfg.callbacks.pruner.directory == cfg.run_dir
    return depth + cfg.loss.aux_weight, float(depth)

main()
"""
SEARCH = ["hparams_search=optuna", "model=gelan_t"]
FOLDER_OF_SEARCH = "multirun/search-gelan_t-shapes"


@pytest.fixture
def command(tmp_path):
    """The command line; environment and folder come with it."""
    (tmp_path / "task.py").write_text(TASK)

    def make(*arguments):
        return {
            "args": [sys.executable, "task.py", *SEARCH, *arguments],
            "cwd": tmp_path,
            "env": {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            "text": True,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
        }

    return make


def finished(folder):
    study = optuna.load_study(
        study_name="search-gelan_t-shapes",
        storage=f"sqlite:///{folder / FOLDER_OF_SEARCH}/study.db",
    )
    return [t for t in study.trials if t.state.is_finished() and FOLDER in t.user_attrs]


def wait_for(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_killed_and_started_again_it_is_one_search(command, tmp_path):
    starts = tmp_path / "starts"
    killed = subprocess.Popen(**command("hydra.sweeper.n_trials=4"), start_new_session=True)
    wait_for(lambda: starts.is_file() and len(starts.read_text().split()) >= 2)
    (tmp_path / "slow").touch()
    before = len(starts.read_text().split())
    wait_for(lambda: len(starts.read_text().split()) > before)
    time.sleep(0.5)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    (tmp_path / "slow").unlink()
    done = {t.user_attrs[FOLDER] for t in finished(tmp_path)}
    first = starts.read_text().split()
    assert 2 <= len(done) < 4

    again = subprocess.run(**command("hydra.sweeper.n_trials=4"), timeout=300)
    assert again.returncode == 0, again.stdout
    assert "Pareto front (" in again.stdout
    second = starts.read_text().split()[len(first) :]
    assert not done & set(second), "what was finished is not run again"
    assert second[0] == first[-1], "what was interrupted is run again in its folder"
    trials = finished(tmp_path)
    assert len(trials) == 4
    assert len({str(t.params) for t in trials}) == 4
    for trial in trials:
        folder = tmp_path / FOLDER_OF_SEARCH / trial.user_attrs[FOLDER]
        assert (folder / ".hydra" / "config.yaml").is_file()
        if trial.params["model.elan_depth"] != 2:
            depth, weight = (trial.params[k] for k in ("model.elan_depth", "loss.aux_weight"))
            assert trial.values == [depth + float(weight), depth]


def test_failed_trials_are_reported_and_the_search_goes_on(command, tmp_path):
    space = ["block=csp", "pgi=none", "model.csp_depth=1", "loss.aux_weight=0.25"]
    done = subprocess.run(**command(*space), timeout=300)  # three depths, the second fails
    assert done.returncode == 0, done.stdout
    assert "failed: RuntimeError: no memory" in done.stdout
    assert "Everything in this space has been tried" in done.stdout
    assert "Pareto front (2 complete, 0 pruned, 1 fail)" in done.stdout
    table = pd.read_csv(tmp_path / FOLDER_OF_SEARCH / "pareto.csv")
    assert list(table["gflops"])[:2] == [1, 3]
    assert table["error"].dropna().tolist() == ["RuntimeError: no memory"]
    assert (tmp_path / FOLDER_OF_SEARCH / "pareto.png").is_file()


def test_a_name_given_for_the_sweep_is_its_folders(command, tmp_path):
    space = ["block=csp", "pgi=none", "model.csp_depth=1", "model.elan_depth=1"]
    done = subprocess.run(**command(*space, "sweep=mine"), timeout=300)
    assert done.returncode == 0, done.stdout
    assert [folder.name for folder in (tmp_path / "multirun").iterdir()] == ["mine"]
    assert (tmp_path / "multirun" / "mine" / "pareto.csv").is_file()


MISTAKES = {
    "objectives": (["objectives=[speed]"], "objectives names speed: choose from val/AP"),
    "all fail": (["model.elan_depth=2"], "The first 3 trials all failed, the last with Runtime"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_get_one_sentence_and_code_2(command, name):
    arguments, sentence = MISTAKES[name]
    done = subprocess.run(**command(*arguments), timeout=300)
    assert done.returncode == 2
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout


def test_without_optuna_it_says_what_to_install(command, tmp_path):
    task = tmp_path / "task.py"
    task.write_text("import sys\nsys.modules['optuna'] = None\n" + task.read_text())
    done = subprocess.run(**command(), timeout=300)
    assert done.returncode == 2
    assert "error: hparams_search=optuna needs Optuna: pip install" in done.stdout
    assert "Traceback" not in done.stdout
