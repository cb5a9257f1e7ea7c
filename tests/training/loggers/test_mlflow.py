"""What MLflow has of a run, read back from its store."""

import numpy as np
import pytest
from lightning.pytorch.utilities import rank_zero_only

from yolov9_lit.errors import UserError
from yolov9_lit.training.loggers import LoggedImage, installed, mlflow_logger

pytest.importorskip("mlflow")
pytest.importorskip("sqlalchemy")

SETTINGS = {"model": "gelan_t", "seed": 4, "config": {"trainer": {"max_epochs": 3}}}


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def logged(folder, step, **changed):
    """What a process logs of a run in a folder."""
    logger = mlflow_logger(save_dir=folder, name="gelan_t csp", tags={"sweep": None, "a": "b"})
    logger.log_hyperparams(SETTINGS | changed)
    logger.log_metrics({"val/AP": 0.1 * step, "epoch": step}, step)
    image = LoggedImage("1.jpg", np.full((20, 30, 3), 7, np.uint8), "one")
    logger.log_images("val/images", [image], step, epoch=step)
    logger.finalize("success" if step > 1 else "failed")
    return logger


def test_a_run_that_goes_on_is_one_run_and_one_that_the_store_lacks_is_told(tmp_path):
    first = logged(tmp_path, 1)
    assert first.experiment.get_run(first.run_id).info.status == "FAILED"
    second = logged(tmp_path, 2, config={"trainer": {"max_epochs": 3}, "workers": 9})
    assert second.run_id == first.run_id
    client = second.experiment
    (run,) = client.search_runs([second.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "gelan_t csp"
    assert run.data.params == {"model": "gelan_t", "seed": "4"}
    assert run.data.tags["a"] == "b"
    assert "sweep" not in run.data.tags
    history = client.get_metric_history(run.info.run_id, "val/AP")
    assert [(one.step, one.value) for one in history] == [(1, 0.1), (2, 0.2)]
    kept = {p.relative_to(tmp_path).name for p in (tmp_path / "mlartifacts").rglob("*.*")}
    assert kept == {"config.yaml", "val_images_0001.png", "val_images_0002.png"}
    assert {p.name for p in tmp_path.iterdir()} == {"mlartifacts", "mlflow.db", "mlflow_id.txt"}
    (tmp_path / "mlflow_id.txt").write_text("0123")
    logger = mlflow_logger(save_dir=tmp_path)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI as it was") as error:
        logger.log_metrics({"a": 1.0}, 0)
    assert "\n" not in str(error.value)


def test_other_ranks_make_no_client_and_log_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monkeypatch.setattr("mlflow.tracking.MlflowClient", None)  # Whoever made one would fail.
    folder = tmp_path / "run"
    logger = mlflow_logger(save_dir=folder)
    logger.log_hyperparams(SETTINGS)
    logger.log_metrics({"val/AP": 0.1}, 1)
    logger.finalize("success")
    assert not folder.exists()


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^logger=mlflow: mlflow is not installed: pip install"):
        mlflow_logger(save_dir=tmp_path)
    monkeypatch.setattr(installed, "find_spec", lambda name: name != "sqlalchemy" or None)
    with pytest.raises(UserError, match="logger=mlflow: sqlalchemy is not installed"):
        mlflow_logger(save_dir=tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert mlflow_logger(save_dir=tmp_path)._tracking_uri == "http://127.0.0.1:1"
