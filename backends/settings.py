"""Where the pipeline runs. What it does is in the flows' parameters; how good, in targets.toml.

Read from the environment and from `.env`, e.g. `EDGEWARD_HOME=/data/edgeward`,
`EDGEWARD_MQTT__PORT=1883`.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from backends.errors import InvalidInputError

PREFIX = "EDGEWARD_"
PROJECT = Path(__file__).resolve().parents[1]


class BackendSettings(BaseModel):
    """Everything on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"] = Field("local", description="Where the work is done.")
    jobs_python: Path = Field(
        PROJECT / ".venvs/jobs/bin/python", description="Interpreter that has MXNet and TVM."
    )
    device_python: Path = Field(
        PROJECT / ".venvs/device/bin/python",
        description="Interpreter that has the device's requirements and nothing else.",
    )
    job_seconds: int = Field(4 * 3600, ge=1, description="Time limit of one job.")
    compile_cpu: str = Field(
        "host",
        description="x86-64 CPU to compile for: host (this machine's), empty (any since 2013), "
        "or LLVM's name of one.",
    )
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


class PrefectSettings(BaseModel):
    """The Prefect server that `edgeward up` starts, on loopback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(4200, ge=0, le=65535, description="0: any free port.")


class NotifySettings(BaseModel):
    """Whom the Prefect server tells of failures, refused gates, drift and silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook: SecretStr = Field(
        SecretStr(""), description="URL that gets a JSON message by POST; empty: nobody is told."
    )
    silence_minutes: float = Field(
        45, ge=1 / 6, description="Without a look at the devices for so long, somebody is told."
    )


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
    prefect: PrefectSettings = PrefectSettings()
    notify: NotifySettings = NotifySettings()

    @property
    def root(self) -> Path:
        """`home` as an absolute path."""
        return self.home.expanduser().resolve()


GROUPS: dict[str, type[BaseModel]] = {
    "backend": BackendSettings,
    "mqtt": MqttSettings,
    "mlflow": MlflowSettings,
    "prefect": PrefectSettings,
    "notify": NotifySettings,
}


def load_settings() -> Settings:
    """Read the settings; raises InvalidInputError naming the variable that is unknown or wrong."""
    known = known_variables()
    whole_groups = {PREFIX + group.upper() for group in GROUPS}  # a group as one JSON text
    for variable in sorted(_given()):
        if variable not in {*known, *whole_groups}:
            raise _unknown(variable, known)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = PREFIX + "__".join(str(part) for part in first["loc"]).upper()
        if first["type"] == "extra_forbidden":
            raise _unknown(variable, known) from error
        raise InvalidInputError(variable, first["msg"], "Give a possible value.") from error
    except SettingsError as error:
        raise InvalidInputError(
            f"{PREFIX}*", f"{error}", f"Write one variable per key, e.g. {known[-1]}=…."
        ) from error


def known_variables() -> tuple[str, ...]:
    """Every variable that means something, as it is written in the environment or in `.env`."""
    keys = [f"{group}__{key}" for group, model in GROUPS.items() for key in model.model_fields]
    return (f"{PREFIX}HOME", *(f"{PREFIX}{key}".upper() for key in keys))


def _given() -> set[str]:
    """The variables of ours in the environment and in `.env`, which may hold others' as well."""
    sources = (EnvSettingsSource(Settings), DotEnvSettingsSource(Settings))
    names = {name.upper() for source in sources for name in source.env_vars}
    return {name for name in names if name.startswith(PREFIX)}


def _unknown(variable: str, known: Sequence[str]) -> InvalidInputError:
    keys = [name.removeprefix(PREFIX) for name in known]
    near = difflib.get_close_matches(variable.removeprefix(PREFIX), keys, n=1, cutoff=0.5)
    remedy = f"Did you mean {PREFIX}{near[0]}?" if near else f"Known: {', '.join(known)}."
    return InvalidInputError(variable, "no such setting", remedy)
