"""Where the pipeline runs. What it does is in the flows' parameters; how good, in targets.toml.

Read from the environment and from `.env`, e.g. `EDGEWARD_HOME=/data/edgeward`,
`EDGEWARD_MQTT__PORT=1883`.
"""

import difflib
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from backends.errors import InvalidInputError

PREFIX = "EDGEWARD_"
PROJECT = Path(__file__).resolve().parents[1]


class BackendSettings(BaseModel):
    """Everything on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"] = "local"
    jobs_python: Path = Field(
        PROJECT / ".venvs/jobs/bin/python", description="Interpreter that has MXNet and TVM."
    )
    device_python: Path = Field(
        PROJECT / ".venvs/device/bin/python",
        description="Interpreter that has the device's requirements and nothing else.",
    )
    job_seconds: int = Field(4 * 3600, ge=1, description="Time limit of one job.")
    job_threads: int = Field(
        0, ge=0, description="Threads of one job; 0: one per core. A model depends on it."
    )
    workers: int = Field(0, ge=0, description="Processes for ingest; 0: one per core.")
    usd_per_hour: float = Field(
        0, ge=0, description="What an hour of this machine costs; 0: nothing."
    )


class MqttSettings(BaseModel):
    """The broker that devices publish to. Without a host, one is started on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("", description="Empty: a broker of our own on loopback.")
    port: int = Field(0, ge=0, le=65535, description="0: any free port (own broker), else 1883.")
    username: str = ""
    password: SecretStr = SecretStr("")


class MlflowSettings(BaseModel):
    """Where runs and model versions are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field("", description="Empty: sqlite under EDGEWARD_HOME.")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        frozen=True,
        extra="ignore",  # .env may hold other programs' variables
    )

    home: Path = Field(Path(".edgeward"), description="Folder that holds everything a run writes.")
    backend: BackendSettings = BackendSettings()
    mqtt: MqttSettings = MqttSettings()
    mlflow: MlflowSettings = MlflowSettings()

    @property
    def root(self) -> Path:
        """`home` as an absolute path."""
        return self.home.expanduser().resolve()


def load_settings() -> Settings:
    """Read the settings; raises InvalidInputError naming the variable that is unknown or wrong."""
    for variable in sorted(os.environ):
        name = variable.removeprefix(PREFIX).partition("__")[0].lower()
        if variable.startswith(PREFIX) and name not in Settings.model_fields:
            raise _unknown(variable)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = PREFIX + "__".join(str(part) for part in first["loc"]).upper()
        if first["type"] == "extra_forbidden":
            raise _unknown(variable) from error
        raise InvalidInputError(variable, first["msg"], "Give a possible value.") from error


def _unknown(variable: str) -> InvalidInputError:
    known = [
        f"{PREFIX}{group}__{key}".upper()
        for group, model in (
            ("backend", BackendSettings),
            ("mqtt", MqttSettings),
            ("mlflow", MlflowSettings),
        )
        for key in model.model_fields
    ]
    near = difflib.get_close_matches(variable, [*known, f"{PREFIX}HOME"], n=1, cutoff=0.6)
    remedy = f"Did you mean {near[0]}?" if near else f"Known: {PREFIX}HOME, {', '.join(known)}."
    return InvalidInputError(variable, "no such setting", remedy)
