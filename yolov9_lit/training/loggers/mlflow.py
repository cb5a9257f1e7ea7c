"""MLflow: figures, settings, sheets of images; in a database in the run's folder by default."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, MLFlowLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from yolov9_lit.errors import UserError, one_line
from yolov9_lit.files import atomic_write
from yolov9_lit.ranks import is_first_rank
from yolov9_lit.reporting.sheet import draw_sheet
from yolov9_lit.training.loggers.images import LoggedImage, sheet_name
from yolov9_lit.training.loggers.installed import require_installed

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ID_FILE = "mlflow_id.txt"


class ContinuingMLflowLogger(MLFlowLogger):
    """Lightning's, with images; a run continued in its folder remains the same MLflow run."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        """Set the run's folder, which keeps the MLflow run's id, and Lightning's arguments."""
        self._id_path = folder / ID_FILE
        known = self._id_path.read_text() if self._id_path.is_file() else None
        super().__init__(run_id=known, **arguments)

    @property
    @rank_zero_experiment
    def experiment(self) -> MlflowClient:
        """The client; the MLflow run is begun, or gone on with, when it is first asked for.

        Raises:
            UserError: the store cannot be reached, or does not have the run that is continued.
        """
        from mlflow.exceptions import MlflowException

        if self._initialized:
            return self._mlflow_client
        goes_on = self._run_id is not None
        try:
            client: Any = super().experiment
            if goes_on:
                client.update_run(self._run_id, status="RUNNING")
        except MlflowException as error:
            raise UserError(
                f"logger=mlflow: {self._tracking_uri} gives no run "
                f"({one_line(str(error).splitlines()[0])}): set MLFLOW_TRACKING_URI as it was when "
                f"the run began, or remove {self._id_path} to begin another MLflow run."
            ) from error
        if not goes_on:
            self._id_path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._id_path) as part:
                part.write_text(str(self._run_id))
        return client

    @rank_zero_only
    def log_hyperparams(  # type: ignore[override]
        self, params: Mapping[str, Any]
    ) -> None:
        """Record settings: what is no number or text of its own becomes a YAML artifact.

        MLflow takes no other value for a parameter that it has; in a run that goes on, what says
        how it is carried out may be another.
        """
        columns = {k: v for k, v in params.items() if isinstance(v, str | int | float)}
        super().log_hyperparams(columns)
        for name in params.keys() - columns.keys():
            self.experiment.log_dict(self.run_id, params[name], f"{name}.yaml")

    @rank_zero_only
    def log_images(
        self, key: str, images: Sequence[LoggedImage], step: int, epoch: int | None = None
    ) -> None:
        """Keep one PNG with all of them as an artifact."""
        sheet = draw_sheet([(image.pixels, image.caption) for image in images])
        path = f"images/{sheet_name(key, epoch)}"
        self.experiment.log_image(self.run_id, sheet, artifact_file=path)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Note what may become an artifact: the best checkpoint alone."""
        if checkpoint_callback.monitor is not None:
            super().after_save_checkpoint(checkpoint_callback)


class SilentLogger(Logger):
    """One that keeps nothing.

    Lightning's own answers to every name, and is taken for loggers of all kinds.
    """

    @property
    def name(self) -> None:
        """None: it has no experiment."""

    @property
    def version(self) -> None:
        """None: it has no run."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep no figures."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Keep no settings."""


def mlflow_logger(
    *,
    save_dir: str | Path,
    experiment_name: str = "yolov9_lit",
    name: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    tracking_uri: str | None = None,
    log_model: Literal["all"] | bool = False,
) -> Logger:
    """Build the MLflow logger; on other ranks than the first, one that does nothing.

    Args:
        save_dir: the run's folder.
        experiment_name: under which MLflow lists the run.
        name: of the run.
        tags: of the run; those that are None are left out.
        tracking_uri: of the store; by default that of $MLFLOW_TRACKING_URI, and without it a
            database in the run's folder.
        log_model: make the best checkpoint an artifact at the end, "all": whenever there is a new
            one.

    Raises:
        UserError: MLflow, or what its databases need, is not installed.
    """
    require_installed("mlflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # It would report its use.
    folder = Path(save_dir).resolve()
    uri, place = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"), None
    if not uri:
        require_installed("mlflow", "sqlalchemy", "alembic")
    if not is_first_rank():  # A client, even unused, makes the database: all ranks at once.
        return SilentLogger()
    if not uri:
        folder.mkdir(parents=True, exist_ok=True)
        uri, place = f"sqlite:///{folder}/mlflow.db", (folder / "mlartifacts").as_uri()
    for chatty in ("alembic", "mlflow.store", "lightning.pytorch.loggers.mlflow"):
        logging.getLogger(chatty).setLevel(logging.ERROR)  # each table that it makes
    return ContinuingMLflowLogger(
        folder,
        experiment_name=experiment_name,
        run_name=name,
        tags={key: value for key, value in (tags or {}).items() if value is not None},
        tracking_uri=uri,
        artifact_location=place,
        log_model=log_model,
    )
