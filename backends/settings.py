"""Where the pipeline runs. What it does is in the flows' parameters; how good, in targets.toml.

Read from the environment and from `.env`, e.g. `EDGEWARD_HOME=/data/edgeward`,
`EDGEWARD_MQTT__PORT=1883`.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

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
    workers: int = Field(0, ge=0, description="Processes for ingest; 0: one per core.")


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
        env_prefix="EDGEWARD_",
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
