"""Runs, metrics and model versions in MLflow: sqlite and files here, a server by URI.

Importing mlflow takes seconds, so it happens on the first call.
"""

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from backends.artifacts import RegisteredModel
from backends.errors import BackendUnavailableError

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE, CHAMPION = "candidate", "champion"
ENDINGS = {
    "deployed": "FINISHED",
    "packaged": "FINISHED",
    "open": "SCHEDULED",
    "waiting": "SCHEDULED",
    "refused": "FAILED",
    "failed": "FAILED",
    "rolled back": "FAILED",
}


def _translated[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    """Turn MLflow's and its database's errors into ours."""

    @wraps(method)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return method(*arguments, **options)
        except (MlflowException, SQLAlchemyError) as error:
            first = str(error).partition("\n")[0]
            raise BackendUnavailableError(
                "MLflow", first, "Look at EDGEWARD_MLFLOW__URI and the disk."
            ) from error

    return call


class MlflowTracker:
    """The Tracker port over an MLflow tracking server or a sqlite file under `home`."""

    def __init__(self, home: Path, uri: str = "") -> None:
        self._home = home
        self._uri = uri

    @cached_property
    def _client(self) -> "MlflowClient":
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        if self._uri:
            return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        self._home.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{self._home / 'mlflow.db'}"
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    @_translated
    def start(self, experiment: str, run: str, parameters: Mapping[str, str]) -> str:
        found = self._client.get_experiment_by_name(experiment)
        identity = found.experiment_id if found else self._create_experiment(experiment)
        tracked: str = self._client.create_run(identity, run_name=run).info.run_id
        for name, value in parameters.items():
            self._client.log_param(tracked, name, value)
        return tracked

    def _create_experiment(self, name: str) -> str:
        remote = self._uri.startswith(("http:", "https:"))  # a server knows where its files lie
        location = None if remote else (self._home / "artifacts").as_uri()
        created: str = self._client.create_experiment(name, artifact_location=location)
        return created

    @_translated
    def log(self, tracked: str, metrics: Mapping[str, float], step: int = 0) -> None:
        for name, value in metrics.items():
            self._client.log_metric(tracked, _metric(name), value, step=step)

    @_translated
    def end(self, tracked: str, status: str, files: Sequence[Path]) -> None:
        for file in files:
            self._client.log_artifact(tracked, str(file))
        self._client.set_tag(tracked, "edgeward.status", status)
        self._client.set_terminated(tracked, ENDINGS.get(status, "FAILED"))

    @_translated
    def register(self, model: str, tracked: str, archive: Path, tags: Mapping[str, str]) -> str:
        self._client.log_artifact(tracked, str(archive), "model")
        kept: str = self._client.get_run(tracked).info.artifact_uri
        self._ensure_model(model)
        version: Any = self._client.create_model_version(
            model, source=f"{kept}/model/{archive.name}", run_id=tracked, tags=dict(tags)
        )
        self._client.set_registered_model_alias(model, CANDIDATE, version.version)
        return str(version.version)

    def _ensure_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._client.create_registered_model(model)

    @_translated
    def promote(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        self.tag(model, version, tags)
        self._client.set_registered_model_alias(model, CHAMPION, version)

    @_translated
    def tag(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._client.set_model_version_tag(model, version, name, value)

    @_translated
    def champion(self, model: str) -> RegisteredModel | None:
        from mlflow.exceptions import MlflowException

        try:
            version = self._client.get_model_version_by_alias(model, CHAMPION)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None  # no such model yet, or none of its versions is champion
            raise
        return RegisteredModel(
            model, str(version.version), self._archive(version.source), dict(version.tags)
        )

    def _archive(self, source: str) -> Path:
        """The champion's archive as a file: as it lies, or fetched from the artifact store."""
        if (parts := urlparse(source)).scheme in {"", "file"}:
            return Path(unquote(parts.path))
        from mlflow.artifacts import download_artifacts

        into = self._home / "downloads"
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        return Path(download_artifacts(artifact_uri=source, dst_path=str(into)))


def _metric(name: str) -> str:
    """MLflow takes letters, digits, `_-. :/` in a metric's name."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name)
